"""Digests of what a source is read from."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from distributed_hbt.config.data import Source
from distributed_hbt.data.source_files import file_digest, source_identity
from distributed_hbt.errors import DataError

PAIR = {"query_language": "en", "passage_language": "de"}
FILES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "hbt_jsonl": ({"path": "rows.jsonl"}, ["rows.jsonl"]),
    "tevatron": ({"path": "rows.jsonl", **PAIR}, ["rows.jsonl"]),
    "tevatron_v2": (
        {"path": "rows.jsonl", "corpus": "docs", **PAIR},
        ["rows.jsonl", "docs/a.jsonl", "docs/b.jsonl"],
    ),
    "flagembedding": ({"path": "rows.jsonl", **PAIR}, ["rows.jsonl"]),
    "columns": ({"path": "rows.csv", **PAIR}, ["rows.csv"]),
    "miracl": (
        {"topics": "t.tsv", "qrels": "q.tsv", "corpus": "docs-*.jsonl", "language": "sw"},
        ["t.tsv", "q.tsv", "docs-0.jsonl", "docs-1.jsonl"],
    ),
    "beir": (
        {"path": ".", "split": "dev", **PAIR},
        ["qrels/dev.tsv", "queries.jsonl", "corpus.jsonl.gz"],
    ),
    "squad": ({"path": "{language}.json", "languages": ["en", "de"]}, ["en.json", "de.json"]),
    "afriqa": ({"path": "{language}.json", "languages": ["bem", "fon"]}, ["bem.json", "fon.json"]),
    "mmarco": (
        {
            "triples": "t.tsv",
            "queries": "{language}_q.tsv",
            "collection": "{language}_c.tsv",
            "languages": ["en", "de"],
        },
        ["t.tsv", "en_q.tsv", "en_c.tsv", "de_q.tsv", "de_c.tsv"],
    ),
    "parallel": ({"paths": {"en": "1.txt", "de": "2.txt"}}, ["1.txt", "2.txt"]),
}


def make(folder: Path, kind: str) -> Any:
    settings, names = FILES[kind]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    placed = {
        key: {k: str(folder / v) for k, v in value.items()}
        if isinstance(value, dict)
        else str(folder / value)
        for key, value in settings.items()
        if key in ("path", "paths", "corpus", "topics", "qrels", "triples", "queries", "collection")
    }
    content = {"format": kind, **settings, **placed}
    return TypeAdapter(Source).validate_python(content, strict=False)


@pytest.mark.parametrize("kind", FILES)
def test_every_file_of_a_format_counts_and_its_place_does_not(tmp_path: Path, kind: str) -> None:
    """A corpus that is left out may change under a store that keeps its name."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    source, elsewhere = make(tmp_path / "one", kind), make(tmp_path / "two", kind)
    before = source_identity(source, tmp_path / "cache")
    assert source_identity(elsewhere, tmp_path / "cache") == before
    assert str(tmp_path) not in repr(before)
    for name in FILES[kind][1]:
        path = tmp_path / "two" / name
        path.write_text("changed")
        assert source_identity(elsewhere, tmp_path / "cache") != before, name
        path.write_text(f"content of {name}")


def test_files_do_not_change_places_unseen(tmp_path: Path) -> None:
    """English queries under the name of German ones."""
    source = make(tmp_path, "squad")
    before = source_identity(source, tmp_path / "cache")
    (tmp_path / "en.json").write_text("content of de.json")
    (tmp_path / "de.json").write_text("content of en.json")
    assert source_identity(source, tmp_path / "cache") != before


def test_a_digest_is_remembered_while_the_file_is_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every rank would hash hundreds of GB at every start; a file changed behind its size and time would
    keep its old digest."""
    path, cache = tmp_path / "file", tmp_path / "cache"
    path.write_text("content")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    later = time.time() + 10
    monkeypatch.setattr("distributed_hbt.data.source_files.time.time", lambda: later)
    assert file_digest(path, cache) == "c681ff421fbd7af6dc373a7ced20fbeb"
    (entry,) = cache.iterdir()
    entry.write_text("remembered")
    assert file_digest(path, cache) == "remembered"
    path.write_text("comment")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert file_digest(path, cache) not in ("remembered", "c681ff421fbd7af6dc373a7ced20fbeb")


def test_a_file_written_a_moment_ago_is_not_remembered(tmp_path: Path) -> None:
    """It may change again within the grain of its time stamp."""
    (tmp_path / "file").write_text("content")
    assert file_digest(tmp_path / "file", tmp_path / "cache") == "c681ff421fbd7af6dc373a7ced20fbeb"
    assert not (tmp_path / "cache").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A bare FileNotFoundError is no line for a user."""
    source = make(tmp_path, "hbt_jsonl")
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(DataError, match=r"rows\.jsonl: no data file is found"):
        source_identity(source, tmp_path / "cache")
