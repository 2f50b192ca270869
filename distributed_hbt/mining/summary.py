"""What a mining gave, in numbers for people."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from distributed_hbt.data.example import Example
from distributed_hbt.mining.choose import REASONS, Choice


@dataclass(slots=True)
class Summary:
    """Counts over the rows. `wanted` negatives a row were asked for; `short` rows have fewer, `empty` ones
    none at all, counted by `<query language>-<passage language>`. `removed` counts candidates by the reason
    that took them out."""

    wanted: int
    rows: int = 0
    negatives: int = 0
    short: int = 0
    empty: Counter[str] = field(default_factory=Counter)
    given_kept: int = 0
    given_replaced: int = 0
    given_known: int = 0
    """Negatives of the sources that are known positives, and so were left out whatever was asked for."""
    removed: Counter[str] = field(default_factory=Counter)

    def add(self, row: Example, choice: Choice, kept: int, known: int) -> None:
        """Count a row: of the negatives that it had, `kept` are kept and `known` are known positives."""
        found = len(choice.negatives)
        self.rows += 1
        self.negatives += found
        self.short += found < self.wanted
        if found + kept == 0:
            self.empty[f"{row.query_language}-{row.passage_language}"] += 1
        self.given_kept += kept
        self.given_replaced += len(row.negatives) - kept - known
        self.given_known += known
        self.removed.update(choice.removed)

    @property
    def mean(self) -> float:
        """Mined negatives a row."""
        return self.negatives / self.rows if self.rows else 0.0

    def as_json(self) -> str:
        """One JSON document."""
        return json.dumps(self._content(), indent=2)

    def as_text(self) -> str:
        """Lines for a terminal."""
        lines = [
            f"{self.rows} rows, {self.mean:.2f} negatives a row",
            f"{self.short} rows have fewer than {self.wanted}, {self.empty.total()} have none at all",
            "candidates left out:",
            *(f"  {reason:<16}{self.removed[reason]:>12}" for reason in REASONS),
        ]
        given = {"kept": self.given_kept, "replaced": self.given_replaced, "known": self.given_known}
        if any(given.values()):
            lines += ["negatives that the sources had:"]
            lines += [f"  {name:<16}{count:>12}" for name, count in given.items()]
        return "\n".join(lines)

    def _content(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "negatives": self.negatives,
            "mean_negatives": self.mean,
            "wanted": self.wanted,
            "short_rows": self.short,
            "empty_rows": dict(sorted(self.empty.items())),
            "removed": {reason: self.removed[reason] for reason in REASONS},
            "given": {
                "kept": self.given_kept,
                "replaced": self.given_replaced,
                "known": self.given_known,
            },
        }
