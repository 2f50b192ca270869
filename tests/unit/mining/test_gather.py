"""What one pass over the rows leaves."""

from pathlib import Path

import pytest

from distributed_hbt.config.mining import MiningConfig
from distributed_hbt.evaluation.benchmarks.collection import Entry
from distributed_hbt.mining.gather import gather
from tests.unit.mining.small import make_row, text

ROWS = [
    make_row("g1", "q", "en-en", [text("one", "d1")], [text("no", "d2")]),
    make_row("g1", "q", "en-de", [text("eins", "d3")], [text("nein", "d4")]),
    make_row("g2", "q", "de-de", [text("zwei", "d5")]),
    make_row("g3", "r", "en-en", [text("two", "d6"), text("one", "d1")]),
]


def test_every_query_is_searched_once_in_its_language(tmp_path: Path) -> None:
    """Catches a query encoded once a row, and one text in two languages as one."""
    queries = gather(ROWS, MiningConfig(), tmp_path).queries
    assert queries.languages == ["de", "en"]
    assert queries.entries(["en"]) == (Entry("q0", "q"), Entry("q2", "r"))
    assert queries.entries(["de"]) == (Entry("q1", "q"),)
    assert queries.entries(["de"], ["q2"]) == (Entry("q1", "q"), Entry("q2", "r"))
    assert [queries.id_of(row) for row in ROWS] == ["q0", "q0", "q1", "q2"]


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        (MiningConfig(), {"en": 3, "de": 3}),
        (MiningConfig(corpus={"en": "somewhere"}, absolute_margin=0.0), {"en": 2, "de": 2}),
        (MiningConfig(corpus={"en": "somewhere"}), {}),
    ],
)
def test_only_what_is_needed_is_written_and_encoded(
    tmp_path: Path, config: MiningConfig, lines: dict[str, int]
) -> None:
    """Catches all passages of the sources encoded beside a corpus that has them."""
    corpus = gather(ROWS, config, tmp_path).corpus
    files = corpus.files if corpus is not None else {}
    found = {language: file.path.read_text().count("\n") for language, (file,) in files.items()}
    assert found == lines


def test_the_scores_of_each_query_s_positives_are_wanted_in_their_language(tmp_path: Path) -> None:
    """Catches a margin that lacks a positive of a query with several rows."""
    queries = gather(ROWS, MiningConfig(relative_margin=0.1), tmp_path).queries
    found = {
        language: {query_id: list(doc_ids) for query_id, doc_ids in of.items()}
        for language, of in queries.positives.items()
    }
    assert found == {"en": {"q0": ["d1"], "q2": ["d6", "d1"]}, "de": {"q0": ["d3"], "q1": ["d5"]}}
    assert gather(ROWS, MiningConfig(), tmp_path).queries.positives == {}
