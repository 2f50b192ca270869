"""Bad input: the documented exit code, one clear line on stderr, no traceback, nothing half-written."""

import gzip
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from distributed_hbt.cli import main
from tests.distributed.run_for_tests import rows, write_run

Change = Callable[[Path], list[str]]
"""Spoils something in a folder that holds run.yaml and train.jsonl; returns overrides."""


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a command that runs inside this process sets ends with the test."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], exit_code: int = 2) -> str:
    """Run the command; its single line on stderr."""
    assert main(arguments) == exit_code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if not line.startswith("building ")]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("hbt: error: ")
    assert "; " in lines[0]
    assert "Traceback" not in captured.err
    return lines[0].removeprefix("hbt: error: ")


def with_row(content: bytes) -> Change:
    """Put a line in the middle of the data."""

    def change(folder: Path) -> list[str]:
        data = folder / "train.jsonl"
        lines = data.read_bytes().splitlines(keepends=True)
        data.write_bytes(b"".join([*lines[:6], content + b"\n", *lines[6:]]))
        return []

    return change


def with_fields(**fields: Any) -> Change:
    row = {**rows(8)[-1], **fields}
    return with_row(json.dumps({k: v for k, v in row.items() if v is not None}).encode())


def with_data(content: bytes, name: str = "train.jsonl") -> Change:
    def change(folder: Path) -> list[str]:
        (folder / name).write_bytes(content)
        return [f"data.sources.0.path={folder / name}"]

    return change


def overriding(*overrides: str) -> Change:
    return lambda folder: [text.replace("FOLDER", str(folder)) for text in overrides]


def with_file(name: str, content: str, *overrides: str) -> Change:
    def change(folder: Path) -> list[str]:
        (folder / name).write_text(content, encoding="utf-8")
        return [text.replace("FOLDER", str(folder)) for text in overrides]

    return change


def only(*languages: str) -> Change:
    def change(folder: Path) -> list[str]:
        kept = [row for row in rows(40) if row["query_language"] in languages]
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        return []

    return change


def without_scores(folder: Path) -> list[str]:
    text = (folder / "train.jsonl").read_text(encoding="utf-8")
    (folder / "train.jsonl").write_text(re.sub(r', "score": [-0-9.]+', "", text), encoding="utf-8")
    return []


def both(one: Change, other: Change) -> Change:
    return lambda folder: [*one(folder), *other(folder)]


TRUNCATED = gzip.compress("".join(json.dumps(row) + "\n" for row in rows(40)).encode())[:900]
PASSAGE = {"docid": "d", "title": "", "text": ""}

