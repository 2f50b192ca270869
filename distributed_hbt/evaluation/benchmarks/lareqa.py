"""LAReQA's files, XQuAD-R and MLQA-R (Roy et al. 2020, arXiv 2004.05484).

A file is SQuAD's JSON with `sentence_breaks` beside each paragraph: half-open [start, end) code point
positions of its sentences. A candidate is one sentence, known by its position, because texts repeat.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distributed_hbt.data.files import LONGEST_DOCUMENT
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.benchmarks.collection import Collection, Entry

Candidate = Literal["sentence", "sentence_with_context"]

_REMEDY = "give the file as LAReQA publishes it"


@dataclass(frozen=True, slots=True)
class _Question:
    id: str
    text: str
    doc_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Language:
    questions: tuple[_Question, ...]
    candidates: tuple[Entry, ...]


def load_lareqa(
    root: Path,
    languages: Sequence[str],
    *,
    article_range: tuple[int, int] | None = None,
    candidate: Candidate = "sentence",
) -> Collection:
    """Questions and candidate sentences of `<root>/<language>.json[.gz]`.

    Ids are `<language>:<question id>` and `<language>:<article>:<paragraph>:<sentence>`, positions from 0
    in the whole file, also under `article_range` (half open, on questions and candidates alike). The
    sentence with start <= answer_start < end is relevant, in every language that asks the question.
    Raises DataError, naming file and place, for a file that is missing or not of this form, an answer
    outside all sentences, a range without questions, and a language named twice.
    """
    for language in languages:
        if list(languages).count(language) > 1:
            raise DataError(str(root), f"language {language!r} is named twice", "name each language once")
    parts = {language: _read_language(root, language, article_range, candidate) for language in languages}
    answers: dict[str, dict[str, int]] = {}
    for part in parts.values():
        for question in part.questions:
            answers.setdefault(question.id, {}).update(dict.fromkeys(sorted(question.doc_ids), 1))
    return Collection(
        languages=tuple(languages),
        queries={
            language: tuple(Entry(f"{language}:{question.id}", question.text) for question in part.questions)
            for language, part in parts.items()
        },
        candidates={language: part.candidates for language, part in parts.items()},
        qrels={
            f"{language}:{question.id}": answers[question.id]
            for language, part in parts.items()
            for question in part.questions
        },
    )


def _read_language(
    root: Path, language: str, article_range: tuple[int, int] | None, candidate: Candidate
) -> _Language:
    path = _file_of(root, language)
    questions: dict[str, _Question] = {}
    candidates: list[Entry] = []
    for article, paragraph, content in _paragraphs(path, article_range):
        place = f"{path}: article {article}, paragraph {paragraph}"
        breaks = _breaks(content, place)
        context: str = content["context"]
        prefix = f"{language}:{article}:{paragraph}"
        for i, (start, end) in enumerate(breaks):
            sentence = context[start:end]
            text = sentence if candidate == "sentence" else f"{sentence} {context}"
            candidates.append(Entry(f"{prefix}:{i}", text))
        for question in _questions(content, breaks, prefix, place):
            if question.id in questions:
                raise DataError(place, f"question id {question.id} occurs before in this file", _REMEDY)
            questions[question.id] = question
    if not questions:
        chosen = "the file" if article_range is None else f"article_range {list(article_range)}"
        raise DataError(str(path), f"no question in {chosen}", "choose a range within the file's articles")
    return _Language(tuple(questions.values()), tuple(candidates))


def _file_of(root: Path, language: str) -> Path:
    for name in (f"{language}.json", f"{language}.json.gz"):
        if (root / name).is_file():
            return root / name
    raise DataError(
        str(root / f"{language}.json"),
        "neither this file nor its .gz is there",
        "check root and languages of the benchmark",
    )


def _read_json(path: Path) -> Any:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(LONGEST_DOCUMENT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(str(path), f"can not be read ({error})", "copy the file again") from error
    if len(content) > LONGEST_DOCUMENT:
        raise DataError(str(path), f"is longer than {LONGEST_DOCUMENT} bytes", _REMEDY)
    try:
        return json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(str(path), f"is not UTF-8 at byte {error.start}", _REMEDY) from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}", f"is not JSON ({error.msg})", _REMEDY) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or endless nesting
        raise DataError(str(path), f"is not JSON ({error})", _REMEDY) from error


def _paragraphs(
    path: Path, article_range: tuple[int, int] | None
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    articles = _field(_read_json(path), "data", list, str(path))
    first, stop = article_range or (0, len(articles))
    for i, article in enumerate(articles[first:stop], start=first):
        for j, paragraph in enumerate(_field(article, "paragraphs", list, f"{path}: article {i}")):
            yield i, j, paragraph


def _breaks(paragraph: Any, place: str) -> list[tuple[int, int]]:
    length = len(_field(paragraph, "context", str, place))
    breaks = []
    for pair in _field(paragraph, "sentence_breaks", list, place):
        match pair:
            case [int(start), int(end)] if 0 <= start < end <= length:
                breaks.append((start, end))
            case _:
                what = f"sentence_breaks holds {pair!r}, no span of the {length} code points of context"
                raise DataError(place, what, _REMEDY)
    return breaks


def _questions(paragraph: Any, breaks: list[tuple[int, int]], prefix: str, place: str) -> Iterator[_Question]:
    for qa in _field(paragraph, "qas", list, place):
        identity = _field(qa, "id", str, place)
        where = f"{place}, question {identity}"
        if not identity or any(character.isspace() for character in identity):
            raise DataError(where, "the id is empty or holds a space", "run files need ids without spaces")
        text = _field(qa, "question", str, where)
        starts = [_field(answer, "answer_start", int, where) for answer in _field(qa, "answers", list, where)]
        if not starts:
            raise DataError(where, "has no answer", _REMEDY)
        found = frozenset(f"{prefix}:{_sentence_at(start, breaks, where)}" for start in starts)
        yield _Question(identity, text, found)


def _sentence_at(position: int, breaks: list[tuple[int, int]], where: str) -> int:
    for i, (start, end) in enumerate(breaks):
        if start <= position < end:
            return i
    raise DataError(where, f"answer_start {position} is in no sentence", _REMEDY)


def _field(content: Any, key: str, kind: type, where: str) -> Any:
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, kind):
        raise DataError(where, f"{key!r} is missing or no {kind.__name__}", _REMEDY)
    return value
