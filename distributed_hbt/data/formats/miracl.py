"""MIRACL's raw files: topics, qrels and docs-*.jsonl.gz of one language."""

from collections.abc import Iterator

from distributed_hbt.config.data import MiraclSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.formats.corpus import corpus_entries, table_entries
from distributed_hbt.data.formats.judgments import Judged, judged_examples, read_judgments, trec_line
from distributed_hbt.languages import language_code


def read(source: MiraclSource) -> Iterator[Example | BadRow]:
    """Topics `qid<TAB>query`, qrels `qid Q0 docid relevance`, documents {docid, title, text}.

    Passages judged not relevant are the query's hard negatives.
    """
    judgments: dict[str, Judged] = {}
    yield from read_judgments(files.expand(source.qrels), trec_line, judgments)
    topics = table_entries(files.expand(source.topics))
    corpus = corpus_entries(files.expand(source.corpus), "docid")
    code = language_code(source.language)
    yield from judged_examples(judgments, topics, corpus, (code, code))
