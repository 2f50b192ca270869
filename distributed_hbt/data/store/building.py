"""Building a store: one pass over the rows, texts tokenized and written on the way.

Memory: hashes and numbers of groups, queries and passages; never their texts or tokens.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from distributed_hbt.config.data import DataConfig
from distributed_hbt.data.bad_rows import BadRows
from distributed_hbt.data.check import good_examples
from distributed_hbt.data.example import Example
from distributed_hbt.data.store.checksums import write_index_checksums
from distributed_hbt.data.store.columns import DatasetWriter
from distributed_hbt.data.store.counts import counts
from distributed_hbt.data.store.entries import INDEX_ARRAYS, Entries, EntryCollector
from distributed_hbt.errors import DataError
from distributed_hbt.models.text import TextEncoder

QUERY_COLUMNS = {"where": "string"}
PASSAGE_COLUMNS = {"docid": "string"}
GROUP_COLUMNS = {"group_id": "string"}


def build_store(folder: Path, data: DataConfig, texts: TextEncoder, description: dict[str, Any]) -> None:
    """Fill `folder` with the store of `data`; `description` goes into store.json as it is.

    Raises DataError where the data can not be read, where more rows than `data.max_bad_share` are
    unusable, or none is usable.
    """
    report, collector = BadRows(), EntryCollector()
    with (
        DatasetWriter(folder / "queries", QUERY_COLUMNS, texts.queries) as queries,
        DatasetWriter(folder / "passages", PASSAGE_COLUMNS, texts.passages) as passages,
        DatasetWriter(folder / "groups", GROUP_COLUMNS) as groups,
    ):
        for source, example in good_examples(data, report):
            _add(collector, source, example, queries, passages, groups)
        if report.good == 0:
            raise DataError("data.sources", "none of the rows is usable", "see `hbt data check`")
    entries = collector.entries()
    _write_arrays(folder / "index", entries, queries, passages)
    content = {**description, "bad_rows": _bad(report), **counts(entries, report.good, queries, passages)}
    (folder / "store.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def _add(
    collector: EntryCollector,
    source: int,
    example: Example,
    queries: DatasetWriter,
    passages: DatasetWriter,
    groups: DatasetWriter,
) -> None:
    group, new = collector.group(example)
    if new:
        groups.add((example.group_id,))
    if collector.query(source, group, example):
        queries.add((example.where,), example.query)
    for found, positive in ((example.positives, True), (example.negatives, False)):
        for passage in found:
            if collector.passage(group, example.passage_language, passage, positive=positive):
                passages.add((passage.docid,), passage.full_text)


def _write_arrays(folder: Path, entries: Entries, queries: DatasetWriter, passages: DatasetWriter) -> None:
    index = entries.index
    folder.mkdir()
    arrays = {
        **{name: getattr(index, name) for name in INDEX_ARRAYS},
        "query_lengths": np.asarray(queries.lengths, dtype=np.int32),
        "passage_lengths": np.asarray(passages.lengths, dtype=np.int32),
        "query_checksums": np.asarray(queries.checksums, dtype=np.uint32),
        "passage_checksums": np.asarray(passages.checksums, dtype=np.uint32),
    }
    for name, lists in (("positive", entries.positives), ("negative", entries.negatives)):
        arrays |= {
            f"{name}_offsets": lists.offsets,
            f"{name}_values": lists.values,
            f"{name}_scores": lists.scores,
        }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    write_index_checksums(folder)


def _bad(report: BadRows) -> dict[str, Any]:
    first = [{"where": row.where, "reason": row.reason} for row in report.first]
    return {"good": report.good, "bad": report.bad, "first": first}
