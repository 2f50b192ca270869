"""Any format, written as hbt_jsonl."""

import gzip
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from distributed_hbt.config.data import Source
from distributed_hbt.data.bad_rows import BadRows
from distributed_hbt.data.example import Example, Passage
from distributed_hbt.data.sources import read_rows
from distributed_hbt.errors import DataError

_KEEP_THEIR_IDS = ("hbt_jsonl", "squad")


def convert(source: Source, out: Path, max_bad_share: float = 0.0) -> BadRows:
    """Write a source as `out` (.jsonl or .jsonl.gz), aside and then renamed; gives the counts of rows.

    hbt_jsonl sources share their group ids, so those of other formats get a prefix that tells their data
    apart: the source's `group_namespace`, else its format and a digest of its paths. The ids of hbt_jsonl
    and SQuAD rows, which mean the same in every file, stay as they are.

    Raises DataError as the readers do, for another suffix, and where more than `max_bad_share` of the
    rows is unusable or there is none; `out` is then left as it was.
    """
    if not out.name.endswith((".jsonl", ".jsonl.gz")):
        raise DataError(str(out), "has neither the suffix .jsonl nor .jsonl.gz", "name the output so")
    report, prefix = BadRows(), group_prefix(source)
    with written_lines(out) as file:
        for row in read_rows(source):
            report.add(row)
            if isinstance(row, Example):
                content = native_row(replace(row, group_id=prefix + row.group_id))
                file.write(json.dumps(content, ensure_ascii=False) + "\n")
        report.verdict(max_bad_share)
        if report.good == 0:
            raise DataError(str(out), f"the {source.format} source has no rows", "check its paths and ranges")
    return report


def group_prefix(source: Source) -> str:
    """What goes before the group ids of a source where they stand among those of hbt_jsonl."""
    if source.group_namespace is not None:
        return f"{source.group_namespace}/"
    if source.format in _KEEP_THEIR_IDS:
        return ""
    digest = blake2b(source.model_dump_json(exclude={"weight", "share"}).encode(), digest_size=4).hexdigest()
    return f"{source.format}-{digest}/"


def native_row(row: Example) -> dict[str, Any]:
    """The content of a line of hbt_jsonl."""
    return {
        "group_id": row.group_id,
        "query": row.query,
        "query_language": row.query_language,
        "passage_language": row.passage_language,
        "positive_passages": [native_passage(passage) for passage in row.positives],
        "negative_passages": [native_passage(passage) for passage in row.negatives],
    }


def native_passage(passage: Passage) -> dict[str, Any]:
    """A passage in a line of hbt_jsonl."""
    content = {"docid": passage.docid, "title": passage.title, "text": passage.text}
    return content if passage.score is None else {**content, "score": passage.score}


@contextmanager
def written_lines(out: Path) -> Iterator[io.TextIOBase]:
    """A text file, .gz by its name, written aside and renamed at the end; nothing is left after an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        with aside.open("wb") as raw:
            if out.suffix == ".gz":  # no name and no time in it: equal content gives equal files
                with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0, compresslevel=6) as packed:
                    yield from _as_text(packed)
            else:
                yield from _as_text(raw)
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)


def _as_text(binary: Any) -> Iterator[io.TextIOBase]:
    text = io.TextIOWrapper(binary, encoding="utf-8", newline="\n")
    try:
        yield text
    finally:
        text.detach()  # flushes; the file itself is closed by who opened it
