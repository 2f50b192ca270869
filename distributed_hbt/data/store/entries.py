"""From rows to entries: who answers whom, as arrays. No text is kept here."""

from array import array
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.data.example import Example, Passage
from distributed_hbt.data.plan.index import PlanIndex

Int64 = NDArray[np.int64]

INDEX_ARRAYS = (
    "query_group",
    "query_language",
    "query_source",
    "query_key",
    "answer_group",
    "answer_language",
    "answer_key",
)
"""Fields of PlanIndex that are arrays."""


def text_key(text: str) -> int:
    """64-bit hash of a bare text; equal for a query and a passage of the same words."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


class Numbering:
    """Numbers distinct things in the order of their appearance, by a 128-bit hash of their parts."""

    def __init__(self) -> None:
        self._number: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._number)

    def add(self, *parts: str) -> tuple[int, bool]:
        """(number, whether it is new)."""
        hashed = blake2b(digest_size=16)
        for part in parts:
            content = part.encode()
            hashed.update(len(content).to_bytes(8, "little"))  # so that ("a", "b") is not ("ab", "")
            hashed.update(content)
        before = len(self._number)
        number = self._number.setdefault(hashed.digest(), before)
        return number, number == before


class _Links:
    """Group, language, passage and score of every positive (or negative) as it was read."""

    def __init__(self) -> None:
        self.group, self.language, self.passage = array("q"), array("h"), array("q")
        self.score = array("f")

    def add(self, group: int, language: int, passage: int, score: float | None) -> None:
        self.group.append(group)
        self.language.append(language)
        self.passage.append(passage)
        self.score.append(float("nan") if score is None else score)


@dataclass(frozen=True, eq=False)
class Lists:
    """CSR: the passages of answer entry a are values[offsets[a] : offsets[a + 1]]; scores beside them."""

    offsets: Int64
    values: Int64
    scores: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Entries:
    """All numbers of a store."""

    index: PlanIndex
    positives: Lists
    negatives: Lists


class EntryCollector:
    """Takes examples one by one and says which of their texts are new."""

    def __init__(self) -> None:
        self._groups, self._queries, self._passages = Numbering(), Numbering(), Numbering()
        self._languages: dict[str, int] = {}
        self._query_group, self._query_language = array("q"), array("h")
        self._query_source, self._query_key = array("h"), array("Q")
        self._passage_key = array("Q")
        self._positives, self._negatives = _Links(), _Links()

    def group(self, example: Example) -> tuple[int, bool]:
        """(group number, whether it is new)."""
        return self._groups.add(example.group_id)

    def query(self, source: int, group: int, example: Example) -> bool:
        """Note the query entry; whether it is new. One text of a group, language and source is one entry."""
        _, new = self._queries.add(str(source), str(group), example.query_language, example.query)
        if new:
            self._query_group.append(group)
            self._query_language.append(self._language(example.query_language))
            self._query_source.append(source)
            self._query_key.append(text_key(example.query))
        return new

    def passage(self, group: int, language: str, passage: Passage, *, positive: bool) -> bool:
        """Note a passage of the group's answer in `language`; whether its text is new to the store."""
        number, new = self._passages.add(passage.title, passage.text)
        if new:
            self._passage_key.append(text_key(passage.text))
        links = self._positives if positive else self._negatives
        links.add(group, self._language(language), number, passage.score)
        return new

    def entries(self) -> Entries:
        """The arrays, once everything is read."""
        languages = sorted(self._languages)
        renumbered = np.array([languages.index(code) for code in self._languages], dtype=np.int16)
        positive_code = _codes(self._positives, renumbered)
        negative_code = _codes(self._negatives, renumbered)
        positive, negative = np.asarray(self._positives.passage), np.asarray(self._negatives.passage)
        positive_row = _first_of_each(positive_code, positive)
        negative_row = _first_of_each(negative_code, negative)
        known = _pairs(self._positives, len(self._passages))
        wrong = np.isin(_pairs(self._negatives, len(self._passages))[negative_row], known)
        answers = np.unique(positive_code)
        positives = _lists(answers, positive_code, self._positives, positive_row)
        index = PlanIndex(
            languages=tuple(languages),
            num_groups=len(self._groups),
            query_group=np.asarray(self._query_group, dtype=np.int64),
            query_language=renumbered[np.asarray(self._query_language)],
            query_source=np.asarray(self._query_source, dtype=np.int16),
            query_key=np.asarray(self._query_key, dtype=np.uint64),
            answer_group=answers // len(languages),
            answer_language=(answers % len(languages)).astype(np.int16),
            answer_key=np.asarray(self._passage_key, dtype=np.uint64)[
                positives.values[positives.offsets[:-1]]
            ],
        )
        negatives = _lists(answers, negative_code, self._negatives, negative_row[~wrong])
        return Entries(index, positives, negatives)

    def _language(self, code: str) -> int:
        return self._languages.setdefault(code, len(self._languages))


def _codes(links: _Links, renumbered: NDArray[np.int16]) -> Int64:
    """int64[n]: group and language of every link as one number, in the order of answer entries."""
    language = renumbered[np.asarray(links.language, dtype=np.int16)]
    return np.asarray(links.group, dtype=np.int64) * len(renumbered) + language


def _pairs(links: _Links, num_passages: int) -> Int64:
    """int64[n]: group and passage of every link as one number (fits: 2^32 groups, 2^31 passages)."""
    assert num_passages < 2**31
    return np.asarray(links.group, dtype=np.int64) * num_passages + np.asarray(links.passage, dtype=np.int64)


def _first_of_each(code: Int64, passage: Int64) -> Int64:
    """Positions of the first link of each (answer, passage), by answer, then as they were read."""
    order = np.lexsort((passage, code))  # stable: equal pairs stay as they were read
    same = (np.diff(code[order]) == 0) & (np.diff(passage[order]) == 0)
    first = np.sort(order[np.concatenate([np.ones(min(len(order), 1), dtype=bool), ~same])])
    return first[np.argsort(code[first], kind="stable")]


def _lists(answers: Int64, code: Int64, links: _Links, rows: Int64) -> Lists:
    starts = np.searchsorted(code[rows], answers, side="left")
    return Lists(
        offsets=np.append(starts, len(rows)).astype(np.int64),
        values=np.asarray(links.passage, dtype=np.int64)[rows],
        scores=np.asarray(links.score, dtype=np.float32)[rows],
    )
