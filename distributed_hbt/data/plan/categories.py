"""Categories: what a batch can be, how often it is, and the streams that its rows come from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
import numpy.typing as npt

from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.data.plan.streams import Stream, Streams
from distributed_hbt.errors import ConfigError

Kind = Literal["mono", "mixed", "cross"]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Category:
    """Batches of one make-up: `probability` of a step, `shares` of the streams in its rows (sum 1)."""

    label: str
    kind: Kind
    probability: float
    streams: tuple[Stream, ...]
    shares: tuple[float, ...]


def build_categories(
    streams: Streams, sampling: SamplingConfig, source_weights: tuple[float, ...] | None
) -> tuple[Category, ...]:
    """The categories of a sampling strategy (arXiv 2408.10536, section 3); probabilities sum to 1.

    Raises ConfigError where the data has no row of a kind that the strategy needs.
    """
    languages = range(len(streams.rows.index.languages))
    weigh = _Weighing(sampling.language_distribution, source_weights)
    categories: list[Category] = []
    mono_share = sampling.alpha if sampling.strategy == "hybrid" else 1.0
    if sampling.draws_mono or sampling.strategy == "x_x":
        own = _non_empty(streams.of(language, language) for language in languages)
        if not own:
            raise _no_rows(sampling, "an answer in the language of the query")
        if sampling.strategy == "x_x":
            return (weigh.mixture("mixed", "mixed", 1.0, own),)
        categories += _mono(streams, weigh, own, mono_share)
    if sampling.draws_cross:
        abroad = _non_empty(streams.of(language, None) for language in languages)
        if not abroad:
            raise _no_rows(sampling, "an answer in another language than the query's")
        cross_share = 1.0 - mono_share if sampling.strategy == "hybrid" else 1.0
        if sampling.cross_batches == "mixed":
            categories.append(weigh.mixture("cross", "cross", cross_share, abroad))
        else:
            categories += _pairs(streams, weigh, abroad, cross_share)
    return tuple(categories)


def passage_weights(streams: Streams, sampling: SamplingConfig) -> Float64:
    """float64[L]: the language distribution over passage languages (by answer entries), sum 1.

    A language without answers has weight 0.
    """
    index = streams.rows.index
    sizes = np.bincount(index.answer_language, minlength=len(index.languages))
    weights = np.zeros(len(sizes))
    weights[sizes > 0] = language_probabilities(sizes[sizes > 0], sampling.language_distribution)
    return weights


def language_probabilities(
    sizes: npt.NDArray[np.int64] | Sequence[int], distribution: str | float
) -> Float64:
    """Probability of each language: uniform, proportional to size, or to size ** (1 / temperature)."""
    if distribution == "uniform":
        weights = np.ones(len(sizes))
    elif distribution == "proportional":
        weights = np.asarray(sizes, dtype=np.float64)
    else:
        weights = np.asarray(sizes, dtype=np.float64) ** (1.0 / float(distribution))
    return np.asarray(weights / weights.sum(), dtype=np.float64)


class _Weighing:
    """Turns the sizes of streams into probabilities."""

    def __init__(self, distribution: str | float, source_weights: tuple[float, ...] | None) -> None:
        self.distribution = distribution
        self._source_weights = source_weights

    def languages(self, by_language: list[list[Stream]]) -> Float64:
        return language_probabilities([_size(of_one) for of_one in by_language], self.distribution)

    def mixture(
        self, label: str, kind: Kind, probability: float, by_language: list[list[Stream]]
    ) -> Category:
        """One category over several languages, each with its sources in their shares."""
        shares = [
            float(share)
            for of_one, language_share in zip(by_language, self.languages(by_language), strict=True)
            for share in language_share * self._sources(of_one)
        ]
        return Category(label, kind, probability, tuple(chain.from_iterable(by_language)), tuple(shares))

    def _sources(self, of_one: list[Stream]) -> Float64:
        if self._source_weights is None:
            return np.ones(1)
        weights = np.array([self._source_weights[s.source] for s in of_one if s.source is not None])
        return np.asarray(weights / weights.sum(), dtype=np.float64)


def _mono(streams: Streams, weigh: _Weighing, own: list[list[Stream]], probability: float) -> list[Category]:
    codes = streams.rows.index.languages
    return [
        weigh.mixture(f"mono:{codes[of_one[0].language]}", "mono", probability * float(share), [of_one])
        for of_one, share in zip(own, weigh.languages(own), strict=True)
    ]


def _pairs(
    streams: Streams, weigh: _Weighing, abroad: list[list[Stream]], probability: float
) -> list[Category]:
    """Ordered pairs: the query language by its probability, then the passage language by the same
    distribution, among those that the query language has rows with."""
    index = streams.rows.index
    sizes = np.bincount(index.answer_language, minlength=len(index.languages))
    categories = []
    for of_one, share in zip(abroad, weigh.languages(abroad), strict=True):
        language = of_one[0].language
        of_passage = {other: streams.of(language, other) for other in range(len(index.languages))}
        pairs = {other: pair for other, pair in of_passage.items() if pair and other != language}
        passages = list(pairs)
        given_query = language_probabilities(sizes[passages], weigh.distribution)
        for passage, conditional in zip(passages, given_query, strict=True):
            label = f"cross:{index.languages[language]}-{index.languages[passage]}"
            pair_probability = probability * float(share) * float(conditional)
            categories.append(weigh.mixture(label, "cross", pair_probability, [pairs[passage]]))
    return categories


def _non_empty(groups: Iterable[list[Stream]]) -> list[list[Stream]]:
    return [group for group in groups if group]


def _size(of_one: list[Stream]) -> int:
    return sum(stream.size for stream in of_one)


def _no_rows(sampling: SamplingConfig, what: str) -> ConfigError:
    within = "" if sampling.languages is None else f" within languages {', '.join(sampling.languages)}"
    return ConfigError(
        "sampling.strategy",
        f"{sampling.strategy} needs rows with {what}, the data has none{within}",
        "choose another strategy or add such data",
    )
