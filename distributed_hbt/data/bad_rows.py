"""Which rows can not be used, and whether that is too many."""

from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.errors import DataError

_KEPT = 10
_SHOWN = 3


class BadRows:
    """Counts good and bad rows and keeps the first bad ones."""

    def __init__(self) -> None:
        self.good = 0
        self.bad = 0
        self.first: list[BadRow] = []

    @property
    def rows(self) -> int:
        """All rows so far."""
        return self.good + self.bad

    def add(self, row: Example | BadRow) -> None:
        """Count a row."""
        if isinstance(row, Example):
            self.good += 1
            return
        self.bad += 1
        if len(self.first) < _KEPT:
            self.first.append(row)

    def verdict(self, max_bad_share: float) -> None:
        """Raises DataError where more than this share (0 to 1) of the rows is unusable."""
        if self.bad == 0 or self.bad / self.rows <= max_bad_share:
            return
        first, *others = self.first
        also = ", ".join(f"{row.where} ({row.reason})" for row in others[:_SHOWN])
        more = f", and {self.bad - 1 - _SHOWN} more" if self.bad - 1 > _SHOWN else ""
        what = f"{self.bad} of {self.rows} rows are unusable ({first.reason}"
        remedy = f"mend them, or allow more than data.max_bad_share = {max_bad_share:g}"
        raise DataError(first.where, f"{what}{'; also ' + also if also else ''}{more})", remedy)
