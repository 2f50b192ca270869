"""SQuAD-style JSON, parallel across languages by question id: XQuAD, XQuAD-R, MLQA, SQuAD."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from distributed_hbt.config.data import SquadSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example, Passage
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.records import Record, strict_json
from distributed_hbt.errors import DataError
from distributed_hbt.languages import language_code


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """A paragraph; `docid` is `<language>:<article>:<paragraph>`, `where` file:<article>/<paragraph>."""

    content: Record
    language: str
    docid: str
    where: str


def read(source: SquadSource) -> Iterator[Example | BadRow]:
    """An example per question, in its own language; the question id is the group.

    Articles count on over the files of a language, in sorted order. The title of an article is left
    out: in parallel data it is in English for every language. Raises DataError for a file that is no
    such document, and for one without `sentence_breaks` where sentences are asked for.
    """
    for language in source.languages:
        for paragraph in _paragraphs(source, language):
            if isinstance(paragraph, BadRow):
                yield paragraph
            else:
                yield from _examples(paragraph, source)


def _paragraphs(source: SquadSource, language: str) -> Iterator[_Paragraph | BadRow]:
    first, stop = source.article_range or (0, None)
    code = language_code(language)
    for position, where, article in _articles(source, language):
        if position < first or (stop is not None and position >= stop):
            continue
        try:
            paragraphs = fields.items(_object(article), "paragraphs")
        except RowFault as fault:
            yield BadRow(where, str(fault))
            continue
        for i, content in enumerate(paragraphs):
            try:
                yield _Paragraph(_object(content), code, f"{code}:{position}:{i}", f"{where}/{i}")
            except RowFault as fault:
                yield BadRow(f"{where}/{i}", str(fault))


def _articles(source: SquadSource, language: str) -> Iterator[tuple[int, str, Any]]:
    position = 0
    for path in files.expand(source.path.replace("{language}", language)):
        try:
            articles = fields.items(_object(strict_json(files.whole_text(path))), "data")
        except RowFault as fault:
            raise DataError(str(path), str(fault), "give a SQuAD-style JSON document") from fault
        for i, article in enumerate(articles):
            yield position, f"{path}:{i}", article
            position += 1


def _examples(paragraph: _Paragraph, source: SquadSource) -> Iterator[Example | BadRow]:
    form = source.passage
    if form != "paragraph" and "sentence_breaks" not in paragraph.content:
        remedy = "use passage: paragraph, or a file that has them (XQuAD-R, MLQA-R)"
        raise DataError(paragraph.where, "has no sentence_breaks", remedy)
    try:
        context = fields.text(paragraph.content, "context")
        breaks = [] if form == "paragraph" else _breaks(paragraph.content, len(context))
        questions = fields.items(paragraph.content, "qas")
    except RowFault as fault:
        yield BadRow(paragraph.where, str(fault))
        return
    for i, question in enumerate(questions):
        where = f"{paragraph.where}/{question.get('id', i) if isinstance(question, dict) else i}"
        try:
            yield _example(_object(question), paragraph, source, context, breaks, where)
        except RowFault as fault:
            yield BadRow(where, str(fault))


def _example(
    question: Record,
    paragraph: _Paragraph,
    source: SquadSource,
    context: str,
    breaks: list[tuple[int, int]],
    where: str,
) -> Example:
    answers = fields.items(question, "answers")
    if not answers:
        raise RowFault("the question has no answer")
    form = source.passage
    negatives: list[Passage] = []
    if form == "paragraph":
        positives = [Passage(paragraph.docid, "", context)]
    else:
        # Several annotators may have marked different sentences: each of them answers.
        chosen = dict.fromkeys(_sentence_of(answer, breaks) for answer in answers)
        positives = [_sentence(paragraph, i, context, breaks[i], form) for i in chosen]
        if source.negatives == "paragraph":
            others = (i for i in range(len(breaks)) if i not in chosen)
            negatives = [_sentence(paragraph, i, context, breaks[i], form) for i in others]
    return Example(
        group_id=fields.identifier(question, "id"),
        query=fields.text(question, "question"),
        query_language=paragraph.language,
        passage_language=paragraph.language,
        positives=tuple(positives),
        negatives=tuple(negatives),
        where=where,
    )


def _sentence_of(answer: object, breaks: list[tuple[int, int]]) -> int:
    start = fields.present(_object(answer), "answer_start")
    for i, (first, stop) in enumerate(breaks):
        if isinstance(start, int) and first <= start < stop:
            return i
    raise RowFault(f"answer_start {start!r} is in no sentence")


def _sentence(
    paragraph: _Paragraph, position: int, context: str, span: tuple[int, int], form: str
) -> Passage:
    """A sentence by its code points in the paragraph as it is: a U+FEFF at its start counts as one. The
    file's own `sentences` field is not used, as it differs from `sentence_breaks` in places."""
    sentence = fields.filled(context[slice(*span)], f"sentence {position}")
    text = sentence if form == "sentence" else f"{sentence} {context}"
    return Passage(f"{paragraph.docid}:{position}", "", text)


def _breaks(content: Record, length: int) -> list[tuple[int, int]]:
    found = []
    for item in fields.items(content, "sentence_breaks"):
        match item:
            case [int(first), int(stop)] if 0 <= first < stop <= length:
                found.append((first, stop))
            case _:
                raise RowFault(f"sentence_breaks holds {item!r}, no [start, end] within the paragraph")
    return found


def _object(value: object) -> Record:
    if not isinstance(value, dict):
        raise RowFault("is no JSON object")
    return value
