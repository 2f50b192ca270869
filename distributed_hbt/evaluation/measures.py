"""Measures, by the definitions of ir_measures, from runs and from true ranks.

What ir_measures sees of a ranking is the order of documents only. A query whose ranks have gaps is
therefore completed with unjudged fillers before it is measured: the outcome is that of the full ranking.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from distributed_hbt.errors import ConfigError
from distributed_hbt.evaluation.benchmarks.collection import Qrels
from distributed_hbt.evaluation.trec_run import RUN_TAG, Run, RunLine

Ranks = Mapping[str, Mapping[str, int]]
"""query_id -> doc_id -> rank from 1."""
Values = dict[str, dict[str, float]]
"""Measure -> query_id -> value, queries in the order of the qrels."""

TASK_MEASURES = ("AP", "R@1", "R@10", "nDCG@10", "RR@10")

_DOCUMENTS_AT_ONCE = 1_000_000


def parse_measures(names: Sequence[str]) -> dict[str, Any]:
    """Name -> ir_measures' measure. Raises ConfigError for a name that ir_measures can not compute here."""
    import ir_measures

    measures = {}
    for name in names:
        try:
            measures[name] = ir_measures.parse_measure(name)
            # trec_eval ends the process on a cutoff of 0.
            usable = measures[name].params.get("cutoff", 1) >= 1
            ir_measures.evaluator([measures[name]], {"q": {"d": 1}})
        except (NameError, ValueError, TypeError, KeyError, RuntimeError, AssertionError):
            usable = False
        if not usable:
            raise ConfigError(
                "measures",
                f"{name!r} is no measure that can be computed here",
                "name it as ir_measures does, for example nDCG@10, R@100, RR@10, AP",
            )
    return measures


def measures_from_ranks(ranks: Ranks, qrels: Qrels, names: Sequence[str] = TASK_MEASURES) -> Values:
    """Measures per query of `qrels`, from the true ranks of its judged documents.

    Exact for every measure that depends on the judged documents and their ranks alone. A judged document
    without a rank was not retrieved.
    """
    measures = parse_measures(names)
    last = max((rank for of_query in ranks.values() for rank in of_query.values()), default=0)
    fillers = [f"filler {place}" for place in range(1, last + 1)]  # no TREC doc_id holds a space
    scores = [-float(place) for place in range(1, last + 1)]
    values: Values = {}
    for limit, group in _by_depth(measures, last):
        completed = (
            (query_id, _completed(ranks.get(query_id, {}), fillers, scores, limit)) for query_id in qrels
        )
        values |= _calculate(group, qrels, completed)
    return {name: values[name] for name in names}


def measures_of_run(run: Run, qrels: Qrels, names: Sequence[str]) -> Values:
    """Measures per query of `qrels`; a query that the run lacks has found nothing.

    Scores decide, as in trec_eval, except in runs that this package wrote: there a gap in the ranks
    stands for documents that were left out, and counts.
    """
    if run.tag == RUN_TAG and _has_gaps(run.documents.values()):
        ranks = {
            query_id: {line.doc_id: line.rank for line in documents}
            for query_id, documents in run.documents.items()
        }
        return measures_from_ranks(ranks, qrels, names)
    found = (
        (query_id, {line.doc_id: line.score for line in run.documents.get(query_id, [])})
        for query_id in qrels
    )
    return _calculate(parse_measures(names), qrels, found)


def mean(values: Iterable[float]) -> float:
    """Plain mean; 0 of nothing."""
    collected = list(values)
    return sum(collected) / len(collected) if collected else 0.0


def _has_gaps(queries: Iterable[Sequence[RunLine]]) -> bool:
    """Whether every query's ranks rise from 1 or later, and some leave a place out."""
    found = False
    for documents in queries:
        ranks = [line.rank for line in documents]
        if ranks != sorted(set(ranks)) or ranks[0] < 1:
            return False
        found = found or ranks[-1] != len(ranks)
    return found


def _completed(
    ranks: Mapping[str, int], fillers: Sequence[str], scores: Sequence[float], limit: int
) -> dict[str, float]:
    last = min(limit, max(ranks.values(), default=0))
    documents = dict(zip(fillers[:last], scores[:last], strict=True))
    for doc_id, rank in ranks.items():
        if rank <= last:
            del documents[fillers[rank - 1]]
            documents[doc_id] = scores[rank - 1]
    return documents


def _by_depth(measures: Mapping[str, Any], last: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """(rank below which none of them looks, measures): those with a cutoff need few documents."""
    cut = {name: measure for name, measure in measures.items() if "cutoff" in measure.params}
    if cut:
        yield max(measure.params["cutoff"] for measure in cut.values()), cut
    if len(cut) < len(measures):
        yield last, {name: measure for name, measure in measures.items() if name not in cut}


def _calculate(
    measures: Mapping[str, Any], qrels: Qrels, run: Iterable[tuple[str, dict[str, float]]]
) -> Values:
    import ir_measures

    found: dict[Any, dict[str, float]] = {
        measure: dict.fromkeys(qrels, float(measure.DEFAULT)) for measure in measures.values()
    }
    for part in _parts(run):
        judged = {query_id: dict(qrels[query_id]) for query_id in part}
        for metric in ir_measures.iter_calc(list(found), judged, part):
            found[metric.measure][metric.query_id] = float(metric.value)
    return {name: found[measure] for name, measure in measures.items()}


def _parts(run: Iterable[tuple[str, dict[str, float]]]) -> Iterator[dict[str, dict[str, float]]]:
    part: dict[str, dict[str, float]] = {}
    size = 0
    for query_id, documents in run:
        if documents:
            part[query_id] = documents
            size += len(documents)
        if size >= _DOCUMENTS_AT_ONCE:
            yield part
            part, size = {}, 0
    if part:
        yield part
