"""What a batch can be, and how often."""

import numpy as np
import pytest

from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.data.plan.categories import language_probabilities


def make_up(index, **sampling) -> dict[str, float]:
    """Category label to probability, of a plan."""
    weights = sampling.pop("source_weights", None)
    plan = BatchPlan(index, SamplingConfig(**sampling), 2, seed=1, source_weights=weights)
    return {category.label: round(category.probability, 6) for category in plan.categories}


@pytest.fixture(scope="module")
def uneven(build_index):
    """16 groups in en, 4 of them in de, 1 query in ar with its answer in en alone, fr answers alone."""
    queries = [(g, "en", 0, 1) for g in range(16)] + [(g, "de", 0, 1) for g in range(4)] + [(15, "ar", 0, 1)]
    answers = [(g, "en", 2) for g in range(16)] + [(g, "de", 2) for g in range(4)] + [(0, "fr", 2)]
    return build_index(queries, answers)


def test_language_distributions_have_their_literal_values():
    """A temperature that multiplies instead of dividing sharpens where it should flatten."""
    assert language_probabilities([16, 4], "uniform").tolist() == [0.5, 0.5]
    assert language_probabilities([16, 4], "proportional").tolist() == [0.8, 0.2]
    assert language_probabilities([16, 4], 1.0).tolist() == [0.8, 0.2]
    assert language_probabilities([16, 4], 2.0) == pytest.approx([2 / 3, 1 / 3])
    assert language_probabilities([16, 4], 1e9) == pytest.approx([0.5, 0.5])


def test_hybrid_splits_alpha_over_the_languages_that_have_rows(uneven):
    """A share given to a language without rows is a crash or a silent change of alpha."""
    assert make_up(uneven, alpha=0.4) == {"mono:de": 0.2, "mono:en": 0.2, "cross": 0.6}
    assert make_up(uneven, alpha=0.4, language_distribution="proportional") == {
        "mono:de": 0.08,
        "mono:en": 0.32,
        "cross": 0.6,
    }
    assert make_up(uneven, strategy="x_x_mono", language_distribution=2.0) == {
        "mono:de": 0.333333,
        "mono:en": 0.666667,
    }


def test_alpha_at_its_ends_leaves_the_other_kind_out(build_index, uneven):
    """alpha 1 must train on data without a single cross-lingual row."""
    english = build_index([(g, "en", 0, 1) for g in range(4)], [(g, "en", 2) for g in range(4)])
    assert make_up(english, alpha=1.0) == {"mono:en": 1.0}
    assert make_up(uneven, alpha=0.0) == {"cross": 1.0}
    assert make_up(english, strategy="en_en") == {"mono:en": 1.0}
    assert make_up(uneven, strategy="x_x") == {"mixed": 1.0}


def test_pairs_are_weighed_by_query_then_by_passage_language(parallel_index):
    """Ordered pairs of parallel data are equally likely."""
    index = parallel_index(8)
    sixth = round(1 / 6, 6)
    expected = {f"cross:{x}-{y}": sixth for x in ("ar", "de", "en") for y in ("ar", "de", "en") if x != y}
    assert make_up(index, strategy="x_y", cross_batches="single_pair") == expected


def test_pairs_without_rows_are_left_out(build_index):
    """de has answers for en queries, en none for de."""
    queries = [(g, "en", 0, 1) for g in range(4)]
    answers = [(g, code, 2) for g in range(4) for code in ("de", "fr")] + [(4, "fr", 2)] * 1
    index = build_index(queries, answers)
    assert make_up(index, strategy="x_y", cross_batches="single_pair") == {
        "cross:en-de": 0.5,
        "cross:en-fr": 0.5,
    }
    proportional = make_up(
        index, strategy="x_y", cross_batches="single_pair", language_distribution="proportional"
    )
    assert proportional == {"cross:en-de": round(4 / 9, 6), "cross:en-fr": round(5 / 9, 6)}


def test_streams_of_weighted_sources_share_their_language(build_index):
    """A language that lacks a source gives its share to the sources that it has."""
    queries = [(g, "de", g % 2, 1) for g in range(8)] + [(g, "en", 2, 1) for g in range(8)]
    index = build_index(queries, [(g, code, 2) for g in range(8) for code in ("de", "en")])
    plan = BatchPlan(index, SamplingConfig(strategy="x_x"), 2, 1, source_weights=(3.0, 1.0, 9.0))
    (mixed,) = plan.categories
    assert [(s.language, s.source, s.size) for s in mixed.streams] == [(0, 0, 4), (0, 1, 4), (1, 2, 8)]
    assert np.allclose(mixed.shares, [0.375, 0.125, 0.5])
