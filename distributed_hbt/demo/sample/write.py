"""Writes the sample as files: training rows, and held-out facts as a retrieval benchmark."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from distributed_hbt.demo.sample.facts import Fact, load_facts, split
from distributed_hbt.demo.sample.render import VARIANTS, AnswerSentence, answer, question
from distributed_hbt.demo.sample.tables import LANGUAGES

SPLIT_SEED = 13
FACTS_PER_PARAGRAPH = 5


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """Where the sample lies, and how large it is."""

    train: Path
    """JSON lines in the native form (`hbt_jsonl`)."""
    held_out: Path
    """Folder of `<language>.json` in LAReQA's form (`xquad_r`)."""
    languages: tuple[str, ...]
    num_train_facts: int
    num_held_out_facts: int


def write_sample(folder: Path) -> SampleFiles:
    """Writes `train.jsonl` and `held_out/<language>.json` into `folder`; files that are right stay untouched.

    The bytes are the same in every call. Each file is written aside and renamed, so that a reader never
    sees a part of it.
    """
    train, held_out = split(load_facts(), SPLIT_SEED)
    files = SampleFiles(folder / "train.jsonl", folder / "held_out", LANGUAGES, len(train), len(held_out))
    files.held_out.mkdir(parents=True, exist_ok=True)
    _write(files.train, "".join(_json(row) + "\n" for row in training_rows(train)))
    for language in LANGUAGES:
        _write(files.held_out / f"{language}.json", _json(benchmark(held_out, language)) + "\n")
    return files


def training_rows(facts: Iterable[Fact]) -> Iterator[dict[str, object]]:
    """One row per fact and language; a fact's rows share its id as `group_id`."""
    for fact in facts:
        for language in LANGUAGES:
            passage = {"docid": f"{fact.id}-{language}", "title": "", "text": _answer(fact, language).text}
            yield {
                "group_id": fact.id,
                "query": _question(fact, language),
                "query_language": language,
                "passage_language": language,
                "positive_passages": [passage],
                "negative_passages": [],
            }


def benchmark(facts: Iterable[Fact], language: str) -> dict[str, object]:
    """The facts as LAReQA articles: one a relation, its paragraphs a few answer sentences each.

    Questions have the same id, and sentences the same position, in every language.
    """
    articles = []
    for relation, of_relation in groupby(facts, key=lambda fact: fact.relation):
        group = list(of_relation)
        parts = [group[i : i + FACTS_PER_PARAGRAPH] for i in range(0, len(group), FACTS_PER_PARAGRAPH)]
        articles.append({"title": relation, "paragraphs": [_paragraph(part, language) for part in parts]})
    return {"version": "1", "data": articles}


def _paragraph(facts: list[Fact], language: str) -> dict[str, object]:
    sentences = [_answer(fact, language) for fact in facts]
    breaks: list[list[int]] = []
    questions = []
    start = 0
    for fact, sentence in zip(facts, sentences, strict=True):
        breaks.append([start, start + len(sentence.text)])
        text = sentence.text[sentence.object_start : sentence.object_end]
        answers = [{"answer_start": start + sentence.object_start, "text": text}]
        questions.append({"id": fact.id, "question": _question(fact, language), "answers": answers})
        start += len(sentence.text) + 1
    texts = [sentence.text for sentence in sentences]
    return {"context": " ".join(texts), "sentences": texts, "sentence_breaks": breaks, "qas": questions}


def _question(fact: Fact, language: str) -> str:
    return question(fact, language, _variant("question", fact, language))


def _answer(fact: Fact, language: str) -> AnswerSentence:
    return answer(fact, language, _variant("answer", fact, language))


def _variant(kind: str, fact: Fact, language: str) -> int:
    # A hash of the three, so that wording varies between facts and between the languages of a fact.
    return hashlib.sha256(f"{kind}:{fact.id}:{language}".encode()).digest()[0] % VARIANTS + 1


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write(path: Path, text: str) -> None:
    content = text.encode()
    if path.is_file() and path.read_bytes() == content:
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as aside:
        aside.write(content)
        aside.flush()
        os.fsync(aside.fileno())
    Path(aside.name).chmod(0o644)
    Path(aside.name).replace(path)
