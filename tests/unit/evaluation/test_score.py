"""Scores of any TREC run."""

import gzip
from pathlib import Path

import pytest

from distributed_hbt.errors import ConfigError, DataError
from distributed_hbt.evaluation.score import score_run

QRELS = "1 0 a 1\n1 0 b 1\n1 0 c 0\n2 0 a 1\n3\tQ0\tz#1\t1\n"
RUN = "1 Q0 c 1 3 x\n1 Q0 a 2 2 x\n1 Q0 b 3 1 x\n2 Q0 a 1 9.5 x\n4 Q0 a 1 1 x\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    qrels, run = tmp_path / "qrels.gz", tmp_path / "run"
    qrels.write_bytes(gzip.compress(QRELS.encode()))
    run.write_text(RUN)
    return qrels, run


def test_scores_are_means_over_the_queries_of_the_qrels(files: tuple[Path, Path]) -> None:
    """Catches a mean over the queries of the run: 3 is unanswered and counts, 4 has no judgments."""
    score = score_run(*files, ["AP", "R@1", "RR@10"])
    assert score.measures == pytest.approx({"AP": ((1 / 2 + 2 / 3) / 2 + 1) / 3, "R@1": 1 / 3, "RR@10": 0.5})
    assert (score.num_queries, score.num_unanswered) == (3, 1)


def test_the_usual_measures_are_the_default(files: tuple[Path, Path]) -> None:
    """Catches a default that ir_measures can not compute."""
    assert list(score_run(*files).measures) == ["nDCG@10", "R@10", "R@100", "RR@10", "AP"]


def test_a_wrong_measure_is_refused_before_the_files_are_read(tmp_path: Path) -> None:
    """Catches a long read that ends in a spelling mistake."""
    with pytest.raises(ConfigError, match="'ndgc@10' is no measure"):
        score_run(tmp_path / "none", tmp_path / "none", ["ndgc@10"])


def test_files_that_do_not_fit_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Catches a score of 0 where the wrong file was named."""
    qrels, run = files
    with pytest.raises(DataError, match="none: no such file"):
        score_run(qrels, tmp_path / "none")
    other = tmp_path / "other"
    other.write_text("9 Q0 a 1 1 x\n")
    with pytest.raises(DataError, match="other: has no query of the qrels"):
        score_run(qrels, other)
    with pytest.raises(DataError, match=r"run:1: has 6 columns instead of 4"):
        score_run(run, run)
