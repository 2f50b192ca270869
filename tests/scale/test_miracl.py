"""MIRACL from end to end: its real topics and qrels, a generated corpus in its own files, `hbt evaluate`.

The small size runs in `make test`, the large one in `make test-scale`.
"""

import gzip
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import yaml

from tests.scale.miracl import read_judgments, read_topics, write_language
from tests.tiny_encoder import write_checkpoint

LANGUAGES = ("sw", "te", "yo")
SIZES = [pytest.param(1_000, id="small"), pytest.param(66_667, id="large", marks=pytest.mark.scale)]
"""Distractors a language."""
DEPTH = 100

Run = dict[str, list[tuple[str, int, float]]]


def write_run(folder: Path, root: Path, **evaluation: Any) -> Path:
    """A run file whose evaluation is MIRACL below `root`."""
    benchmark = {"name": "miracl", "root": str(root), "languages": list(LANGUAGES)}
    content = {
        "name": "miracl",
        "output_dir": str(folder / "runs"),
        "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 500}}},
        "data": {"sources": [{"format": "hbt_jsonl", "path": "none.jsonl"}]},
        "evaluation": {"benchmarks": [benchmark], "depth": DEPTH, "max_tokens_per_batch": 8192, **evaluation},
        "cluster": {"gpus_per_worker": 0},
    }
    file = folder / "miracl.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def read_run(path: Path) -> Run:
    """query_id -> (doc_id, rank, score), by plain reading."""
    run: Run = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            query_id, _, doc_id, rank, score, _ = line.split()
            run.setdefault(query_id, []).append((doc_id, int(rank), float(score)))
    return run


def by_hand(run: Run, judgments: dict[str, dict[str, int]]) -> dict[str, dict[str, float]]:
    """measure -> query_id -> value, from the definitions."""
    values: dict[str, dict[str, float]] = {"nDCG@10": {}, "R@100": {}, "RR@10": {}}
    for query_id, judged in judgments.items():
        gains = {rank: judged.get(doc_id, 0) for doc_id, rank, _ in run[query_id]}
        ideal = sorted(judged.values(), reverse=True)[:10]
        best = sum(gain / math.log2(i + 2) for i, gain in enumerate(ideal))
        found = sum(gains.get(rank, 0) / math.log2(rank + 1) for rank in range(1, 11))
        first = next((rank for rank in range(1, 11) if gains.get(rank, 0) > 0), None)
        relevant = sum(value > 0 for value in judged.values())
        values["nDCG@10"][query_id] = found / best
        values["R@100"][query_id] = sum(gains.get(rank, 0) > 0 for rank in range(1, 101)) / relevant
        values["RR@10"][query_id] = 1 / first if first else 0.0
    return values


@pytest.fixture(scope="module", params=SIZES)
def evaluated(
    request: pytest.FixtureRequest,
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    programs: Any,
) -> tuple[Path, Path, int]:
    """(folder of the results, folder of the corpus, its number of passages)."""
    folder = tmp_path_factory.mktemp("miracl")
    data = shared_data / "miracl-dev"
    passages = sum(write_language(folder / "data", data, language, request.param) for language in LANGUAGES)
    topics = [text for language in LANGUAGES for text in read_topics(data, language).values()]
    checkpoint = write_checkpoint(folder / "step-00000007", topics)
    run_file = write_run(folder, folder / "data", shard_rows=5_000)
    done = programs.hbt("evaluate", run_file, "--checkpoint", checkpoint)
    assert done.returncode == 0, done.stderr
    return folder / "runs/miracl/evaluation/step-00000007/miracl", folder / "data", passages


def test_every_measure_equals_a_calculation_by_hand(
    evaluated: tuple[Path, Path, int], shared_data: Path
) -> None:
    """Catches measures of another run than the one that was written, and queries left out."""
    folder, _, passages = evaluated
    summary = json.loads((folder / "summary.json").read_text())
    assert list(summary["tasks"]) == list(LANGUAGES)
    assert summary["num_candidates"] == passages
    table = pyarrow.parquet.read_table(folder / "per_query.parquet").to_pandas()
    for language in LANGUAGES:
        judgments = read_judgments(shared_data / "miracl-dev", language)
        values = by_hand(read_run(folder / "runs" / f"{language}.trec.gz"), judgments)
        assert summary["tasks"][language]["num_queries"] == len(judgments)
        for measure, of_query in values.items():
            rows = table[(table.task == language) & (table.measure == measure)]
            assert dict(zip(rows.query_id, rows.value, strict=True)) == pytest.approx(of_query, abs=1e-6)
            mean = sum(of_query.values()) / len(of_query)
            assert summary["tasks"][language]["measures"][measure] == pytest.approx(mean, abs=1e-6)
    assert 0 < summary["aggregates"]["mean"]["nDCG@10"] < 1
    assert summary["aggregates"]["languages"] == list(LANGUAGES)
    for measure in ("nDCG@10", "R@100", "RR@10"):
        per_language = [summary["tasks"][language]["measures"][measure] for language in LANGUAGES]
        assert summary["aggregates"]["mean"][measure] == pytest.approx(sum(per_language) / len(LANGUAGES))


def test_runs_hold_the_depth_and_every_relevant_passage(
    evaluated: tuple[Path, Path, int], shared_data: Path
) -> None:
    """Catches relevant passages below the depth that are lost, or on a rank that another one has."""
    folder, _, _ = evaluated
    gaps = 0
    for language in LANGUAGES:
        run = read_run(folder / "runs" / f"{language}.trec.gz")
        for query_id, judged in read_judgments(shared_data / "miracl-dev", language).items():
            ranks = [rank for _, rank, _ in run[query_id]]
            assert ranks[:DEPTH] == list(range(1, DEPTH + 1))
            assert all(a < b for a, b in itertools.pairwise(ranks))
            scores = [score for _, _, score in run[query_id]]
            assert all(a > b for a, b in itertools.pairwise(scores))
            found = {doc_id for doc_id, _, _ in run[query_id]}
            assert {doc_id for doc_id, relevance in judged.items() if relevance} <= found
            gaps += ranks[-1] > len(ranks)
    assert gaps > 0, "no query has a relevant passage far below the depth: the test tests nothing"
