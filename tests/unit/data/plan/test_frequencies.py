"""Batches come as often as the configuration says: chi-square tests on fixed seeds."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.data.plan.batch_plan import BatchPlan

STEPS = 1500


def kinds(index, alpha: float, seed: int) -> list[int]:
    plan = BatchPlan(index, SamplingConfig(alpha=alpha), 4, seed)
    count = Counter(plan.batch(step).kind for step in range(STEPS))
    return [count["mono"], count["cross"]]


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.8])
def test_monolingual_batches_come_with_probability_alpha(parallel_index, alpha):
    """alpha taken for its opposite, or applied to rows instead of batches."""
    observed = kinds(parallel_index(40), alpha, seed=1)
    assert chisquare(observed, [STEPS * alpha, STEPS * (1 - alpha)]).pvalue > 1e-3


def test_a_wrong_alpha_is_noticed(parallel_index):
    """The test above has power: alpha off by 0.1 fails it."""
    observed = kinds(parallel_index(40), 0.5, seed=1)
    assert chisquare(observed, [STEPS * 0.6, STEPS * 0.4]).pvalue < 1e-3


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [("uniform", [1 / 2, 1 / 2]), ("proportional", [1 / 5, 4 / 5]), (2.0, [1 / 3, 2 / 3])],
)
def test_monolingual_languages_follow_the_distribution(build_index, distribution, expected):
    """16 groups in de, 64 in en."""
    rows = [(g, "de") for g in range(16)] + [(g, "en") for g in range(64)]
    index = build_index([(g, code, 0, 1) for g, code in rows], [(g, code, 2) for g, code in rows])
    config = SamplingConfig(strategy="x_x_mono", language_distribution=distribution)
    plan = BatchPlan(index, config, 4, seed=3)
    count = Counter(plan.batch(step).languages[0] for step in range(STEPS))
    assert chisquare([count["de"], count["en"]], np.array(expected) * STEPS).pvalue > 1e-3


@pytest.mark.parametrize("cross_batches", ["mixed", "single_pair"])
def test_ordered_pairs_are_equally_frequent_under_uniform_languages(parallel_index, cross_batches):
    """Passage languages drawn without regard to the query's own favour the first or last language."""
    index = parallel_index(50, "ar de en es")
    plan = BatchPlan(index, SamplingConfig(strategy="x_y", cross_batches=cross_batches), 8, seed=1)
    pairs: Counter[tuple[int, int]] = Counter()
    for step in range(STEPS):
        batch = plan.batch(step)
        asked, answered = index.query_language[batch.queries], index.answer_language[batch.answers]
        # one row a batch: the rows of a single-pair batch are one draw of the pair
        pairs[int(asked[0]), int(answered[0])] += 1
    assert len(pairs) == 12
    assert chisquare(list(pairs.values())).pvalue > 1e-3


def test_cross_batches_mix_pairs_as_in_the_paper(parallel_index):
    """A mixed batch that holds one pair has negatives of one language only."""
    index = parallel_index(200, "ar de en es")
    plan = BatchPlan(index, SamplingConfig(strategy="x_y"), 48, seed=1)
    distinct = []
    for step in range(50):
        batch = plan.batch(step)
        asked, answered = index.query_language[batch.queries], index.answer_language[batch.answers]
        distinct.append(len(set(zip(asked.tolist(), answered.tolist(), strict=True))))
    assert np.mean(distinct) > 11


@pytest.mark.parametrize(
    ("distribution", "expected"), [("uniform", [0.5, 0.5]), ("proportional", [0.2, 0.8])]
)
def test_passage_languages_follow_the_distribution(build_index, distribution, expected):
    """Queries in ar with answers in both, of which the data has 40 in de and 160 in en."""
    answers = [(g, code, 2) for g in range(40) for code in ("de", "en")]
    answers += [(g, "en", 2) for g in range(40, 160)]
    index = build_index([(g, "ar", 0, 1) for g in range(40)], answers)
    plan = BatchPlan(index, SamplingConfig(strategy="x_y", language_distribution=distribution), 8, seed=1)
    count = np.zeros(3)
    for step in range(500):
        count += np.bincount(index.answer_language[plan.batch(step).answers], minlength=3)
    assert chisquare(count[1:], np.array(expected) * 4000).pvalue > 1e-3


def test_query_languages_of_mixed_batches_follow_the_distribution(build_index):
    """Rows, not batches, are drawn by language in x_x; whole rooms are exact multinomial draws."""
    rows = [(g, "de") for g in range(50)] + [(g, "en") for g in range(50, 250)]
    index = build_index([(g, code, 0, 1) for g, code in rows], [(g, code, 2) for g, code in rows])
    for distribution, share in (("uniform", 0.5), ("proportional", 0.2), (2.0, 1 / 3)):
        config = SamplingConfig(strategy="x_x", language_distribution=distribution)
        plan = BatchPlan(index, config, 8, seed=1)
        german = sum(int((index.query_language[plan.batch(s).queries] == 0).sum()) for s in range(1000))
        assert chisquare([german, 8000 - german], [8000 * share, 8000 * (1 - share)]).pvalue > 1e-3


@pytest.mark.parametrize(
    ("weights", "expected"), [(None, [0.1, 0.9]), ((3.0, 1.0), [0.75, 0.25]), ((1.0, 1.0), [0.5, 0.5])]
)
def test_sources_come_by_size_or_by_weight(build_index, weights, expected):
    """30 rows of source 0, 270 of source 1."""
    queries = [(g, "en", int(g >= 30), 1) for g in range(300)]
    index = build_index(queries, [(g, "en", 2) for g in range(300)])
    plan = BatchPlan(index, SamplingConfig(strategy="en_en"), 6, seed=1, source_weights=weights)
    count = np.zeros(2)
    for step in range(1000):
        count += np.bincount(index.query_source[plan.batch(step).queries], minlength=2)
    assert chisquare(count, np.array(expected) * 6000).pvalue > 1e-3


def test_negatives_change_from_epoch_to_epoch(parallel_index):
    """Rows that meet in one epoch should not meet again in the next."""
    index = parallel_index(60, "en")
    plan = BatchPlan(index, SamplingConfig(strategy="en_en"), 6, seed=1)
    met = np.zeros((60, 60))
    for step in range(600):
        queries = plan.batch(step).queries
        met[np.ix_(queries, queries)] += 1
    meetings = met[np.triu_indices(60, 1)]
    # 600 * 15 meetings over 1770 pairs; as if drawn at random they scatter like Poisson counts
    assert meetings.mean() == pytest.approx(9000 / 1770)
    assert 0.7 < meetings.var() / meetings.mean() < 1.3
