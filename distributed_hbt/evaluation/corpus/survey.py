"""The one pass over a corpus that comes before anything is encoded: every fault is found there.

What it leaves behind is small: 8 bytes a passage. Passages are known by a 64-bit hash of their id, in the
order of rows; where hashes are equal, the ids themselves are read again and decide.
"""

import hashlib
import json
import zipfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.corpus.files import (
    CorpusFile,
    CorpusRow,
    filled_lines,
    parse_row,
    read_at,
)
from distributed_hbt.evaluation.whole_file import written_whole

Hashes = NDArray[np.uint64]
Place = tuple[int, int]
"""Position of the file among the surveys, and row in it."""

_FORM = 1
"""Of the file that a survey is kept in; one of another form is not read."""
_READ_TOGETHER = 10_000
"""Hashes that come twice whose ids are read again in one pass over the corpus."""


@dataclass(frozen=True, slots=True, eq=False)
class FileSurvey:
    """What is in a corpus file. `fingerprint` is of its rows, however compressed; none is longer than
    `max_characters`."""

    file: CorpusFile
    num_rows: int
    fingerprint: str
    id_hash_R: Hashes
    max_characters: int


def survey_file(file: CorpusFile, output: Path, *, max_characters: int) -> None:
    """Look at every row, and write what `read_survey` reads, aside and then renamed.

    Raises DataError with file:line for what `parse_row` refuses and where a gzip file is truncated or
    damaged, and with the file for one without a passage and one that changes meanwhile.
    """
    stamp = _stamp(file)
    digest = hashlib.blake2b(digest_size=16)
    hashes = array("Q")
    for number, line in filled_lines(file, max_characters=max_characters):
        hashes.append(_hash(parse_row(file, number, line, max_characters=max_characters).doc_id))
        digest.update(line)
        digest.update(b"\n")
    if not hashes:
        raise DataError(str(file.path), "holds no passage", "fetch the file again, or take it out")
    if _stamp(file) != stamp:
        raise DataError(str(file.path), "was changed while it was read", "let it be, then start again")
    facts = {
        **_origin(file),
        "num_rows": len(hashes),
        "fingerprint": digest.hexdigest(),
        "max_characters": max_characters,
    }
    facts_B = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    with written_whole(output) as partial, partial.open("wb") as kept:
        np.savez(kept, facts_B=facts_B, id_hash_R=np.frombuffer(hashes, dtype=np.uint64))


def read_survey(file: CorpusFile, output: Path) -> FileSurvey | None:
    """What `survey_file` wrote. None means: survey it anew.

    That is where nothing is there, where it is damaged, and where it is of another corpus file: size or
    time of change differ, the id field, or what is done about blank passages. Raises DataError where the
    corpus file can not be read.
    """
    origin = _origin(file)
    if not output.exists():
        return None
    try:
        with np.load(output) as kept:
            facts: dict[str, Any] = json.loads(kept["facts_B"].tobytes())
            id_hash_R: Hashes = kept["id_hash_R"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    if {name: facts[name] for name in origin if name in facts} != origin:
        return None
    return FileSurvey(file, facts["num_rows"], facts["fingerprint"], id_hash_R, facts["max_characters"])


def corpus_fingerprint(surveys: Sequence[FileSurvey]) -> str:
    """A digest of all rows, the order of the files, and the field that is the id."""
    digest = hashlib.blake2b(digest_size=16)
    for survey in surveys:
        digest.update(f"{survey.file.id_field} {survey.num_rows} {survey.fingerprint}\n".encode())
    return digest.hexdigest()


def check_unique(surveys: Sequence[FileSurvey]) -> None:
    """Raises DataError, naming both places, where a doc_id comes twice in a corpus, in whatever files."""
    repeated = _repeated(surveys)
    for first in range(0, len(repeated), _READ_TOGETHER):
        places: dict[str, str] = {}
        for _, row in _rows_with(surveys, repeated[first : first + _READ_TOGETHER]):
            if row.doc_id in places:
                what = f"doc_id {row.doc_id!r} stands at {places[row.doc_id]} already"
                raise DataError(row.where, what, "take one of the two passages out")
            places[row.doc_id] = row.where


def find_documents(surveys: Sequence[FileSurvey], doc_ids: Sequence[str]) -> dict[str, Place]:
    """doc_id -> its place, in the order of `doc_ids`; those that the corpus lacks are left out.

    The only passage with the hash of an id is taken for it: to read a corpus again would guard against a
    chance of one in 2^64 a pair. Where several have the hash, their ids are read.
    """
    ids_of: dict[int, list[str]] = {}
    for doc_id in dict.fromkeys(doc_ids):
        ids_of.setdefault(_hash(doc_id), []).append(doc_id)
    found: dict[str, Place] = {}
    unclear: list[int] = []
    for hashed, places in _places(surveys, ids_of).items():
        if len(places) == 1 and len(ids_of[hashed]) == 1:
            found[ids_of[hashed][0]] = places[0]
        else:
            unclear.append(hashed)
    for place, row in _rows_with(surveys, np.array(sorted(unclear), dtype=np.uint64)):
        found[row.doc_id] = place
    return {doc_id: found[doc_id] for doc_id in dict.fromkeys(doc_ids) if doc_id in found}


def _hash(doc_id: str) -> int:
    """64 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(doc_id.encode(), digest_size=8).digest(), "little")


def _repeated(surveys: Sequence[FileSurvey]) -> Hashes:
    """The hashes that come more than once, ascending."""
    every = np.concatenate([survey.id_hash_R for survey in surveys])
    every.sort()
    return np.unique(every[1:][every[1:] == every[:-1]])


def _places(surveys: Sequence[FileSurvey], hashes: dict[int, list[str]]) -> dict[int, list[Place]]:
    ascending = np.array(sorted(hashes), dtype=np.uint64)
    places: dict[int, list[Place]] = {}
    for i, survey in enumerate(surveys):
        for row in _positions(survey, ascending):
            places.setdefault(int(survey.id_hash_R[row]), []).append((i, row))
    return places


def _rows_with(surveys: Sequence[FileSurvey], hashes: Hashes) -> Iterator[tuple[Place, CorpusRow]]:
    """The passages whose ids have one of the hashes (ascending), read again, in the order of the corpus."""
    for i, survey in enumerate(surveys):
        positions = _positions(survey, hashes)
        rows = read_at(survey.file, positions, max_characters=survey.max_characters)
        yield from zip(((i, position) for position in positions), rows, strict=True)


def _positions(survey: FileSurvey, hashes: Hashes) -> list[int]:
    """The rows that have one of the hashes (ascending), in their order."""
    if not len(hashes):
        return []
    nearest_R = hashes[np.minimum(np.searchsorted(hashes, survey.id_hash_R), len(hashes) - 1)]
    rows: list[int] = np.flatnonzero(nearest_R == survey.id_hash_R).tolist()
    return rows


def _origin(file: CorpusFile) -> dict[str, Any]:
    """What a survey says of the file that it is of; JSON."""
    return {
        "form": _FORM,
        "stamp": _stamp(file),
        "id_field": file.id_field,
        "blank_passages": file.blank_passages,
    }


def _stamp(file: CorpusFile) -> list[int]:
    """Size and time of the last change."""
    try:
        seen = file.path.stat()
    except OSError as error:
        raise DataError(str(file.path), f"can not be read ({error.strerror})", "check the file") from error
    return [seen.st_size, seen.st_mtime_ns]
