"""Passages that are searched at once."""

import numpy as np

from distributed_hbt.evaluation.search.approximation import Prepared, Product
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers


class Chunk:
    """passage_ND contiguous, with distinct keys; prepared once for every product that asks for it."""

    def __init__(self, passage_ND: Floats, key_N: Integers) -> None:
        self.passage_ND = passage_ND
        self.key_N = key_N
        self._prepared: dict[Product, Prepared] = {}

    def __len__(self) -> int:
        return len(self.key_N)

    def prepared(self, product: Product) -> Prepared:
        if product not in self._prepared:
            self._prepared[product] = product.prepare(self.passage_ND)
        return self._prepared[product]

    def columns_of(self, key_T: Integers) -> Integers:
        """Where these keys stand, -1 for those that are not here."""
        if not len(key_T):
            return np.empty(0, np.int64)
        order_N = self.key_N.argsort()
        place_T = np.searchsorted(self.key_N, key_T, sorter=order_N)
        column_T = order_N[np.minimum(place_T, len(self) - 1)]
        return np.where(self.key_N[column_T] == key_T, column_T, -1)