CASES: dict[str, tuple[Change, str]] = {
    # configuration
    "unknown key": (overriding("train.learnin_rate=1"), "train.learnin_rate: unknown key; did you mean"),
    "wrong type": (overriding("train.max_steps=many"), "train.max_steps: 'many' does not fit"),
    "alpha above 1": (overriding("sampling.alpha=1.5"), "sampling.alpha: 1.5 does not fit"),
    "x_y with one configured language": (
        overriding("sampling={strategy: x_y, languages: [en]}"),
        "sampling: strategy x_y needs two languages",
    ),
    "no such data file": (
        overriding("data.sources.0.path=gone.jsonl"),
        "data.sources.0.path: nothing is found",
    ),
    "no such benchmark folder": (
        overriding("evaluation.benchmarks=[{name: xquad_r, root: gone}]"),
        "evaluation.benchmarks.0.root: nothing is found at gone",
    ),
    "distillation without scores": (
        both(without_scores, overriding("train.distillation={weight: 1.0}")),
        "train.distillation: no passage of the data has a reranker's score; add scores",
    ),
    "no such ZeRO configuration": (
        overriding("train.deepspeed=gone.json"),
        "train.deepspeed: nothing is found",
    ),
    "ZeRO configuration is no JSON": (
        with_file("z.json", "{", "train.deepspeed=FOLDER/z.json"),
        "z.json: can not be read as JSON",
    ),
    "ZeRO configuration without a stage": (
        with_file("z.json", "{}", "train.deepspeed=FOLDER/z.json"),
        "z.json: has no zero_optimization.stage",
    ),
    "ZeRO configuration restates the run": (
        with_file(
            "z.json", '{"zero_optimization": {"stage": 1}, "bf16": {}}', "train.deepspeed=FOLDER/z.json"
        ),
        "z.json: restates bf16; remove it; model.dtype of the run decides",
    ),
    "output directory below a file": (
        overriding("output_dir=FOLDER/train.jsonl/runs"),
        "output_dir: ",
    ),
    "output directory on a read-only file system": (
        overriding("output_dir=/proc/runs"),
        "can not be written",
    ),
    # data
    "broken JSON line": (with_row(b'{"group_id": "x", '), "train.jsonl:7: 1 of 121 rows are unusable"),
    "row that is no object": (with_row(b"[1, 2]"), "train.jsonl:7: 1 of 121 rows are unusable"),
    "bare NaN": (with_row(b'{"group_id": NaN}'), "train.jsonl:7: 1 of 121 rows are unusable"),
    "invalid UTF-8": (with_row(b'{"group_id": "\xff\xfe"}'), "train.jsonl:7: 1 of 121 rows are unusable"),
    "empty query": (with_fields(query="  "), "train.jsonl:7: 1 of 121 rows are unusable"),
    "missing query": (with_fields(query=None), "train.jsonl:7: 1 of 121 rows are unusable"),
    "missing language": (with_fields(query_language=None), "train.jsonl:7: 1 of 121 rows are unusable"),
    "query of another type": (with_fields(query=7), "train.jsonl:7: 1 of 121 rows are unusable"),
    "query without positive": (
        with_fields(positive_passages=[]),
        "train.jsonl:7: 1 of 121 rows are unusable",
    ),
    "empty positive": (with_fields(positive_passages=[PASSAGE]), "train.jsonl:7: 1 of 121 rows are unusable"),
    "empty negative": (with_fields(negative_passages=[PASSAGE]), "train.jsonl:7: 1 of 121 rows are unusable"),
    "empty file": (with_data(b""), "data.sources.0: the hbt_jsonl source has no rows"),
    "truncated gzip": (with_data(TRUNCATED, "train.jsonl.gz"), "train.jsonl.gz:"),
    "gzip that is none": (with_data(b"no gzip", "train.jsonl.gz"), "train.jsonl.gz:"),
    # batches that the data can not give
    "x_y with one language in the data": (
        both(only("en"), overriding("sampling.strategy=x_y")),
        "sampling.strategy: ",
    ),
    "en_en without English": (
        both(only("de", "es"), overriding("sampling.strategy=en_en")),
        "sampling.strategy: ",
    ),
    "language that the data lacks": (
        overriding("sampling.languages=[en, fi]"),
        "sampling.languages: the data has no fi",
    ),
    "global batch larger than the data": (
        overriding("train.global_batch_size=64"),
        "train.global_batch_size: ",
    ),
    # model
    "unknown architecture": (
        overriding("model.architecture.model_type=qwen33"),
        "model.architecture.model_type",
    ),
    "misspelt architecture field": (
        overriding("model.architecture.hiden_size=8"),
        "model.architecture.hiden_size",
    ),
    "heads that do not fit each other": (
        overriding("model.architecture.num_key_value_heads=3"),
        "model.architecture.num_key_value_heads: 3 does not divide num_attention_heads 4",
    ),
    "no such tokenizer": (overriding("model.tokenizer=/gone"), "model.tokenizer: "),
}


