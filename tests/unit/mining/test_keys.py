"""By what a passage is known again."""

import pytest

from distributed_hbt.data.example import Passage
from distributed_hbt.mining.keys import BLANK, id_key, passage_keys, text_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Lima is the capital.", "lima  is\tthe capital. "),
        ("Straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("\uff21\uff22", "ab"),
        ("\ufeffLima", "Lima"),
        ("so\u00adfort", "sofort"),
        ("\u0645\u06cc\u200c\u0631\u0648\u0645", "\u0645\u06cc\u0631\u0648\u0645"),
    ],
)
def test_texts_that_read_alike_have_one_key(one: str, other: str) -> None:
    """Catches a copy of a positive, differently encoded, that becomes its negative."""
    assert text_key(one) == text_key(other)


def test_different_texts_have_different_keys() -> None:
    """Catches keys that throw away words, marks or their order, and so most candidates."""
    texts = ["a b", "ab", "b a", "a b.", "a", "á b", "", "id a", "text a"]
    assert len({text_key(text) for text in texts}) == len(texts)


def test_an_id_is_no_text() -> None:
    """Catches a passage `12` that is taken for the document 12."""
    assert id_key("12") != text_key("12")


def test_a_passage_is_known_with_and_without_its_title() -> None:
    """Catches MIRACL's titles: the row has them, the corpus that is searched does not, or the reverse."""
    titled = passage_keys(Passage("d1", "Lima", "is a city."))
    assert titled & passage_keys(Passage("d2", "", "is a city."))
    assert titled & passage_keys(Passage("d2", "", "Lima is a city."))
    assert titled & passage_keys(Passage("d1", "", "Another text."))
    assert not titled & passage_keys(Passage("d2", "Lima", "was a village."))


def test_passages_without_an_id_or_a_text_have_nothing_in_common() -> None:
    """Catches the empty id, and the empty text below two titles, as what two passages share."""
    assert not passage_keys(Passage("", "", "a")) & passage_keys(Passage("", "", "b"))
    assert not passage_keys(Passage("1", "a", "")) & passage_keys(Passage("2", "b", " "))
    assert passage_keys(Passage("1", "", " \u200b")) == {BLANK, id_key("1")}
