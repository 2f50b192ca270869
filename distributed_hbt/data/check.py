"""The usable rows, and what would be trained on: rows, groups and language pairs (`hbt data check`)."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from distributed_hbt.config.data import DataConfig
from distributed_hbt.data.bad_rows import BadRows
from distributed_hbt.data.example import Example
from distributed_hbt.data.sources import read_examples, read_source

__all__ = ["BadRows", "DataSummary", "SourceSummary", "good_examples", "summarise"]

Pair = tuple[str, str]
"""Query language, passage language."""


def good_examples(config: DataConfig, report: BadRows) -> Iterator[tuple[int, Example]]:
    """(source position, example) of all sources, every row counted in `report`.

    After the last one raises DataError where `data.max_bad_share` is exceeded.
    """
    for position, row in read_examples(config):
        report.add(row)
        if isinstance(row, Example):
            yield position, row
    report.verdict(config.max_bad_share)


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """One source: its format, usable rows and groups, rows per language pair as written, bad rows."""

    format: str
    rows: int
    groups: int
    pairs: dict[Pair, int]
    bad_rows: BadRows


@dataclass(frozen=True, slots=True)
class DataSummary:
    """All sources. `pairs` counts, per language pair, the groups that can give a training row of it: a
    query in one language and a positive in the other, from whatever rows, a text never for itself."""

    sources: tuple[SourceSummary, ...]
    groups: int
    pairs: dict[Pair, int]
    bad_rows: BadRows

    def as_json(self) -> str:
        """One JSON document."""
        return json.dumps(self._content(), ensure_ascii=False, indent=2)

    def as_text(self) -> str:
        """Tables for a terminal."""
        out = [f"{self.bad_rows.good} rows in {self.groups} groups; {self.bad_rows.bad} bad rows", ""]
        out.append(f"{'source':<6}  {'format':<14}{'rows':>10}{'groups':>10}{'bad':>8}  rows per pair")
        for i, source in enumerate(self.sources):
            pairs = ", ".join(f"{_name(pair)} {count}" for pair, count in source.pairs.items())
            counts = f"{source.rows:>10}{source.groups:>10}{source.bad_rows.bad:>8}"
            out.append(f"{i:<6}  {source.format:<14}{counts}  {pairs}")
        out += ["", f"{'query-passage':<16}{'groups':>10}"]
        out += [f"{_name(pair):<16}{count:>10}" for pair, count in self.pairs.items()]
        if self.bad_rows.bad:
            out += ["", f"bad rows (the first {len(self.bad_rows.first)} of {self.bad_rows.bad}):"]
            out += [f"  {row.where}: {row.reason}" for row in self.bad_rows.first]
        return "\n".join(out)

    def _content(self) -> dict[str, Any]:
        return {
            "rows": self.bad_rows.good,
            "groups": self.groups,
            "pairs": {_name(pair): count for pair, count in self.pairs.items()},
            **_bad_content(self.bad_rows),
            "sources": [
                {
                    "format": source.format,
                    "rows": source.rows,
                    "groups": source.groups,
                    "pairs": {_name(pair): count for pair, count in source.pairs.items()},
                    **_bad_content(source.bad_rows),
                }
                for source in self.sources
            ],
        }


def summarise(config: DataConfig) -> DataSummary:
    """Read every source once. Memory: a few dozen bytes a group. Raises DataError as the readers do,
    but not for bad rows, which are counted."""
    total, everything, sources = BadRows(), _Groups(), []
    for position, source in enumerate(config.sources):
        bad, groups, pairs = BadRows(), set[int](), Counter[Pair]()
        for row in read_source(source, position):
            total.add(row)
            bad.add(row)
            if isinstance(row, Example):
                pairs[row.query_language, row.passage_language] += 1
                groups.add(everything.add(row))
        sources.append(SourceSummary(source.format, bad.good, len(groups), dict(sorted(pairs.items())), bad))
    return DataSummary(tuple(sources), len(everything), everything.pairs(), total)


class _Groups:
    """Which languages each group asks and answers in, as a few shared sets behind a 64-bit key a group."""

    def __init__(self) -> None:
        self._shape_of: dict[int, frozenset[Pair]] = {}
        self._shapes: dict[frozenset[Pair], frozenset[Pair]] = {}

    def __len__(self) -> int:
        return len(self._shape_of)

    def add(self, row: Example) -> int:
        """Note a row; its group's key."""
        key = int.from_bytes(blake2b(row.group_id.encode(), digest_size=8).digest(), "big")
        # A text that is put to itself (a parallel sentence) is marked, as it answers only the others.
        mark = "self" if row.query == row.positives[0].text else ""
        entries = {(f"query{mark}", row.query_language), (f"answer{mark}", row.passage_language)}
        shape = self._shape_of.get(key, frozenset()) | entries
        self._shape_of[key] = self._shapes.setdefault(shape, shape)
        return key

    def pairs(self) -> dict[Pair, int]:
        """Groups per pair, sorted."""
        counts: Counter[Pair] = Counter()
        for shape, groups in Counter(self._shape_of.values()).items():
            for pair in _possible(shape):
                counts[pair] += groups
        return dict(sorted(counts.items()))


def _possible(shape: frozenset[Pair]) -> set[Pair]:
    queries = [(role == "queryself", code) for role, code in shape if role.startswith("query")]
    answers = [(role == "answerself", code) for role, code in shape if role.startswith("answer")]
    return {
        (query, answer)
        for query_is_self, query in queries
        for answer_is_self, answer in answers
        if not (query_is_self and answer_is_self and query == answer)
    }


def _bad_content(bad_rows: BadRows) -> dict[str, Any]:
    first = [{"where": row.where, "reason": row.reason} for row in bad_rows.first]
    return {"bad_rows": bad_rows.bad, "first_bad_rows": first}


def _name(pair: Pair) -> str:
    return f"{pair[0]}-{pair[1]}"
