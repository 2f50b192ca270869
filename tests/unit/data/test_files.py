"""Input files: what a path names, and lines as a stream."""

import gzip
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.data import files
from distributed_hbt.data.files import expand, lines, raw_lines, select
from distributed_hbt.errors import DataError
from tests.local_hub import serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.jsonl.gz", "README.md", ".hidden.jsonl", "inner/c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def names(path: Path | str, folder: Path) -> list[str]:
    return [str(file.relative_to(folder)) for file in expand(str(path))]


def test_folder_names_its_data_files_in_order(folder: Path) -> None:
    """A README or a hidden file beside the data was read as rows."""
    assert names(folder, folder) == ["a.jsonl.gz", "b.jsonl"]


def test_glob_names_what_it_matches(folder: Path) -> None:
    """Globs came unsorted, or `**` did not go down."""
    assert names(folder / "**" / "*.jsonl", folder) == ["b.jsonl", "inner/c.jsonl"]
    assert names(folder / "*.jsonl*", folder) == ["a.jsonl.gz", "b.jsonl"]


def test_file_whose_name_looks_like_a_glob_is_found(tmp_path: Path) -> None:
    """A file named `a[1].jsonl` was taken for a glob and not found."""
    (tmp_path / "a[1].jsonl").touch()
    assert names(tmp_path / "a[1].jsonl", tmp_path) == ["a[1].jsonl"]


@pytest.mark.parametrize("name", ["none.jsonl", "*.none", "empty"])
def test_nothing_found_is_an_error(tmp_path: Path, name: str) -> None:
    """A wrong path gave a run without data."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no data file is found"):
        expand(str(tmp_path / name))


def test_lines_break_at_newlines_only(tmp_path: Path) -> None:
    """U+2028 or a form feed within a text broke the line, or a carriage return stayed at its end."""
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\u2028still one\x0c\r\ntwo\n\nfour".encode())
    assert list(lines(path)) == [(1, "one\u2028still one\x0c"), (2, "two"), (3, ""), (4, "four")]


def test_only_the_mark_at_the_file_start_is_dropped(tmp_path: Path) -> None:
    """U+FEFF within a text belongs to it: offsets count it."""
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeff\ufeffone\n\ufefftwo\n".encode())
    assert list(lines(path)) == [(1, "\ufeffone"), (2, "\ufefftwo")]


@pytest.mark.parametrize("name", ["a.txt.gz", "a.txt"])
def test_gzip_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    """A gzip file without the suffix was read as text."""
    path = tmp_path / name
    path.write_bytes(gzip.compress("één\ntwee\n".encode()))
    assert list(lines(path)) == [(1, "één"), (2, "twee")]


def test_invalid_utf8_names_its_line(tmp_path: Path) -> None:
    """The error named the file only, or the text was mangled in silence."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\nbad \xff\n")
    with pytest.raises(DataError, match=rf"^{path}:2: is not valid UTF-8 \(byte 5 of the line\); "):
        list(lines(path))


