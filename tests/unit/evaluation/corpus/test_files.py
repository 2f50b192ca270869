"""Passages of a corpus file, as a stream."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.corpus.files import CorpusFile, CorpusRow, read_at, read_rows
from tests.corpus_files import passage, write_lines

LIMIT = 1000


def texts(file: CorpusFile, start: int, stop: int) -> list[str]:
    return [row.text for row in read_rows(file, start, stop, max_characters=LIMIT)]


def refusal(file: CorpusFile, start: int = 0, stop: int = 1, max_characters: int = LIMIT) -> str:
    with pytest.raises(DataError) as error:
        list(read_rows(file, start, stop, max_characters=max_characters))
    return str(error.value)


@pytest.fixture
def ten(tmp_path: Path) -> CorpusFile:
    rows = [passage(f"{i}#0", f"text {i}") for i in range(10)]
    return CorpusFile(write_lines(tmp_path / "docs-0.jsonl.gz", *rows), "docid")


@pytest.mark.parametrize("name", ["docs.jsonl", "docs.jsonl.gz"])
def test_rows_are_the_passages_as_training_encodes_them(tmp_path: Path, name: str) -> None:
    """A title left out or joined otherwise than in training; blank lines counted as rows or not as lines."""
    path = write_lines(
        tmp_path / name,
        b"\xef\xbb\xbf",
        passage("5#0", "one", "Title"),
        "\n",
        '{"docid": 7, "text": "two"}\r\n',
        "  \t\n",
        {"docid": "ünï", "title": None, "text": "three", "more": [1]},
        passage("t", "", "only a title"),
    )
    assert list(read_rows(CorpusFile(path, "docid"), 0, 4, max_characters=LIMIT)) == [
        CorpusRow("5#0", "Title one", f"{path}:1"),
        CorpusRow("7", "two", f"{path}:3"),
        CorpusRow("ünï", "three", f"{path}:5"),
        CorpusRow("t", "only a title ", f"{path}:6"),
    ]


def test_the_id_is_in_the_field_that_is_named(tmp_path: Path) -> None:
    """BEIR's _id looked for under MIRACL's name."""
    path = write_lines(tmp_path / "corpus.jsonl", {"_id": "a", "docid": "b", "text": "x"})
    for id_field, doc_id in (("_id", "a"), ("docid", "b")):
        file = CorpusFile(path, id_field)  # type: ignore[arg-type]
        assert [row.doc_id for row in read_rows(file, 0, 1, max_characters=LIMIT)] == [doc_id]


def test_a_range_is_that_slice_of_all_rows(ten: CorpusFile) -> None:
    """A shard that begins or ends a row too early or too late."""
    every = [f"text {i}" for i in range(10)]
    for start in range(10):
        for stop in range(start, 11):
            assert texts(ten, start, stop) == every[start:stop]


def test_chosen_rows_are_those_rows(ten: CorpusFile) -> None:
    """Rows picked one off, or the last one of the file never reached."""
    picked = read_at(ten, [0, 3, 4, 9], max_characters=LIMIT)
    assert [row.doc_id for row in picked] == ["0#0", "3#0", "4#0", "9#0"]
    assert list(read_at(ten, [], max_characters=LIMIT)) == []


def test_rows_outside_the_range_are_not_looked_into(tmp_path: Path) -> None:
    """Every shard parses the file from its beginning: the time of an evaluation grows with the square."""
    file = CorpusFile(
        write_lines(tmp_path / "docs.jsonl", "broken\n", passage("a", "good"), "broken\n"), "docid"
    )
    assert texts(file, 1, 2) == ["good"]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ('{"docid": "a", "text": "x"\n', "is broken JSON"),
        ('{"docid": "a", "text": NaN}\n', "is broken JSON (holds NaN"),
        ('["a", "x"]\n', "is no JSON object"),
        (b'{"docid": "a", "text": "\xff"}\n', "is not valid UTF-8 (byte 25 of the line)"),
        ({"_id": "a", "text": "x"}, "field 'docid' is missing"),
        ({"docid": "a", "contents": "x"}, "field 'text' is missing"),
        ({"docid": "a", "text": None}, "field 'text' is null"),
        ({"docid": "a", "text": ["x"]}, "field 'text' is a list, not a text"),
        ({"docid": "a", "title": 5, "text": "x"}, "field 'title' is a number, not a text"),
        ({"docid": " ", "text": "x"}, "field 'docid' is empty"),
        ({"docid": True, "text": "x"}, "field 'docid' is a boolean, not a text"),
        ({"docid": "a b", "text": "x"}, "document id 'a b' holds white space, which run files can not hold"),
        ({"docid": "a\n", "text": "x"}, "document id 'a\\n' holds white space"),
        ({"docid": "a\u00a0b", "text": "x"}, "document id 'a\\xa0b' holds white space"),
        ('{"docid": "a", "text": "\\ud800"}\n', "field 'text' is not valid Unicode"),
        ({"docid": "a", "title": " ", "text": "\t"}, "passage 'a' is blank, in title and text"),
        ({"docid": "a", "text": "x" * 1001}, "passage 'a' has 1001 characters, more than 1000"),
        ({"docid": "a", "title": "x" * 500, "text": "x" * 500}, "passage 'a' has 1001 characters"),
    ],
)
def test_a_row_that_can_not_be_used_is_named_by_its_line(tmp_path: Path, row: Any, fault: str) -> None:
    """A bad row that is skipped, encoded, or that ends in a traceback without its place."""
    path = write_lines(tmp_path / "docs.jsonl.gz", passage("ok"), "\n", row, passage("also ok"))
    message = refusal(CorpusFile(path, "docid"), 0, 2)
    assert message.startswith(f"{path}:3: {fault}")
    assert "; " in message


def test_the_remedy_names_the_field_that_allows_it(tmp_path: Path) -> None:
    """A refusal that leaves the user without a way on."""
    path = write_lines(tmp_path / "docs.jsonl", passage("a", ""), passage("b", "x" * 11))
    assert "blank_passages: keep" in refusal(CorpusFile(path, "docid"))
    assert "evaluation.max_passage_characters" in refusal(CorpusFile(path, "docid"), 1, 2, 10)


def test_blank_passages_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    """A BEIR folder with an empty document that can not be evaluated at all."""
    path = write_lines(tmp_path / "docs.jsonl", passage("a", ""), passage("b", " ", "\t"))
    assert texts(CorpusFile(path, "docid", "keep"), 0, 2) == ["", "\t  "]


def truncated(path: Path) -> int:
    """Cut a gzip file in two, by bytes; gives how many whole lines can still be read."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    whole = 0
    try:
        with gzip.open(path) as file:
            for line in file:
                whole += line.endswith(b"\n")
    except EOFError:
        return whole
    raise AssertionError("is not truncated")


