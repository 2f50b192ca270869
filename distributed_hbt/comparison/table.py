"""Runs side by side, as a table for people and as JSON for programs."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from distributed_hbt.comparison.results import RunResult

COLUMNS = (
    "mono AP",
    "mono R@1",
    "cross AP",
    "cross R@1",
    "multi AP",
    "multi R@10",
    "pool AP",
    "rank_distance",
    "mean nDCG@10",
    "mean R@100",
    "mean RR@10",
)
"""What the method's paper reports (arXiv 2408.10536), where rank distance is better when lower; and the means
over the languages of MIRACL and its kin."""


def benchmarks_of(results: Sequence[RunResult]) -> list[str]:
    """Every benchmark that any run has, in order of first appearance."""
    return list(dict.fromkeys(name for result in results for name in result.aggregates))


def print_tables(results: Sequence[RunResult], console: Console) -> None:
    """One table a benchmark; a figure that a run does not have is left empty."""
    for benchmark in benchmarks_of(results):
        console.print(_table(results, benchmark))


def as_json(results: Sequence[RunResult]) -> list[dict[str, Any]]:
    """One object a run and benchmark."""
    return [
        {"run": result.name, "step": result.step, "benchmark": benchmark, "aggregates": dict(values)}
        for result in results
        for benchmark, values in result.aggregates.items()
    ]


def _table(results: Sequence[RunResult], benchmark: str) -> Table:
    present = [result for result in results if benchmark in result.aggregates]
    columns = [c for c in COLUMNS if any(c in result.aggregates[benchmark] for result in present)]
    table = Table(title=benchmark, box=box.SIMPLE, title_justify="left")
    table.add_column("run", no_wrap=True)
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for result in present:
        values = result.aggregates[benchmark]
        table.add_row(result.name, *(_figure(values.get(column), column) for column in columns))
    return table


def _figure(value: float | None, column: str) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if column == "rank_distance" else f"{value:.4f}"
