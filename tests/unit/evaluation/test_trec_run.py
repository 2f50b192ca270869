"""TREC run and qrels files."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.trec_run import RunLine, RunWriter, read_qrels, read_run, run_path


def test_a_run_is_written_as_trec_expects(tmp_path: Path) -> None:
    """Catches lost digits, and ranks that are counted anew after a gap."""
    path = run_path(tmp_path, "mono/en")
    with RunWriter(path) as run:
        run.write("en:q", ["a", "b", "c"], [1, 2, 40], [0.5, 1 / 3, -0.001])
    assert path == tmp_path / "mono" / "en.trec.gz"
    assert gzip.decompress(path.read_bytes()).decode() == (
        "en:q Q0 a 1 0.500000000 hbt\nen:q Q0 b 2 0.333333333 hbt\nen:q Q0 c 40 -0.00100000000 hbt\n"
    )


def test_scores_come_back_as_the_same_float32(tmp_path: Path) -> None:
    """Catches a format with fewer digits than float32 needs."""
    scores = -np.sort(-np.random.default_rng(0).standard_normal(500).astype(np.float32))
    with RunWriter(tmp_path / "run.gz") as run:
        run.write("q", [f"d{i}" for i in range(500)], range(1, 501), scores.tolist())
    found = [line.score for line in read_run(tmp_path / "run.gz").documents["q"]]
    assert (np.array(found, np.float32) == scores).all()


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    """Catches a file name or a time of writing in the gzip header."""
    for name in ("a.gz", "b.gz"):
        with RunWriter(tmp_path / name) as run:
            run.write("q", ["d"], [1], [1.0])
    content = (tmp_path / "a.gz").read_bytes()
    assert content == (tmp_path / "b.gz").read_bytes()
    assert content[3:8] == b"\x00\x00\x00\x00\x00"  # no name flag, modification time 0


def test_documents_are_ordered_by_rank_where_it_follows_the_scores(tmp_path: Path) -> None:
    """Catches a reader that trusts ranks which contradict the scores: trec_eval does not."""
    path = tmp_path / "run"
    path.write_text(
        "q Q0 b 7 0.5 x\nq Q0 a 2 0.5 x\n\np Q0 a 1 0.1 x\np\tQ0\tb\t2\t0.9\tx\nr Q0 b 0 1 x\nr Q0 a 0 1 x\n"
    )
    run = read_run(path)
    assert run.documents == {
        "q": [RunLine("a", 2, 0.5), RunLine("b", 7, 0.5)],
        "p": [RunLine("b", 2, 0.9), RunLine("a", 1, 0.1)],
        "r": [RunLine("a", 0, 1.0), RunLine("b", 0, 1.0)],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q Q0 d 1 0.5", "has 5 columns instead of 6"),
        ("q Q0 d first 0.5 x", "rank 'first' is no whole number"),
        ("q Q0 d 1 high x", "score 'high' is no number"),
        ("q Q0 d 1 nan x", "score 'nan' is no number"),
        ("q Q0 a 2 0.5 x", "a occurs before for query q"),
    ],
)
def test_a_malformed_run_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    """Catches a traceback for the line, or one that is passed over."""
    path = tmp_path / "run"
    path.write_text(f"q Q0 a 1 0.9 x\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_run(path)
    assert str(caught.value).startswith(f"{path}:2: {message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q d 1", "has 3 columns instead of 4"),
        ("q 0 d yes", "relevance 'yes' is no whole number"),
        ("q 0 a 0", "a has another relevance before for query q"),
    ],
)
def test_a_malformed_qrels_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    """Catches a traceback for the line, or a judgment that silently replaces another."""
    path = tmp_path / "qrels"
    path.write_text(f"q 0 a 1\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_qrels(path)
    assert str(caught.value).startswith(f"{path}:2: {message}")
