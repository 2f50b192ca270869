"""Queries and judgments: what is read, what is refused and where."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from distributed_hbt.config.evaluation import BeirBenchmark, MiraclBenchmark
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.benchmarks.collection import Entry
from distributed_hbt.evaluation.benchmarks.judged import JudgedCorpus, check_judgments, load_judged
from distributed_hbt.evaluation.corpus.survey import FileSurvey, read_survey, survey_file
from tests.corpus_files import Row, passage, write_lines

TOPICS = "topics/topics.miracl-v1.0-sw-dev.tsv"
QRELS = "qrels/qrels.miracl-v1.0-sw-dev.tsv"
GOOD_TOPICS = "6\tBandari kubwa?\n8#0\tJe,\tmji?\n"
GOOD_QRELS = "8#0\tQ0\ta#1\t1\n6\tQ0\ta#2\t2\n6 Q0 b 0\n"
PASSAGES = [passage("a#1"), passage("a#2"), passage("b")]

Load = Callable[..., JudgedCorpus]


def surveys(judged: JudgedCorpus, folder: Path) -> Sequence[FileSurvey]:
    found = []
    for file in judged.corpus:
        survey_file(file, folder / f"{file.path.name}.npz", max_characters=99)
        survey = read_survey(file, folder / f"{file.path.name}.npz")
        assert survey is not None
        found.append(survey)
    return found


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """load(topics, qrels, incomplete=...): one language in MIRACL's files."""

    def load_language(
        topics: Row = GOOD_TOPICS, qrels: Row = GOOD_QRELS, *, incomplete: bool = False
    ) -> JudgedCorpus:
        write_lines(tmp_path / TOPICS, topics)
        write_lines(tmp_path / QRELS, qrels)
        write_lines(tmp_path / "corpus/sw/docs-0.jsonl.gz", *PASSAGES)
        benchmark = MiraclBenchmark(
            name="miracl", root=str(tmp_path), languages=("sw",), incomplete=incomplete
        )
        (judged,) = load_judged(benchmark)
        return judged

    return load_language


def test_topics_and_judgments_are_read_as_they_are(load: Load, tmp_path: Path) -> None:
    """Ids made numbers or cut at #, judgments of 0 dropped, topics in the order of the judgments."""
    judged = load()
    assert judged.task == "sw"
    assert judged.queries == (Entry("6", "Bandari kubwa?"), Entry("8#0", "Je,\tmji?"))
    assert judged.qrels == {"6": {"a#2": 2, "b": 0}, "8#0": {"a#1": 1}}
    assert judged.judged_at == {
        ("8#0", "a#1"): f"{tmp_path}/{QRELS}:1",
        ("6", "a#2"): f"{tmp_path}/{QRELS}:2",
        ("6", "b"): f"{tmp_path}/{QRELS}:3",
    }
    (file,) = judged.corpus
    assert (file.id_field, file.blank_passages) == ("docid", "refuse")


def test_the_same_judgment_twice_is_one(load: Load) -> None:
    """A harmless repetition that ends an evaluation, or that counts twice."""
    assert load(qrels=GOOD_QRELS + "6 Q0 b 0\n").qrels["6"] == {"a#2": 2, "b": 0}


@pytest.mark.parametrize(
    ("topics", "qrels", "place", "fault"),
    [
        (GOOD_TOPICS + "6\tagain\n", GOOD_QRELS, f"{TOPICS}:3", "query id '6' stands at {root}/" + TOPICS),
        (GOOD_TOPICS + "9 no tab\n", GOOD_QRELS, f"{TOPICS}:3", "has 1 tab-separated columns, not 2"),
        (GOOD_TOPICS + "9\t \n", GOOD_QRELS, f"{TOPICS}:3", "query '9' is empty"),
        (GOOD_TOPICS + "9 9\tx\n", GOOD_QRELS, f"{TOPICS}:3", "query id '9 9' holds white space"),
        (b"9\t\xff\n", GOOD_QRELS, f"{TOPICS}:1", "is not valid UTF-8"),
        (GOOD_TOPICS + "\n9\tx\n", GOOD_QRELS, f"{TOPICS}:4", "the topic has no judgments"),
        (
            GOOD_TOPICS,
            GOOD_QRELS + "6 Q0 b 1\n",
            f"{QRELS}:4",
            "query '6' and document 'b' have relevance 1,",
        ),
        (GOOD_TOPICS, GOOD_QRELS + "6 Q0 c\n", f"{QRELS}:4", "has 3 columns, not the 4 of TREC qrels"),
        (GOOD_TOPICS, GOOD_QRELS + "6 Q0 c d 1\n", f"{QRELS}:4", "has 5 columns, not the 4 of TREC qrels"),
        (GOOD_TOPICS, GOOD_QRELS + "6 Q0 c yes\n", f"{QRELS}:4", "relevance 'yes' is no whole number"),
        (GOOD_TOPICS, b"6 Q0 \xff 1\n", f"{QRELS}:1", "is not valid UTF-8"),
        (GOOD_TOPICS, GOOD_QRELS + "7 Q0 b 1\n", f"{QRELS}:4", "the judged query is not in {root}/" + TOPICS),
    ],
)
def test_a_fault_is_named_by_its_line(
    load: Load, tmp_path: Path, topics: Row, qrels: Row, place: str, fault: str
) -> None:
    """A line that is skipped, or that ends in a traceback without its place."""
    with pytest.raises(DataError) as error:
        load(topics, qrels)
    assert str(error.value).startswith(f"{tmp_path}/{place}: {fault.replace('{root}', str(tmp_path))}")


