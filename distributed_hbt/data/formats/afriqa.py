"""AfriQA (arXiv 2305.06897): questions in African languages, gold passages in English or French."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from distributed_hbt.config.data import AfriqaSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example, Passage
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.records import Record, records
from distributed_hbt.languages import language_code

_IN_FRENCH = ("fon", "wo")


def read(source: AfriqaSource) -> Iterator[Example | BadRow]:
    """A group a line, `<file>:<id>`, since ids begin anew in every file: its question and, where asked for,
    the translated one.

    The title of a passage may be missing. A line with a bare NaN, which is no JSON, and one whose question
    or passage is null are bad rows.
    """
    for language in source.languages:
        asked = language_code(language)
        answered = language_code(source.passage_language or ("fr" if asked in _IN_FRENCH else "en"))
        for path in files.expand(source.path.replace("{language}", language)):
            for where, record in records([path]):
                if isinstance(record, BadRow):
                    yield record
                    continue
                try:
                    yield from _examples(record, path, (asked, answered), where, source.translated_questions)
                except RowFault as fault:
                    yield BadRow(where, str(fault))


def _examples(
    record: Record, path: Path, languages: tuple[str, str], where: str, translated: bool
) -> list[Example]:
    asked, answered = languages
    positive = _passage(record)
    queries = {asked: fields.text(record, "question_lang")}
    if translated:
        queries[answered] = fields.text(record, "question_translated")
    return [
        Example(
            group_id=f"{path.name.partition('.json')[0]}:{fields.identifier(record, 'id')}",
            query=query,
            query_language=language,
            passage_language=answered,
            positives=(positive,),
            where=where,
        )
        for language, query in queries.items()
    ]


def _passage(record: Record) -> Passage:
    """Questions share passages, which have no ids: equal ones get an equal docid."""
    title = fields.encodable(record["title"], "field 'title'") if record.get("title") is not None else ""
    text = fields.text(record, "context")
    content = f"{title}\n{text}".encode()
    return Passage(blake2b(content, digest_size=8).hexdigest(), title, text)
