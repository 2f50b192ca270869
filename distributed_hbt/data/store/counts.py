"""What a store holds, in numbers for people."""

from typing import Any

import numpy as np

from distributed_hbt.data.plan.index import PlanIndex
from distributed_hbt.data.store.columns import DatasetWriter
from distributed_hbt.data.store.entries import Entries


def counts(entries: Entries, rows: int, queries: DatasetWriter, passages: DatasetWriter) -> dict[str, Any]:
    """The part of store.json that counts: languages, sources, language pairs, tokens."""
    index = entries.index
    codes = index.languages
    asked = np.bincount(index.query_language, minlength=len(codes))
    answered = np.bincount(index.answer_language, minlength=len(codes))
    return {
        "languages": list(codes),
        "num_groups": index.num_groups,
        "counts": {
            "rows": rows,
            "groups": index.num_groups,
            "queries": index.num_queries,
            "answers": index.num_answers,
            "passages": len(passages.lengths),
            "query_tokens": int(np.sum(queries.lengths, dtype=np.int64)),
            "passage_tokens": int(np.sum(passages.lengths, dtype=np.int64)),
            "queries_per_source": np.bincount(index.query_source).tolist(),
            "queries_per_language": dict(zip(codes, asked.tolist(), strict=True)),
            "answers_per_language": dict(zip(codes, answered.tolist(), strict=True)),
            "pairs": _pairs(index),
        },
    }


def source_counts(index: PlanIndex, source: int) -> dict[str, Any]:
    """Of one source: query entries, and its groups and query entries of each language that it has."""
    mine = index.query_source == source
    codes, per_language = np.unique(index.query_language[mine], return_counts=True)
    seen = np.zeros(index.num_groups, dtype=bool)  # a byte a group, where sorting them takes far more
    seen[index.query_group[mine]] = True
    languages = [index.languages[code] for code in codes]
    return {
        "queries": int(mine.sum()),
        "groups": int(seen.sum()),
        "queries_per_language": dict(zip(languages, per_language.tolist(), strict=True)),
    }


def _pairs(index: PlanIndex) -> dict[str, int]:
    """`<query language>-<passage language>` -> rows that can be drawn; a text is no answer to itself."""
    found: dict[str, int] = {}
    queries = np.arange(index.num_queries)
    for passage_language, code in enumerate(index.languages):
        answer = index.answers_in(queries, np.full(len(queries), passage_language))
        drawable = (answer >= 0) & (index.answer_key[answer] != index.query_key)
        per_language = np.bincount(index.query_language[drawable], minlength=len(index.languages))
        for query_code, rows in zip(index.languages, per_language.tolist(), strict=True):
            if rows:
                found[f"{query_code}-{code}"] = rows
    return dict(sorted(found.items()))
