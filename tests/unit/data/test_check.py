"""Bad rows, and the summary of the data."""

import json
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.data import DataConfig
from distributed_hbt.data.check import BadRows, good_examples, summarise
from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.errors import DataError

GOOD = Example("g", "q", "en", "en", ())


def counted(good: int, bad: int) -> BadRows:
    report = BadRows()
    for _ in range(good):
        report.add(GOOD)
    for i in range(bad):
        report.add(BadRow(f"f:{i + 1}", f"fault {i + 1}"))
    return report


def test_any_bad_row_refuses_by_default_and_names_the_first_four() -> None:
    """The refusal did not say how many rows, or which."""
    with pytest.raises(DataError) as error:
        counted(94, 6).verdict(0.0)
    assert str(error.value) == (
        "f:1: 6 of 100 rows are unusable (fault 1; also f:2 (fault 2), f:3 (fault 3), f:4 (fault 4), "
        "and 2 more); mend them, or allow more than data.max_bad_share = 0"
    )


def test_one_bad_row_is_told_shortly() -> None:
    """`also` and `more` stood there with nothing after them."""
    with pytest.raises(DataError, match=r"^f:1: 1 of 4 rows are unusable \(fault 1\); mend them"):
        counted(3, 1).verdict(0.2)


@pytest.mark.parametrize(
    ("good", "bad", "share"), [(10, 0, 0.0), (95, 5, 0.05), (71, 29, 0.29), (0, 3, 1.0), (0, 0, 0.0)]
)
def test_share_that_is_allowed_passes(good: int, bad: int, share: float) -> None:
    """A share exactly at the limit was refused."""
    counted(good, bad).verdict(share)


def test_only_the_first_ten_are_kept() -> None:
    """A file of bad rows filled the memory with them."""
    report = counted(0, 1000)
    assert (report.bad, report.rows, len(report.first)) == (1000, 1000, 10)


def row(group: str, query: str, languages: str, text: str) -> dict[str, Any]:
    query_language, passage_language = languages.split("-")
    return {
        "group_id": group,
        "query": query,
        "query_language": query_language,
        "passage_language": passage_language,
        "positive_passages": [{"docid": "", "title": "", "text": text}],
    }


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    native = [
        json.dumps(row("1", "q", "en-en", "a")), json.dumps(row("1", "f", "de-de", "b")),
        json.dumps(row("2", "q2", "sw-en", "c")), "{broken",
    ]  # fmt: skip
    (tmp_path / "n.jsonl").write_text("\n".join(native), encoding="utf-8")
    (tmp_path / "en.txt").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "de.txt").write_text("eins\nzwei\n", encoding="utf-8")
    return {
        "sources": [
            {"format": "hbt_jsonl", "path": f"{tmp_path}/n.jsonl"},
            {"format": "parallel", "paths": {"en": f"{tmp_path}/en.txt", "de": f"{tmp_path}/de.txt"}},
        ]
    }


def config(settings: dict[str, Any]) -> DataConfig:
    return DataConfig.model_validate_json(json.dumps(settings))


def test_good_examples_end_with_the_verdict(settings: dict[str, Any]) -> None:
    """Data with bad rows was trained on because nobody had asked for the verdict."""
    report, seen = BadRows(), []
    with pytest.raises(DataError, match=r"n\.jsonl:4: 1 of 8 rows are unusable"):
        seen.extend(good_examples(config(settings), report))
    settings["max_bad_share"] = 0.2
    assert [position for position, _ in good_examples(config(settings), BadRows())] == [0, 0, 0, 1, 1, 1, 1]
    assert (report.good, report.bad) == (7, 1)


def test_summary_counts_what_can_be_trained_on(settings: dict[str, Any], tmp_path: Path) -> None:
    """Pairs were counted as the files write them, so parallel data showed no cross-lingual pair; a
    parallel sentence counted as a pair with itself."""
    summary = summarise(config(settings))
    assert json.loads(summary.as_json()) == {
        "rows": 7,
        "groups": 4,
        "pairs": {"de-de": 1, "de-en": 3, "en-de": 3, "en-en": 1, "sw-en": 1},
        "bad_rows": 1,
        "first_bad_rows": [
            {
                "where": f"{tmp_path}/n.jsonl:4",
                "reason": "is broken JSON (Expecting property name enclosed in double quotes at character 2)",
            }
        ],
        "sources": [
            {
                "format": "hbt_jsonl",
                "rows": 3,
                "groups": 2,
                "pairs": {"de-de": 1, "en-en": 1, "sw-en": 1},
                "bad_rows": 1,
                "first_bad_rows": json.loads(summary.as_json())["first_bad_rows"],
            },
            {
                "format": "parallel",
                "rows": 4,
                "groups": 2,
                "pairs": {"de-de": 2, "en-en": 2},
                "bad_rows": 0,
                "first_bad_rows": [],
            },
        ],
    }


def test_summary_as_text_names_counts_and_bad_rows(settings: dict[str, Any], tmp_path: Path) -> None:
    """The table left out a source, a pair, or where the bad rows are."""
    lines = [" ".join(line.split()) for line in summarise(config(settings)).as_text().splitlines()]
    assert lines[0] == "7 rows in 4 groups; 1 bad rows"
    assert lines[3] == "0 hbt_jsonl 3 2 1 de-de 1, en-en 1, sw-en 1"
    assert lines[4] == "1 parallel 4 2 0 de-de 2, en-en 2"
    assert "en-de 3" in lines
    assert lines[-1].startswith(f"{tmp_path}/n.jsonl:4: is broken JSON (")
