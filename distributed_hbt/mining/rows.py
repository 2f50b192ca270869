"""The rows that are mined for: all sources read once, kept as hbt_jsonl in the work folder.

Some sources take long to read (a corpus is gone through for the passages that they name), and the rows are
gone through several times; and what is written at the end must be of the rows that were searched for.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from distributed_hbt.config.data import DataConfig, HbtJsonlSource
from distributed_hbt.data.bad_rows import BadRows
from distributed_hbt.data.convert import group_prefix, native_row
from distributed_hbt.data.example import Example
from distributed_hbt.data.sources import read_rows
from distributed_hbt.data.store.digest import digest
from distributed_hbt.data.store.prepare import check_unchanged, data_identity
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.whole_file import written_whole

_log = logging.getLogger(__name__)


def keep_rows(data: DataConfig, work: Path, stores: Path, *, max_characters: int) -> Path:
    """The usable rows of all sources, in order, in a file below `work`, which is made unless it is there.

    Group ids are those that `hbt data convert` gives: rows of one group stay one, and those of different
    sources never meet by accident. `stores` keeps digests of the files. Raises DataError as the readers
    do, where `data.max_bad_share` is exceeded, and for a passage of more than `max_characters`.
    """
    identity = data_identity(data, stores)
    prefixes = [group_prefix(source) for source in data.sources]
    about = {**identity, "prefixes": prefixes, "limits": [data.max_bad_share, max_characters]}
    path = work / f"rows-{digest(about)}" / "rows.jsonl"
    if not path.exists():
        with written_whole(path) as partial:
            with partial.open("w", encoding="utf-8") as file:
                _write(data, file, max_characters)
            check_unchanged(data, identity, stores)
    return path


def read_kept(path: Path) -> Iterator[Example]:
    """The rows of a file of hbt_jsonl. Raises DataError for one that can not be used."""
    for row in read_rows(HbtJsonlSource(format="hbt_jsonl", path=str(path))):
        if not isinstance(row, Example):
            raise DataError(row.where, row.reason, "let the work folder be, then start again")
        yield row


def _write(data: DataConfig, file: TextIO, max_characters: int) -> None:
    report = BadRows()
    for position, source in enumerate(data.sources):
        before, prefix = report.rows, group_prefix(source)
        for row in read_rows(source):
            report.add(row)
            if isinstance(row, Example):
                _check_length(row, max_characters)
                content = native_row(replace(row, group_id=prefix + row.group_id))
                file.write(json.dumps(content, ensure_ascii=False) + "\n")
        if report.rows == before:
            what = f"the {source.format} source has no rows"
            raise DataError(f"data.sources.{position}", what, "check its paths and ranges")
    report.verdict(data.max_bad_share)
    if report.good == 0:
        raise DataError("data.sources", "none of the rows is usable", "see `hbt data check`")
    if report.bad:
        shown = "; ".join(f"{row.where} {row.reason}" for row in report.first)
        _log.warning("left out %d of %d rows: %s", report.bad, report.rows, shown)


def _check_length(row: Example, max_characters: int) -> None:
    longest = max(len(passage.full_text) for passage in row.positives + row.negatives)
    if longest > max_characters:
        what = f"a passage has {longest} characters, more than {max_characters}"
        raise DataError(row.where, what, "mend the row, or allow it with evaluation.max_passage_characters")
