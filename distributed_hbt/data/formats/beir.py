"""A BEIR folder: corpus.jsonl, queries.jsonl and qrels/<split>.tsv."""

from collections.abc import Iterator

from distributed_hbt.config.data import BeirSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.formats.corpus import corpus_entries
from distributed_hbt.data.formats.judgments import Judged, beir_line, judged_examples, read_judgments
from distributed_hbt.languages import language_code


def read(source: BeirSource) -> Iterator[Example | BadRow]:
    """Each file may be .gz. Only the queries that the split judges are read as examples."""
    judgments: dict[str, Judged] = {}
    qrels = source.qrels or files.member(source.path, f"qrels/{source.split}.tsv")
    yield from read_judgments(files.expand(qrels), beir_line, judgments)
    queries = corpus_entries(files.expand(files.member(source.path, "queries.jsonl")), "_id")
    corpus = corpus_entries(files.expand(files.member(source.path, "corpus.jsonl")), "_id")
    languages = language_code(source.query_language), language_code(source.passage_language)
    yield from judged_examples(judgments, queries, corpus, languages)
