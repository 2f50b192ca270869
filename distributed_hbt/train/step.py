"""One step's forward and backward, plain or cached, through a DeepSpeed engine.

After either, the engine holds the gradient of the mean loss over the global batch, to rounding; the caller
then calls `engine.step()`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distributed_hbt.data.chunks import surplus
from distributed_hbt.data.rank_batch import RankBatch
from distributed_hbt.distributed.gather import gather
from distributed_hbt.losses.info_nce import Columns
from distributed_hbt.losses.objective import GlobalEmbeddings, Objective, contrastive_loss
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.train.chunked import Chunk

Engine = Any
Backward = Callable[[Engine, RankBatch, Sequence[Chunk], Objective], Tensor]


def make_chunks(
    batch: RankBatch, texts: TextEncoder, *, seed: int, rank: int, device: torch.device
) -> list[Chunk]:
    """Pad the rank's sequences chunk by chunk, on the device."""
    chunks = []
    for i, positions in enumerate(batch.chunks):
        ids_BL, mask_BL = texts.pad([batch.sequences[p].tolist() for p in positions])
        (chunk_seed,) = np.random.SeedSequence([seed, batch.step, rank, i]).generate_state(1, np.uint64)
        ids_BL, mask_BL = ids_BL.to(device, non_blocking=True), mask_BL.to(device, non_blocking=True)
        chunks.append(Chunk(ids_BL, mask_BL, seed=int(chunk_seed >> 1)))
    return chunks


def plain_backward(engine: Engine, batch: RankBatch, chunks: Sequence[Chunk], objective: Objective) -> Tensor:
    """One forward and one backward through all chunks. Returns the rank's mean loss, detached."""
    embedding_SD = engine(chunks)
    loss = rank_loss(embedding_SD, batch, objective)
    engine.backward(loss)
    return loss.detach()


def cached_backward(
    engine: Engine, batch: RankBatch, chunks: Sequence[Chunk], objective: Objective
) -> Tensor:
    """GradCache (arXiv 2101.06983): embed without gradient, differentiate the loss by the embeddings, then
    embed chunk by chunk with gradient. Memory of one chunk's activations; gradients are reduced once,
    at the last chunk (without the boundary ZeRO-1 and 2 would silently keep only part of them)."""
    with torch.no_grad():
        parts = [engine([chunk]) for chunk in chunks]
    embedding_SD = torch.cat(parts).requires_grad_()
    loss = rank_loss(embedding_SD, batch, objective)
    (grad_SD,) = torch.autograd.grad(loss, embedding_SD)
    grads = torch.split(grad_SD, [len(part) for part in parts])
    for i, (chunk, grad_BD) in enumerate(zip(chunks, grads, strict=True)):
        engine.set_gradient_accumulation_boundary(i == len(chunks) - 1)
        engine.backward((engine([chunk]) * grad_BD).sum())
    return loss.detach()


def rank_loss(embedding_SD: Tensor, batch: RankBatch, objective: Objective) -> Tensor:
    """The rank's mean loss from the embeddings of its chunks, gathered across ranks once."""
    query_BD, passage_KD = _in_order(embedding_SD, batch)
    rows = len(query_BD)
    embeddings = GlobalEmbeddings(
        local_query_BD=query_BD,
        local_positive_BD=passage_KD[:rows],
        passage_ND=gather(passage_KD, batch.passage_counts),
        query_MD=gather(query_BD, batch.query_counts) if objective.symmetric else None,
    )
    device = embedding_SD.device
    queries = None if batch.queries is None else _on(batch.queries, device)
    loss = contrastive_loss(embeddings, _on(batch.passages, device), queries, objective)
    return loss + _surplus_times_zero(embedding_SD, batch)


def _in_order(embedding_SD: Tensor, batch: RankBatch) -> tuple[Tensor, Tensor]:
    """Undo the chunks' order: the rank's queries, and its passages."""
    sequences = len(batch.sequences)
    position_S = torch.cat([torch.from_numpy(chunk) for chunk in batch.chunks])[:sequences]
    row_S = torch.empty(sequences, dtype=torch.int64)
    row_S[position_S] = torch.arange(sequences)
    ordered_SD = embedding_SD[row_S.to(embedding_SD.device)]
    queries = len(batch.query_entries)
    return ordered_SD[:queries], ordered_SD[queries:]


def _surplus_times_zero(embedding_SD: Tensor, batch: RankBatch) -> Tensor:
    """Zero, but part of the graph: surplus chunks must see a backward too, or ZeRO-3 waits for ever."""
    if not surplus(batch.chunks, len(batch.sequences)):
        return embedding_SD.new_zeros(())
    return embedding_SD[len(batch.sequences) :].sum() * 0.0


def _on(columns: Columns, device: torch.device) -> Columns:
    return Columns(
        target_B=columns.target_B.to(device),
        excluded_2E=columns.excluded_2E.to(device),
        counts_N=None if columns.counts_N is None else columns.counts_N.to(device),
    )
