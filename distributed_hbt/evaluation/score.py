"""Measures of any TREC run, for `hbt score`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.measures import mean, measures_of_run, parse_measures
from distributed_hbt.evaluation.trec_run import read_qrels, read_run

DEFAULT_MEASURES = ("nDCG@10", "R@10", "R@100", "RR@10", "AP")


@dataclass(frozen=True, slots=True)
class Score:
    """Means over all `num_queries` queries of the qrels; `num_unanswered` of them are not in the run."""

    measures: dict[str, float]
    num_queries: int
    num_unanswered: int


def score_run(qrels_path: Path, run_path: Path, measures: Sequence[str] = DEFAULT_MEASURES) -> Score:
    """Score a run against qrels, both in TREC's form, plain or gzipped.

    A query of the qrels that the run lacks counts as one that found nothing; queries without judgments
    are left out. Raises ConfigError for a measure that ir_measures does not know, DataError with file:line
    for a malformed line, and when run and qrels have no query in common.
    """
    parse_measures(measures)
    for path in (qrels_path, run_path):
        if not path.is_file():
            raise DataError(str(path), "no such file", "check the path")
    qrels = read_qrels(qrels_path)
    run = read_run(run_path)
    unanswered = sum(query_id not in run.documents for query_id in qrels)
    if unanswered == len(qrels):
        remedy = f"check that the ids are those of {qrels_path}"
        raise DataError(str(run_path), "has no query of the qrels", remedy)
    values = measures_of_run(run, qrels, measures)
    means = {name: mean(of_query.values()) for name, of_query in values.items()}
    return Score(means, len(qrels), unanswered)
