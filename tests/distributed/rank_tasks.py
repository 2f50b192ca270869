"""What the ranks of a pool are asked to do. Each runs on every rank."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from distributed_hbt.config.load import load_run
from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.rank_batch import RankBatches
from distributed_hbt.data.store import Store, prepare_store
from distributed_hbt.data.trained_tokenizer import prepare_tokenizer
from distributed_hbt.distributed.gather import gather
from distributed_hbt.distributed.process_group import ranks_from_environment
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.train import step as step_module
from distributed_hbt.train.chunked import ChunkedEncoder
from distributed_hbt.train.engine import build_engine, start_session
from distributed_hbt.train.loop import Trainer
from distributed_hbt.train.weights import whole_weights
from distributed_hbt.train.worker import build_batches, build_objective, make_plan, store_folder

logging.getLogger("DeepSpeed").setLevel(logging.ERROR)


def join() -> None:
    if not dist.is_initialized():
        dist.init_process_group("gloo")


def gathered_and_gradient(counts: tuple[int, ...]) -> tuple[list[list[float]], list[list[float]]]:
    """Rank r's rows are r * 100 + i; its loss weighs global row n by (n + 1) * (r + 1)."""
    join()
    rank = dist.get_rank()
    local_ND = torch.tensor([[rank * 100.0 + i, -1.0] for i in range(counts[rank])]).reshape(-1, 2)
    local_ND.requires_grad_()
    global_ND = gather(local_ND, counts)
    weight_N1 = torch.arange(1.0, len(global_ND) + 1).unsqueeze(1)
    (global_ND * weight_N1 * (rank + 1)).sum().backward()
    assert local_ND.grad is not None
    return global_ND.tolist(), local_ND.grad.tolist()


def build(run_file: str, overrides: list[str]) -> tuple[RunConfig, Store, TextEncoder]:
    config = load_run(Path(run_file), overrides)
    tokenizer = prepare_tokenizer(config, store_folder(config))
    texts = TextEncoder(tokenizer, config.model)
    return config, prepare_store(config, texts, store_folder(config)), texts


def trainer(run_file: str, overrides: list[str]) -> Trainer:
    """A real engine and everything around it, as the worker builds them."""
    from accelerate.state import AcceleratorState

    from distributed_hbt.models.build import build_encoder

    AcceleratorState._reset_state(reset_partial_state=True)
    config, store, texts = build(run_file, overrides)
    ranks = ranks_from_environment()
    session = start_session(config, ranks)
    session.before_building(pretrained=config.model.base is not None)
    encoder = build_encoder(config.model, config.seed, vocab_size=len(texts.tokenizer))
    engine = build_engine(session, ChunkedEncoder(encoder), config.train)
    batches = build_batches(config, ranks, store, make_plan(config, store))
    return Trainer(session, engine, batches, texts, build_objective(config), config.train, config.seed)


def gradients(run_file: str, overrides: list[str], plant: str | None = None) -> dict[str, np.ndarray]:
    """Every trainable parameter's gradient of the first batch, as the engine would step with it."""
    from deepspeed.utils import safe_get_full_grad

    made = trainer(run_file, overrides)
    batch = made.batches.batch(0)
    chunks = step_module.make_chunks(
        batch, made.texts, seed=made.seed, rank=made.session.ranks.rank, device=made.session.device
    )
    with planted(plant):
        made.backward(made.engine, batch, chunks, made.objective)
    found = {
        name: (parameter.grad if made.session.stage == 0 else safe_get_full_grad(parameter)).float().numpy()
        for name, parameter in made.engine.module.encoder.named_parameters()
        if parameter.requires_grad
    }
    made.engine.destroy()
    return found


class planted:  # noqa: N801 (reads as a statement)
    """Plant a known mistake into the gather that the step uses."""

    def __init__(self, mistake: str | None) -> None:
        self.mistake = mistake
        self.true_gather = step_module.gather

    def __enter__(self) -> None:
        def scaled(local_ND: torch.Tensor, counts: Any) -> torch.Tensor:
            global_ND = self.true_gather(local_ND, counts)
            return global_ND * len(counts) + (global_ND * (1 - len(counts))).detach()

        def detached(local_ND: torch.Tensor, counts: Any) -> torch.Tensor:
            return self.true_gather(local_ND, counts).detach()

        mistakes = {None: self.true_gather, "scaled": scaled, "detached": detached}
        step_module.gather = mistakes[self.mistake]

    def __exit__(self, *_: object) -> None:
        step_module.gather = self.true_gather


def losses_and_weights(
    run_file: str, overrides: list[str], steps: int
) -> tuple[list[float], list[float], dict[str, np.ndarray]]:
    """Losses and gradient norms of the first steps, and the weights after them (of rank 0)."""
    made = trainer(run_file, overrides)
    records = [made.step(step) for step in range(steps)]
    weights = whole_weights(made.engine, made.session.ranks, trainable_only=True)
    made.engine.destroy()
    return (
        [record.loss for record in records],
        [record.grad_norm for record in records],
        {name: tensor.float().numpy() for name, tensor in weights.items()},
    )


def batch_of(run_file: str, overrides: list[str], step: int) -> Any:
    """This rank's batch, without any engine."""
    config, store, _ = build(run_file, overrides)
    ranks = ranks_from_environment()
    batches: RankBatches = build_batches(config, ranks, store, make_plan(config, store))
    return batches.batch(step)
