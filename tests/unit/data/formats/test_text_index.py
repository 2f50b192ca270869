"""Texts by id, on disk."""

import tracemalloc
from pathlib import Path

import pytest

from distributed_hbt.data.example import BadRow
from distributed_hbt.data.formats.text_index import Entry, TextIndex


def test_only_wanted_texts_are_kept() -> None:
    """The whole corpus went to disk, or the later of two texts with one id won."""
    bad = BadRow("corpus:2", "is broken JSON")
    entries = [Entry("a", "T", "one"), bad, Entry("b", "", "two"), Entry("a", "", "again")]
    with TextIndex() as index:
        index.want(["a", "gone", "a"])
        assert list(index.fill(entries)) == [bad]
        assert index.get("a") == Entry("a", "T", "one")
        assert index.get("b") is None
        assert index.get("gone") is None


def test_added_texts_are_all_kept() -> None:
    """A text with characters that SQLite or its binding treats apart came back changed."""
    text = "NUL \x00, quote ', \u2028, 😀, ﻿"
    with TextIndex() as index:
        assert list(index.add([Entry("1", "", text), Entry("01", "t", "")])) == []
        assert index.get("1") == Entry("1", "", text)
        assert index.get("01") == Entry("01", "t", "")


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary indexes of gigabytes stayed behind after an error."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail_within() -> None:
        with TextIndex() as index:
            list(index.add([Entry("a", "", "x")]))
            assert len(list(tmp_path.iterdir())) == 1
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_within()
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_corpus() -> None:
    """The entries were collected before they were written."""
    with TextIndex() as index:
        index.want(str(i) for i in range(0, 20_000, 7))
        tracemalloc.start()
        for _ in index.fill(Entry(str(i), "", "word " * 200) for i in range(20_000)):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        kept = index.get("7")
    assert kept is not None
    assert peak < 4_000_000, f"{peak} bytes at most, for 20 MB of texts"
