"""hbt mine as users call it: from a run file and a checkpoint to rows that training takes."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from distributed_hbt.cli import main
from distributed_hbt.config.load import load_run
from distributed_hbt.data.store.prepare import prepare_store
from distributed_hbt.models.saved import load_encoder
from tests.distributed.run_for_tests import rows, write_run
from tests.programs import BIN, Programs
from tests.tiny_encoder import write_checkpoint


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a command that runs inside this process sets ends with the test."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 rows in three languages, and a checkpoint beside the run file."""
    folder = tmp_path_factory.mktemp("mine")
    texts = [str(row["query"]) for row in rows(40)]
    write_checkpoint(folder / "step-00000005", texts)
    (folder / "empty").mkdir()
    return write_run(
        folder,
        evaluation={"shard_rows": 40},
        mining={"num_negatives": 3, "first_rank": 2, "absolute_margin": 0.0},
        cluster={"gpus_per_worker": 0},
    )


def mine(run_file: Path, out: Path, *more: str) -> list[str]:
    checkpoint = run_file.parent / "step-00000005"
    return ["mine", str(run_file), "--checkpoint", str(checkpoint), "--out", str(out), *more]


def test_what_is_mined_is_what_training_reads(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a file that `hbt data check` refuses, or whose negatives do not come into the store."""
    out = tmp_path / "mined.jsonl.gz"
    assert main(mine(run_file, out, "--json")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"] == 120
    assert 0 < printed["mean_negatives"] <= 3
    assert set(printed["removed"]) > {"known", "first_rank", "absolute_margin"}
    assert [path.name for path in tmp_path.iterdir()] == ["mined.jsonl.gz"]

    sources = f"data.sources=[{{format: hbt_jsonl, path: {out}}}]"
    assert main(["data", "check", str(run_file), sources, "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert (checked["rows"], checked["groups"], checked["bad_rows"]) == (120, 40, 0)
    texts = load_encoder(run_file.parent / "step-00000005" / "encoder").texts
    store = prepare_store(load_run(run_file, [sources]), texts, tmp_path / "stores")
    assert store.bad_rows.bad == 0
    assert store.index.num_queries == 120


def test_a_pool_of_actors_writes_the_same_bytes(
    run_file: Path, tmp_path: Path, programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches negatives that depend on who encoded what, and jobs that do not travel to another process."""
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    assert main(mine(run_file, one)) == 0
    assert "120 rows, " in capsys.readouterr().out
    done = programs.hbt(*mine(run_file, two, "cluster.evaluation_actors=2"))
    assert done.returncode == 0, done.stderr
    assert one.read_bytes() == two.read_bytes()
    assert "120 rows, " in done.stdout


def test_a_run_that_is_killed_goes_on_when_it_is_started_again(
    run_file: Path, tmp_path: Path, programs: Programs
) -> None:
    """Catches a lock, or half a file, of a dead process that stands in the way, and lost shards."""
    out, clean = tmp_path / "out.jsonl", tmp_path / "clean.jsonl"
    one_each = "evaluation.shard_rows=1"
    assert main(mine(run_file, clean, one_each)) == 0
    first = programs.start(BIN / "hbt", *mine(run_file, out, one_each), log=tmp_path / "log")
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("out.jsonl.work/*/shard-*.npz")):
        assert first.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not out.exists()
    assert (tmp_path / "out.jsonl.work" / "lock").exists()
    done = programs.hbt(*mine(run_file, out, one_each))
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == clean.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.jsonl", "log", "out.jsonl"]


