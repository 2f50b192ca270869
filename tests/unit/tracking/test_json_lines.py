"""train.jsonl."""

import json
import math
from pathlib import Path

import pytest

from distributed_hbt.errors import CheckpointError
from distributed_hbt.tracking.json_lines import JsonLines


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_each_step_is_a_line_that_is_there_at_once(tmp_path: Path) -> None:
    """A line that waits in a buffer is lost with a killed run."""
    lines = JsonLines(tmp_path / "run" / "train.jsonl")
    lines.write({"step": 1, "loss": 2.5, "languages": ("en", "हि")})
    assert (tmp_path / "run" / "train.jsonl").read_text(encoding="utf-8") == (
        '{"step": 1, "loss": 2.5, "languages": ["en", "हि"]}\n'
    )
    lines.close()


def test_numbers_that_json_lacks_are_null(tmp_path: Path) -> None:
    """NaN is no JSON: other programs refuse the line."""
    with JsonLines(tmp_path / "train.jsonl") as lines:
        lines.write({"step": 1, "grad_norm": math.nan, "loss": math.inf})
    assert (tmp_path / "train.jsonl").read_text() == '{"step": 1, "grad_norm": null, "loss": null}\n'


def test_lines_after_the_resumed_step_and_a_cut_line_are_removed(tmp_path: Path) -> None:
    """Steps that are done again would stand there twice, once of weights that are gone."""
    path = tmp_path / "train.jsonl"
    path.write_text("".join(f'{{"step": {i}}}\n' for i in range(1, 8)) + '{"step": 8, "lo')
    with JsonLines(path, last_step=5) as lines:
        assert steps(path) == [1, 2, 3, 4, 5]
        lines.write({"step": 6})
    assert steps(path) == [1, 2, 3, 4, 5, 6]
    assert [entry.name for entry in tmp_path.iterdir()] == ["train.jsonl"]


def test_a_run_that_starts_over_begins_its_file_anew(tmp_path: Path) -> None:
    """A run that died before its first checkpoint starts at step 1 again."""
    (tmp_path / "train.jsonl").write_text('{"step": 1}\n{"step": 2}\n')
    with JsonLines(tmp_path / "train.jsonl") as lines:
        lines.write({"step": 1})
    assert steps(tmp_path / "train.jsonl") == [1]


@pytest.mark.parametrize("line", ["{", "[1]", '{"loss": 1}', '{"step": "2"}', "null", "\udcff"])
def test_a_line_that_is_no_step_is_named(tmp_path: Path, line: str) -> None:
    """A damaged record must not be thrown away in silence."""
    path = tmp_path / "train.jsonl"
    content = f'{{"step": 1}}\n{line}\n{{"step": 3}}\n'
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"train\.jsonl:2: is no line of a step"):
        JsonLines(path, last_step=5)
    assert path.read_bytes() == content.encode("utf-8", "surrogateescape")
