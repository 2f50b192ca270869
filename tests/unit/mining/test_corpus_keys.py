"""What is known of a corpus's passages by their texts."""

from pathlib import Path

import numpy as np
import pytest

from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.mining.corpus_keys import Corpora, CorpusKeys, read_corpus_keys
from distributed_hbt.mining.keys import BLANK, id_key, passage_keys, text_key
from distributed_hbt.mining.known import Keys, KnownCollector
from tests.corpus_files import passage
from tests.unit.mining.small import make_row, surveyed, text


def keys_of(corpora: Corpora, work: Path, *told: int) -> dict[str, CorpusKeys]:
    wanted: Keys = np.array(sorted(told), np.uint64)
    return read_corpus_keys(corpora, wanted, work, LocalExecutor("cpu"))


def test_a_known_text_is_recognised_under_every_id_and_title(tmp_path: Path) -> None:
    """Catches a positive that stands in the corpus under another id, or whose title the rows lack."""
    rows = [passage("d1", "a text"), passage("d2", "A  text"), passage("d3", "a text", "T"), passage("d4")]
    rows.append(passage("d5", "a text", "Another title"))
    corpora = surveyed(tmp_path, en=[rows[:2], rows[2:]], de=[[passage("d1", "T a text")]])
    known = passage_keys(text("a text", "x", "T"))
    keys = keys_of(corpora, tmp_path, *known)
    facts = keys["en"].facts(["d1", "d2", "d3", "d4", "d5"])
    assert [not known.isdisjoint(fact.keys) for fact in facts] == [True, True, True, False, True]
    assert not known.isdisjoint(keys["de"].facts(["d1"])[0].keys)


def test_an_id_is_a_key_of_every_passage(tmp_path: Path) -> None:
    """Catches ids that are looked at only where a text is shared too."""
    keys = keys_of(surveyed(tmp_path, en=[[passage("d1", "one"), passage("d2", "two")]]), tmp_path)
    assert [fact.keys for fact in keys["en"].facts(["d1", "d2"])] == [(id_key("d1"),), (id_key("d2"),)]


def test_copies_share_a_number_across_files_and_languages(tmp_path: Path) -> None:
    """Catches a row that gets one text as two negatives, from two wikis or under two ids."""
    corpora = surveyed(
        tmp_path,
        en=[[passage("d1", "one"), passage("d2", "two")], [passage("d3", "One")]],
        de=[[passage("d1", "one"), passage("d2", "drei"), passage("d5", "one", "Title")]],
    )
    keys = keys_of(corpora, tmp_path)
    d1, d2, d3 = (fact.same for fact in keys["en"].facts(["d1", "d2", "d3"]))
    e1, e2, e5 = (fact.same for fact in keys["de"].facts(["d1", "d2", "d5"]))
    assert d1 == d3 == e1 == text_key("one")
    assert len({d1, d2, e2, e5}) >= 3
    assert e5 not in (d1, d2)


def test_only_passages_that_share_something_are_held(tmp_path: Path) -> None:
    """Catches a table that grows with the corpus."""
    rows = [passage(f"d{n}", f"text {n}") for n in range(200)]
    keys = keys_of(surveyed(tmp_path, en=[rows]), tmp_path, text_key("text 7"), id_key("d9"))
    assert sorted(keys["en"].id_S.tolist()) == sorted([id_key("d7"), id_key("d9")])


@pytest.mark.parametrize(("blank", "title"), [(" ", ""), ("", "\u200b"), ("\ufeff", "Title")])
def test_blank_passages_are_told(tmp_path: Path, blank: str, title: str) -> None:
    """Catches an empty passage as a negative: no reader of rows takes it."""
    rows = [passage("d1", blank, title), passage("d2", "", "Title"), passage("d3", "x")]
    keys = keys_of(surveyed(tmp_path, en=[rows]), tmp_path, text_key("y"))
    assert [BLANK in fact.keys for fact in keys["en"].facts(["d1", "d2", "d3"])] == [True, False, False]


def test_most_known_counts_copies_but_no_passage_twice(tmp_path: Path) -> None:
    """Catches a search that does not reach deep enough past the copies of a positive."""
    copies = [passage(f"c{n}", "a text", "T" if n % 2 else "") for n in range(5)]
    corpora = surveyed(tmp_path, en=[[*copies, passage("d1", "own words"), passage("d9", "other")]])
    collector = KnownCollector()
    collector.add(make_row("g", "q", "en-en", [text("a text", "d1", "T")]))
    collector.add(make_row("h", "r", "en-en", [text("other")]))
    known = collector.known()
    keys = read_corpus_keys(corpora, known.keys, tmp_path, LocalExecutor("cpu"))
    assert keys["en"].most_known(known) == 2 * 6  # by the group, and by the question's words


def test_a_corpus_is_read_once(tmp_path: Path) -> None:
    """Catches a restart that goes through every corpus again."""
    corpora = surveyed(tmp_path, en=[[passage("d1", "one"), passage("d2", "one")]])
    first = keys_of(corpora, tmp_path)
    (survey,) = corpora["en"]
    survey.file.path.unlink()
    assert keys_of(corpora, tmp_path)["en"].facts(["d1"]) == first["en"].facts(["d1"])
