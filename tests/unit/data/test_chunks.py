"""Chunks hold every sequence once, within the token budget, equally many on every rank."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distributed_hbt.data.chunks import cut, cut_alike, padded_tokens, surplus

lengths_of_a_rank = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@given(lengths_of_a_rank, st.integers(1, 200))
def test_chunks_cover_every_sequence_once_within_the_budget(lengths: list[int], budget: int) -> None:
    """A sequence lost at a chunk's end, or a chunk over the budget that more than one sequence shares."""
    array = np.array(lengths)
    chunks = cut(array, budget)
    assert sorted(np.concatenate(chunks).tolist()) == list(range(len(lengths)))
    for chunk in chunks:
        assert len(chunk) == 1 or len(chunk) * array[chunk].max() <= budget


@given(st.lists(lengths_of_a_rank, min_size=1, max_size=4), st.integers(1, 200))
def test_every_rank_runs_the_same_number_of_chunks(ranks: list[list[int]], budget: int) -> None:
    """A rank with shorter sequences that runs fewer forwards: ZeRO-3 would hang."""
    arrays = [np.array(lengths) for lengths in ranks]
    cuts = cut_alike(arrays, budget)
    assert len({len(chunks) for chunks in cuts}) == 1
    for chunks, lengths in zip(cuts, arrays, strict=True):
        extra = surplus(chunks, len(lengths))
        own = chunks[: len(chunks) - extra]
        assert sorted(np.concatenate(own).tolist()) == list(range(len(lengths)))
        assert all(len(chunk) == 1 for chunk in chunks[len(chunks) - extra :])


@given(lengths_of_a_rank, st.integers(1, 200))
def test_without_padding_a_chunk_holds_as_many_real_tokens_as_fit(lengths: list[int], budget: int) -> None:
    """Chunks that are left half empty, because padding is counted that is not there."""
    array = np.array(lengths)
    chunks = cut(array, budget, padding_free=True)
    assert sorted(np.concatenate(chunks).tolist()) == list(range(len(lengths)))
    assert padded_tokens(chunks, array, padding_free=True) == array.sum()
    for chunk, later in zip(chunks, [*chunks[1:], None], strict=True):
        assert len(chunk) == 1 or array[chunk].sum() <= budget
        assert later is None or array[chunk].sum() + array[later[0]] > budget


def test_sorting_by_length_saves_padding() -> None:
    """Chunks in the order of arrival, padded to one long sequence each."""
    lengths = np.array([50, 1, 50, 1, 50, 1])
    assert padded_tokens(cut(lengths, 150), lengths) == 153
    assert padded_tokens([np.array([0, 1, 2]), np.array([3, 4, 5])], lengths) == 300


def test_unlike_lengths_are_cut_finer_than_the_budget_asks_for() -> None:
    """Queries padded to the length of passages, because both fit into one chunk."""
    lengths = np.array([20, 250] * 8)
    assert padded_tokens(cut(lengths, 4_096), lengths) == 8 * 270
    assert padded_tokens(cut(lengths, 4_096, chunk_cost=1.0), lengths) == 16 * 250


def test_longest_come_first_and_ties_keep_their_order() -> None:
    """An order that depends on the sort's whims, so that two machines cut other chunks."""
    lengths = np.array([2, 1, 4, 1, 3, 1])
    assert [chunk.tolist() for chunk in cut(lengths, 4)] == [[2], [4], [0], [1, 3, 5]]
    assert [chunk.tolist() for chunk in cut(lengths, 12, chunk_cost=1.0)] == [[2, 4, 0], [1, 3, 5]]
