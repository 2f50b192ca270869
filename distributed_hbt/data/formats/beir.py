"""A BEIR folder: corpus.jsonl, queries.jsonl and qrels/<split>.tsv."""

from collections.abc import Iterator

from distributed_hbt.config.data import BeirSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.formats.corpus import corpus_entries
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.judgments import (
    Judged,
    JudgmentLine,
    judged_examples,
    read_judgments,
    relevance,
)
from distributed_hbt.languages import language_code


def read(source: BeirSource) -> Iterator[Example | BadRow]:
    """Each file may be .gz. Only the queries that the split judges are read as examples."""
    judgments: dict[str, Judged] = {}
    qrels = source.qrels or files.member(source.path, f"qrels/{source.split}.tsv")
    yield from read_judgments(files.expand(qrels), _beir_line, judgments)
    queries = corpus_entries(files.expand(files.member(source.path, "queries.jsonl")), "_id")
    corpus = corpus_entries(files.expand(files.member(source.path, "corpus.jsonl")), "_id")
    languages = language_code(source.query_language), language_code(source.passage_language)
    yield from judged_examples(judgments, queries, corpus, languages)


def _beir_line(line: str) -> JudgmentLine | None:
    columns = line.split("\t")
    if len(columns) != 3:
        raise RowFault(f"has {len(columns)} tab-separated columns, not 3 (query-id, corpus-id, score)")
    if columns[2].strip() == "score":
        return None
    return columns[0], columns[1], relevance(columns[2])
