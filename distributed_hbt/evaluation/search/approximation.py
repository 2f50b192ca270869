"""What a matrix product has to offer to a search: approximate scores in blocks, with proven margins."""

from typing import Protocol, Self

from distributed_hbt.evaluation.search.bounds import Margins, Rows
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers


class Block(Protocol):
    """Values of R queries and B neighbouring passages, kept where they were computed."""

    def reaching(self, floor_R: Floats) -> Integers:
        """Positions row * B + column of the values that are not below their query's floor, ascending."""

    def around(self, row_T: Integers, floor_T: Floats, ceiling_T: Floats) -> tuple[Integers, Integers]:
        """For each limit t of query row_T[t]: how many values are above its ceiling, [T]; and the positions
        t * B + column of those that are between its floor and its ceiling, both included, ascending."""

    def values(self, position_P: Integers) -> Floats:
        """The values at the positions row * B + column."""

    def best(self, k: int, others: Self | None) -> Self:
        """The k best values of each query among these and the others, or all where there are fewer."""

    def lowest(self) -> Floats:
        """The lowest value of each query."""


class Prepared(Protocol):
    """Passages ready to be multiplied."""

    @property
    def margins(self) -> Margins: ...

    def block(self, rows: Rows, columns: slice) -> Block:
        """The values of the queries `rows` and the passages `columns`."""


class Product(Protocol):
    """The queries, ready to be multiplied with passages."""

    def prepare(self, passage_ND: Floats) -> Prepared:
        """passage_ND is contiguous and stays as it is while the result is in use."""
