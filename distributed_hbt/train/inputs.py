"""What one step's forward and backward take: the rank's batch, on the device, one step ahead."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distributed_hbt.data.rank_batch import RankBatch, RankBatches
from distributed_hbt.losses.info_nce import ColumnBlocks, Columns
from distributed_hbt.models.packing import Packing, pack
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.read_ahead import read_ahead
from distributed_hbt.train.chunked import Chunk


@dataclass(frozen=True, eq=False)
class StepInputs:
    """A rank's batch as its device needs it.

    order_S: place of every sequence of the batch among the rows of its chunks. `passages` and `queries` are
    the batch's, cut into blocks. `surplus` rows at the end of the chunks only repeat a sequence.
    """

    batch: RankBatch
    chunks: tuple[Chunk, ...]
    order_S: Tensor
    surplus: int
    passages: ColumnBlocks
    queries: ColumnBlocks | None
    own_BP: Tensor
    score_BP: Tensor

    @property
    def rows(self) -> int:
        """Of this rank."""
        return len(self.batch.query_entries)


@dataclass(frozen=True)
class InputMaker:
    """Makes the inputs of any step; `block_size` columns are scored at once. Sequences are packed where
    `padding_free` says so, else padded."""

    batches: RankBatches
    texts: TextEncoder
    seed: int
    rank: int
    block_size: int
    device: torch.device
    padding_free: bool = False

    def make(self, step: int) -> StepInputs:
        """The inputs of step `step`, counted from 0, on the device or on their way there."""
        batch = self.batches.batch(step)
        position_S = np.concatenate(batch.chunks)
        sequences = len(batch.sequences)
        order_S = np.empty(sequences, dtype=np.int64)
        order_S[position_S[:sequences]] = np.arange(sequences)
        return StepInputs(
            batch=batch,
            chunks=tuple(self._chunks(batch)),
            order_S=self._moved(torch.from_numpy(order_S)),
            surplus=len(position_S) - sequences,
            passages=self._blocks(batch.passages, batch.passage_counts),
            queries=None if batch.queries is None else self._blocks(batch.queries, batch.query_counts),
            own_BP=self._moved(batch.own_BP),
            score_BP=self._moved(batch.score_BP),
        )

    def ahead(self, first: int, stop: int) -> Generator[StepInputs, None, None]:
        """Inputs of the steps [first, stop), each made in a side thread while the step before it runs."""
        if self.device.type != "cuda":
            yield from read_ahead(self.make(step) for step in range(first, stop))
            return
        # On a stream of its own a copy does not wait for the step that runs.
        copying = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        for inputs, done in read_ahead(self._copied(step, copying) for step in range(first, stop)):
            done.wait(torch.cuda.current_stream(self.device))
            for tensor in _tensors(inputs):
                tensor.record_stream(torch.cuda.current_stream(self.device))
            yield inputs

    def _copied(self, step: int, copying: "torch.cuda.Stream") -> "tuple[StepInputs, torch.cuda.Event]":
        with torch.cuda.stream(copying):
            inputs = self.make(step)
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(copying)
        return inputs, done

    def _chunks(self, batch: RankBatch) -> Iterator[Chunk]:
        for i, positions in enumerate(batch.chunks):
            token_lists = [batch.sequences[p].tolist() for p in positions]
            parts = [self.seed, batch.step, self.rank, i]
            (chunk_seed,) = np.random.SeedSequence(parts).generate_state(1, np.uint64)
            yield Chunk(*self._ids_and_layout(token_lists), seed=int(chunk_seed >> 1))

    def _ids_and_layout(self, token_lists: list[list[int]]) -> tuple[Tensor, Tensor | Packing]:
        if self.padding_free:
            ids_1T, packing = pack(token_lists)
            return self._moved(ids_1T), packing.mapped(self._moved)
        ids_BL, mask_BL = self.texts.pad(token_lists)
        return self._moved(ids_BL), self._moved(mask_BL)

    def _blocks(self, columns: Columns, counts: tuple[int, ...]) -> ColumnBlocks:
        return columns.in_blocks(self.block_size, sum(counts)).to(self.device)

    def _moved(self, tensor: Tensor) -> Tensor:
        if self.device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)


def _tensors(inputs: StepInputs) -> Iterator[Tensor]:
    for chunk in inputs.chunks:
        yield from chunk.tensors()
    yield from (inputs.order_S, inputs.own_BP, inputs.score_BP)
    for columns in (inputs.passages, inputs.queries):
        if columns is not None:
            yield from columns.tensors()
