"""Which candidates of a row become its negatives: a function of the candidates alone.

The rank of a candidate is its place, from 1, among those that are left once known positives and blank
passages are out; copies of one text hold a rank each, and only the first is taken.
"""

from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass
from hashlib import blake2b

from distributed_hbt.config.mining import MiningConfig
from distributed_hbt.mining.keys import BLANK

REASONS = ("known", "blank", "first_rank", "absolute_margin", "relative_margin", "copy", "spare")
"""Why a candidate is no negative, in the order in which it is asked: a known positive, a blank passage,
before the first rank, too close to the positive, the text of a better one, not needed any more."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that the search found. `keys` are those it may be known by; `same` is that of its text, equal
    for copies."""

    language: str
    doc_id: str
    score: float
    keys: tuple[int, ...]
    same: int


@dataclass(frozen=True, slots=True)
class Negative:
    """A candidate that was taken, and its rank."""

    language: str
    doc_id: str
    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The negatives of a row, best first; `removed` counts the candidates that each reason took out, of
    those down to `mining.depth`."""

    negatives: tuple[Negative, ...]
    removed: Counter[str]


def choose(
    candidates: Iterable[Candidate],
    known: Set[int],
    lowest_positive: float | None,
    config: MiningConfig,
    *,
    draw: str,
    given: Iterable[int] = (),
) -> Choice:
    """The negatives of one row.

    Args:
        candidates: best first; as many as reach `depth` once known positives are out.
        known: keys of the known positives.
        lowest_positive: the lowest score of the row's own positives; needed where there is a margin.
        config: the rules.
        draw: what a random choice depends on, beside the candidates.
        given: keys of the texts of negatives that the row keeps.
    """
    removed: Counter[str] = Counter()
    remaining: list[Negative] = []
    seen = set(given)
    rank = 0
    for candidate in candidates:
        reason = _no_candidate(candidate, known)
        if reason is None:
            rank += 1
            if rank > config.depth:
                break
            reason = _refusal(candidate, rank, lowest_positive, config)
        if reason is None and candidate.same in seen:
            reason = "copy"
        if reason is not None:
            removed[reason] += 1
            continue
        seen.add(candidate.same)
        remaining.append(Negative(candidate.language, candidate.doc_id, candidate.score, rank))
    chosen = remaining if config.choice == "best" else sorted(remaining, key=lambda one: _lot(draw, one))
    chosen = chosen[: config.num_negatives]
    removed["spare"] = len(remaining) - len(chosen)
    return Choice(tuple(sorted(chosen, key=lambda one: one.rank)), +removed)


def _no_candidate(candidate: Candidate, known: Set[int]) -> str | None:
    if BLANK in candidate.keys:
        return "blank"
    return None if known.isdisjoint(candidate.keys) else "known"


def _refusal(
    candidate: Candidate, rank: int, lowest_positive: float | None, config: MiningConfig
) -> str | None:
    if rank < config.first_rank:
        return "first_rank"
    if config.absolute_margin is not None:
        assert lowest_positive is not None
        if candidate.score > lowest_positive - config.absolute_margin:
            return "absolute_margin"
    if config.relative_margin is not None:
        assert lowest_positive is not None
        # By its size: (1 - margin) * p would lie above p where p is below zero.
        if candidate.score > lowest_positive - config.relative_margin * abs(lowest_positive):
            return "relative_margin"
    return None


def _lot(draw: str, negative: Negative) -> bytes:
    """The same for the same row and passage, whatever else is drawn, in whatever order."""
    content = f"{draw}\0{negative.language}\0{negative.doc_id}"
    return blake2b(content.encode(), digest_size=16).digest()
