"""How unevenly a model ranks answers that say the same in different languages."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from distributed_hbt.evaluation.benchmarks.collection import Qrels
from distributed_hbt.evaluation.full_ranking import Integers
from distributed_hbt.evaluation.measures import Ranks

RANK_DISTANCE = "RD"
MAX_RANK = "Max@R"
RANK_CORRELATION = "MRC"
PEER = "PEER"


def rank_distance(ranks: Ranks, qrels: Qrels) -> dict[str, float]:
    """Rank distance of every query (arXiv 2408.10536, section 5): 0 is the least bias.

    RD(q) = max rank - min rank over the relevant candidates of q, from true ranks in the multilingual
    pool. Raises KeyError when the rank of a relevant candidate is missing: without it RD is unknown.
    """
    return {query_id: float(max(found) - min(found)) for query_id, found in _ranks_of_relevant(ranks, qrels)}


def max_rank(ranks: Ranks, qrels: Qrels) -> dict[str, float]:
    """Max@R of every query: how far down one has to read to find the answer in every language. Raises
    KeyError when the rank of a relevant candidate is missing."""
    return {query_id: float(max(found)) for query_id, found in _ranks_of_relevant(ranks, qrels)}


def peer(levels: Sequence[tuple[float, Mapping[str, Sequence[int]]]]) -> float:
    """Probability of equal expected rank (PEER, arXiv 2405.00978), from 0 to 1: higher is fairer.

    `levels` holds, for every relevance level, its weight and the ranks of its documents by language. The
    p value of a Kruskal-Wallis test over the languages of each level, in their weighted mean; 1 where there
    is nothing to compare. A query that has one relevant document in each language always gets the same
    p value, whatever the ranks: there, pool the ranks over the queries of a language (as for LAReQA).
    """
    total = sum(weight for weight, _ in levels)
    return sum(weight * _equal_rank(ranks) for weight, ranks in levels) / total


def pooled_ranks(ranks: Ranks, qrels: Qrels, language_of: Mapping[str, str]) -> dict[str, list[int]]:
    """Passage language -> the ranks of the relevant candidates in it, over all queries. `language_of` has the
    language of every relevant doc_id."""
    pooled: dict[str, list[int]] = {}
    for query_id, judged in qrels.items():
        for doc_id, relevance in judged.items():
            if relevance > 0:
                pooled.setdefault(language_of[doc_id], []).append(ranks[query_id][doc_id])
    return pooled


def rank_correlations(rank_LN: Integers) -> list[float]:
    """For each of L parallel queries the mean Spearman correlation (MRC) of its ranking of N candidates with
    those of the others: 1 where the language of the query does not matter. `rank_LN` holds ranks without
    ties, of two queries or more."""
    correlation_LL = np.asarray(np.corrcoef(rank_LN))
    return [float(value) for value in (correlation_LL.sum(axis=1) - 1) / (len(rank_LN) - 1)]


def _ranks_of_relevant(ranks: Ranks, qrels: Qrels) -> Iterator[tuple[str, list[int]]]:
    for query_id, judged in qrels.items():
        yield query_id, [ranks[query_id][doc_id] for doc_id, relevance in judged.items() if relevance > 0]


def _equal_rank(ranks: Mapping[str, Sequence[int]]) -> float:
    from scipy import stats

    groups = [found for found in ranks.values() if found]
    if len(groups) < 2 or len({rank for found in groups for rank in found}) < 2:
        return 1.0
    return float(stats.kruskal(*groups).pvalue)
