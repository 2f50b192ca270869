"""What the ranks of a pool are asked to do. Each runs on every rank."""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from benchmarks.planner_cases import Case, Measured, measure
from distributed_hbt.config.load import load_run
from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.rank_batch import RankBatches
from distributed_hbt.data.store import Store, prepare_store
from distributed_hbt.data.trained_tokenizer import prepare_tokenizer
from distributed_hbt.distributed.gather import gather
from distributed_hbt.distributed.process_group import ranks_from_environment
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import load_encoder, save_base
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.run_directory import RunDirectory, check_run_directory, write_config
from distributed_hbt.start_times import not_timed
from distributed_hbt.train import step as step_module
from distributed_hbt.train.assembly import (
    adapt_layers,
    build_batches,
    build_inputs,
    build_objective,
    build_trainer,
)
from distributed_hbt.train.checkpoints.attempt import begin_attempt
from distributed_hbt.train.checkpoints.choice import choose_checkpoint
from distributed_hbt.train.checkpoints.resume import resume
from distributed_hbt.train.checkpoints.state import Saved, TrainState
from distributed_hbt.train.checkpoints.writer import CheckpointWriter
from distributed_hbt.train.chunked import Chunk, ChunkedEncoder
from distributed_hbt.train.engine import build_engine, start_session
from distributed_hbt.train.inputs import InputMaker
from distributed_hbt.train.inputs import _tensors as input_tensors
from distributed_hbt.train.loop import StepRecord, Trainer
from distributed_hbt.train.phases import not_measured
from distributed_hbt.train.prepared import Prepared, make_plan, prepare, store_folder
from distributed_hbt.train.teacher import build_teacher, prepare_teacher, teacher_texts, transport_of
from distributed_hbt.train.weights import whole_weights
from distributed_hbt.train.worker import train
from tests.distributed.run_for_tests import wake_adapters

logging.getLogger("DeepSpeed").setLevel(logging.ERROR)


def join() -> None:
    if not dist.is_initialized():
        dist.init_process_group("gloo")


def measured(case: Case, folder: Path) -> Measured:
    """What a case of benchmarks/planner.py takes on this rank."""
    own = folder / str(ranks_from_environment().rank)
    own.mkdir(exist_ok=True)
    return measure(case, ranks_from_environment().rank, own, timed=1)


def gathered_and_gradient(
    counts: tuple[int, ...], device: str = "cpu"
) -> tuple[list[list[float]], list[list[float]]]:
    """Rank r's rows are r * 100 + i; its loss weighs global row n by (n + 1) * (r + 1)."""
    join()
    rank = dist.get_rank()
    rows = [[rank * 100.0 + i, -1.0] for i in range(counts[rank])]
    local_ND = torch.tensor(rows, device=device).reshape(-1, 2)
    local_ND.requires_grad_()
    global_ND = gather(local_ND, counts)
    weight_N1 = torch.arange(1.0, len(global_ND) + 1, device=device).unsqueeze(1)
    (global_ND * weight_N1 * (rank + 1)).sum().backward()
    assert local_ND.grad is not None
    return global_ND.tolist(), local_ND.grad.tolist()


def gathered_over_nccl(counts: tuple[int, ...]) -> tuple[list[list[float]], list[list[float]]]:
    """As above, every rank on a GPU of its own."""
    device = torch.device("cuda", ranks_from_environment().local_rank)
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", device_id=device)
    return gathered_and_gradient(counts, str(device))


def build(run_file: str, overrides: list[str]) -> tuple[RunConfig, Store, TextEncoder]:
    config = load_run(Path(run_file), overrides)
    tokenizer = prepare_tokenizer(config, store_folder(config))
    texts = TextEncoder(tokenizer, config.model)
    return config, prepare_store(config, texts, store_folder(config)), texts


def trainer(run_file: str, overrides: list[str]) -> Trainer:
    """A real engine and everything around it, as the worker builds them."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    config, store, texts = build(run_file, overrides)
    ranks = ranks_from_environment()
    session = start_session(config, ranks)
    session.before_building(pretrained=config.model.base is not None)
    encoder = build_encoder(config.model, config.seed, vocab_size=len(texts.tokenizer))
    wake_adapters(encoder)
    adapt_layers(encoder, config.train, session)
    session.before_building(pretrained=False)
    teacher = build_teacher(config, encoder.dimension, session.device)
    engine = build_engine(session, ChunkedEncoder(encoder, transport_of(config)), config.train)
    taught = prepare_teacher(config, teacher_texts(config), store, store_folder(config))
    inputs = build_inputs(config, session, Prepared(texts, store, make_plan(config, store), taught))
    objective = build_objective(config)
    return Trainer(session, engine, inputs, objective, config.train, config.reduces_once, teacher)


def gradients(run_file: str, overrides: list[str], plant: str | None = None) -> dict[str, np.ndarray]:
    """Every trainable parameter's gradient of the first batch, as the engine would step with it."""
    from deepspeed.utils import safe_get_full_grad

    made = trainer(run_file, overrides)
    mistakes = without_boundary(made.engine) if plant == "boundary" else planted(plant)
    with mistakes:
        made._backward(made.inputs.make(0), not_measured)
    found = {
        name: (parameter.grad if made.session.stage == 0 else safe_get_full_grad(parameter))
        .float()
        .cpu()
        .numpy()
        for name, parameter in made.engine.module.encoder.named_parameters()
        if parameter.requires_grad
    }
    made.engine.destroy()
    return found