def test_a_truncated_gzip_is_refused_where_it_ends(tmp_path: Path) -> None:
    """A download that broke off, taken for the whole corpus; rows before the break can not be read."""
    rows = [passage(f"{i}", f"{i * 7919} " * 20) for i in range(5000)]
    path = write_lines(tmp_path / "docs-0.jsonl.gz", *rows)
    whole = truncated(path)
    assert 1000 < whole < 5000
    file = CorpusFile(path, "docid")
    assert len(texts(file, 0, whole)) == whole
    message = refusal(file, 0, 5000)
    assert message.startswith(f"{path}:{whole + 1}: the gzip stream is truncated or damaged here")


def test_a_file_that_only_says_it_is_gzip_is_refused(tmp_path: Path) -> None:
    """A page of an HTTP error saved as docs-0.jsonl.gz."""
    path = tmp_path / "docs-0.jsonl.gz"
    path.write_bytes(b"<html>404</html>\n")
    assert refusal(CorpusFile(path, "docid")).startswith(f"{path}:1: the gzip stream")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """A traceback."""
    message = refusal(CorpusFile(tmp_path / "docs-0.jsonl", "docid"))
    assert message.startswith(f"{tmp_path}/docs-0.jsonl: can not be read (No such file")


def test_a_file_with_fewer_rows_than_asked_for_is_refused(ten: CorpusFile) -> None:
    """A corpus replaced by a shorter one between survey and encoding: rows that nobody misses."""
    assert refusal(ten, 5, 11).startswith(
        f"{ten.path}: ends after 10 passages, and passage 11 was asked for: it is not what it was; "
    )


def peak_bytes(file: CorpusFile, stop: int) -> int:
    tracemalloc.start()
    try:
        for _ in read_rows(file, 0, stop, max_characters=LIMIT):
            pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def test_a_file_is_never_whole_in_memory(tmp_path: Path) -> None:
    """20 MB of passages held at once; MIRACL's English ones are 20 GB."""
    line = json.dumps(passage("a", "x" * 900)) + "\n"
    path = tmp_path / "docs-0.jsonl.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        for _ in range(20):
            file.write(line * 1000)
    assert peak_bytes(CorpusFile(path, "docid"), 20_000) < 1_000_000


def test_a_line_longer_than_any_passage_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A corpus written as one JSON array on one line, read whole into memory before it is refused."""
    path = tmp_path / "docs-0.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\n[")
        for _ in range(40):
            file.write(b'{"docid": "a", "text": "x"}, ' * 34_000)
    corpus = CorpusFile(path, "docid")
    tracemalloc.start()
    message = refusal(corpus)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message.startswith(f"{path}:2: the line is longer than ")
    assert peak < 8_000_000


def test_the_longest_allowed_passage_is_read_however_it_is_escaped(tmp_path: Path) -> None:
    """The bound on lines, which refuses a passage that JSON escapes make long."""
    row = json.dumps({"docid": "a", "text": "\U0001f600" * 200_000}, ensure_ascii=True) + "\n"
    path = write_lines(tmp_path / "docs.jsonl", row)
    assert len(row) > 2_400_000
    (read,) = read_rows(CorpusFile(path, "docid"), 0, 1, max_characters=200_000)
    assert len(read.text) == 200_000


def test_published_passages_are_read(shared_data: Path) -> None:
    """The published form differs from the one that the reader expects."""
    folder = shared_data / "miracl-passage-samples"
    (row,) = read_rows(
        CorpusFile(folder / "miracl-corpus-v1.0-en.sample.jsonl.gz", "docid"), 0, 1, max_characters=LIMIT
    )
    assert row.doc_id == "59828278#1"
    assert row.text == "Jacqueline Casalegno Casalegno died on 23 January 2019 at the age of 93."
