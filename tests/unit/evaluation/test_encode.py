"""Encoding by a budget of padded tokens, of lists and of streams."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from distributed_hbt.errors import ConfigError, DataError
from distributed_hbt.evaluation import encode as encoding
from distributed_hbt.evaluation.encode import CPU_TOKENS, encode, encode_stream

Floats = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class CountingPad:
    """Pads on the right with 0 and notes the shape of every batch."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def pad(self, token_lists: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        length = max(map(len, token_lists))
        self.shapes.append((len(token_lists), length))
        rows = [tokens + [0] * (length - len(tokens)) for tokens in token_lists]
        ids_BL = torch.tensor(rows)
        return ids_BL, (ids_BL > 0).long()


class SumAndCount(torch.nn.Module):
    """embedding_BD = (sum of the tokens, number of tokens, 3 in training and 4 otherwise)."""

    def embed(self, input_ids_BL: torch.Tensor, attention_mask_BL: torch.Tensor) -> torch.Tensor:
        mode = torch.full((len(input_ids_BL),), 3.0 if self.training else 4.0)
        return torch.stack([input_ids_BL.sum(1).float(), attention_mask_BL.sum(1).float(), mode], dim=1)


TEXTS = [[1, 2], [7], [1, 2, 3, 4], [9], [5, 5, 5], [7]]


def test_embeddings_come_back_in_the_order_of_the_texts() -> None:
    """Catches rows left in the order of their length, and a model that drops out while it is measured."""
    found = encode(SumAndCount(), CountingPad(), TEXTS, max_tokens_per_batch=4)
    assert found.dtype == np.float32
    expected = [[3, 2, 4], [7, 1, 4], [10, 4, 4], [9, 1, 4], [15, 3, 4], [7, 1, 4]]
    assert found.tolist() == expected


@pytest.mark.parametrize("budget", [1, 2, 4, 5, 1000])
def test_any_budget_gives_the_same_embeddings_within_it(budget: int) -> None:
    """Catches a budget of one token that encodes nothing, and one that counts real tokens instead."""
    texts = CountingPad()
    found = encode(SumAndCount(), texts, TEXTS, max_tokens_per_batch=budget)
    assert found[:, 0].tolist() == [3, 7, 10, 9, 15, 7]
    assert all(rows == 1 or rows * length <= budget for rows, length in texts.shapes)


def test_equal_texts_are_encoded_once() -> None:
    """Catches equal sentences whose scores differ by rounding, depending on their batch."""
    texts = CountingPad()
    encode(SumAndCount(), texts, [[1, 2]] * 50, max_tokens_per_batch=8)
    assert texts.shapes == [(1, 2)]


def test_a_prefix_has_unit_length_unless_the_model_has_none() -> None:
    """Catches a cut embedding that is not a cosine any more."""
    found = encode(SumAndCount(), CountingPad(), [[3, 1], [2, 1]], max_tokens_per_batch=8, dimension=2)
    np.testing.assert_allclose(found, [[4 / 20**0.5, 2 / 20**0.5], [3 / 13**0.5, 2 / 13**0.5]], rtol=1e-6)
    plain = encode(
        SumAndCount(), CountingPad(), [[3, 1]], max_tokens_per_batch=8, dimension=2, normalize=False
    )
    assert plain.tolist() == [[4, 2]]


def test_a_prefix_longer_than_the_embedding_is_refused() -> None:
    """Catches a slice that silently gives the whole embedding."""
    with pytest.raises(ConfigError, match=r"evaluation\.dimension: 4 is more than the embedding's 3"):
        encode(SumAndCount(), CountingPad(), [[1]], max_tokens_per_batch=8, dimension=4)


def test_the_model_is_left_in_its_mode() -> None:
    """Catches an evaluation inside training that switches dropout off for good."""
    model = SumAndCount().train()
    encode(model, CountingPad(), [[1]], max_tokens_per_batch=8)
    assert model.training


def test_the_model_is_left_in_its_mode_after_an_error() -> None:
    """Catches training that goes on without dropout after an evaluation that failed."""
    model = SumAndCount().train()
    with pytest.raises(ConfigError):
        encode(model, CountingPad(), [[1]], max_tokens_per_batch=8, dimension=4)
    assert model.training


def test_a_cpu_is_given_batches_that_fit_its_caches() -> None:
    """Catches a GPU's budget on a CPU, where it is slower and pads more."""
    texts = CountingPad()
    encode(SumAndCount(), texts, [[i, i] for i in range(1, 3000)], max_tokens_per_batch=10**6)
    assert max(rows * length for rows, length in texts.shapes) == CPU_TOKENS


