"""What the tests of a table say, in words."""

from collections.abc import Sequence

from distributed_hbt.comparison.comparison import Row
from distributed_hbt.comparison.report.content import Finding
from distributed_hbt.comparison.report.rows import is_better, row_name


def in_words(rows: Sequence[Row]) -> tuple[Finding, ...]:
    """A sentence a pair of systems: on which measures `other` is better, worse, or not known to differ."""
    pairs = dict.fromkeys((found.one, found.other) for row in rows for found in row.differences)
    return tuple(_sentence(rows, one, other) for one, other in pairs)


def _sentence(rows: Sequence[Row], one: str, other: str) -> Finding:
    better: list[str] = []
    worse: list[str] = []
    neither: list[str] = []
    for row in rows:
        for found in row.differences:
            if (found.one, found.other) == (one, other):
                kind = neither if not found.is_significant else better if is_better(row, found) else worse
                kind.append(row_name(row))
    parts = [
        f"significantly better on {_listed(better)}" if better else "",
        f"significantly worse on {_listed(worse)}" if worse else "",
        f"no significant difference on {_listed(neither)}" if neither else "",
    ]
    return Finding(f"{other} compared with {one}", f"{'; '.join(part for part in parts if part)}.")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
