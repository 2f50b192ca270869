"""sentence-transformers columns."""

from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.data.example import BadRow, Passage
from distributed_hbt.errors import DataError

LANGUAGES = {"query_language": "en", "passage_language": "en"}
TEXTS = [("q", ("p",), ("n1", "n2")), ("r", ("o",), ("m1", "m2"))]


def texts(rows: list[Any]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(r.query, tuple(p.text for p in r.positives), tuple(n.text for n in r.negatives)) for r in rows]


def test_order_not_names_tells_json_columns(write: Any, read: Any) -> None:
    """Columns were told by their names; a later row's own order changed their meaning."""
    path = write(
        "a.jsonl",
        {"zeta": "q", "negative": "p", "anchor": "n1", "b": "n2"},
        {"anchor": "m1", "b": "m2", "negative": "o", "zeta": "r"},
    )
    assert texts(read(format="columns", path=path, **LANGUAGES)) == TEXTS


@pytest.mark.parametrize(("name", "tab"), [("a.csv", ","), ("a.tsv", "\t"), ("a.tsv.gz", "\t")])
def test_order_tells_delimited_columns(write: Any, read: Any, name: str, tab: str) -> None:
    """The header was a row, or the delimiter did not follow the suffix."""
    path = write(name, "h1,h2,h3,h4\nq,p,n1,n2\n\nr,o,m1,m2\n".replace(",", tab))
    rows = read(format="columns", path=path, **LANGUAGES)
    assert texts(rows) == TEXTS
    assert [row.where for row in rows] == [f"{path}:2", f"{path}:4"]


def test_order_tells_parquet_columns(read: Any, tmp_path: Path) -> None:
    """Parquet columns were sorted."""
    import pyarrow
    from pyarrow import parquet

    columns = {"z": ["q", "r"], "y": ["p", "o"], "x": ["n1", "m1"], "a": ["n2", "m2"]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    assert texts(read(format="columns", path=str(tmp_path / "a.parquet"), **LANGUAGES)) == TEXTS


def test_quoted_fields_hold_delimiters_and_line_breaks(write: Any, read: Any) -> None:
    """A quoted line break ended the row, or shifted the line numbers after it."""
    path = write("a.csv", 'a,b\n"one, ""two""","three\nfour"\nq,p\n')
    first, second = read(format="columns", path=path, **LANGUAGES)
    assert (first.query, first.positives) == ('one, "two"', (Passage("", "", "three\nfour"),))
    assert (first.where, second.where) == (f"{path}:2", f"{path}:4")


def test_rows_with_one_anchor_are_one_group(write: Any, read: Any) -> None:
    """Two positives of one question, in two rows, became negatives of each other."""
    rows = read(format="columns", path=write("a.csv", "a,b\nq,p\nr,o\nq,s\n"), **LANGUAGES)
    assert rows[0].group_id == rows[2].group_id != rows[1].group_id


def test_bad_rows_of_a_delimited_file(write: Any, read: Any) -> None:
    """A row of another width was cut or filled; a byte that is no UTF-8 ended the reading."""
    path = write("a.csv", 'a,b\nq\nq,p,n\n,p\nq,"p"x\n', b"q,\xff\n", "q,p\n")
    *bad, good = read(format="columns", path=path, **LANGUAGES)
    assert bad == [
        BadRow(f"{path}:2", "has 1 columns, the header has 2"),
        BadRow(f"{path}:3", "has 3 columns, the header has 2"),
        BadRow(f"{path}:4", "field 'a' is empty"),
        BadRow(f"{path}:5", "is no valid row (',' expected after '\"')"),
        BadRow(f"{path}:6", "field 'b' is not valid Unicode"),
    ]
    assert good.where == f"{path}:7"


def test_bad_rows_of_json_columns(write: Any, read: Any) -> None:
    """A negative that only some rows have was dropped in silence."""
    path = write(
        "a.jsonl", {"a": "q", "b": "p"}, {"a": "q", "b": "p", "c": "n"}, {"a": "q"}, {"a": "q", "b": 1}
    )
    assert read(format="columns", path=path, **LANGUAGES)[1:] == [
        BadRow(f"{path}:2", "has a column 'c' that the file's first row lacks"),
        BadRow(f"{path}:3", "field 'b' is missing"),
        BadRow(f"{path}:4", "field 'b' is a number, not a text"),
    ]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("a\nq\n", r":2: has the columns \['a'\], not at least an anchor and a positive"),
        ("a,b,label\nq,p,0\n", ":2: column 'label' holds labels, not texts"),
        ("a,a\nq,p\n", r":1: the header \['a', 'a'\] names a column twice"),
        ('a,b\nq,"p\nq,p\nq,p\n', ":2: a quoted field is not closed before line 4"),
    ],
)
def test_file_that_is_not_of_this_form_is_refused(write: Any, read: Any, content: str, what: str) -> None:
    """Rows labelled 0 became positives; an open quote swallowed the rest of the file in silence."""
    with pytest.raises(DataError, match=what):
        read(format="columns", path=write("a.csv", content), **LANGUAGES)
