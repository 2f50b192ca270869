"""The texts of the passages that were chosen."""

import hashlib
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path

from distributed_hbt.data.example import BadRow, Passage
from distributed_hbt.data.formats.corpus import corpus_entries
from distributed_hbt.data.formats.text_index import Entry, TextIndex
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.corpus.survey import FileSurvey, find_documents
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.mining.corpus_keys import Corpora
from distributed_hbt.mining.jobs.pick_passages import PickPassages
from distributed_hbt.mining.passages import changed


class ChosenTexts:
    """Passages by language and id, on disk."""

    def __init__(self, index: TextIndex) -> None:
        self._index = index

    def fill(self, language: str, picked: Path) -> None:
        """Take the passages of a file that `PickPassages` wrote."""
        for fault in self._index.add(_entries(language, picked)):
            raise DataError(fault.where, fault.reason, "remove the work folder, then start again")

    def passage(self, language: str, doc_id: str) -> Passage | None:
        """As it stands in the corpus; the title of one that has nothing else is its text."""
        entry = self._index.get(_name(language, doc_id))
        if entry is None:
            return None
        if entry.text.strip():
            return Passage(doc_id, entry.title, entry.text)
        return Passage(doc_id, "", entry.title)


def pick_texts(
    chosen: Mapping[str, Set[str]], corpora: Corpora, texts: ChosenTexts, work: Path, executor: Executor
) -> None:
    """Goes once through the files that hold chosen passages (language -> doc_ids), by jobs, and fills
    `texts`. Raises DataError for a file that is no longer what was searched."""
    jobs = {language: _jobs(corpora[language], sorted(chosen[language]), work) for language in sorted(chosen)}
    executor.run([job for of_language in jobs.values() for job in of_language], "mining: chosen passages")
    for language, of_language in jobs.items():
        for job in of_language:
            texts.fill(language, job.output)
        if any(texts.passage(language, doc_id) is None for doc_id in chosen[language]):
            raise changed(corpora[language][0].file)


def _jobs(surveys: tuple[FileSurvey, ...], doc_ids: list[str], work: Path) -> list[PickPassages]:
    rows: dict[int, list[int]] = {}
    for file, row in find_documents(surveys, doc_ids).values():
        rows.setdefault(file, []).append(row)
    return [_job(surveys[file], tuple(sorted(rows[file])), work) for file in sorted(rows)]


def _job(survey: FileSurvey, rows: tuple[int, ...], work: Path) -> PickPassages:
    content = f"{survey.file.id_field} {survey.fingerprint} {rows}"
    name = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    return PickPassages(work / "picked" / f"{name}.jsonl", survey.file, rows, survey.max_characters)


def _entries(language: str, picked: Path) -> Iterator[Entry | BadRow]:
    for entry in corpus_entries([picked], "docid"):
        if isinstance(entry, BadRow):
            yield entry
        else:
            yield replace(entry, identifier=_name(language, entry.identifier))


def _name(language: str, doc_id: str) -> str:
    """No id holds white space, so no two passages share a name."""
    return f"{language} {doc_id}"
