"""A tiny benchmark in LAReQA's files, for tests on generated data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SENTENCES = 4
"""Of a paragraph; each answers one question."""


def write_lareqa(root: Path, languages: Sequence[str], articles: int = 3) -> dict[str, Any]:
    """Write `<root>/<language>.json`; the benchmark of it, as a run file names it."""
    root.mkdir(parents=True, exist_ok=True)
    for language in languages:
        data = [{"title": "t", "paragraphs": [_paragraph(language, n)]} for n in range(articles)]
        (root / f"{language}.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    return {"name": "lareqa", "label": "tiny", "root": str(root), "languages": list(languages)}


def _paragraph(language: str, number: int) -> dict[str, Any]:
    sentences = [f"{language} fact {number} {k}." for k in range(SENTENCES)]
    context = " ".join(sentences)
    starts = [context.index(sentence) for sentence in sentences]
    breaks = [[start, start + len(text)] for start, text in zip(starts, sentences, strict=True)]
    questions = [
        {"id": f"q{number}-{k}", "question": f"fact {number} {k} ?", "answers": [_answer(start)]}
        for k, start in enumerate(starts)
    ]
    return {"context": context, "sentence_breaks": breaks, "sentences": sentences, "qas": questions}


def _answer(start: int) -> dict[str, Any]:
    return {"answer_start": start, "text": "x"}
