"""Literal run directories, as a finished run leaves them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed_hbt.config.load import dump, validate
from distributed_hbt.evaluation.aggregates import TaskResult
from distributed_hbt.evaluation.results import write_results

LANGUAGES = ("de", "en")


def write_run(
    directory: Path,
    results: Mapping[str, list[TaskResult]],
    *,
    seed: int = 13,
    step: int = 100,
    about: Mapping[str, Any] | None = None,
    **sampling: Any,
) -> Path:
    """A run with config.yaml, train.jsonl and one evaluation: benchmark -> its tasks."""
    for benchmark, tasks in results.items():
        folder = directory / "evaluation" / f"step-{step:08d}" / benchmark
        folder.mkdir(parents=True)
        settings = {"languages": list(LANGUAGES), "candidate": "sentence", **(about or {})}
        write_results(folder, tasks, {"benchmark": benchmark, "step": step, **settings})
    content = {
        "name": re.sub(r"[^A-Za-z0-9._-]", "", directory.name),
        "output_dir": str(directory.parent),
        "seed": seed,
        "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 400}}},
        "data": {"sources": [{"format": "hbt_jsonl", "path": "rows.jsonl"}]},
        "sampling": sampling,
    }
    (directory / "config.yaml").write_text(dump(validate(content)), encoding="utf-8")
    with (directory / "train.jsonl").open("w", encoding="utf-8") as file:
        for number in (1, 2):
            file.write(json.dumps(step_line(number)) + "\n")
    return directory


def step_line(number: int) -> dict[str, Any]:
    kind = "mono" if number % 2 else "cross"
    languages = ["en"] if kind == "mono" else ["de", "en"]
    return {
        **{"step": number, "loss": 4.0 / number, "lr": 1e-3, "grad_norm": 1.0, "batch_kind": kind},
        **{"languages": languages, "num_negatives": 7, "real_tokens": 90, "padded_tokens": 100},
        **{"tokens_per_second": 1000.0 * number, "seconds": 0.1},
    }


def lareqa_tasks(mono: Mapping[str, list[float]], cross: Mapping[str, list[float]]) -> list[TaskResult]:
    """Tasks with AP alone of questions q0, q1, ...: language -> values, `query-passage` -> values."""
    tasks = [_task(f"mono/{of}", "mono", of, values) for of, values in mono.items()]
    return tasks + [
        _task(f"cross/{pair}", "cross", pair.partition("-")[0], values) for pair, values in cross.items()
    ]


def language_task(language: str, values: list[float], measure: str = "nDCG@10") -> TaskResult:
    """A task as of MIRACL."""
    return TaskResult(language, "language", {measure: {str(i): v for i, v in enumerate(values)}})


def _task(name: str, kind: Any, query_language: str, values: list[float]) -> TaskResult:
    of_query = {f"{query_language}:q{i}": value for i, value in enumerate(values)}
    return TaskResult(name, kind, {measure: dict(of_query) for measure in _MEASURES})


_MEASURES = ("AP", "R@1", "R@10", "nDCG@10", "RR@10")
