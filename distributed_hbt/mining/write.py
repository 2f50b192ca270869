"""Rows with their negatives, in Tevatron's form, which is hbt_jsonl too."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed_hbt.data.convert import native_passage, native_row, written_lines
from distributed_hbt.data.example import Example
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.mining.choose import Negative
from distributed_hbt.mining.texts import ChosenTexts


def write_rows(rows: Iterable[tuple[Example, Sequence[Negative]]], texts: ChosenTexts, out: Path) -> None:
    """A line a row. The negatives that a row has come first, then the mined ones, from the best down.

    `query_id` is the row's group, which Tevatron's reader takes it for. A mined negative says its language,
    rank and `similarity`; it has no `score`, which is a reranker's. Raises WorkerFailed where `out` can not
    be written.
    """
    try:
        with written_lines(out) as file:
            for row, negatives in rows:
                content = {"query_id": row.group_id, **native_row(row)}
                content["negative_passages"] += [_mined(negative, texts) for negative in negatives]
                file.write(json.dumps(content, ensure_ascii=False) + "\n")
    except OSError as error:
        what = f"can not be written ({error.strerror or error})"
        raise WorkerFailed(str(out), what, "free some space, then start again to go on") from error


def _mined(negative: Negative, texts: ChosenTexts) -> dict[str, Any]:
    passage = texts.passage(negative.language, negative.doc_id)
    assert passage is not None, f"{negative.language} passage {negative.doc_id} was chosen, so it was picked"
    about = {
        "language": negative.language,
        "rank": negative.rank,
        "similarity": float(f"{negative.score:.9g}"),
    }
    return native_passage(replace(passage, score=None)) | about
