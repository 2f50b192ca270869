"""Reading a store: everything memory-mapped, a few microseconds a row."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.data.bad_rows import BadRows
from distributed_hbt.data.build_once import damage
from distributed_hbt.data.example import BadRow
from distributed_hbt.data.plan.index import PlanIndex
from distributed_hbt.data.store.checksums import TokenChecks, check_index
from distributed_hbt.data.store.columns import TokenColumn, load_table
from distributed_hbt.data.store.counts import source_counts
from distributed_hbt.data.store.digest import digest
from distributed_hbt.data.store.entries import INDEX_ARRAYS
from distributed_hbt.errors import DataError

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]


def open_store(folder: Path) -> "Store":
    """A store that was built. Raises DataError where it is incomplete or damaged."""
    what = damage(folder)
    if what is not None:
        raise DataError(str(folder), what, "delete it; it is built anew")
    return Store(folder)


class Store:
    """Tokens of every distinct text once, and the index that says who answers whom.

    Numbers: queries (query entries) 0 to Q - 1, answers (the passages of one group in one language) 0 to
    A - 1, passages 0 to P - 1, groups 0 to G - 1. Arrays are read-only views of mapped files. All of the
    index is read once, for its checksums; whether a row's tokens are whole is asked row by row.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        has_checksums = check_index(folder / "index")
        self._content: dict[str, Any] = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        self._query_tokens = TokenColumn(load_table(folder / "queries"))
        self._passage_tokens = TokenColumn(load_table(folder / "passages"))
        self.index = PlanIndex(
            languages=tuple(self._content["languages"]),
            num_groups=self._content["num_groups"],
            **{name: self._array(name) for name in INDEX_ARRAYS},
        )
        self.query_lengths: Int32 = self._array("query_lengths")
        """int32[Q]: tokens of every query."""
        self.passage_lengths: Int32 = self._array("passage_lengths")
        """int32[P]: tokens of every passage."""
        self._positive_offsets: Int64 = self._array("positive_offsets")
        self._positive_values: Int64 = self._array("positive_values")
        self._negative_offsets: Int64 = self._array("negative_offsets")
        self._negative_values: Int64 = self._array("negative_values")
        self._positive_scores: NDArray[np.float32] = self._array("positive_scores")
        self._negative_scores: NDArray[np.float32] = self._array("negative_scores")

        self._query_checks = self._checks("query", self.query_lengths) if has_checksums else None
        self._passage_checks = self._checks("passage", self.passage_lengths) if has_checksums else None

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def fingerprint(self) -> str:
        """Names the content: the same data, tokenizer and settings have the same one anywhere."""
        return str(self._content["fingerprint"])

    @property
    def data_fingerprint(self) -> str:
        """Names the rows: the same data has the same one with any tokenizer, prompts and lengths."""
        return digest({name: self._identity[name] for name in ("format", "sources")})

    @property
    def source_digests(self) -> list[str]:
        """A digest of the settings and files of each source, without their paths."""
        return [digest(source) for source in self._identity["sources"]]

    def source_counts(self) -> list[dict[str, Any]]:
        """Of each source: its `queries`, and its `groups` and `queries_per_language`."""
        index = self.index
        return [source_counts(index, source) for source in range(len(self._identity["sources"]))]

    @property
    def counts(self) -> dict[str, Any]:
        """Rows, groups, entries and tokens; queries per source; entries per language; rows per pair."""
        return dict(self._content["counts"])

    def query_tokens(self, query: int) -> Int32:
        """int32[n]: token ids of a query, prompt and EOS included."""
        return self._query_tokens[query]

    def passage_tokens(self, passage: int) -> Int32:
        """int32[n]: token ids of a passage, prompt and EOS included."""
        return self._passage_tokens[passage]

    def holds_query(self, query: int) -> bool:
        """Whether a query's tokens are those that were written; True where the store has no checksums."""
        return self._query_checks is None or self._query_checks.holds(query, self._query_tokens[query])

    def holds_passage(self, passage: int) -> bool:
        """Whether a passage's tokens are those that were written; True where the store has no checksums."""
        tokens, checks = self._passage_tokens, self._passage_checks
        return checks is None or checks.holds(passage, tokens[passage])

    def positives(self, answer: int) -> Int64:
        """Passages that answer: int64[n], n > 0, distinct, in the order of the data."""
        return self._positive_values[self._positive_offsets[answer] : self._positive_offsets[answer + 1]]

    def negatives(self, answer: int) -> Int64:
        """Hard negatives: int64[n], distinct, none of them a positive of the group in any language."""
        return self._negative_values[self._negative_offsets[answer] : self._negative_offsets[answer + 1]]

    def positive_scores(self, answer: int) -> NDArray[np.float32]:
        """float32[n], beside `positives`; NaN where the data has none."""
        return self._positive_scores[self._positive_offsets[answer] : self._positive_offsets[answer + 1]]

    def negative_scores(self, answer: int) -> NDArray[np.float32]:
        """float32[n], beside `negatives`; NaN where the data has none."""
        return self._negative_scores[self._negative_offsets[answer] : self._negative_offsets[answer + 1]]

    @cached_property
    def has_scores(self) -> bool:
        """Whether any passage has a reranker's score."""
        return any(bool((~np.isnan(s)).any()) for s in (self._positive_scores, self._negative_scores))

    def group_positives(self, group: int) -> Int64:
        """Every known positive of a group in any language: int64[n]; one may stand there twice."""
        starts = self.index.answer_start
        first, stop = self._positive_offsets[starts[group]], self._positive_offsets[starts[group + 1]]
        return self._positive_values[first:stop]

    def group_name(self, group: int) -> str:
        """The group's id in the data, behind its namespace."""
        return str(self._groups[group])

    def where(self, query: int) -> str:
        """file:line of the row that a query came from, as it was when the store was built."""
        return str(self._queries[query])

    def docid(self, passage: int) -> str:
        """The passage's id in the first row that has it."""
        return str(self._passages[passage])

    @property
    def _identity(self) -> dict[str, Any]:
        return dict(self._content["identity"])

    @property
    def bad_rows(self) -> BadRows:
        """How many rows could not be used, and the first of them."""
        bad_rows = self._content["bad_rows"]
        report = BadRows()
        report.good, report.bad = bad_rows["good"], bad_rows["bad"]
        report.first = [BadRow(row["where"], row["reason"]) for row in bad_rows["first"]]
        return report

    @cached_property
    def _queries(self) -> Any:
        return load_table(self._folder / "queries").column("where")

    @cached_property
    def _passages(self) -> Any:
        return load_table(self._folder / "passages").column("docid")

    @cached_property
    def _groups(self) -> Any:
        return load_table(self._folder / "groups").column("group_id")

    def _checks(self, kind: str, lengths: Int32) -> TokenChecks:
        return TokenChecks(lengths, self._array(f"{kind}_checksums"))

    def _array(self, name: str) -> NDArray[Any]:
        path = self._folder / "index" / f"{name}.npy"
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(
                str(path), f"is damaged ({error})", "delete the store, it is built anew"
            ) from error
        # A plain view of the map: slicing the memmap class itself costs microseconds more.
        return np.asarray(mapped)
