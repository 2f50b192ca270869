"""Bytes that a GPU holds, part by part, at each moment of a step when it holds most.

What DeepSpeed keeps was read in its source (0.19, zero/stage_1_and_2.py, stage3.py) and measured on its
engines; docs/planner.md has both. b is 2 bytes in bfloat16, else 4; W ranks.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from distributed_hbt.planner.setting import Setting

GIB = 2**30


@dataclass(frozen=True)
class Moment:
    """Bytes by part, of a time within a step."""

    name: str
    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())


@dataclass(frozen=True)
class Memory:
    """`moments` of a step; `room` is what one GPU has, `on_host` what a rank keeps in its host's memory."""

    moments: tuple[Moment, ...]
    fragmentation: float
    reserved: float
    room: float
    on_host: float

    @property
    def peak(self) -> Moment:
        """With what the allocator and the libraries take besides."""
        moment = max(self.moments, key=lambda one: one.total)
        besides = {"fragmentation": self.fragmentation * moment.total, "reserved": self.reserved}
        return Moment(moment.name, {**moment.parts, **besides})

    @property
    def allocated(self) -> float:
        """As torch counts it: without fragmentation and libraries."""
        return max(one.total for one in self.moments)

    @property
    def fits(self) -> bool:
        return self.peak.total <= self.room

    @property
    def left(self) -> float:
        """Bytes; below zero where it does not fit."""
        return self.room - self.peak.total


def memory_of(setting: Setting) -> Memory:
    """Of the rank with the largest chunk."""
    kept = {
        "weights": weights(setting),
        "optimizer": optimizer(setting),
        "teacher": float(setting.teacher),
        "gathered layers": gathered(setting),
    }
    own = (
        *_backwards(setting),
        Moment("loss", _loss(setting)),
        Moment("optimizer step", _step(setting)),
    )
    moments = [Moment(one.name, kept | dict(one.parts)) for one in own]
    assumed = setting.cluster.assumptions
    return Memory(
        tuple(Moment(m.name, {k: v for k, v in m.parts.items() if v}) for m in moments),
        assumed.fragmentation,
        assumed.reserved_gib * GIB,
        setting.cluster.kind.memory_gib * GIB,
        on_host(setting),
    )


def weights(setting: Setting) -> float:
    """b a parameter; under ZeRO-3 over W, small ones whole besides, and hpZ's second copy over its group."""
    b, parameters, sharding = setting.bytes_per_weight, setting.parameters, setting.sharding
    whole = float(b * parameters.held)
    if sharding.stage < 3:
        return whole
    here = 0.0 if sharding.weights_on_host else whole / setting.world_size
    second = whole / sharding.group if sharding.group > 1 else 0.0
    return here + second + b * parameters.small(sharding.persistent)


def optimizer(setting: Setting) -> float:
    """AdamW's two moments in float32 and a float32 copy of the weights, which ZeRO has in float32 too."""
    return 0.0 if setting.sharding.optimizer_on_host else _optimizer_state(setting)


def _optimizer_state(setting: Setting) -> float:
    trained, stage = setting.parameters.trained, setting.sharding.stage
    if stage == 0:
        return float((8 if setting.bytes_per_weight == 4 else 12) * trained)
    return 12 * trained / setting.world_size


def on_host(setting: Setting) -> float:
    """What offloading keeps in the host's memory: state, a gradient in float32, weights."""
    sharding, trained = setting.sharding, setting.parameters.trained
    state = (
        _optimizer_state(setting) + 4 * trained / setting.world_size if sharding.optimizer_on_host else 0.0
    )
    held = setting.bytes_per_weight * setting.parameters.held / setting.world_size
    return state + (held if sharding.weights_on_host else 0.0)


def gathered(setting: Setting) -> float:
    """ZeRO-3: the layer at work, and what is fetched ahead; at most all there is."""
    if setting.sharding.stage < 3 or setting.world_size == 1:
        return 0.0
    parameters = setting.parameters
    working = max(parameters.largest_layer, parameters.largest_parameter) + setting.sharding.prefetch
    return float(setting.bytes_per_weight * min(working, parameters.held))


def gradients(setting: Setting, *, end: bool) -> float:
    """While chunks are still to come, or after the last backward, when ZeRO has reduced all of them to a
    rank's share. Until then ZeRO-1 keeps them whole, and so does whatever is reduced once."""
    trained, stage = setting.parameters.trained, setting.sharding.stage
    whole = float(setting.bytes_per_weight * trained)
    share = whole / setting.world_size
    if stage == 0:
        return whole
    if end:
        return share
    if stage == 3:
        return share + (whole if setting.reduces_once else 0.0)
    return whole if stage == 1 or setting.reduces_once else share


