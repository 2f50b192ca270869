"""A share of a source's groups."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from distributed_hbt.config.data import Source
from distributed_hbt.data.convert import group_prefix
from distributed_hbt.data.example import Example
from distributed_hbt.data.source_files import source_identity
from distributed_hbt.data.sources import read_source
from distributed_hbt.errors import DataError


def source(path: Path, **more: Any) -> Any:
    content = {"format": "squad", "path": str(path), "languages": ["de", "en"], **more}
    return TypeAdapter(Source).validate_json(json.dumps(content))


def squad_file(folder: Path, questions: list[str], name: str = "{language}.json") -> Path:
    for language in ("de", "en"):
        qas = [{"id": q, "question": f"{q} {language}?", "answers": [{}]} for q in questions]
        content = {"data": [{"paragraphs": [{"context": f"C {language}", "qas": qas}]}]}
        (folder / name.replace("{language}", language)).write_text(json.dumps(content), encoding="utf-8")
    return folder / name


def kept(chosen: Any, position: int = 0) -> list[tuple[str, str]]:
    rows = [row for row in read_source(chosen, position) if isinstance(row, Example)]
    return [(row.query_language, row.group_id) for row in rows]


def test_smaller_share_is_part_of_a_larger_one_and_of_the_size_asked_for(tmp_path: Path) -> None:
    """A study of data size in which each size is another draw, so that luck looks like an effect."""
    path = squad_file(tmp_path, [f"q{i}" for i in range(2000)])
    whole, half, quarter = (set(kept(source(path, share=share))) for share in (1.0, 0.5, 0.25))
    assert quarter < half < whole
    assert len(whole) == 4000
    assert abs(len(half) / 4000 - 0.5) < 0.04
    assert abs(len(quarter) / 4000 - 0.25) < 0.04


def test_languages_keep_the_same_groups_wherever_the_source_stands(tmp_path: Path) -> None:
    """A group that lost its translation gave no cross-lingual rows any more."""
    path = squad_file(tmp_path, [f"q{i}" for i in range(200)])
    found = kept(source(path, share=0.3))
    german, english = ({group for code, group in found if code == language} for language in ("de", "en"))
    assert german == english
    assert kept(source(path, share=0.3), position=5) == found


def test_share_keeps_what_it_kept(tmp_path: Path) -> None:
    """Another hash gave resumed studies other data under the same configuration."""
    path = squad_file(tmp_path, [f"q{i}" for i in range(12)])
    groups = [group for code, group in kept(source(path, share=0.5)) if code == "en"]
    assert groups == [f"squad/q{i}" for i in (0, 1, 2, 5, 6, 9, 10)]


def test_bad_rows_are_thinned_alike(tmp_path: Path) -> None:
    """A tenth of the data with all of the bad rows was refused by max_bad_share."""
    rows = [{"query": "Q"}] * 1000
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    content = {"format": "hbt_jsonl", "path": f"{tmp_path}/rows.jsonl", "share": 0.1}
    found = list(read_source(TypeAdapter(Source).validate_python(content), 0))
    assert 60 < len(found) < 140


def test_share_is_part_of_the_identity_and_all_of_a_source_is_as_before(tmp_path: Path) -> None:
    """A store of a quarter of the data served for the half; old stores and native ids were lost."""
    path = squad_file(tmp_path, ["a"])
    settings = [source_identity(source(path, share=s), tmp_path / "c")["settings"] for s in (0.25, 0.5, 1.0)]
    assert [found.get("share") for found in settings] == [0.25, 0.5, None]
    paths = {"paths": {"de": "a", "en": "b"}}
    parallel = [
        TypeAdapter(Source).validate_python({"format": "parallel", **paths, "share": s}) for s in (0.5, 1.0)
    ]
    assert group_prefix(parallel[0]) == group_prefix(parallel[1])


def test_share_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    """A source without rows went unnoticed."""
    path = squad_file(tmp_path, ["a"])
    with pytest.raises(DataError, match=r"data\.sources\.0: the squad source has no rows; .*share"):
        kept(source(path, share=1e-9))


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5])
def test_impossible_share_is_refused(share: float) -> None:
    """A percentage read as a share of everything."""
    with pytest.raises(ValidationError, match="share"):
        source(Path("x/{language}"), share=share)
