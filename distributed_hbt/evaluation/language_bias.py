"""How unevenly a model ranks answers that say the same in different languages."""

from distributed_hbt.evaluation.benchmarks.collection import Qrels
from distributed_hbt.evaluation.measures import Ranks

RANK_DISTANCE = "RD"


def rank_distance(ranks: Ranks, qrels: Qrels) -> dict[str, float]:
    """Rank distance of every query (arXiv 2408.10536, section 5): 0 is the least bias.

    RD(q) = max rank - min rank over the relevant candidates of q, from true ranks in the multilingual
    pool. Raises KeyError when the rank of a relevant candidate is missing: without it RD is unknown.
    """
    distances = {}
    for query_id, judged in qrels.items():
        found = [ranks[query_id][doc_id] for doc_id, relevance in judged.items() if relevance > 0]
        distances[query_id] = float(max(found) - min(found))
    return distances
