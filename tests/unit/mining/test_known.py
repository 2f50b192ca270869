"""Which passages are no negatives of a row."""

from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distributed_hbt.data.example import Example
from distributed_hbt.mining.keys import passage_keys
from distributed_hbt.mining.known import KnownCollector, KnownPositives
from tests.unit.mining.small import make_row, text


def known_of(rows: Iterable[Example]) -> KnownPositives:
    collector = KnownCollector()
    for row in rows:
        collector.add(row)
    return collector.known()


def is_known(known: KnownPositives, row: Example, content: str, doc_id: str = "") -> bool:
    return not known.of(row).isdisjoint(passage_keys(text(content, doc_id)))


def test_positives_of_every_row_of_the_group_are_known_in_every_language() -> None:
    """Catches a translation, or a second positive in another row, that becomes a negative."""
    first = make_row("g", "q en", "en-en", [text("one"), text("two")])
    second = make_row("g", "q de", "de-de", [text("eins", "d7")])
    known = known_of([first, make_row("h", "other", "en-en", [text("three", "d8")]), second])
    for row in (first, second):
        assert all(is_known(known, row, content) for content in ("one", "two", "eins"))
        assert is_known(known, row, "words that nobody wrote", "d7")
        assert not is_known(known, row, "three")
        assert not is_known(known, row, "words that nobody wrote", "d8")


def test_positives_of_the_same_words_in_another_group_are_known() -> None:
    """Catches two sources that ask the same: the positive of one is the other's best candidate."""
    first = make_row("a/1", "Who built it?", "en-en", [text("one")])
    second = make_row("b/9", "who built it?", "en-en", [text("two")])
    known = known_of([first, second, make_row("b/9", "wer?", "de-de", [text("zwei")])])
    assert is_known(known, first, "two")
    assert not is_known(known, first, "zwei")
    assert is_known(known, second, "zwei")


def test_the_query_itself_is_no_negative() -> None:
    """Catches parallel sentences and duplicate questions, where a passage is the query again."""
    row = make_row("g", "A sentence.", "en-de", [text("Ein Satz.")])
    assert is_known(known_of([row]), row, "a sentence.")


def test_given_negatives_are_not_known() -> None:
    """Catches judged negatives that are never mined again, though they are the hardest."""
    row = make_row("g", "q", "en-en", [text("one")], [text("no", "d2")])
    assert not is_known(known_of([row]), row, "no", "d2")


def test_no_rows_know_nothing() -> None:
    """Catches an array of no rows that can not be searched."""
    known = known_of([])
    assert known.of(make_row("g", "q", "en-en", [text("one")])) == frozenset()
    assert len(known.keys) == 0
    assert known.most(np.zeros(0, np.uint64), np.zeros(0, np.int64)) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=12), st.integers(0, 2**32))
def test_most_is_the_largest_number_of_passages_that_a_group_names(
    positives: list[tuple[int, int]], seed: int
) -> None:
    """Catches a search that keeps too few hits: known positives fill it, and depth is not reached."""
    rows = [
        make_row(f"g{group}", f"words {i}", "en-en", [text(f"text {name}", f"d{name}")])
        for i, (group, name) in enumerate(positives)
    ]
    known = known_of(rows)
    # A corpus in which some passages stand twice, and some ids and texts go apart.
    passages = [text(f"text {n % 5}", f"d{n}") for n in np.random.default_rng(seed).permutation(9).tolist()]
    pairs = [(key, i) for i, passage in enumerate(passages) for key in passage_keys(passage)]
    key_P, passage_P = np.array([k for k, _ in pairs], np.uint64), np.array([i for _, i in pairs], np.int64)

    def named(row: Example) -> int:
        return sum(not known.of(row).isdisjoint(passage_keys(passage)) for passage in passages)

    most = known.most(key_P, passage_P)
    assert max(map(named, rows), default=0) <= most
    # Not much more either: what a group and a question know apart is counted twice at most.
    assert most <= 2 * max(map(named, rows), default=0)