def test_both_places_of_a_contradiction_are_named(load: Load, tmp_path: Path) -> None:
    """A contradiction that the user has to search for."""
    with pytest.raises(DataError) as error:
        load(qrels=GOOD_QRELS + "6 Q0 b 1\n")
    assert f"but 0 at {tmp_path}/{QRELS}:3; " in str(error.value)


def test_an_incomplete_benchmark_leaves_out_and_counts(
    load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Topics without judgments measured as failures, or left out without a word."""
    with caplog.at_level(logging.WARNING):
        judged = load(
            GOOD_TOPICS + "9\tx\n10\ty\n", GOOD_QRELS + "7 Q0 b 1\n7 Q0 a#1 1\n77 Q0 b 0\n", incomplete=True
        )
    assert [query.id for query in judged.queries] == ["6", "8#0"]
    assert judged.qrels.keys() == {"6", "8#0"}
    assert {query_id for query_id, _ in judged.judged_at} == {"6", "8#0"}
    topics, qrels = (record.getMessage() for record in caplog.records)
    assert topics == f"{tmp_path}/{TOPICS}:3: the topic has no judgments; 2 such lines are left out"
    assert qrels.startswith(f"{tmp_path}/{QRELS}:4: the judged query is not in ")
    assert qrels.endswith("; 3 such lines are left out")


def test_judgments_of_other_queries_are_refused(load: Load, tmp_path: Path) -> None:
    """Topics of one split with the qrels of another: a mean over no query at all."""
    with pytest.raises(DataError, match=r"judges none of its queries; check the split"):
        load(qrels="x Q0 a#1 1\n", incomplete=True)


class TestDocuments:
    """Judged documents and those of the corpus."""

    def test_known_ones_pass(self, load: Load, tmp_path: Path) -> None:
        """Ids that are there and are not found, as with # in them."""
        judged = load()
        for incomplete in (False, True):
            assert check_judgments(judged, surveys(judged, tmp_path), incomplete=incomplete) == frozenset()

    def test_an_unknown_one_is_refused_by_the_line_of_its_judgment(self, load: Load, tmp_path: Path) -> None:
        """A corpus of which a part is missing: recall measured too low, without a word."""
        judged = load(qrels=GOOD_QRELS + "6 Q0 gone#0 1\n8#0 Q0 gone#1 0\n")
        with pytest.raises(DataError) as error:
            check_judgments(judged, surveys(judged, tmp_path), incomplete=False)
        assert str(error.value).startswith(f"{tmp_path}/{QRELS}:4: document 'gone#0' is judged")
        assert "incomplete: true" in str(error.value)

    def test_unknown_ones_are_counted_where_that_is_accepted(
        self, load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A sample of a corpus that can not be evaluated, or whose gaps nobody is told of."""
        judged = load(qrels=GOOD_QRELS + "6 Q0 gone#0 1\n8#0 Q0 gone#0 0\n8#0 Q0 gone#1 0\n", incomplete=True)
        with caplog.at_level(logging.WARNING):
            unknown = check_judgments(judged, surveys(judged, tmp_path), incomplete=True)
        assert unknown == {"gone#0", "gone#1"}
        (warning,) = (record.getMessage() for record in caplog.records)
        assert warning.startswith(f"{tmp_path}/{QRELS}:4: document 'gone#0'")
        assert "3 of 6 judgments are on such documents" in warning

    def test_a_beir_folder_is_checked_alike(self, tmp_path: Path) -> None:
        """A fault of a BEIR folder named by the wrong line, as its qrels have a header."""
        write_lines(tmp_path / "queries.jsonl", {"_id": "1", "text": "one"})
        write_lines(tmp_path / "corpus.jsonl", {"_id": "a", "title": "", "text": "x"})
        qrels = write_lines(tmp_path / "qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\ta\t1\n1\tz\t1\n")
        (judged,) = load_judged(BeirBenchmark(name="beir", label="b", path=str(tmp_path)))
        with pytest.raises(DataError) as error:
            check_judgments(judged, surveys(judged, tmp_path), incomplete=False)
        assert str(error.value).startswith(f"{qrels}:3: document 'z' is judged")
