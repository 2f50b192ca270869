"""Which files a benchmark with judgments is read from, and how published files are found in folders."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distributed_hbt.data import files
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.corpus.files import CorpusFile


@dataclass(frozen=True, slots=True)
class JudgedFiles:
    """The files of one task.

    `trec`: topics `id<TAB>text`, qrels `query Q0 document relevance`, all topics of the split.
    `beir`: queries JSON lines {_id, text} of all splits, qrels `query<TAB>document<TAB>score` of one.
    """

    task: str
    form: Literal["trec", "beir"]
    queries: Path
    qrels: Path
    corpus: tuple[CorpusFile, ...]


def published_file(root: str, places: Sequence[str]) -> Path:
    """The first of several places below `root` that holds a file, plain or .gz; on the hub the last one is.

    Raises DataError, naming the places, where none does.
    """
    if root.startswith("hf://"):
        return files.one_file(f"{root.rstrip('/')}/{places[-1]}")
    for place in places:
        for name in (place, f"{place}.gz"):
            if (path := Path(root).expanduser() / name).is_file():
                return path
    what = f"holds neither {', '.join(places[:-1])} nor {places[-1]} (plain or .gz)"
    raise DataError(root, what, "check root, languages and split of the benchmark")


def corpus_files(places: Sequence[str], *, incomplete: bool) -> tuple[Path, ...]:
    """The files of the first place that has any, in the order of their numbers: docs-2 before docs-10.

    A place is a file, a folder, of which docs-*.jsonl and corpus.jsonl count (plain or .gz), a glob, or
    one of these on the hub. Raises DataError where no place has files, and, unless `incomplete`, where
    numbers from 0 on are left out.
    """
    for place in places:
        if found := sorted(_in_place(place), key=lambda path: _natural(str(path))):
            if not incomplete:
                _refuse_gaps(found)
            return tuple(found)
    elsewhere = "".join(f", nor in {place}" for place in places[1:])
    what = f"no passages (docs-*.jsonl.gz or corpus.jsonl.gz) there{elsewhere}"
    raise DataError(places[0], what, "check root, or name the place with corpus: <path with {language}>")


def _in_place(place: str) -> list[Path]:
    if place.startswith("hf://"):
        return files.expand(place)
    path = Path(place).expanduser()
    if path.is_dir():
        return [file for file in path.iterdir() if _PASSAGES.fullmatch(file.name)]
    if path.is_file() or re.search(r"[*?\[]", place):
        return files.expand(place)
    return []


_PASSAGES = re.compile(r"(?:docs-.*|corpus)\.jsonl(?:\.gz)?")
_NUMBERED = re.compile(r"docs-(\d+)\.jsonl(?:\.gz)?")


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers by their value, everything else as text."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _refuse_gaps(paths: Sequence[Path]) -> None:
    numbers = {int(match[1]) for path in paths if (match := _NUMBERED.fullmatch(path.name))}
    missing = sorted(set(range(max(numbers, default=-1) + 1)) - numbers)
    if missing:
        what = f"docs-{missing[0]}.jsonl.gz is missing while docs-{max(numbers)}.jsonl.gz is there"
        remedy = "fetch the whole corpus, or set incomplete: true for this benchmark"
        raise DataError(str(paths[0].parent), what, remedy)