def forward_and_backward_without_waiting(run_file: str, overrides: list[str]) -> None:
    """Forward, loss and backward of two batches, with every wait for the GPU an error in the second.
    DeepSpeed's own part, which copies and counts gradients, is left out."""
    made = trainer(run_file, overrides)
    module = made.engine.module
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    inputs = [made.inputs.make(step) for step in range(2)]
    for mode, given in zip(("default", "error"), inputs, strict=True):
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode(mode)
        try:
            loss = step_module.rank_loss(module(given.chunks), given, made.objective)
            torch.autograd.grad(loss, weights)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    made.engine.destroy()


def inputs_while_the_gpu_is_busy(run_file: str, overrides: list[str], steps: int) -> dict[str, Any]:
    """Inputs read ahead while a kernel of seconds runs, and whether they are those of a CPU."""
    config, store, texts = build(run_file, overrides)
    batches = build_batches(config, ranks_from_environment(), store, make_plan(config, store))
    cpu, gpu = (
        InputMaker(batches, texts, seed=1, rank=0, block_size=16, device=torch.device(device))
        for device in ("cpu", "cuda")
    )
    gpu.make(0)  # starts CUDA, and fills its caches of pinned memory
    torch.cuda.synchronize()
    torch.cuda._sleep(10_000_000_000)
    ahead = gpu.ahead(0, steps)
    made = [next(ahead) for _ in range(steps)]
    still_busy = not torch.cuda.current_stream().query()
    equal = []
    for step, given in enumerate(made):
        tensors = zip(input_tensors(given), input_tensors(cpu.make(step)), strict=True)
        pairs = ((found.cpu().nan_to_num(-1), expected.nan_to_num(-1)) for found, expected in tensors)
        equal.append(all(torch.equal(found, expected) for found, expected in pairs))
    return {"still busy": still_busy, "equal": equal}


def collective_limits(run_file: str, overrides: list[str]) -> list[float]:
    """Seconds after which each process group of this rank gives up, torch's own and DeepSpeed's."""
    made = trainer(run_file, overrides)
    groups = list(torch.distributed.distributed_c10d._world.pg_map)
    cpu = torch.device("cpu")
    seconds = [group._get_backend(cpu).options._timeout.total_seconds() for group in groups]
    made.engine.destroy()
    return seconds


@contextlib.contextmanager
def without_boundary(engine: Any) -> Iterator[None]:
    """No chunk is made the accumulation boundary, or the only one that is not."""
    engine.set_gradient_accumulation_boundary = lambda is_boundary: None
    yield


def collectives(run_file: str, overrides: list[str]) -> dict[str, int]:
    """How often this rank takes part in each collective operation of one step, by torch's name for it."""
    made = trainer(run_file, overrides)
    inputs = made.inputs.make(0)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        made._backward(inputs, not_measured)
    made.engine.destroy()
    return dict(Counter(e.name for e in profile.events() if e.name.startswith("c10d::")))


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
    records = [made.step(made.inputs.make(step))[0] for step in range(steps)]
    weights = whole_weights(made.engine, made.session.ranks, trainable_only=True)
    made.engine.destroy()
    return (
        [record.loss for record in records],
        [record.grad_norm for record in records],
        {name: tensor.float().numpy() for name, tensor in weights.items()},
    )


class Stopped(Exception):  # noqa: N818 (no error, an end)
    """Ends a training as a kill does: nothing of the step is saved."""


