"""The files of an evaluation: summary.json and per_query.parquet."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.aggregates import TaskResult, aggregates

SUMMARY = "summary.json"
PER_QUERY = "per_query.parquet"


def write_results(folder: Path, results: Sequence[TaskResult], about: Mapping[str, Any]) -> None:
    """Write `per_query.parquet` (task, query_id, measure, value), then `summary.json`.

    `about` says what was measured; its entries stand in the summary beside `tasks` and `aggregates`.
    """
    _write_per_query(folder / PER_QUERY, results)
    summary = {
        **about,
        "tasks": {
            result.task: {"num_queries": result.num_queries, "measures": result.means} for result in results
        },
        "aggregates": aggregates(results),
    }
    top10 = {_query_language(result.task): result.top10 for result in results if result.top10}
    if top10:
        summary["top10_languages"] = top10
    text = json.dumps(summary, ensure_ascii=False, indent=2, allow_nan=False)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of a complete result. Raises DataError when it is damaged."""
    path = folder / SUMMARY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(str(path), f"is damaged ({error})", "remove the folder and evaluate again") from error
    if not isinstance(content, dict):
        raise DataError(str(path), "holds no summary", "remove the folder and evaluate again")
    return content


def _query_language(task: str) -> str:
    return task.partition("/")[2]


def _write_per_query(path: Path, results: Sequence[TaskResult]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {name: pa.string() for name in ("task", "query_id", "measure")}
    schema = pa.schema([*names.items(), ("value", pa.float64())])
    with pq.ParquetWriter(path, schema) as writer:
        for result in results:
            columns: dict[str, list[Any]] = {name: [] for name in schema.names}
            for measure, of_query in result.values.items():
                columns["task"] += [result.task] * len(of_query)
                columns["query_id"] += of_query.keys()
                columns["measure"] += [measure] * len(of_query)
                columns["value"] += of_query.values()
            writer.write_table(pa.table(columns, schema=schema))
