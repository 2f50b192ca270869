"""What the batch plan knows of the data: numbers only, no text and no tokens."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Int16 = npt.NDArray[np.int16]
UInt64 = npt.NDArray[np.uint64]

MAX_GROUPS = 2**32
"""Groups are ordered by a bijection of 32-bit numbers."""


@dataclass(frozen=True, eq=False)
class PlanIndex:
    """Query entries and answer entries, and the group that ties them together.

    A group is one question in all its languages. A query entry and an answer entry of one group form a
    row. An answer entry is what answers a group in one passage language, so a (group, language) has at
    most one. A row whose two keys are equal (a parallel sentence asked for itself) is never drawn.

    Shapes: Q query entries, A answer entries, G groups, L languages. Memory: 20 bytes a query entry and
    18 an answer entry as given (arrays may be memory-mapped), and 8 a group for `answer_start`.
    Raises ValueError where the arrays contradict each other.
    """

    languages: tuple[str, ...]
    """Sorted codes; L of them."""
    num_groups: int
    query_group: Int64
    query_language: Int16
    query_source: Int16
    """Position of the source in data.sources."""
    query_key: UInt64
    """Hash of the query's text, without prompt."""
    answer_group: Int64
    """Non-decreasing."""
    answer_language: Int16
    answer_key: UInt64
    """Hash of the first positive's text, without prompt."""

    def __post_init__(self) -> None:
        self._check_arrays()
        _require(list(self.languages) == sorted(set(self.languages)), "languages are not sorted or repeat")
        _require(0 <= self.num_groups < MAX_GROUPS, f"num_groups {self.num_groups} is not below 2^32")
        _require(_within(self.query_group, self.num_groups), "query_group is out of range")
        _require(_within(self.answer_group, self.num_groups), "answer_group is out of range")
        _require(_within(self.query_language, len(self.languages)), "query_language is out of range")
        _require(_within(self.answer_language, len(self.languages)), "answer_language is out of range")
        _require(self.num_queries == 0 or int(self.query_source.min()) >= 0, "query_source is negative")
        _require(bool((np.diff(self.answer_group) >= 0).all()), "answer_group decreases")
        _require(self._answers_are_single(), "a group has two answer entries in one language")

    @property
    def num_queries(self) -> int:
        return len(self.query_group)

    @property
    def num_answers(self) -> int:
        return len(self.answer_group)

    @cached_property
    def answer_start(self) -> Int64:
        """int64[G + 1]: the answer entries of group g are answer_start[g] to answer_start[g + 1]."""
        per_group = np.bincount(self.answer_group, minlength=self.num_groups)
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(per_group, dtype=np.int64)])

    def answers_in(self, query: Int64, language: Int64) -> Int64:
        """Answer entry of each query's group in `language`; int64[n], -1 where there is none.

        query: int64[n] query entries; language: int64[n].
        """
        group = self.query_group[query]
        first, stop = self.answer_start[group], self.answer_start[group + 1]
        found = np.full(len(query), -1, dtype=np.int64)
        for offset in range(int((stop - first).max(initial=0))):
            row = np.flatnonzero(first + offset < stop)
            answer = first[row] + offset
            match = self.answer_language[answer] == language[row]
            found[row[match]] = answer[match]
        return found

    def _check_arrays(self) -> None:
        for name, dtype, length in (
            ("query_group", np.int64, self.num_queries),
            ("query_language", np.int16, self.num_queries),
            ("query_source", np.int16, self.num_queries),
            ("query_key", np.uint64, self.num_queries),
            ("answer_group", np.int64, self.num_answers),
            ("answer_language", np.int16, self.num_answers),
            ("answer_key", np.uint64, self.num_answers),
        ):
            array = getattr(self, name)
            _require(array.dtype == dtype, f"{name} is {array.dtype}, not {np.dtype(dtype)}")
            _require(array.shape == (length,), f"{name} has shape {array.shape}, not ({length},)")

    def _answers_are_single(self) -> bool:
        code = self.answer_group * len(self.languages) + self.answer_language
        if not (np.diff(code) > 0).all():
            code = np.sort(code)
        return bool((np.diff(code) > 0).all())


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"plan index: {what}")


def _within(values: npt.NDArray[Any], stop: int) -> bool:
    return len(values) == 0 or (int(values.min()) >= 0 and int(values.max()) < stop)
