"""Known positives: which passages are no negatives of a row.

Held as 64-bit keys: 16 bytes for each key of each positive, twice, whatever the length of the texts.
"""

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.data.example import Example
from distributed_hbt.mining.keys import id_key, passage_keys, text_key

Keys = NDArray[np.uint64]


class _Collected:
    """(owner, key) as they come."""

    def __init__(self) -> None:
        self.owner, self.key = array("Q"), array("Q")

    def add(self, owner: int, keys: frozenset[int]) -> None:
        self.owner.extend([owner] * len(keys))
        self.key.extend(keys)


@dataclass(frozen=True, eq=False)
class _Lists:
    """The keys of each owner: pairs without repetition, by owner, then key."""

    owner_N: Keys
    key_N: Keys

    @classmethod
    def of(cls, collected: _Collected) -> "_Lists":
        pairs_2N = np.stack([np.asarray(collected.owner), np.asarray(collected.key)])
        pairs_2N = pairs_2N[:, np.lexsort(pairs_2N[::-1])]
        new_N = np.ones(pairs_2N.shape[1], dtype=bool)
        new_N[1:] = (pairs_2N[:, 1:] != pairs_2N[:, :-1]).any(axis=0)
        return cls(*pairs_2N[:, new_N])

    def keys(self, owner: int) -> list[int]:
        wanted = np.uint64(owner)  # as a Python integer it would make a float array of the owners
        first, stop = np.searchsorted(self.owner_N, wanted), np.searchsorted(self.owner_N, wanted, "right")
        found: list[int] = self.key_N[first:stop].tolist()
        return found

    def most(self, key_P: Keys, passage_P: NDArray[np.int64]) -> int:
        """The largest number of distinct passages that one owner's keys name; (key, passage) pairs P."""
        order = np.argsort(key_P, kind="stable")
        first_N = np.searchsorted(key_P[order], self.key_N)
        count_N = np.searchsorted(key_P[order], self.key_N, "right") - first_N
        pair_M = np.repeat(np.arange(len(self.key_N)), count_N)
        if not len(pair_M):
            return 0
        within_M = np.arange(len(pair_M)) - np.repeat(np.cumsum(count_N) - count_N, count_N)
        passage_M = passage_P[order[first_N[pair_M] + within_M]]
        _, owner_M = np.unique(self.owner_N[pair_M], return_inverse=True)
        distinct = np.unique(np.stack([owner_M, passage_M]), axis=1)
        return int(np.bincount(distinct[0]).max())


class KnownPositives:
    """Read from all rows (`KnownCollector`), asked for each."""

    def __init__(self, groups: _Lists, questions: _Lists) -> None:
        self._groups = groups
        self._questions = questions

    def of(self, example: Example) -> frozenset[int]:
        """The keys of the passages that are no negatives of a row.

        These are the positives of every row of its group, in whatever language, and the texts of the
        group's queries; also the positives of any row that asks the same words.
        """
        group, question = _owners(example)
        return frozenset(self._groups.keys(group) + self._questions.keys(question))

    @property
    def keys(self) -> Keys:
        """All of them, ascending."""
        return np.unique(np.concatenate([self._groups.key_N, self._questions.key_N]))

    def most(self, key_P: Keys, passage_P: NDArray[np.int64]) -> int:
        """At least as many passages as any row knows, of those whose keys are given as pairs P."""
        return self._groups.most(key_P, passage_P) + self._questions.most(key_P, passage_P)


class KnownCollector:
    """Takes the rows one by one."""

    def __init__(self) -> None:
        self._groups, self._questions = _Collected(), _Collected()

    def add(self, example: Example) -> None:
        group, question = _owners(example)
        keys = frozenset[int]().union(*map(passage_keys, example.positives)) | {text_key(example.query)}
        self._groups.add(group, keys)
        self._questions.add(question, keys)

    def known(self) -> KnownPositives:
        """Once all rows are there."""
        return KnownPositives(_Lists.of(self._groups), _Lists.of(self._questions))


def _owners(example: Example) -> tuple[int, int]:
    """The group, and the question in its words."""
    return id_key(example.group_id), text_key(example.query)