def test_truncated_gzip_names_the_line_reached(tmp_path: Path) -> None:
    """A download that broke off was read as a shorter file, or ended in a traceback."""
    path = tmp_path / "a.txt.gz"
    whole = gzip.compress("".join(f"line {i} {hash(i * i) % 7919}\n" for i in range(50000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    seen: list[int] = []
    with pytest.raises(DataError) as error:
        seen.extend(number for number, _ in lines(path))
    assert len(seen) > 1000
    assert error.value.where == f"{path}:{len(seen) + 1}"
    assert "truncated or damaged" in error.value.what


def test_damaged_gzip_is_refused(tmp_path: Path) -> None:
    """A flipped byte ended in a traceback from zlib."""
    content = bytearray(gzip.compress(os.urandom(4000).hex().encode()))
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.txt.gz").write_bytes(content)
    with pytest.raises(DataError, match="truncated or damaged"):
        list(lines(tmp_path / "a.txt.gz"))


@pytest.mark.parametrize("content", [b"", b"plain text\n"])
def test_gz_suffix_without_gzip_content_is_refused(tmp_path: Path, content: bytes) -> None:
    """A download of nothing, saved as .gz, was an empty file."""
    (tmp_path / "a.txt.gz").write_bytes(content)
    with pytest.raises(DataError, match="does not begin as a gzip file"):
        list(raw_lines(tmp_path / "a.txt.gz"))


def test_hub_globs_stay_within_a_folder() -> None:
    """`*.jsonl` took files of folders below, as fnmatch does."""
    listed = ["README.md", "a.jsonl", "x/b.jsonl", "x/y/c.jsonl.gz", "x/d(1).txt"]
    assert select(listed, "*.jsonl") == ["a.jsonl"]
    assert select(listed, "**/*.jsonl*") == ["a.jsonl", "x/b.jsonl", "x/y/c.jsonl.gz"]
    assert select(listed, "x/[!d]*") == ["x/b.jsonl"]
    assert select(listed, "x") == ["x/b.jsonl", "x/d(1).txt"]
    assert select(listed, "x/d(1).txt") == ["x/d(1).txt"]
    assert select(listed, "") == ["a.jsonl"]
    assert select(listed, "z") == []


@pytest.mark.parametrize("path", ["hf://models/a/b/c", "hf://datasets/only-an-owner", "hf://datasets/"])
def test_hub_path_of_another_form_is_refused(path: str) -> None:
    """A malformed hub path ended in the client's own error."""
    with pytest.raises(DataError, match="is no dataset path"):
        expand(path)


FILES = {"README.md": b"read me", "data/a.jsonl": b'{"a": 1}\n', "data/b.jsonl": b'{"b": 22}\n'}


@pytest.fixture
def hub() -> Iterator[str]:
    with serving({"owner/name": FILES}) as address:
        yield address


def run_expand(path: str, **environment: str) -> list[str]:
    """`expand` in a process of its own, as the hub's client reads its environment once."""
    code = (
        "import sys\n"
        "from distributed_hbt.data.files import expand\n"
        "from distributed_hbt.errors import DataError\n"
        "try:\n    print(*[f'{p.parent.name}/{p.name} {p.read_text()}' for p in expand(sys.argv[1])])\n"
        "except DataError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        env={**os.environ, "HF_HUB_OFFLINE": "0", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_hub_files_are_fetched_and_found_again_offline(hub: str, tmp_path: Path) -> None:
    """A hub path needed the network even when its files were there, or took the README for data."""
    expected = ['data/a.jsonl {"a": 1}', ' data/b.jsonl {"b": 22}', ""]
    home = str(tmp_path)
    assert run_expand("hf://datasets/owner/name/data", HF_ENDPOINT=hub, HF_HOME=home) == expected
    offline = {"HF_HOME": home, "HF_HUB_OFFLINE": "1"}
    assert run_expand("hf://datasets/owner/name@main/data/*.jsonl", **offline) == expected
    missing = run_expand("hf://datasets/owner/name/none", HF_ENDPOINT=hub, HF_HOME=home)
    assert missing == [
        "hf://datasets/owner/name/none: no such file among the 3 of the repository; check the path"
    ]


def test_hub_that_can_not_be_reached_is_one_line(tmp_path: Path) -> None:
    """Without the network the client's traceback came through."""
    printed = run_expand("hf://datasets/owner/name/a.jsonl", HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert len(printed) == 1
    assert printed[0].startswith("hf://datasets/owner/name/a.jsonl: could not be fetched from the hub (")


def test_a_gzip_bomb_is_refused_before_it_is_in_memory(tmp_path: Path, monkeypatch: Any) -> None:
    """A kilobyte of zeros that unpacks to a line, or a document, of more than the machine has."""
    monkeypatch.setattr(files, "LONGEST_DOCUMENT", 1000)
    for name, content in (("line", b"0" * 5000), ("lines", b"0\n" * 2500)):
        path = tmp_path / f"{name}.json.gz"
        path.write_bytes(gzip.compress(content))
        with pytest.raises(DataError, match="longer than"):
            files.whole_text(path)
    with pytest.raises(DataError, match="longer than 100 bytes"):
        list(files.raw_lines(tmp_path / "line.json.gz", max_bytes=100))
    assert inspect.signature(files.raw_lines).parameters["max_bytes"].default == files.LONGEST_LINE
