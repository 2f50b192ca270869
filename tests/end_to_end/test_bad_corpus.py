"""A corpus or judgments that can not be used: one line with file and line, exit 2, and no result."""

import gzip
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from distributed_hbt.cli import main
from tests.tiny_encoder import write_checkpoint

WORDS = ["bahari", "kisiwa", "mlima", "mto", "nyota", "jua"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("encoder") / "step-00000001", [*WORDS, "ni nini"])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A small MIRACL of one language; its corpus in two files of 40 passages."""
    root = tmp_path / "miracl"
    for folder in ("topics", "qrels", "corpus/sw"):
        (root / folder).mkdir(parents=True)
    rows = [{"docid": f"{i}#0", "title": WORDS[i % 6], "text": f"{WORDS[i % 5]} {i}"} for i in range(80)]
    for number in range(2):
        write_rows(root / f"corpus/sw/docs-{number}.jsonl.gz", rows[number * 40 : number * 40 + 40])
    (root / "topics/topics.miracl-v1.0-sw-dev.tsv").write_text("q1\tbahari ni nini\nq2\tmto ni nini\n")
    (root / "qrels/qrels.miracl-v1.0-sw-dev.tsv").write_text("q1\tQ0\t5#0\t1\nq2\tQ0\t70#0\t1\n")
    return root


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def evaluate(corpus: Path, checkpoint: Path, **evaluation: Any) -> int:
    folder = corpus.parent
    content = {
        "name": "run",
        "output_dir": str(folder / "runs"),
        "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 500}}},
        "data": {"sources": [{"format": "hbt_jsonl", "path": "none.jsonl"}]},
        "evaluation": {
            "benchmarks": [{"name": "miracl", "root": str(corpus), "languages": ["sw"]}],
            "depth": 5,
            "shard_rows": 30,
            **evaluation,
        },
        "cluster": {"gpus_per_worker": 0},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(content))
    return main(["evaluate", str(folder / "run.yaml"), "--checkpoint", str(checkpoint)])


def truncate(root: Path) -> None:
    path = root / "corpus/sw/docs-1.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-40])


def edit(number: int, row: int, **fields: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        path = root / f"corpus/sw/docs-{number}.jsonl.gz"
        rows = read_rows(path)
        rows[row] |= fields
        write_rows(path, rows)

    return damage


def append(name: str, line: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (path,) = (root / name).iterdir()
        path.write_text(path.read_text() + line)

    return damage


FAULTS = {
    "truncated": (truncate, "docs-1.jsonl.gz:"),
    "twice": (edit(1, 7, docid="3#0"), "docs-1.jsonl.gz:8: doc_id '3#0' stands at"),
    "blank": (edit(0, 11, title="", text=" "), "docs-0.jsonl.gz:12: passage '11#0' is blank"),
    "endless": (edit(0, 12, text="x" * 1_000_001), "docs-0.jsonl.gz:13: passage '12#0' has 1000"),
    "topic without qrels": (append("topics", "q3\tjua\n"), "topics.miracl-v1.0-sw-dev.tsv:3: the topic"),
    "unknown document": (
        append("qrels", "q2\tQ0\t99#9\t0\n"),
        "qrels.miracl-v1.0-sw-dev.tsv:3: document '99#9' is judged",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_is_one_line_with_its_place(
    fault: str, corpus: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback, a message without file and row, a result that looks whole, a leftover taken for one."""
    damage, message = FAULTS[fault]
    damage(corpus)
    assert evaluate(corpus, checkpoint) == 2
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if line.startswith("hbt: error")]
    assert message in line
    assert "; " in line
    assert printed.out == ""
    assert not list((corpus.parent / "runs").rglob("summary.json"))
    assert not list((corpus.parent / "runs").rglob("*partial*"))


def test_whole_again_it_is_evaluated(corpus: Path, checkpoint: Path) -> None:
    """A survey of the damaged file that is taken for that of the mended one."""
    path = corpus / "corpus/sw/docs-1.jsonl.gz"
    whole = path.read_bytes()
    truncate(corpus)
    assert evaluate(corpus, checkpoint) == 2
    path.write_bytes(whole)
    assert evaluate(corpus, checkpoint) == 0
    (summary,) = (corpus.parent / "runs").rglob("summary.json")
    assert json.loads(summary.read_text())["num_candidates"] == 80


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 kB, too small for a store."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs is not allowed here; run as root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_store_that_fills_its_disk_leaves_nothing_half_written(
    corpus: Path, checkpoint: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a shard taken for a whole one by the next evaluation; a disk that stays full."""
    store = {"folder": str(small_disk), "dtype": "float32"}
    assert evaluate(corpus, checkpoint, store=store) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hbt: error")]
    assert "No space left on device" in line
    assert str(small_disk) in line
    assert not list(small_disk.rglob("*partial*"))
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    assert evaluate(corpus, checkpoint, store=store) == 0
    assert len(list(small_disk.rglob("shard-*"))) == 4
