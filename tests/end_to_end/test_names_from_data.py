"""Ids, languages and names that come with data lead no file out of its folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.trec_run import run_path
from tests.corpus_files import passage, write_lines
from tests.fuzz.cases import faults_of, run
from tests.fuzz.test_encoders import write_encoder, write_run_file
from tests.lareqa_files import write_lareqa

EVIL = (
    "../../../../evil",
    "/evil",
    "..",
    ".",
    "C:\\evil",
    "a" * 5000,
    "x\x00y",
    "con",
    "~/evil",
    "evil/../..",
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "run", lora=False)


def rows(*ids: str, language: str = "en") -> list[dict[str, Any]]:
    return [
        {
            **{"group_id": identifier, "query": f"fact {i}", "query_language": language},
            **{"passage_language": "en", "positive_passages": [passage(identifier, f"en fact {i}.")]},
            **{"negative_passages": [passage(f"{identifier}-n", f"en fact {i} 1.")]},
        }
        for i, identifier in enumerate(ids)
    ]


def outside(folder: Path, *allowed: Path) -> set[Path]:
    """Files below the folder that lie in none of these."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path for path in files if not any(path.is_relative_to(one) for one in allowed)}


def evaluated(folder: Path, checkpoint: Path, benchmark: dict[str, Any]) -> tuple[int, str]:
    """Exit code and what was said, of an evaluation that writes into <folder>/deep/down/there/out alone."""
    work = folder / "deep" / "down" / "there"
    work.mkdir(parents=True)
    run_file = write_run_file(work, benchmark)
    before = outside(folder)
    outcome = run(["evaluate", str(run_file), "--checkpoint", str(checkpoint), "--out", str(work / "out")])
    assert list(faults_of(outcome)) == []
    assert outside(folder, work / "out", work / "stores") == before
    return outcome.code, outcome.err


def test_ids_are_not_taken_for_paths(tmp_path: Path, checkpoint: Path) -> None:
    """A doc_id `../../x` that becomes the name of a file."""
    path = write_lines(tmp_path / "rows.jsonl", *rows(*EVIL))
    source = {"format": "hbt_jsonl", "path": str(path)}
    code, said = evaluated(tmp_path, checkpoint, {"name": "rows", "label": "ours", "sources": [source]})
    assert code == 0, said


@pytest.mark.parametrize("language", EVIL)
def test_a_row_s_language_is_no_path(tmp_path: Path, checkpoint: Path, language: str) -> None:
    """A task is named by the language of its queries, and its run file by the task."""
    path = write_lines(tmp_path / "rows.jsonl", *rows("1", "2", language=language))
    source = {"format": "hbt_jsonl", "path": str(path)}
    code, said = evaluated(tmp_path, checkpoint, {"name": "rows", "label": "ours", "sources": [source]})
    allowed = language == "con"  # a name as any other, where files may have it
    assert code == (0 if allowed else 2), said
    assert allowed or "no code of a language" in said


@pytest.mark.parametrize("language", ["../data/en", "/etc/passwd", "en\x00"])
def test_a_benchmark_s_language_is_no_path(tmp_path: Path, checkpoint: Path, language: str) -> None:
    """A run file of somebody else that reads and writes beside its benchmark."""
    benchmark = write_lareqa(tmp_path / "data", ["en"], articles=1)
    code, said = evaluated(tmp_path, checkpoint, {**benchmark, "languages": [language]})
    assert code == 2
    assert "evaluation.benchmarks.0.languages.0" in said


def test_ids_of_a_benchmark_are_not_taken_for_paths(tmp_path: Path, checkpoint: Path) -> None:
    """As above, of questions; those with a space or a NUL can not stand in a run file."""
    benchmark = write_lareqa(tmp_path / "data", ["en"], articles=3)
    file = tmp_path / "data" / "en.json"
    content = json.loads(file.read_text())
    questions = [q for article in content["data"] for p in article["paragraphs"] for q in p["qas"]]
    for question, identifier in zip(questions, EVIL, strict=False):
        question["id"] = identifier
    file.write_text(json.dumps(content))
    code, said = evaluated(tmp_path, checkpoint, benchmark)
    assert code == 0, said


def test_a_task_s_name_leads_nowhere_else(tmp_path: Path) -> None:
    """The last guard, whoever named the task."""
    assert run_path(tmp_path, "cross/en-de") == tmp_path / "cross" / "en-de.trec.gz"
    for task in (
        "../x",
        "mono/../../x",
        "/etc/x",
        "mono/",
        "",
        "a\x00b",
        "mono//en",
        "a\n",
        "~/x",
        "a" * 300,
    ):
        with pytest.raises(DataError, match="no name of a file"):
            run_path(tmp_path, task)
