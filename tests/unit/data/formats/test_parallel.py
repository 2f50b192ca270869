"""Parallel sentences."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from distributed_hbt.data.example import BadRow, Example, Passage
from distributed_hbt.errors import DataError


def test_line_is_a_group_in_every_language(write: Any, read: Any) -> None:
    """Lines were not held together by their number."""
    paths = {"eng": write("a.txt", "one\ntwo\n"), "deu": write("b.txt.gz", "eins\r\nzwei")}
    rows = read(format="parallel", paths=paths)
    assert rows[0] == Example("1", "one", "en", "en", (Passage("en:1", "", "one"),), (), f"{paths['eng']}:1")
    assert [(r.group_id, r.query_language, r.query, r.positives[0].text) for r in rows] == [
        ("1", "en", "one", "one"), ("1", "de", "eins", "eins"),
        ("2", "en", "two", "two"), ("2", "de", "zwei", "zwei"),
    ]  # fmt: skip


def test_blank_line_leaves_its_language_out(write: Any, read: Any) -> None:
    """A blank line was a bad row, or shifted the lines after it."""
    paths = {"en": write("a.txt", "one\n \nthree\n"), "de": write("b.txt", "eins\nzwei\n\n")}
    rows = read(format="parallel", paths=paths)
    assert [(r.group_id, r.query) for r in rows] == [
        ("1", "one"),
        ("1", "eins"),
        ("2", "zwei"),
        ("3", "three"),
    ]


def test_line_that_is_no_utf8_is_a_bad_row(write: Any, read: Any) -> None:
    """One bad byte refused the whole file."""
    paths = {"en": write("a.txt", b"one\n\xff\n"), "de": write("b.txt", "eins\nzwei\n")}
    rows = read(format="parallel", paths=paths)
    assert rows[2] == BadRow(f"{paths['en']}:2", "is not valid UTF-8")
    assert rows[3].query == "zwei"


@pytest.mark.parametrize(("english", "german"), [("one\ntwo\nthree\n", "eins\n"), ("one\n", "eins\nzwei\n")])
def test_files_of_unequal_length_are_refused(write: Any, read: Any, english: str, german: str) -> None:
    """Files that had lost a line were zipped to the shorter one, all pairs after it wrong."""
    en, de = write("en.txt", english), write("de.txt", german)
    shorter, longer = (de, en) if len(english) > len(german) else (en, de)
    with pytest.raises(DataError, match=rf"^{shorter}:2: there is no line 2 though {longer} has one"):
        read(format="parallel", paths={"en": en, "de": de})


def test_two_names_of_one_language_are_refused(read: Any) -> None:
    """Two Chinese files made groups that ask one text in one language twice."""
    with pytest.raises(ValidationError, match="zho-CN and zho-TW name one language"):
        read(format="parallel", paths={"zho-CN": "a", "zho-TW": "b"})


def test_real_parallel_files_are_read_whole(read: Any, shared_data: Path) -> None:
    """A line separator within a sentence of the real files was taken for a line end."""
    ntrex, tatoeba = f"{shared_data}/ntrex-128/newstest2019-", f"{shared_data}/tatoeba-v1/tatoeba.swh-eng."
    codes = ("arb", "ben", "jpn", "swa", "zho-TW")
    paths = {"eng": f"{ntrex}src.eng.txt.gz", **{code: f"{ntrex}ref.{code}.txt.gz" for code in codes}}
    rows = read(format="parallel", paths=paths)
    languages = ("en", "ar", "bn", "ja", "sw", "zh")
    assert Counter(row.query_language for row in rows) == dict.fromkeys(languages, 1997)
    rows = read(format="parallel", paths={"swh": f"{tatoeba}swh.gz", "eng": f"{tatoeba}eng.gz"})
    assert Counter(row.query_language for row in rows) == {"sw": 390, "en": 390}