@pytest.mark.parametrize("size", [1, 13, 10**9])
def test_copies_of_any_size_give_the_same_embeddings(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches embeddings lost, or put into other rows, where they are copied in several parts."""
    monkeypatch.setattr(encoding, "_COPIED_AT_ONCE", size)
    found = encode(SumAndCount(), CountingPad(), TEXTS, max_tokens_per_batch=2)
    assert found[:, 0].tolist() == [3, 7, 10, 9, 15, 7]


def test_no_texts_give_no_embeddings() -> None:
    """Catches an error where a language of a benchmark has no query."""
    assert encode(SumAndCount(), CountingPad(), [], max_tokens_per_batch=8, dimension=2).shape == (0, 2)


class Letters(CountingPad):
    """Every letter is a token: a is 1, b is 2."""

    def passages(self, texts: list[str]) -> list[list[int]]:
        return [[ord(letter) - 96 for letter in text] for text in texts]


ROWS = [("r1", "ab"), ("r2", "c"), ("r3", "abc"), ("r4", "c"), ("r5", "zz")]
THREAD = "read-ahead"


def stream(
    rows: Iterator[tuple[str, str]],
    model: torch.nn.Module | None = None,
    texts: Letters | None = None,
    window: int = 2,
    text_of: Callable[[tuple[str, str]], str] = lambda row: row[1],
) -> Iterator[tuple[list[tuple[str, str]], Floats]]:
    return encode_stream(
        model or SumAndCount(), texts or Letters(), rows, text_of, window=window, max_tokens_per_batch=4
    )


def reading_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD)]


@pytest.mark.parametrize("window", [1, 2, 3, 5, 100])
def test_a_stream_gives_every_row_once_in_order_with_its_own_embedding(window: int) -> None:
    """Catches a last window that is dropped, rows left sorted by length, embeddings of the window ahead."""
    found = list(stream(iter(ROWS), window=window))
    assert [row for rows, _ in found for row in rows] == ROWS
    assert all(len(rows) == len(embedding_ND) for rows, embedding_ND in found)
    assert [len(rows) for rows, _ in found[:-1]] == [window] * (len(found) - 1)
    assert np.concatenate([embedding_ND for _, embedding_ND in found])[:, 0].tolist() == [3, 3, 6, 3, 52]


def test_an_empty_stream_gives_nothing() -> None:
    """Catches a window without rows, whose embeddings have no width."""
    assert list(stream(iter([]))) == []


def test_windows_are_encoded_as_lists_are() -> None:
    """Catches batches that depend on how far the side thread is: the bits of an embedding would change."""
    texts, alone = Letters(), Letters()
    for rows, embedding_ND in stream(iter(ROWS), texts=texts, window=3):
        tokens = alone.passages([text for _, text in rows])
        assert np.array_equal(encode(SumAndCount(), alone, tokens, max_tokens_per_batch=4), embedding_ND)
    assert texts.shapes == alone.shapes


def test_the_next_window_is_tokenized_while_one_is_encoded() -> None:
    """Catches a stream that tokenizes and encodes in turns: the encoder would wait here for ever."""
    begun = [threading.Event(), threading.Event()]
    threads = set()

    class Noting(Letters):
        def passages(self, texts: list[str]) -> list[list[int]]:
            threads.add(threading.current_thread().name)
            next(event for event in begun if not event.is_set()).set()
            return super().passages(texts)

    class Waiting(SumAndCount):
        def embed(self, *batch: torch.Tensor) -> torch.Tensor:
            assert begun[1].wait(timeout=60), "nothing is tokenized while the first window is encoded"
            return super().embed(*batch)

    assert len(list(stream(iter(ROWS[:4]), Waiting(), Noting(), window=2))) == 2
    assert all(name.startswith(THREAD) for name in threads)


def test_at_most_two_windows_are_alive() -> None:
    """Catches a queue in which the tokenizer runs far ahead, and a whole shard held in memory."""
    alive = [0]
    most = [0]

    class Row(tuple[str, str]):
        def __init__(self, _: tuple[str, str]) -> None:
            alive[0] += 1
            most[0] = max(most[0], alive[0])

        def __del__(self) -> None:
            alive[0] -= 1

    found = stream((Row(("r", "ab")) for _ in range(40)), window=4)
    for held, _ in found:
        assert len(held) == 4
        del held
    assert 4 < most[0] <= 2 * 4 + 1  # one more: the row that is being appended
    assert alive[0] == 0


def test_what_the_rows_raise_comes_out_as_it_is_after_the_windows_before() -> None:
    """Catches an error that is wrapped, lost in the thread (a shorter corpus!), or overtakes good rows."""
    broken = DataError("docs.jsonl:5", "is no JSON", "repair the line")

    def rows() -> Iterator[tuple[str, str]]:
        yield from ROWS[:4]
        raise broken

    found = stream(rows())
    assert [next(found)[0], next(found)[0]] == [ROWS[:2], ROWS[2:4]]
    with pytest.raises(DataError, match=r"docs\.jsonl:5") as caught:
        next(found)
    assert caught.value is broken
    assert reading_threads() == []


def test_what_the_text_of_a_row_raises_comes_out_too() -> None:
    """Catches a row without text that ends the stream early instead of the evaluation."""
    with pytest.raises(ZeroDivisionError):
        list(stream(iter(ROWS), text_of=lambda _: str(1 / 0)))


def test_the_thread_ends_where_the_user_stops() -> None:
    """Catches threads that pile up in an actor whose shards fail, and hold its file open."""
    read = []

    def rows() -> Iterator[tuple[str, str]]:
        for row in ROWS * 100:
            read.append(row)
            yield row

    found = stream(rows())
    next(found)
    assert len(reading_threads()) == 1
    found.close()  # type: ignore[attr-defined]
    assert reading_threads() == []
    assert len(read) <= 3 * 2