def test_rows_without_a_negative_are_said_on_stderr(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a share of the rows that trains without hard negatives unnoticed."""
    assert main(mine(run_file, tmp_path / "out.jsonl", "mining.absolute_margin=3")) == 0
    captured = capsys.readouterr()
    assert "120 rows have fewer than 3, 120 have none at all" in captured.out
    assert "120 of 120 rows have no negative at all (de-de 40, en-en 40, es-es 40)" in captured.err


REFUSED: dict[str, tuple[list[str], str]] = {
    "no checkpoint": (["RUN", "--out", "OUT/x.jsonl"], "the following arguments are required: --checkpoint"),
    "no such checkpoint": (
        ["RUN", "--checkpoint", "OUT/gone", "--out", "OUT/x.jsonl"],
        "gone: no such folder",
    ),
    "folder without an encoder": (
        ["RUN", "--checkpoint", "FOLDER/empty", "--out", "OUT/x.jsonl"],
        "has an encoder.json; name a checkpoint",
    ),
    "no output": (["RUN", "--checkpoint", "CHECKPOINT"], "the following arguments are required: --out"),
    "output of another form": (
        ["RUN", "--checkpoint", "CHECKPOINT", "--out", "OUT/x.parquet"],
        "--out: OUT/x.parquet is neither .jsonl nor .jsonl.gz",
    ),
    "output that is a folder": (["RUN", "--checkpoint", "CHECKPOINT", "--out", "OUT/d.jsonl"], "is a folder"),
    "output that can not be written": (
        ["RUN", "--checkpoint", "CHECKPOINT", "--out", "/proc/mined/x.jsonl"],
        "--out: ",
    ),
    "output below a file": (
        ["RUN", "--checkpoint", "CHECKPOINT", "--out", "RUN/x.jsonl"],
        "--out: ",
    ),
    "no such source": (
        ["RUN", "--checkpoint", "CHECKPOINT", "--out", "OUT/x.jsonl", "data.sources.0.path=gone"],
        "data.sources.0.path: nothing is found at gone",
    ),
    "no such corpus": (
        ["RUN", "--checkpoint", "CHECKPOINT", "--out", "OUT/x.jsonl", "mining.corpus={en: gone}"],
        "mining.corpus.en: nothing is found at gone",
    ),
    "one language twice": (
        ["RUN", "--checkpoint", "CHECKPOINT", "--out", "OUT/x.jsonl", "mining.corpus={en: a, eng: b}"],
        "mining: corpus: en and eng name one language; keep one of them",
    ),
    "ranks beyond the depth": (
        ["RUN", "--checkpoint", "CHECKPOINT", "--out", "OUT/x.jsonl", "mining.depth=1"],
        "mining: first_rank 2 is beyond depth 1; lower it",
    ),
    "corpus that is no JSON": (
        ["RUN", "--checkpoint", "CHECKPOINT", "--out", "OUT/x.jsonl", "mining.corpus={en: OUT/c.jsonl}"],
        "c.jsonl:1: is broken JSON",
    ),
    "corpus with an id twice": (
        ["RUN", "--checkpoint", "CHECKPOINT", "--out", "OUT/x.jsonl", "mining.corpus={en: OUT/t.jsonl}"],
        "t.jsonl:2: doc_id 'a' stands at",
    ),
    "corpora in no language of the queries": (
        [
            *("RUN", "--checkpoint", "CHECKPOINT", "--out", "OUT/x.jsonl"),
            *("mining.corpus={fi: OUT/g.jsonl}", "mining.language=same"),
        ],
        "mining.language: same leaves nothing to search: queries in de, en, es, passages in fi; ",
    ),
    "dimension that the encoder lacks": (
        ["RUN", "--checkpoint", "CHECKPOINT", "--out", "OUT/x.jsonl", "evaluation.dimension=64"],
        "evaluation.dimension: 64 is more than the embedding's 32",
    ),
    "rows that can not be used": (
        ["BAD", "--checkpoint", "CHECKPOINT", "--out", "OUT/x.jsonl"],
        "bad.jsonl:1: 1 of 1 rows are unusable",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_in_one_line(
    run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """Catches a traceback, a second line, a wrong exit code, an output that looks finished."""
    (tmp_path / "d.jsonl").mkdir()
    (tmp_path / "c.jsonl").write_text("{\n")
    (tmp_path / "g.jsonl").write_text('{"docid": "a", "text": "b"}\n')
    (tmp_path / "t.jsonl").write_text('{"docid": "a", "text": "b"}\n' * 2)
    (tmp_path / "bad.jsonl").write_text('{"group_id": "g"}\n')
    content: dict[str, Any] = yaml.safe_load(run_file.read_text())
    content["data"]["sources"] = [{"format": "hbt_jsonl", "path": str(tmp_path / "bad.jsonl")}]
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(content))
    places = {
        "RUN": run_file,
        "BAD": tmp_path / "bad.yaml",
        "FOLDER": run_file.parent,
        "CHECKPOINT": run_file.parent / "step-00000005",
        "OUT": tmp_path,
    }
    arguments, message = REFUSED[case]
    for name, place in places.items():
        arguments = [argument.replace(name, str(place)) for argument in arguments]
        message = message.replace(name, str(place))
    assert main(["mine", *arguments]) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("hbt: error: ")
    assert message in lines[0]
    assert "; " in lines[0]
    assert captured.out == ""
    assert not list(tmp_path.glob("x.jsonl*"))
