"""The two sides of benchmarks/train_step.py: this project and sentence-transformers, training one model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from distributed_hbt.config.run import RunConfig
from distributed_hbt.config.train import TrainConfig
from distributed_hbt.data.rows import draw_rows
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.models.build import build_encoder
from distributed_hbt.train.assembly import build_inputs, build_objective
from distributed_hbt.train.chunked import ChunkedEncoder
from distributed_hbt.train.engine import build_engine, parameter_groups, start_session
from distributed_hbt.train.loop import Trainer
from distributed_hbt.train.prepared import Prepared
from distributed_hbt.train.step import cached_backward

WORLD_SIZE = 2

Gradients = dict[str, torch.Tensor]
Features = list[dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Chunks:
    """How our step is cut."""

    gradient: str
    tokens: int

    def __str__(self) -> str:
        return f"{self.gradient}, {self.tokens:,} tokens a chunk"


@dataclass(frozen=True)
class MiniBatches:
    """How the peer's step is cut: `size` texts, and `size` rows of the loss; or by `tokens`."""

    gradient: str
    size: int = 0
    tokens: int | None = None

    def __str__(self) -> str:
        if self.gradient == "plain":
            return "plain"
        return (
            f"cached, {self.size} a mini-batch" if self.tokens is None else f"cached, {self.tokens:,} tokens"
        )


class Ours:
    """The product's own step, from the store to the optimizer."""

    def __init__(self, config: RunConfig, ranks: Ranks, vocab_size: int) -> None:
        self.session = start_session(config, ranks)
        self.session.before_building(pretrained=True)
        encoder = build_encoder(config.model, config.seed, vocab_size=vocab_size)
        self.backbone = encoder.backbone
        self.engine = build_engine(self.session, ChunkedEncoder(encoder), config.train)

    def trainer(self, config: RunConfig, prepared: Prepared, chunks: Chunks) -> Trainer:
        cut = {"gradient": chunks.gradient, "max_tokens_per_chunk": chunks.tokens}
        config = config.model_copy(update={"train": config.train.model_copy(update=cut)})
        inputs = build_inputs(config, self.session, prepared)
        objective = build_objective(config)
        return Trainer(self.session, self.engine, inputs, objective, config.train, config.reduces_once)

    def first_step(self, trainer: Trainer) -> tuple[float, Gradients]:
        """Step 0, with cached gradients, and what the optimizer got."""
        from deepspeed.utils import safe_get_full_grad

        inputs = trainer.inputs.make(0)
        loss = cached_backward(self.engine, inputs, trainer.objective)
        whole = self.session.stage == 0
        gradients = {
            name: (parameter.grad if whole else safe_get_full_grad(parameter)).clone()
            for name, parameter in self.backbone.named_parameters()
        }
        self.engine.step()
        return mean_over_ranks(loss), gradients


class Peer:
    """sentence-transformers' losses on its own model, in a plain loop of DistributedDataParallel.

    It gets its texts tokenized and padded, for nothing; and no Normalize module, since its losses take the
    cosine. Its flattened inputs need flash attention, which a CPU has not.
    """

    def __init__(self, folder: Path, train: TrainConfig, width: int) -> None:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

        kwargs = {"attn_implementation": "sdpa", "dtype": torch.float32}
        transformer = Transformer(str(folder), model_kwargs=kwargs)
        self.backbone = transformer.model
        modules = [transformer, Pooling(width, "lasttoken")]
        self.model: Any = SentenceTransformer(modules=modules, device="cpu").train()
        self.parallel = torch.nn.parallel.DistributedDataParallel(
            self.model, gradient_as_bucket_view=True, broadcast_buffers=False
        )
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.model, train.weight_decay),
            lr=train.learning_rate,
            betas=train.betas,
            eps=train.epsilon,
        )
        self._scale = 1 / train.temperature

    def loss(self, cut: MiniBatches) -> Any:
        """The loss module for these mini-batches. A budget of tokens leaves the loss in one piece."""
        from sentence_transformers.sentence_transformer import losses

        if cut.gradient == "plain":
            loss = losses.MultipleNegativesRankingLoss(
                self.model, scale=self._scale, gather_across_devices=True
            )
        else:
            loss = losses.CachedMultipleNegativesRankingLoss(
                self.model,
                scale=self._scale,
                mini_batch_size=cut.size,
                mini_batch_num_tokens=cut.tokens,
                gather_across_devices=True,
            )
        loss.model = self.parallel
        return loss

    def backward(self, loss: Any, features: Features) -> torch.Tensor:
        self.optimizer.zero_grad()
        value: torch.Tensor = loss([dict(column) for column in features], None)
        value.backward()
        return value.detach()

    def step(self, loss: Any, features: Features) -> torch.Tensor:
        value = self.backward(loss, features)
        self.optimizer.step()
        return value

    def gradients(self) -> Gradients:
        return {name: parameter.grad.clone() for name, parameter in self.backbone.named_parameters()}


def features(config: RunConfig, prepared: Prepared, step: int, rank: int) -> Features:
    """Queries and passages of the rank's rows of the same global batch, row by row, padded on the right."""
    store, planned = prepared.store, prepared.plan.batch(step)
    rows = draw_rows(store, planned, seed=config.seed, num_hard_negatives=0)
    rows = rows.at(np.array_split(np.arange(len(rows)), WORLD_SIZE)[rank])
    columns = (
        [store.query_tokens(query).tolist() for query in rows.query_B.tolist()],
        [store.passage_tokens(passage).tolist() for passage in rows.passage_BP[:, 0].tolist()],
    )
    padded = (prepared.texts.pad(tokens) for tokens in columns)
    return [{"input_ids": ids_BL, "attention_mask": mask_BL} for ids_BL, mask_BL in padded]


def mean_over_ranks(value: torch.Tensor) -> float:
    total = value.detach().double().clone()
    dist.all_reduce(total)
    return float(total / WORLD_SIZE)
