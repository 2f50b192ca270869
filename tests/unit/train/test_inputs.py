"""Inputs of steps, made one step ahead."""

import threading
import time

import pytest
import torch

from distributed_hbt.config.load import load_run
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.train.assembly import build_batches
from distributed_hbt.train.inputs import InputMaker, StepInputs
from distributed_hbt.train.prepared import prepare
from tests.distributed.run_for_tests import write_run

SECONDS_UNTIL_HUNG = 60


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> InputMaker:
    config = load_run(write_run(tmp_path_factory.mktemp("inputs")), ["train.symmetric=true"])
    prepared = prepare(config)
    batches = build_batches(config, Ranks(1, 2, 1), prepared.store, prepared.plan)
    return InputMaker(batches, prepared.texts, seed=13, rank=1, block_size=4, device=torch.device("cpu"))


def ids(inputs: StepInputs) -> list[list[int]]:
    return [chunk.input_ids_BL.flatten().tolist() for chunk in inputs.chunks]


def test_order_leads_from_chunks_back_to_sequences(maker: InputMaker) -> None:
    """Embeddings that are given to other texts than those they are of."""
    inputs = maker.make(2)
    rows = [row[mask == 1] for c in inputs.chunks for row, mask in zip(c.input_ids_BL, c.layout, strict=True)]
    assert len(rows) == len(inputs.batch.sequences) + inputs.surplus
    for place, sequence in zip(inputs.order_S.tolist(), inputs.batch.sequences, strict=True):
        assert rows[place].tolist() == sequence.tolist()


def test_steps_ahead_are_those_that_are_made_alone(maker: InputMaker) -> None:
    """A step left out or taken twice, or dropout seeds that depend on what was made before."""
    ahead = list(maker.ahead(3, 7))
    for step, inputs in zip(range(3, 7), ahead, strict=True):
        alone = maker.make(step)
        assert inputs.batch.step == step
        assert ids(inputs) == ids(alone)
        assert [c.seed for c in inputs.chunks] == [c.seed for c in alone.chunks]
        assert len({c.seed for c in inputs.chunks}) == len(inputs.chunks)


def test_next_step_is_made_while_this_one_is_used(maker: InputMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader that waits to be asked; or one that runs ahead without end and fills the memory."""
    made: list[tuple[int, str]] = []
    make = InputMaker.make

    def recorded(self: InputMaker, step: int) -> StepInputs:
        inputs = make(self, step)
        made.append((step, threading.current_thread().name))
        return inputs

    monkeypatch.setattr(InputMaker, "make", recorded)
    ahead = maker.ahead(0, 9)
    next(ahead)
    deadline = time.monotonic() + SECONDS_UNTIL_HUNG
    while len(made) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    assert [step for step, _ in made] == [0, 1]
    assert threading.current_thread().name not in {name for _, name in made}
    ahead.close()


def test_what_goes_wrong_in_a_step_ahead_is_raised(
    maker: InputMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged store that ends the side thread, while the training waits for ever."""

    def broken(self: InputMaker, step: int) -> StepInputs:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(InputMaker, "make", broken)
    with pytest.raises(OSError, match="Input/output error"):
        next(maker.ahead(0, 2))
