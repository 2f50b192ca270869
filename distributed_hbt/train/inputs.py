"""What one step's forward and backward take: the rank's batch, on the device, one step ahead."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distributed_hbt.data.chunks import Positions
from distributed_hbt.data.damaged_rows import damaged
from distributed_hbt.data.rank_batch import RankBatch, RankBatches
from distributed_hbt.data.store import Store
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
    taught: "TaughtInputs | None" = None

    @property
    def rows(self) -> int:
        """Of this rank."""
        return len(self.batch.query_entries)


@dataclass(frozen=True, eq=False)
class TaughtInputs:
    """What a teacher reads, chunk by chunk, and what it says.

    count_S, for the rows of all chunks: how many rows of the global batch each counts for. target_SD are the
    teacher's embeddings, zero where count_S is; None until it was asked, and where it says token states.
    """

    lessons: tuple["Lesson | None", ...]
    count_S: Tensor
    target_SD: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Lesson:
    """The teacher's tokens for K of a chunk's sequences, row_K."""

    input_ids_KM: Tensor
    mask_KM: Tensor
    row_K: Tensor


@dataclass(frozen=True)
class TeacherTexts:
    """The data as the teacher's tokenizer sees it: its store has the numbers of the run's own."""

    texts: TextEncoder
    store: Store

    def tokens(self, number: int, *, query: bool) -> list[int]:
        """Of a query entry or a passage. Raises DataError for one that is damaged in the teacher's store."""
        whole = self.store.holds_query if query else self.store.holds_passage
        if not whole(number):
            named = f"{self.store.where(number)}: its query" if query else self.store.docid(number)
            raise damaged(f"the teacher's data: {named}", "its tokens are not those written", self.store)
        column = self.store.query_tokens if query else self.store.passage_tokens
        return column(number).tolist()  # type: ignore[no-any-return]


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
    teacher: TeacherTexts | None = None

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
            taught=None if self.teacher is None else self._taught(batch, self.teacher),
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

    def _taught(self, batch: RankBatch, teacher: TeacherTexts) -> TaughtInputs:
        assert batch.counterpart_S is not None
        assert batch.count_S is not None
        position_S = np.concatenate(batch.chunks)
        count_S = batch.count_S[position_S].astype(np.float32)
        count_S[len(batch.sequences) :] = 0  # surplus rows only repeat a sequence
        lessons = tuple(self._lesson(batch, positions, teacher) for positions in batch.chunks)
        return TaughtInputs(lessons, self._moved(torch.from_numpy(count_S)))

    def _lesson(self, batch: RankBatch, positions: Positions, teacher: TeacherTexts) -> Lesson | None:
        assert batch.counterpart_S is not None
        assert batch.count_S is not None
        (row_K,) = np.nonzero(batch.count_S[positions])
        if not len(row_K):
            return None
        queries = len(batch.query_entries)
        token_lists = [
            teacher.tokens(int(batch.counterpart_S[place]), query=place < queries)
            for place in np.asarray(positions)[row_K].tolist()
        ]
        ids_KM, mask_KM = teacher.texts.pad(token_lists)
        return Lesson(self._moved(ids_KM), self._moved(mask_KM), self._moved(torch.from_numpy(row_K)))

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
    if inputs.taught is not None:
        yield inputs.taught.count_S
        for lesson in inputs.taught.lessons:
            if lesson is not None:
                yield from (lesson.input_ids_KM, lesson.mask_KM, lesson.row_K)
    for columns in (inputs.passages, inputs.queries):
        if columns is not None:
            yield from columns.tensors()
