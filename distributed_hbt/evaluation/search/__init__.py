"""Exact search: the best passages of every query, from passages that come in any portions."""

from distributed_hbt.evaluation.search.pair_scores import pair_scores
from distributed_hbt.evaluation.search.top_k import StreamingTopK, Thresholds, TopK

__all__ = ["StreamingTopK", "Thresholds", "TopK", "pair_scores"]