def train_until(run_file: str, overrides: list[str], stop: int | None) -> list[tuple[int, float]]:
    """The worker itself, ended after `stop` steps. Returns (step, loss) of the steps it did."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    config = load_run(Path(run_file), overrides)
    directory = check_run_directory(config)
    if ranks_from_environment().is_first:
        write_config(directory, config)
    done: list[tuple[int, float]] = []

    def log(record: StepRecord) -> None:
        done.append((record.step, record.loss))
        if record.step == stop:
            raise Stopped

    with contextlib.suppress(Stopped):
        train(config, ranks_from_environment(), directory, prepare(config), log_from=lambda steps_done: log)
    return done


def state_loaded(run_file: str, overrides: list[str]) -> dict[str, np.ndarray]:
    """What the engine holds once the worker has loaded the last checkpoint: of each trained parameter the
    weight that it computes with, the one that it steps, and both moments; and every count of steps."""
    from accelerate.state import AcceleratorState
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    AcceleratorState._reset_state(reset_partial_state=True)
    config = load_run(Path(run_file), overrides)
    ranks, directory, prepared = ranks_from_environment(), check_run_directory(config), prepare(config)
    session = start_session(config, ranks)
    chosen = choose_checkpoint(directory, ranks)
    made, saved = build_trainer(config, session, directory, prepared, not_timed)
    resume(made, chosen, saved)
    optimizer = made.engine.optimizer
    if session.stage < 3:
        optimizer._lazy_init_hp_params_optimizer_state()  # else done in the first step
    found = {f"computed {k}": v for k, v in whole_weights(made.engine, ranks, trainable_only=True).items()}
    for name, parameter in made.engine.module.encoder.named_parameters():
        if parameter.requires_grad:
            found[f"stepped {name}"] = safe_get_full_fp32_param(parameter)
            for moment in ("exp_avg", "exp_avg_sq"):
                found[f"{moment} {name}"] = safe_get_full_optimizer_state(parameter, moment)
    steps = {float(state["step"]) for state in optimizer.optimizer.state.values()}
    made.engine.destroy()
    return {k: v.float().cpu().numpy() for k, v in found.items()} | {"steps": np.array(sorted(steps))}


def train_and_evaluate(run_file: str) -> tuple[list[float], list[str]]:
    """The worker itself and the evaluation after it: the losses, and the paths of the summaries."""
    from accelerate.state import AcceleratorState

    from distributed_hbt.evaluation.evaluate import evaluate_checkpoint
    from distributed_hbt.evaluation.jobs.local import LocalExecutor

    AcceleratorState._reset_state(reset_partial_state=True)
    config = load_run(Path(run_file))
    directory = check_run_directory(config)
    write_config(directory, config)
    losses: list[float] = []
    train(
        config,
        ranks_from_environment(),
        directory,
        prepare(config),
        log_from=lambda done: lambda record: losses.append(record.loss),
    )
    steps = config.train.max_steps
    summaries = evaluate_checkpoint(
        config.evaluation,
        directory.checkpoint(steps),
        directory.evaluation(steps),
        stores=config.stores,
        executor=LocalExecutor("cpu"),
    )
    return losses, list(map(str, summaries))


def left_gathered(run_file: str, overrides: list[str]) -> list[str]:
    """Parameters that this rank still holds whole after two steps under ZeRO-3."""
    from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus

    made = trainer(run_file, overrides)
    for step in range(2):
        made.step(made.inputs.make(step))
    named = made.engine.module.named_parameters()
    whole = [name for name, p in named if p.ds_status != ZeroParamStatus.NOT_AVAILABLE]
    made.engine.destroy()
    return whole


def live_and_saved(run_file: str, overrides: list[str]) -> dict[str, np.ndarray]:
    """Embeddings of the engine in memory, and of its checkpoint loaded again, on rank 0."""
    made = trainer(run_file, overrides)
    for step in range(3):
        made.step(made.inputs.make(step))
    config = load_run(Path(run_file), overrides)
    directory = RunDirectory(config.run_dir)
    encoder = made.engine.module.encoder
    adapter = config.model.lora is not None
    if adapter and made.session.ranks.is_first:
        untrained = build_encoder(config.model, config.seed, vocab_size=len(made.inputs.texts.tokenizer))
        save_base(directory.base, untrained)
    manifest = EncoderManifest.from_config(
        config.model, embedding_dimension=encoder.dimension, base="../../../base" if adapter else None
    )
    saved = Saved(made.inputs.texts.tokenizer, manifest, adapter)
    state = TrainState(3, config.name, config.seed, 2, made.session.stage, "", "", None)
    with CheckpointWriter(
        config, made.session, begin_attempt(directory, made.session.ranks), saved
    ) as writer:
        writer.save(made.engine, state)
    checkpoint = directory.checkpoint(3)
    ids_BL, mask_BL = made.inputs.texts.pad(
        made.inputs.texts.queries(["a river", "the light of a house in the city", "b"])
    )
    with torch.no_grad():
        found = {"live": made.engine([Chunk(ids_BL, mask_BL, seed=0)]).numpy()}
        if made.session.ranks.is_first:
            for name, merge in (("loaded", False), ("merged", True)):
                loaded = load_encoder(checkpoint / "encoder", merge_lora=merge and adapter)
                found[name] = loaded.encoder(ids_BL, mask_BL).numpy()
    made.engine.destroy()
    return found


def batch_of(run_file: str, overrides: list[str], step: int) -> Any:
    """This rank's batch, without any engine."""
    config, store, _ = build(run_file, overrides)
    ranks = ranks_from_environment()
    batches: RankBatches = build_batches(config, ranks, store, make_plan(config, store))
    return batches.batch(step)
