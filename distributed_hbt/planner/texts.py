"""How long texts are taken to be, and the chunks that a rank's share of a batch is cut into."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.chunks import cut
from distributed_hbt.planner.cluster import Assumptions

Lengths = NDArray[np.int64]

PASSAGE_QUANTILES = (
    *(44, 112, 135, 145, 154, 163, 170, 178, 186, 192, 200),
    *(209, 219, 229, 243, 262, 279, 302, 334, 395, 953),
)
"""Tokens of XQuAD-R's 2,640 paragraphs in 11 languages, prompt and EOS included, at 0, 5, ..., 100 per cent;
by a byte-level BPE tokenizer of 32,000 tokens that was trained on them. 223 on average."""

QUERY_QUANTILES = (7, 13, 14, 15, 16, 17, 17, 18, 19, 19, 20, 21, 21, 22, 23, 24, 25, 27, 28, 32, 86)
"""Of its 13,090 questions. 21 on average."""

PASSAGE_MEAN, QUERY_MEAN = 223.0, 21.0


@dataclass(frozen=True)
class Chunk:
    """So many texts, the longest so long; `real_tokens` and the sum of their `squares` without padding."""

    texts: int
    longest: int
    real_tokens: int
    squares: int
    padding_free: bool

    @property
    def tokens(self) -> int:
        """That go through the encoder's linear maps."""
        return self.real_tokens if self.padding_free else self.texts * self.longest

    @property
    def squared_tokens(self) -> int:
        """Sum over the texts of their squared length, as the attention sees them."""
        return self.squares if self.padding_free else self.texts * self.longest**2


@dataclass(frozen=True)
class Workload:
    """A rank's share of a step. `queries` and `passages` are numbers of texts."""

    chunks: tuple[Chunk, ...]
    queries: int
    passages: int

    @property
    def real_tokens(self) -> int:
        return sum(chunk.real_tokens for chunk in self.chunks)

    @property
    def padded_tokens(self) -> int:
        return sum(chunk.tokens for chunk in self.chunks)

    @property
    def largest(self) -> Chunk:
        return max(self.chunks, key=lambda chunk: chunk.tokens)


def sample_lengths(quantiles: Sequence[int], count: int, longest: int, seed: int) -> Lengths:
    """Lengths drawn from a distribution that is given by equally spaced quantiles, truncated."""
    share_N = np.random.default_rng(seed).random(count) * (len(quantiles) - 1)
    drawn_N = np.interp(share_N, np.arange(len(quantiles)), quantiles)
    return np.clip(np.rint(drawn_N).astype(np.int64), 2, longest)


def assumed_workload(config: RunConfig, world_size: int, assumed: Assumptions) -> Workload:
    """What the run's batch size, hard negatives and longest lengths make of the assumed lengths. That several
    rows share a passage, which is then encoded once, is not assumed."""
    rows = config.train.global_batch_size // world_size
    passages = rows * (1 + config.data.num_hard_negatives)
    lengths = [
        _lengths(QUERY_QUANTILES, QUERY_MEAN, assumed.query_tokens, rows, config.model.max_query_length, 1),
        _lengths(
            PASSAGE_QUANTILES,
            PASSAGE_MEAN,
            assumed.passage_tokens,
            passages,
            config.model.max_passage_length,
            2,
        ),
    ]
    return workload_of(np.concatenate(lengths), rows, config)


def workload_of(lengths: Lengths, queries: int, config: RunConfig) -> Workload:
    """Of these texts, the first of which are queries; cut as training cuts them."""
    free = config.model.padding_free
    positions = cut(lengths, config.train.max_tokens_per_chunk, padding_free=free)
    chunks = (_chunk(lengths[where], padding_free=free) for where in positions)
    return Workload(tuple(chunks), queries, len(lengths) - queries)


def _chunk(lengths: Lengths, *, padding_free: bool) -> Chunk:
    squares = int((lengths**2).sum())
    return Chunk(len(lengths), int(lengths.max()), int(lengths.sum()), squares, padding_free)


def _lengths(
    quantiles: Sequence[int], usual: float, mean: float | None, count: int, longest: int, seed: int
) -> Lengths:
    scale = 1.0 if mean is None else mean / usual
    return sample_lengths([max(2, round(scale * q)) for q in quantiles], count, longest, seed)
