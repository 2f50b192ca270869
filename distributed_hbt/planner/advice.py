"""Which setting to change: each is planned anew, so that the list says what each gives."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.config.load import with_overrides
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.planner.plan import Plan, plan_of
from distributed_hbt.planner.render import duration, gib, table
from distributed_hbt.planner.setting import SettingBuilder
from distributed_hbt.train.zero import default_file

FEWEST_TOKENS = 1_024
"""Smaller chunks are not proposed: GPUs reach little of their peak in them."""

SHOWN = 8


@dataclass(frozen=True, eq=False)
class Knob:
    """Overrides for the command line, and the plan with them."""

    overrides: tuple[str, ...]
    plan: Plan

    def saved(self, before: Plan) -> float:
        """Bytes of a GPU's peak."""
        return before.memory.peak.total - self.plan.memory.peak.total

    def slower(self, before: Plan) -> float:
        """Time of a run with it, over that without: GPU-hours, since some take more GPUs."""
        return self.plan.gpu_hours / before.gpu_hours


def advice(builder: SettingBuilder, before: Plan) -> list[Knob]:
    """Where it does not fit: what makes it fit, the least costly first, then what saves most. Where it fits:
    what is faster and fits too."""
    config = before.setting.config
    knobs = [knob for overrides in _candidates(before) if (knob := _planned(builder, config, overrides))]
    if before.memory.fits:
        faster = [knob for knob in knobs if knob.plan.memory.fits and knob.slower(before) < 0.98]
        return sorted(faster, key=lambda knob: knob.slower(before))
    helping = [knob for knob in knobs if knob.saved(before) > 0]

    def rank(knob: Knob) -> tuple[bool, float]:
        fits = knob.plan.memory.fits
        return not fits, knob.slower(before) if fits else -knob.saved(before)

    return sorted(helping, key=rank)


def _candidates(before: Plan) -> Iterator[tuple[str, ...]]:
    """Single settings, and pairs that go together."""
    setting, train = before.setting, before.setting.config.train
    smaller = [*_chunks(train.max_tokens_per_chunk, fits=False)]
    yield (f"train.gradient={'cached' if train.gradient == 'plain' else 'plain'}",)
    yield (f"train.activation_checkpointing={'false' if train.activation_checkpointing else 'true'}",)
    yield from _chunks(train.max_tokens_per_chunk, fits=before.memory.fits)
    yield from _stages(before)
    if setting.reduces_once:
        yield ("train.reduce_gradients=by_chunk",)
    if setting.cached and train.activation_checkpointing:
        yield from (("train.activation_checkpointing=false", *size) for size in smaller)
    if not setting.cached:
        yield from (("train.gradient=cached", *size) for size in smaller)
    if not before.memory.fits:
        yield from _larger_changes(before)


def _stages(before: Plan) -> Iterator[tuple[str, ...]]:
    sharding = before.setting.sharding
    for stage in (0, 1, 2, 3):
        if stage != sharding.stage or sharding.group > 1 or sharding.optimizer_on_host:
            yield (f"train.deepspeed={Path(default_file()).with_name(f'zero{stage}.json')}",)


def _larger_changes(before: Plan) -> Iterator[tuple[str, ...]]:
    """That change the model which comes out, or what is paid for."""
    model, world = before.setting.config.model, before.setting.world_size
    zero3 = f"train.deepspeed={Path(default_file()).with_name('zero3.json')}"
    if model.dtype == "float32":
        yield ("model.dtype=bfloat16",)
    if model.lora is None:
        yield ("model.lora={rank: 16, alpha: 32}",)
    for times in (2, 4):
        yield (f"cluster.num_workers={times * world}",)
        yield (f"cluster.num_workers={times * world}", zero3)


def _chunks(tokens: int, *, fits: bool) -> Iterator[tuple[str]]:
    sizes = (2 * tokens, 4 * tokens) if fits else (tokens // 2, tokens // 4, tokens // 8)
    yield from ((f"train.max_tokens_per_chunk={size}",) for size in sizes if size >= FEWEST_TOKENS)


def _planned(builder: SettingBuilder, config: RunConfig, overrides: tuple[str, ...]) -> Knob | None:
    """None where the run would be refused with them."""
    try:
        changed = with_overrides(config, overrides)
        room = builder.with_room(changed.cluster.num_workers, changed.cluster.gpus_per_worker)
        return Knob(overrides, plan_of(room.of(changed)))
    except ConfigError:
        return None


def advice_as_text(before: Plan, knobs: list[Knob]) -> str:
    """A line a knob, ready for the command line."""
    if not knobs:
        return "No single setting makes it faster and fits." if before.memory.fits else "Nothing tried helps."
    what = "Faster, and fits" if before.memory.fits else "What to change, the least costly first"
    header = (what, "GiB a GPU", "", "saved", "GPU-hours", "run")
    rows = [
        (
            "  " + shown(knob.overrides),
            gib(knob.plan.memory.peak.total),
            "fits" if knob.plan.memory.fits else "too much",
            gib(knob.saved(before)),
            f"x {knob.slower(before):.2f}",
            duration(3600 * knob.plan.hours),
        )
        for knob in knobs[:SHOWN]
    ]
    return table(header, rows)


def advice_as_json(before: Plan, knobs: list[Knob]) -> list[dict[str, Any]]:
    """The same for programs, all of them."""
    return [
        {
            "overrides": list(knob.overrides),
            "fits": knob.plan.memory.fits,
            "bytes": knob.plan.memory.peak.total,
            "saved": knob.saved(before),
            "gpu_hours": knob.plan.gpu_hours,
            "hours": knob.plan.hours,
        }
        for knob in knobs
    ]


def shown(overrides: tuple[str, ...]) -> str:
    """As typed; ZeRO files by their name in ds_configs."""
    folder = str(Path(default_file()).parent)
    words = (word.replace(folder, "ds_configs") for word in overrides)
    return " ".join(f'"{word}"' if " " in word else word for word in words)