@pytest.mark.parametrize("case", CASES)
def test_train_refuses(folder: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    """A traceback, a second line, a wrong exit code, or a run directory that looks begun."""
    change, message = CASES[case]
    overrides = change(folder)
    line = refused(capsys, ["train", str(folder / "run.yaml"), *overrides])
    assert message in line
    assert not (folder / "runs" / "tiny").exists()
    assert not list((folder / "runs").glob("stores/*.partial-*"))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"WORLD_SIZE": "3", "RANK": "0", "LOCAL_RANK": "0"},
            "train.global_batch_size: 8 rows can not be shared",
        ),
        (
            {"WORLD_SIZE": "two", "RANK": "0", "LOCAL_RANK": "0"},
            "environment: RANK, WORLD_SIZE and LOCAL_RANK",
        ),
        ({"ACCELERATE_USE_CPU": "true"}, "accelerate configuration: use_cpu: true silently switches"),
    ],
)
def test_train_refuses_an_environment(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    message: str,
) -> None:
    """Ranks with different numbers of rows that wait for each other for ever."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert message in refused(capsys, ["train", str(folder / "run.yaml")])
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "command line: no command is given"),
        (["trian"], "command line: argument COMMAND: invalid choice: 'trian'"),
        (["train"], "command line: the following arguments are required: RUN.yaml"),
        (["train", "gone.yaml"], "gone.yaml: no such file"),
        (["train", "RUN", "--steps", "3"], "command line: unknown argument --steps"),
        (["evaluate", "RUN"], "command line: the following arguments are required: --checkpoint"),
        (["evaluate", "RUN", "--checkpoint", "FOLDER"], "evaluation.benchmarks: names nothing to evaluate"),
        (["evaluate", "BENCH", "--checkpoint", "FOLDER/gone"], "gone: no such folder"),
        (["evaluate", "BENCH", "--checkpoint", "FOLDER"], "has an encoder.json"),
        (["compare", "FOLDER"], "holds no evaluation of a run"),
        (["score", "--qrels", "FOLDER/gone", "--run", "FOLDER/run.yaml"], "gone: no such file"),
        (["score", "--qrels", "FOLDER/qrels", "--run", "FOLDER/run.yaml"], "run.yaml:1: "),
        (["score", "--qrels", "FOLDER/qrels", "--run", "FOLDER/run", "--measures", "nDCG@ten"], "nDCG@ten"),
        (["data", "check", "RUN", "data.sources.0.path=gone"], "data.sources.0.path: nothing is found"),
        (
            ["data", "convert", "RUN", "--source", "4", "--out", "FOLDER/x.jsonl"],
            "--source: 4 is no position",
        ),
    ],
)
def test_commands_refuse(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Usage text instead of one line, or a traceback from deep inside."""
    (folder / "qrels").write_text("q 0 d 1\n")
    (folder / "run").write_text("q Q0 d 1 0.5 t\n")
    bench = folder / "bench.yaml"
    text = (folder / "run.yaml").read_text()
    bench.write_text(f"{text}evaluation: {{benchmarks: [{{name: xquad_r, root: {folder}}}]}}\n")
    filled = [
        a.replace("RUN", f"{folder}/run.yaml").replace("BENCH", str(bench)).replace("FOLDER", str(folder))
        for a in arguments
    ]
    assert message in refused(capsys, filled)


def test_data_check_shows_bad_rows_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A check that passes what training refuses, or that does not say where."""
    with_fields(query="")(folder)
    assert main(["data", "check", str(folder / "run.yaml")]) == 2
    captured = capsys.readouterr()
    assert "train.jsonl:7" in captured.out
    assert captured.err.startswith("hbt: error: ")
    assert main(["data", "check", str(folder / "run.yaml"), "data.max_bad_share=0.1"]) == 0


def test_allowed_bad_rows_are_left_out_and_shown(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows that are dropped without a word."""
    from distributed_hbt.config.load import load_run
    from distributed_hbt.train.prepared import prepare

    with_fields(query="")(folder)
    prepared = prepare(load_run(folder / "run.yaml", ["data.max_bad_share=0.1"]))
    assert prepared.store.index.num_queries == 120
    assert "left out 1 of 121 rows" in caplog.text
    assert "train.jsonl:7" in caplog.text


