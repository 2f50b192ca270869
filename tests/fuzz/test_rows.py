"""Training rows of every format, damaged."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.corpus_files import write_lines
from tests.fuzz.cases import Target
from tests.fuzz.conftest import FuzzOf
from tests.fuzz.counts import cases
from tests.lareqa_files import write_lareqa

PAIR = {"query_language": "en", "passage_language": "de"}


def passages(*names: str) -> list[dict[str, Any]]:
    return [
        {"docid": name, "title": f"title {name}", "text": f"text of {name}", "score": 0.5} for name in names
    ]


def hbt_jsonl(folder: Path) -> dict[str, Any]:
    rows = [
        {"group_id": f"g{i}", "query": f"query {i}", "query_language": "en", "passage_language": "de"}
        | {"positive_passages": passages(f"p{i}"), "negative_passages": passages(f"n{i}", f"m{i}")}
        for i in range(6)
    ]
    return {"path": str(write_lines(folder / "rows.jsonl.gz", *rows))}


def tevatron(folder: Path) -> dict[str, Any]:
    rows = [
        {
            "query_id": str(i),
            "query": f"q {i}",
            "positive_passages": passages("a"),
            "negative_passages": passages("b"),
        }
        for i in range(6)
    ]
    return {"path": str(write_lines(folder / "rows.jsonl", *rows)), **PAIR}


def tevatron_v2(folder: Path) -> dict[str, Any]:
    rows = [
        {
            "query_id": str(i),
            "query_text": f"q {i}",
            "positive_document_ids": ["a", 2],
            "negative_document_ids": ["c"],
        }
        for i in range(6)
    ]
    corpus = [{"docid": name, "text": f"text {name}", "title": "t"} for name in ("a", "2", "c")]
    path, texts = write_lines(folder / "rows.jsonl", *rows), write_lines(folder / "corpus.jsonl.gz", *corpus)
    return {"path": str(path), "corpus": str(texts), **PAIR}


def miracl(folder: Path) -> dict[str, Any]:
    topics = write_lines(folder / "topics.tsv", *(f"{i}#0\tquestion {i}\n" for i in range(5)))
    qrels = write_lines(
        folder / "qrels.tsv", *(f"{i}#0\tQ0\td#{j}\t{int(i == j)}\n" for i in range(5) for j in (i, 4))
    )
    corpus = write_lines(
        folder / "docs-0.jsonl.gz", *({"docid": f"d#{i}", "title": "", "text": f"text {i}"} for i in range(5))
    )
    return {"topics": str(topics), "qrels": str(qrels), "corpus": str(corpus), "language": "en"}


def flagembedding(folder: Path) -> dict[str, Any]:
    rows = [{"query": f"q{i}", "pos": ["a"], "neg": ["b", "c"], "neg_scores": [1, 2.5]} for i in range(6)]
    return {"path": str(write_lines(folder / "rows.jsonl", *rows)), **PAIR}


def beir(folder: Path) -> dict[str, Any]:
    write_lines(
        folder / "corpus.jsonl.gz", *({"_id": f"d{i}", "title": "T", "text": f"t {i}"} for i in range(5))
    )
    write_lines(folder / "queries.jsonl", *({"_id": f"q{i}", "text": f"question {i}"} for i in range(5)))
    lines = [f"q{i}\td{i}\t1\n" for i in range(5)]
    write_lines(folder / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore\n", *lines)
    return {"path": str(folder), **PAIR}


def columns_csv(folder: Path) -> dict[str, Any]:
    rows = [
        "anchor,positive,negative\n",
        *(f'q{i},"a ""quoted"" text, {i}","two\nlines {i}"\n' for i in range(6)),
    ]
    return {"format": "columns", "path": str(write_lines(folder / "rows.csv", *rows)), **PAIR}


def columns_parquet(folder: Path) -> dict[str, Any]:
    import pandas as pd

    rows = pd.DataFrame({"anchor": [f"q{i}" for i in range(6)], "positive": [f"p{i}" for i in range(6)]})
    rows.to_parquet(folder / "rows.parquet")
    return {"format": "columns", "path": str(folder / "rows.parquet"), **PAIR}


def squad(folder: Path) -> dict[str, Any]:
    write_lareqa(folder, ("en", "de"), articles=2)
    settings = {"languages": ["en", "de"], "passage": "sentence", "negatives": "paragraph"}
    return {"path": f"{folder}/{{language}}.json", **settings}


def afriqa(folder: Path) -> dict[str, Any]:
    rows = [
        {
            "context": f"He died in {i}.",
            "id": str(i),
            "question_lang": "Bafwile mwaka nshi?",
            "title": "Kapwepwe",
        }
        | {"question_translated": "When did he die?", "answer_lang": "1980"}
        for i in range(6)
    ]
    path = write_lines(folder / "gold.bem.en.train.json", *rows)
    return {"path": str(path), "languages": ["bem"], "translated_questions": True}


def mmarco(folder: Path) -> dict[str, Any]:
    for language in ("english", "german"):
        write_lines(folder / f"{language}_q.tsv", *(f"{i}\tquery {i} {language}\n" for i in (1, 2)))
        write_lines(folder / f"{language}_c.tsv", *(f"{i}\tpassage {i} {language}\n" for i in range(10, 15)))
    triples = write_lines(folder / "triples.tsv", "1\t10\t11\n1\t10\t12\n2\t13\t11\n1\t10\t14\n1\t12\t14\n")
    texts = {"queries": f"{folder}/{{language}}_q.tsv", "collection": f"{folder}/{{language}}_c.tsv"}
    return {"triples": str(triples), **texts, "languages": ["english", "german"]}


def parallel(folder: Path) -> dict[str, Any]:
    english = write_lines(folder / "en.txt", *(f"line {i}\n" for i in range(6)))
    german = write_lines(folder / "de.txt.gz", *(f"Zeile {i}\n" for i in range(6)))
    return {"paths": {"en": str(english), "de": str(german)}}


FORMATS = {
    made.__name__: made
    for made in (
        *(hbt_jsonl, tevatron, tevatron_v2, miracl, flagembedding, beir, columns_csv, columns_parquet),
        *(squad, afriqa, mmarco, parallel),
    )
}


def run_file(folder: Path, source: dict[str, Any]) -> Path:
    content = {
        "name": "fuzzed",
        "output_dir": str(folder / "runs"),
        "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 400}}},
        "data": {"sources": [source], "max_bad_share": 0.5},
    }
    path = folder / "run.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")  # which is YAML too
    return path


@pytest.mark.parametrize("name", FORMATS)
@cases(2, 90)
def test_a_damaged_source(fuzzed: FuzzOf, tmp_path: Path, name: str, first: int, stop: int) -> None:
    """A traceback, or a converted file that lacks what came after the damage."""
    folder = tmp_path / "data"
    folder.mkdir()
    source = {"format": name, **FORMATS[name](folder)}
    files = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    run = str(run_file(tmp_path, source))

    def convert(out: Path) -> list[str]:
        return ["data", "convert", run, "--out", str(out / "rows.jsonl")]

    target = Target(f"rows, {name}", files, convert, lambda out: (out / "rows.jsonl").exists())
    middle = (first + stop) // 2
    fuzzed(target, range(first, middle))
    fuzzed(Target(f"rows, {name}", files, lambda out: ["data", "check", run, "--json"]), range(middle, stop))
