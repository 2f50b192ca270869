"""One step's forward and backward, plain or cached, through a DeepSpeed engine.

After either, the engine holds the gradient of the mean loss over the global batch, to rounding; the caller
then calls `engine.step()`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from distributed_hbt.distributed.gather import gather
from distributed_hbt.losses.embedding_distance import embedding_distance
from distributed_hbt.losses.objective import GlobalEmbeddings, Objective, contrastive_loss
from distributed_hbt.train.guards.finite import spoiling
from distributed_hbt.train.inputs import StepInputs, TaughtInputs
from distributed_hbt.train.phases import Phases, not_measured

Engine = Any


def plain_backward(
    engine: Engine, inputs: StepInputs, objective: Objective, phases: Phases = not_measured
) -> Tensor:
    """One forward and one backward through all chunks. Returns the rank's mean loss, detached."""
    with phases("forward"):
        embedding_SD = engine(inputs.chunks)
    loss = spoiling(rank_loss(embedding_SD, inputs, objective, phases))
    with phases("backward"):
        engine.backward(loss)
    return loss.detach()


def cached_backward(
    engine: Engine,
    inputs: StepInputs,
    objective: Objective,
    phases: Phases = not_measured,
    *,
    coalesced: bool = False,
) -> Tensor:
    """GradCache (arXiv 2101.06983): embed without gradient, differentiate the loss by the embeddings, then
    embed chunk by chunk with gradient. Memory of one chunk's activations. See `_reduced_once` for
    `coalesced`."""
    with torch.no_grad(), phases("forward without gradient"):
        parts = [engine([chunk]) for chunk in inputs.chunks]
    embedding_SD = torch.cat(parts).requires_grad_()
    loss = spoiling(rank_loss(embedding_SD, inputs, objective, phases))
    with phases("loss"):
        (grad_SD,) = torch.autograd.grad(loss, embedding_SD)
    grads = torch.split(grad_SD, [len(part) for part in parts])
    with _reduced_once(engine, len(grads), phases, coalesced=coalesced) as next_chunk:
        for chunk, grad_BD in zip(inputs.chunks, grads, strict=True):
            next_chunk()
            with phases("forward"):
                embedding_BD = engine([chunk])
            with phases("backward"):
                engine.backward((embedding_BD * grad_BD).sum())
    return loss.detach()


@torch.no_grad()
def loss_alone(engine: Engine, inputs: StepInputs, objective: Objective) -> Tensor:
    """The rank's mean loss with the weights as they are; nothing follows from it."""
    return rank_loss(torch.cat([engine([chunk]) for chunk in inputs.chunks]), inputs, objective)


@contextmanager
def _reduced_once(
    engine: Engine, chunks: int, phases: Phases, *, coalesced: bool
) -> Iterator[Callable[[], None]]:
    """Around the backwards of a step; what it gives is called before each.

    Coalesced: gradients stay on their rank until the block ends, and are reduced together; that takes a
    whole gradient of memory. Otherwise the last chunk is made the accumulation boundary (without one ZeRO-1
    and 2 would silently keep only part of the gradient); ZeRO-2 and 3 then reduce every chunk's as it comes.
    """
    if coalesced:
        with engine.coalesce_grad_reduction():
            yield lambda: None
        return
    left = chunks

    def next_chunk() -> None:
        nonlocal left
        left -= 1
        engine.set_gradient_accumulation_boundary(left == 0)

    yield next_chunk


def rank_loss(
    embedding_SD: Tensor, inputs: StepInputs, objective: Objective, phases: Phases = not_measured
) -> Tensor:
    """The rank's mean loss from the embeddings of its chunks, gathered across ranks once."""
    loss = _surplus_times_zero(embedding_SD, inputs.surplus)
    if inputs.taught is not None:
        with phases("loss"):
            embedding_SD, cost_S = _embeddings_and_costs(embedding_SD, inputs.taught)
            loss = loss + objective.teacher_weight * (cost_S * inputs.taught.count_S).sum() / inputs.rows
    if not objective.contrastive:
        return loss
    local_SD = embedding_SD[inputs.order_S]
    with phases("gather"):
        query_MD, passage_ND = _gathered(local_SD, inputs, queries_too=objective.symmetric)
    with phases("loss"):
        embeddings = GlobalEmbeddings(local_SD[: inputs.rows], passage_ND, query_MD)
        return loss + contrastive_loss(embeddings, inputs, objective)


def _embeddings_and_costs(embedding_SD: Tensor, taught: TaughtInputs) -> tuple[Tensor, Tensor]:
    """The embeddings, and how far each is from what the teacher says of it."""
    if taught.target_SD is not None:
        return embedding_SD, embedding_distance(embedding_SD, taught.target_SD)
    return embedding_SD[:, :-1], embedding_SD[:, -1]


def _gathered(local_SD: Tensor, inputs: StepInputs, *, queries_too: bool) -> tuple[Tensor | None, Tensor]:
    """All ranks' queries, where they are wanted, and passages, by one exchange."""
    batch = inputs.batch
    if not queries_too:
        return None, gather(local_SD[inputs.rows :], batch.passage_counts)
    counts = [q + p for q, p in zip(batch.query_counts, batch.passage_counts, strict=True)]
    of_rank = torch.split(gather(local_SD, counts), counts)
    cut = [torch.split(part, [q, len(part) - q]) for part, q in zip(of_rank, batch.query_counts, strict=True)]
    return torch.cat([queries for queries, _ in cut]), torch.cat([passages for _, passages in cut])


def _surplus_times_zero(embedding_SD: Tensor, surplus: int) -> Tensor:
    """Zero, but part of the graph: surplus chunks must see a backward too, or ZeRO-3 waits for ever."""
    if not surplus:
        return embedding_SD.new_zeros(())
    return embedding_SD[-surplus:].sum() * 0.0