@pytest.fixture(scope="module")
def trained(programs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that is half done: step 2 of 4 has a checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    write_run(folder, train={"max_steps": 4, "checkpoint_every": 2, "warmup_steps": 0})
    done = programs.hbt("train", folder / "run.yaml")
    assert done.returncode == 0, done.stderr
    last = folder / "runs/tiny/checkpoints/step-00000004"
    (last / "COMPLETE").unlink()
    return folder


def test_changed_configuration_is_refused_by_its_fields(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A resumed run whose second half was trained otherwise than its first."""
    overrides = ["train.learning_rate=0.5", "model.pooling=mean"]
    line = refused(capsys, ["train", str(trained / "run.yaml"), *overrides])
    assert "was started with other values of model.pooling, train.learning_rate" in line


def test_other_zero_stage_than_the_checkpoint_s_is_refused(programs: Any, trained: Path) -> None:
    """Engine state of one stage that another silently leaves unread. Stages 1, 2 and 3 read each other's."""
    done = programs.hbt("train", trained / "run.yaml", "train.deepspeed=ds_configs/zero0.json")
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hbt: error")]
    assert "has zero_stage 2, this run 0; use the ds_configs file of stage 2" in line


def spoil_state(checkpoint: Path) -> str:
    """That of another run, whole."""
    state, marker = checkpoint / "state.json", checkpoint / "COMPLETE"
    state.write_text(state.read_text().replace('"name": "tiny"', '"name": "other"'))
    content = json.loads(marker.read_text())
    digest = hashlib.sha256(state.read_bytes()).hexdigest()
    content["files"]["state.json"] = {"bytes": state.stat().st_size, "sha256": digest}
    marker.write_text(json.dumps(content))
    return "has name other, this run tiny"


def spoil_json(checkpoint: Path) -> str:
    (checkpoint / "state.json").write_text("{")
    return "state.json has 1 bytes, and "


def spoil_engine(checkpoint: Path) -> str:
    for file in (checkpoint / "engine").glob("*model_states.pt"):
        file.write_bytes(file.read_bytes()[:100])
    return "model_states.pt has 100 bytes, and "


def spoil_older(checkpoint: Path) -> str:
    """Of a version that wrote no checksums."""
    state, marker = checkpoint / "state.json", checkpoint / "COMPLETE"
    marker.write_text("")
    content = json.loads(state.read_text())
    del content["checksums"]
    state.write_text(json.dumps(content))
    spoil_engine(checkpoint)
    return "can not be loaded"


@pytest.mark.parametrize("spoil", [spoil_state, spoil_json, spoil_engine, spoil_older])
def test_foreign_or_damaged_checkpoint_is_refused(
    programs: Any, trained: Path, spoil: Callable[[Path], str]
) -> None:
    """A checkpoint of another run that is silently trained on, or a traceback out of pickle."""
    import shutil

    checkpoint = trained / "runs/tiny/checkpoints/step-00000002"
    kept = trained / "kept"
    shutil.copytree(checkpoint, kept)
    try:
        message = spoil(checkpoint)
        done = programs.hbt("train", trained / "run.yaml")
    finally:
        shutil.rmtree(checkpoint)
        kept.rename(checkpoint)
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hbt: error")]
    assert message in line
    assert "Traceback" not in done.stderr


def test_weights_that_one_step_has_spoilt_end_the_run(programs: Any, tmp_path: Path) -> None:
    """A run that skips all further steps, or that saves what gives no finite loss."""
    write_run(tmp_path, train={"learning_rate": 1e30, "warmup_steps": 0, "checkpoint_every": 10})
    done = programs.hbt("train", tmp_path / "run.yaml")
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hbt: error")]
    assert re.fullmatch(
        r"hbt: error: step \d: the loss is not finite, nor is it any more for the batch of step \d: "
        r"the weights are spoilt; lower train.learning_rate, .*",
        line,
    )
    assert not list((tmp_path / "runs/tiny/checkpoints").glob("*"))


def test_help_is_printed_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A command whose arguments can not be built."""
    from distributed_hbt.cli import COMMANDS

    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert f"usage: hbt {command}" in capsys.readouterr().out
