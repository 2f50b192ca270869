"""The rules by which candidates become negatives."""

import dataclasses
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributed_hbt.config.mining import MiningConfig
from distributed_hbt.mining.choose import REASONS, Candidate, Choice, choose
from distributed_hbt.mining.keys import BLANK


def candidates(*scores: float, known: tuple[int, ...] = ()) -> list[Candidate]:
    """d1, d2 ...; the keys of dN are (N,)."""
    return [Candidate("en", f"d{n}", score, (n,), n) for n, score in enumerate(scores, start=1)]


def chosen(found: list[Candidate], known: set[int] | None = None, **settings: Any) -> Choice:
    positive = settings.pop("positive", None)
    extra = {name: settings.pop(name) for name in ("draw", "given") if name in settings}
    config = MiningConfig(**{"num_negatives": 3, **settings})
    return choose(found, known or set(), positive, config, **{"draw": "13 g q", **extra})


def names(choice: Choice) -> list[str]:
    return [negative.doc_id for negative in choice.negatives]


def test_the_best_are_taken_with_score_and_rank() -> None:
    """Catches an order by anything but the score's, and ranks from 0."""
    choice = chosen(candidates(0.9, 0.8, 0.7, 0.6))
    assert [(one.doc_id, one.score, one.rank) for one in choice.negatives] == [
        ("d1", 0.9, 1),
        ("d2", 0.8, 2),
        ("d3", 0.7, 3),
    ]
    assert choice.removed == {"spare": 1}