def buckets(setting: Setting) -> float:
    """ZeRO's buffers for gradients on their way: one, or two that take turns."""
    sharding = setting.sharding
    size = float(setting.bytes_per_weight * sharding.bucket)
    if sharding.stage == 0:
        return 0.0
    return size * (2 if sharding.overlaps and sharding.stage < 3 else 1)


def activations(setting: Setting) -> tuple[float, float]:
    """Most that forward and backward hold: in the first backward, and in one to which others have left their
    gradients (0 where there is none). Backwards of plain gradients begin with the last, smallest chunk."""
    lines = setting.activations
    tokens = sorted((chunk.tokens for chunk in setting.workload.chunks), reverse=True)
    if setting.cached:
        return lines.at_most(tokens[0]), lines.at_most(tokens[1]) if len(tokens) > 1 else 0.0
    kept = [lines.kept.at(count) for count in tokens]
    beside = lines.at_most(tokens[0]) - kept[0]
    later = sum(kept[:-1]) + beside if len(kept) > 1 else 0.0
    return sum(kept) + beside, later


def exchange(setting: Setting) -> float:
    """Embeddings in float32: a rank's own, all ranks' (twice while put in order), their gradients."""
    own = setting.workload.queries + setting.workload.passages
    copies = 2 if setting.world_size > 1 else 0
    return 4.0 * setting.parameters.dimension * (2 * own + (copies + 1) * setting.global_columns)


def logits(setting: Setting) -> float:
    """Scores of the rank's rows and one block of columns, and their gradient, float32."""
    columns = min(setting.config.train.loss_block_size, setting.global_columns)
    return 2 * 4.0 * setting.local_rows * columns


def _backwards(setting: Setting) -> tuple[Moment, ...]:
    own = setting.workload.queries + setting.workload.passages
    first, later = activations(setting)
    table = float(setting.bytes_per_weight * setting.parameters.embeddings)
    if setting.config.model.lora is not None:
        table = 0.0
    beside = {"buckets": buckets(setting), "embeddings": 2 * 4.0 * setting.parameters.dimension * own}
    partition = gradients(setting, end=False) if setting.sharding.stage == 3 else 0.0
    return (
        Moment("first backward", {"gradients": partition, "activations": first, **beside}),
        Moment(
            "later backwards",
            {"gradients": gradients(setting, end=False), "activations": later, **beside},
        ),
        Moment(
            "end of the backward",
            {
                "gradients": gradients(setting, end=not setting.reduces_once),
                "gradient of the embeddings": table,
                **beside,
            },
        ),
    )


def _loss(setting: Setting) -> dict[str, float]:
    kept = 0.0
    if not setting.cached:
        kept = sum(setting.activations.kept.at(chunk.tokens) for chunk in setting.workload.chunks)
    return {
        "gradients": gradients(setting, end=False) if setting.sharding.stage == 3 else 0.0,
        "buckets": buckets(setting) if setting.sharding.stage == 3 else 0.0,
        "activations": kept,
        "embeddings": exchange(setting),
        "logits": logits(setting),
    }


def _step(setting: Setting) -> dict[str, float]:
    """The gradient of a rank's share in float32, while its own is still there."""
    trained, stage = setting.parameters.trained, setting.sharding.stage
    plain = stage == 0 and setting.bytes_per_weight == 4
    share = trained if stage == 0 else trained / setting.world_size
    copied = 0.0 if plain or setting.sharding.optimizer_on_host else 4.0 * share
    return {
        "gradients": gradients(setting, end=True),
        "buckets": buckets(setting) if stage == 3 else 0.0,
        "gradients in float32": copied,
        "AdamW's temporaries": _temporaries(setting),
    }


def _temporaries(setting: Setting) -> float:
    """Two of the tensor that is stepped: ZeRO's share is a single one. The fused AdamW of GPUs has none."""
    if setting.config.cluster.gpus_per_worker > 0:
        return 0.0
    parameters = setting.parameters
    whole = parameters.largest_parameter if parameters.adapter == 0 else parameters.trained
    return 8.0 * (whole if setting.sharding.stage == 0 else parameters.trained / setting.world_size)
