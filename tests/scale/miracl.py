"""A corpus in MIRACL's own files around MIRACL's real topics and qrels.

Every judged passage is there, with a text that shares words with the topics that it is relevant to, among
as many generated distractors as a test asks for.
"""

import gzip
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

ROWS_A_FILE = 50_000
_LETTERS = "abdefghijklmnoprstuwy"


def write_language(root: Path, data: Path, language: str, distractors: int, seed: int = 1) -> int:
    """Topics, qrels and corpus of one language below `root`; the number of passages written."""
    for kind in ("topics", "qrels"):
        name = f"{kind}.miracl-v1.0-{language}-dev.tsv.gz"
        (root / kind).mkdir(parents=True, exist_ok=True)
        (root / kind / name).write_bytes((data / name).read_bytes())
    folder = root / "corpus" / language
    folder.mkdir(parents=True)
    rows = _rows(data, language, distractors, random.Random(f"{seed} {language}"))
    count = file_number = 0
    while chunk := list(_take(rows, ROWS_A_FILE)):
        with gzip.open(
            folder / f"docs-{file_number}.jsonl.gz", "wt", compresslevel=1, encoding="utf-8"
        ) as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in chunk)
        count += len(chunk)
        file_number += 1
    return count


def read_topics(data: Path, language: str) -> dict[str, str]:
    """query_id -> text, by plain reading."""
    lines = _lines(data / f"topics.miracl-v1.0-{language}-dev.tsv.gz")
    return dict(line.split("\t", 1) for line in lines)  # type: ignore[misc]


def read_judgments(data: Path, language: str) -> dict[str, dict[str, int]]:
    """query_id -> doc_id -> relevance, by plain reading."""
    judgments: dict[str, dict[str, int]] = {}
    for line in _lines(data / f"qrels.miracl-v1.0-{language}-dev.tsv.gz"):
        query_id, _, doc_id, relevance = line.split()
        judgments.setdefault(query_id, {})[doc_id] = int(relevance)
    return judgments


def _rows(data: Path, language: str, distractors: int, rng: random.Random) -> Iterator[dict[str, str]]:
    """The judged passages strewn evenly among the distractors."""
    topics, judgments = read_topics(data, language), read_judgments(data, language)
    wanted: dict[str, list[str]] = {}
    for query_id, of_query in judgments.items():
        for doc_id, relevance in of_query.items():
            wanted.setdefault(doc_id, []).extend(topics[query_id].split() if relevance else [])
    vocabulary = sorted({word for text in topics.values() for word in text.split()})
    vocabulary += ["".join(rng.choices(_LETTERS, k=rng.randint(3, 9))) for _ in range(2_000)]
    judged = list(wanted.items())
    rng.shuffle(judged)
    total = len(judged) + distractors
    for i in range(total):
        if rng.random() < len(judged) / (total - i):
            doc_id, words = judged.pop()
            shared = rng.sample(words, min(len(words), 4))
            yield _row(doc_id, [*shared, *rng.choices(vocabulary, k=4)], rng)
        else:
            yield _row(f"g{i}#0", rng.choices(vocabulary, k=rng.randint(3, 12)), rng)


def _row(doc_id: str, words: list[str], rng: random.Random) -> dict[str, str]:
    rng.shuffle(words)
    return {"docid": doc_id, "title": words[0], "text": " ".join(words[1:])}


def _take(rows: Iterator[dict[str, str]], count: int) -> Iterator[dict[str, str]]:
    return itertools.islice(rows, count)


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if line.strip()]
