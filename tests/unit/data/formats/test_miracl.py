"""MIRACL's raw files."""

import gzip
from pathlib import Path
from typing import Any

from distributed_hbt.data.example import BadRow, Example, Passage


def test_judged_topics_become_examples(write: Any, read: Any, tmp_path: Path) -> None:
    """A passage judged 0 was a positive, ids with # were cut, or a shard of the corpus was skipped."""
    topics = write("topics.tsv", "5#0\tWho?\n7\tWhere?\n8\tnot judged\n")
    qrels = write("qrels.tsv", "5#0\tQ0\td#1\t1\n5#0\tQ0\td#2\t0\n7 Q0 d#3 1\n5#0\tQ0\td#3\t1\n")
    write("corpus/docs-0.jsonl.gz", {"docid": "d#1", "title": "T", "text": "one"})
    write(
        "corpus/docs-1.jsonl.gz",
        {"docid": "d#3", "title": "", "text": "three"},
        {"docid": "d#2", "title": "", "text": "two"},
        {"docid": "d#9", "title": "", "text": ""},
    )
    rows = read(
        format="miracl",
        topics=topics,
        qrels=qrels,
        corpus=f"{tmp_path}/corpus/docs-*.jsonl.gz",
        language="fas",
    )
    one, two, three = Passage("d#1", "T", "one"), Passage("d#2", "", "two"), Passage("d#3", "", "three")
    assert rows == [
        Example("5#0", "Who?", "fa", "fa", (one, three), (two,), f"{qrels}:1"),
        Example("7", "Where?", "fa", "fa", (three,), (), f"{qrels}:3"),
    ]


def test_faults_name_the_line_of_the_judgment(write: Any, read: Any) -> None:
    """A query without a topic, a positive or a passage was dropped in silence."""
    topics = write("topics.tsv", "1\tone\n2\ttwo\n3\n4\t \n1\tagain\n")
    qrels = write("qrels.tsv", "1 Q0 a 0\n2 Q0 gone 1\n3 Q0 a 1\n4 Q0 a 1\n1 Q0 a\n1 Q0 a yes\n")
    corpus = write("docs-0.jsonl", {"docid": "a", "title": "", "text": "A"})
    assert read(format="miracl", topics=topics, qrels=qrels, corpus=corpus, language="en") == [
        BadRow(f"{qrels}:5", "has 3 columns, not the 4 of TREC qrels"),
        BadRow(f"{qrels}:6", "relevance 'yes' is no whole number"),
        BadRow(f"{topics}:3", "has 1 tab-separated columns, not 2"),
        BadRow(f"{topics}:5", "query id '1' comes twice"),
        BadRow(f"{qrels}:1", "query '1' has no positive passage"),
        BadRow(f"{qrels}:2", "passage 'gone' is not in the corpus"),
        BadRow(f"{qrels}:3", "query '3' is judged but not among the queries"),
        BadRow(f"{qrels}:4", "the text of query '4' is empty"),
    ]


def test_real_topics_judgments_and_passages_are_read(write: Any, read: Any, shared_data: Path) -> None:
    """The published files differ from the form that the reader expects."""
    dev = shared_data / "miracl-dev"
    corpus = shared_data / "miracl-passage-samples" / "miracl-corpus-v1.0-ko.sample.jsonl.gz"
    real = {"topics": str(dev / "topics.miracl-v1.0-ko-dev.tsv.gz"), "corpus": str(corpus), "language": "ko"}
    lacking = read(format="miracl", qrels=str(dev / "qrels.miracl-v1.0-ko-dev.tsv.gz"), **real)
    assert len(lacking) == 213
    assert lacking[0].reason == "passage '317339#6' is not in the corpus"
    (example,) = read(format="miracl", qrels=write("qrels.tsv", "4\tQ0\t5#9\t1\n4\tQ0\t5#0\t0\n"), **real)
    assert example.query == "룩셈부르크의 수도는 어디인가?"
    assert [(p.docid, p.title, p.text[:8]) for p in example.positives] == [
        ("5#9", "지미 카터", "퇴임 이후 민간")
    ]
    assert [p.docid for p in example.negatives] == ["5#0"]


def test_every_real_topic_has_a_judged_passage(write: Any, read: Any, shared_data: Path) -> None:
    """Judgments of a language with ids such as 81674#0 did not meet their topics."""
    qrels = shared_data / "miracl-dev" / "qrels.miracl-v1.0-en-dev.tsv.gz"
    with gzip.open(qrels, "rt", encoding="utf-8") as file:
        judged = dict.fromkeys(line.split("\t")[2] for line in file)
    corpus = write("docs.jsonl", *({"docid": d, "title": "", "text": f"text of {d}"} for d in judged))
    topics = str(shared_data / "miracl-dev" / "topics.miracl-v1.0-en-dev.tsv.gz")
    rows = read(format="miracl", qrels=str(qrels), topics=topics, corpus=corpus, language="en")
    assert len(rows) == 799
    assert sum(len(row.positives) for row in rows) == 2326
    assert sum(len(row.negatives) for row in rows) == 6024
