"""What the data can not give is refused before anything is trained, with the field and a remedy."""

import pytest

from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.errors import ConfigError


def refusal(index, batch_size=2, source_weights=None, **sampling) -> str:
    with pytest.raises(ConfigError) as caught:
        BatchPlan(index, SamplingConfig(**sampling), batch_size, 1, source_weights)
    return str(caught.value)


@pytest.mark.parametrize("sampling", [{"strategy": "x_y"}, {"strategy": "hybrid"}])
def test_one_language_has_no_cross_pairs(parallel_index, sampling):
    """hybrid would silently train monolingually."""
    assert refusal(parallel_index(9, "de"), **sampling) == (
        f"sampling.strategy: {sampling['strategy']} needs rows with an answer in another language than the"
        " query's, the data has none; choose another strategy or add such data"
    )


def test_monolingual_batches_need_answers_in_the_query_language(build_index):
    """AfriQA has questions in African languages and passages in English and French."""
    index = build_index([(g, "bem", 0, 1) for g in range(9)], [(g, "en", 2) for g in range(9)])
    for strategy in ("x_x_mono", "x_x", "hybrid"):
        assert refusal(index, strategy=strategy).startswith(
            f"sampling.strategy: {strategy} needs rows with an answer in the language of the query"
        )


def test_rows_that_ask_for_themselves_do_not_count(build_index):
    """Parallel sentences give no monolingual row: query and passage are one text."""
    rows = [(g, code, 100 * g + len(code)) for g in range(9) for code in ("de", "eng")]
    index = build_index([(g, code, 0, key) for g, code, key in rows], rows)
    assert "needs rows with an answer in the language" in refusal(index, strategy="x_x_mono")
    assert BatchPlan(index, SamplingConfig(strategy="x_y"), 4, 1).batch(0).kind == "cross"


def test_english_training_needs_english(parallel_index):
    """Otherwise there would be an index error deep in the plan."""
    assert refusal(parallel_index(9, "ar de"), strategy="en_en") == (
        "sampling.strategy: en_en needs English, the data has only ar, de;"
        " choose another strategy or add English data"
    )


def test_languages_must_be_in_the_data(parallel_index):
    """A typing mistake would silently leave a language out."""
    message = refusal(parallel_index(9, "de en"), languages=("de", "sw"))
    assert message == ("sampling.languages: the data has no sw, only de, en; leave sw out or add such data")
    both = refusal(parallel_index(9), strategy="x_y", languages=("ar", "de"), batch_size=10)
    assert "cross sampling has 9 distinct groups" in both


def test_empty_data_is_refused(build_index):
    """No rows: an empty batch would divide by zero in the loss."""
    assert "the data has none" in refusal(build_index([], [], ("de", "en")), strategy="x_x")


@pytest.mark.parametrize("strategy", ["x_x_mono", "hybrid"])
def test_a_batch_larger_than_a_language_names_it(build_index, strategy):
    """A monolingual batch of 6 distinct groups can not come from 5."""
    rows = [(g, "de") for g in range(5)] + [(g, "en") for g in range(40)]
    index = build_index([(g, code, 0, 1) for g, code in rows], [(g, code, 2) for g, code in rows])
    assert refusal(index, 6, strategy=strategy) == (
        "train.global_batch_size: 6 is larger than the data: language de has 5 distinct groups;"
        " use at most 5, or leave the language out of sampling.languages"
    )
    assert BatchPlan(index, SamplingConfig(strategy=strategy), 5, 1).batch(0).queries.shape == (5,)


def test_a_pair_that_is_too_small_is_named(build_index):
    """Single pairs are categories of their own."""
    answers = [(g, "en", 2) for g in range(30)] + [(g, "fr", 2) for g in range(3)]
    index = build_index([(g, "de", 0, 1) for g in range(30)], answers)
    message = refusal(index, 4, strategy="x_y", cross_batches="single_pair")
    assert "the pair de-fr (query-passage) has 3 distinct groups; use at most 3" in message


def test_a_group_with_too_many_queries_is_refused(build_index):
    """10 of 20 rows are one group: batches of 4 would need it twice each; batches of 2 once."""
    queries = [(0, "en", 0, key) for key in range(10)] + [(g, "en", 0, 1) for g in range(1, 11)]
    index = build_index(queries, [(g, "en", 99) for g in range(11)])
    assert refusal(index, 4, strategy="en_en") == (
        "train.global_batch_size: 4 is larger than the data: language en would need a group of query"
        " language en 2.00 times in a batch, on average; use at most 2, or draw its rows less often"
        " (sampling.language_distribution, sampling.languages, weights of sources)"
    )
    plan = BatchPlan(index, SamplingConfig(strategy="en_en"), 2, 1)
    assert all(len(set(index.query_group[plan.batch(step).queries])) == 2 for step in range(50))


def test_a_small_language_drawn_too_often_is_refused(build_index):
    """Uniform languages want 8 rows of de in a batch of 16; it has 4 groups. By size it is fine."""
    rows = [(g, "de") for g in range(4)] + [(g, "en") for g in range(4, 100)]
    index = build_index([(g, code, 0, 1) for g, code in rows], [(g, code, 2) for g, code in rows])
    message = refusal(index, 16, strategy="x_x")
    assert "mixed sampling would need a group of query language de 2.00 times in a batch" in message
    assert "use at most 8" in message
    config = SamplingConfig(strategy="x_x", language_distribution="proportional")
    assert BatchPlan(index, config, 16, 1).batch(0).kind == "mixed"


def test_a_heavy_weight_on_a_small_source_is_refused(build_index):
    """Half of every batch of 16 from a source of 4 rows."""
    queries = [(g, "en", int(g >= 4), 1) for g in range(100)]
    index = build_index(queries, [(g, "en", 2) for g in range(100)])
    assert "use at most 8" in refusal(index, 16, (1.0, 1.0), strategy="en_en")
    with pytest.raises(ValueError, match="1 source weights"):
        BatchPlan(index, SamplingConfig(strategy="en_en"), 16, 1, (1.0,))