def test_known_positives_hold_no_rank() -> None:
    """Catches a rank range that known positives use up."""
    found = candidates(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
    choice = chosen(found, {1, 2, 4}, first_rank=2, depth=3)
    assert [(one.doc_id, one.rank) for one in choice.negatives] == [("d5", 2), ("d6", 3)]
    assert choice.removed == {"known": 3, "first_rank": 1}


def test_any_key_makes_a_candidate_known() -> None:
    """Catches a passage that is looked for by its id alone."""
    found = [Candidate("en", "x", 0.9, (1, 2, 3), 2), Candidate("de", "x", 0.8, (1, 5, 6), 5)]
    assert names(chosen(found, {3})) == ["x"]
    assert names(chosen(found, {1})) == []


def test_blank_passages_are_no_negatives_and_hold_no_rank() -> None:
    """Catches an empty passage of a corpus, which no reader of training rows takes."""
    found = [Candidate("en", "x", 0.9, (1, BLANK, BLANK), BLANK), *candidates(0.8)]
    choice = chosen(found)
    assert [(one.doc_id, one.rank) for one in choice.negatives] == [("d1", 1)]
    assert choice.removed == {"blank": 1}


@pytest.mark.parametrize(
    ("settings", "positive", "expected"),
    [
        ({"absolute_margin": 0.1}, 0.8, ["d3", "d4"]),
        ({"absolute_margin": 0.0}, 0.8, ["d2", "d3", "d4"]),
        ({"absolute_margin": -0.1}, 0.8, ["d1", "d2", "d3", "d4"]),
        ({"relative_margin": 0.5}, 0.8, ["d4"]),
        ({"relative_margin": 0.0}, 0.8, ["d2", "d3", "d4"]),
        ({"relative_margin": 0.5, "absolute_margin": 0.7}, 0.8, []),
        ({"relative_margin": 0.5, "absolute_margin": 0.3}, 0.8, ["d4"]),
    ],
)
def test_negatives_keep_their_distance_from_the_lowest_positive(
    settings: dict[str, float], positive: float, expected: list[str]
) -> None:
    """Catches a margin on the wrong side, a share of the wrong thing, and one margin that hides the other."""
    found = candidates(0.9, 0.8, 0.7, 0.4)
    assert names(chosen(found, positive=positive, num_negatives=4, **settings)) == expected


def test_a_relative_margin_goes_down_from_a_positive_below_zero() -> None:
    """Catches (1 - margin) * p, which for a p of -0.5 lies above p and lets every false negative in."""
    found = candidates(-0.25, -0.5, -0.625, -0.75)
    assert names(chosen(found, positive=-0.5, relative_margin=0.5)) == ["d4"]


def test_counts_name_the_rule_that_decided() -> None:
    """Catches a candidate that counts twice, or not at all."""
    found = candidates(0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    choice = chosen(
        found, {1}, first_rank=2, absolute_margin=0.05, relative_margin=0.2, positive=0.8, num_negatives=1
    )
    assert choice.removed == {
        "known": 1,
        "first_rank": 1,
        "absolute_margin": 1,
        "relative_margin": 1,
        "spare": 2,
    }
    assert names(choice) == ["d5"]


def test_copies_of_a_text_are_taken_once() -> None:
    """Catches a boilerplate passage that fills all negatives of a row."""
    found = [Candidate(language, f"d{n}", 0.9, (n, 77), 77) for n, language in enumerate(["en", "en", "de"])]
    choice = chosen([*found, *candidates(0.5)])
    assert [(one.doc_id, one.rank) for one in choice.negatives] == [("d0", 1), ("d1", 4)]
    assert choice.removed == {"copy": 2}


def test_copies_of_a_given_negative_are_not_taken() -> None:
    """Catches a row that has its judged negative twice."""
    assert names(chosen(candidates(0.9, 0.8), given=[1])) == ["d2"]


def test_depth_ends_what_is_looked_at() -> None:
    """Catches counts, and random draws, from below the depth."""
    choice = chosen(candidates(*(1 - n / 100 for n in range(50))), depth=10, choice="random")
    assert all(one.rank <= 10 for one in choice.negatives)
    assert sum(choice.removed.values()) + len(choice.negatives) == 10


def test_a_random_choice_depends_on_the_row_and_the_passages_alone() -> None:
    """Catches a generator that goes on from row to row: other workers, or another order, other negatives."""
    found = candidates(*(1 - n / 100 for n in range(50)))
    choice = chosen(found, choice="random")
    assert choice == chosen(found, choice="random")
    # What is out for some other reason moves nobody else's lot.
    lost = {int(name[1:]) for name in names(choice)[:1]}
    assert set(names(chosen(found, lost, choice="random"))) > set(names(choice)[1:])
    draws = {tuple(names(chosen(found, choice="random", draw=f"13 {n}"))) for n in range(20)}
    assert len(draws) > 15


def test_random_choices_reach_everything_evenly() -> None:
    """Catches a lot that favours some passages: with 2,000 draws of 3 from 10 each comes 600 times, +-4
    standard deviations (82)."""
    found = candidates(*(1 - n / 100 for n in range(10)))
    counts = Counter(name for n in range(2000) for name in names(chosen(found, choice="random", draw=f"{n}")))
    assert all(518 <= counts[f"d{n}"] <= 682 for n in range(1, 11))


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    scores = sorted(draw(st.lists(st.floats(-1, 1, width=32), max_size=25)), reverse=True)
    texts = draw(st.lists(st.integers(0, 8), min_size=len(scores), max_size=len(scores)))
    return {
        "found": [
            Candidate(f"l{n % 2}", f"d{n}", score, (100 + n, same), same)
            for n, (score, same) in enumerate(zip(scores, texts, strict=True))
        ],
        "known": draw(st.sets(st.integers(0, 8) | st.integers(100, 125), max_size=6)),
        "positive": draw(st.floats(-1, 1, width=32)),
        "depth": draw(st.integers(5, 25)),
        "first_rank": draw(st.integers(1, 5)),
        "num_negatives": draw(st.integers(1, 6)),
        "choice": draw(st.sampled_from(["best", "random"])),
        "absolute_margin": draw(st.none() | st.floats(-0.5, 0.5)),
        "relative_margin": draw(st.none() | st.floats(0, 0.99)),
    }


@given(problems())
def test_every_rule_holds_for_whatever_is_found(problem: dict[str, Any]) -> None:
    """Catches rules that undo one another; the rules are stated anew here, one by one."""
    found, known = problem["found"], problem["known"]
    choice = chosen(**problem)
    left = [one for one in found if not known & set(one.keys)]
    positive = problem["positive"]
    absolute, relative = problem["absolute_margin"], problem["relative_margin"]
    fit = [
        (rank, one)
        for rank, one in enumerate(left, start=1)
        if problem["first_rank"] <= rank <= problem["depth"]
        and (absolute is None or one.score <= positive - absolute)
        and (relative is None or one.score <= positive - relative * abs(positive))
    ]
    texts = {one.same for _, one in fit}
    by_name = {one.doc_id: one for one in found}
    taken = [by_name[negative.doc_id] for negative in choice.negatives]
    assert {(negative.rank, by_name[negative.doc_id]) for negative in choice.negatives} <= set(fit)
    assert len({one.same for one in taken}) == len(taken) == min(problem["num_negatives"], len(texts))
    assert [one.score for one in taken] == sorted((one.score for one in taken), reverse=True)
    assert set(choice.removed) <= set(REASONS)
    looked_at = min(len(left), problem["depth"])
    assert sum(choice.removed.values()) - choice.removed["known"] + len(taken) == looked_at
    if problem["choice"] == "best":
        firsts = {one.same: one for _, one in reversed(fit)}
        best = sorted(firsts.values(), key=found.index)[: problem["num_negatives"]]
        assert taken == best


def test_candidates_are_taken_one_by_one() -> None:
    """Catches a choice that reads more than it needs from a merge of many languages."""
    read = []

    def stream() -> Any:
        for one in candidates(*(1 - n / 100 for n in range(50))):
            read.append(one)
            yield dataclasses.replace(one)

    chosen(stream(), depth=10)
    assert len(read) == 11
