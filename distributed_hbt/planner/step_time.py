"""Seconds of a step, part by part, on a rank."""

from collections.abc import Iterable
from dataclasses import dataclass

from distributed_hbt.planner.setting import Setting
from distributed_hbt.planner.texts import Chunk

_HOST_MEMORY = 40e9
"""Bytes a second that each of a node's ranks can have of the host's memory: 320 GB/s among 8."""


@dataclass(frozen=True)
class StepTime:
    """Seconds. `forward` and `backward` are arithmetic, `extra_forward` that of cached gradients without
    gradient, `recomputation` that of activation checkpointing. `traffic` is what of ZeRO's is not hidden
    beside them, `whole_traffic` all of it. `flops` is what the rank computes, `useful_flops` what a step
    needs: real tokens, nothing twice."""

    forward: float
    backward: float
    extra_forward: float
    recomputation: float
    loss: float
    exchange: float
    optimizer: float
    traffic: float
    whole_traffic: float
    flops: float
    useful_flops: float

    @property
    def compute(self) -> float:
        return self.forward + self.backward + self.extra_forward + self.recomputation

    @property
    def total(self) -> float:
        return self.compute + self.loss + self.exchange + self.optimizer + self.traffic

    def parts(self) -> dict[str, float]:
        """By the names of a table."""
        return {
            "forward": self.forward,
            "backward": self.backward,
            "forward without gradient": self.extra_forward,
            "recomputation": self.recomputation,
            "loss": self.loss,
            "embedding exchange": self.exchange,
            "optimizer": self.optimizer,
            "ZeRO traffic, not hidden": self.traffic,
        }


def step_time_of(setting: Setting) -> StepTime:
    """From FLOPs over the reached rate and bytes over the reached bandwidth."""
    assumed = setting.cluster.assumptions
    rate = assumed.utilisation * setting.peak_flops
    forward = forward_flops(setting, setting.workload.chunks)
    backward = backward_flops(setting, setting.workload.chunks)
    extra = forward if setting.cached else 0.0
    again = recomputed_flops(setting, setting.workload.chunks)
    loss = loss_flops(setting)
    compute = (forward + backward + extra + again) / rate
    whole = traffic_seconds(setting)
    hidden = assumed.overlap * compute if setting.sharding.overlaps else 0.0
    return StepTime(
        forward=forward / rate,
        backward=backward / rate,
        extra_forward=extra / rate,
        recomputation=again / rate,
        loss=loss / (assumed.utilisation * 1e12 * setting.cluster.kind.float32_teraflops),
        exchange=exchange_seconds(setting),
        optimizer=optimizer_seconds(setting),
        traffic=max(0.0, whole - hidden),
        whole_traffic=whole,
        flops=forward + backward + extra + again + loss,
        useful_flops=_useful(setting),
    )


def forward_flops(setting: Setting, chunks: Iterable[Chunk]) -> float:
    """2 a parameter and token. The last layer's queries, projection and feed-forward part see pooled tokens
    alone, unless ZeRO-3's hooks need it whole; attention is 4 * width * L * L a layer, half if causal."""
    parameters = setting.parameters
    short = _pooled(setting)
    every = parameters.matrices + parameters.adapter - short
    total = 0.0
    for chunk in chunks:
        total += 2.0 * (every * chunk.tokens + short * chunk.texts)
        total += _attention(setting, chunk, parameters.layers - (short > 0))
    return total


def backward_flops(setting: Setting, chunks: Iterable[Chunk]) -> float:
    """Twice the forward; with LoRA once for frozen matrices, and nothing below the first adapter."""
    parameters = setting.parameters
    short = _pooled(setting)
    frozen = setting.config.model.lora is not None
    adapters = parameters.pooled_adapter if short else 0
    matrices = (2.0 if frozen else 4.0) * parameters.backward_matrices + 4.0 * parameters.adapter
    matrices -= 2.0 * (parameters.into_first + parameters.adapter_into_first)
    pooled = (2.0 if frozen else 4.0) * (short - adapters) + 4.0 * adapters
    layers = parameters.layers * parameters.backward_matrices / parameters.matrices - (short > 0)
    return sum(
        (matrices - pooled) * chunk.tokens + pooled * chunk.texts + 2.0 * _attention(setting, chunk, layers)
        for chunk in chunks
    )


def recomputed_flops(setting: Setting, chunks: Iterable[Chunk]) -> float:
    """Every layer's forward but a shortened last one's, once more, as far as the backward needs it."""
    if not setting.config.train.activation_checkpointing:
        return 0.0
    parameters = setting.parameters
    shortened = _pooled(setting) > 0
    layers = parameters.layers * parameters.backward_matrices / parameters.matrices - shortened
    a_layer = (parameters.matrices + parameters.adapter - parameters.not_again) / parameters.layers
    return sum(layers * 2.0 * a_layer * c.tokens + _attention(setting, c, layers) for c in chunks)


def _pooled(setting: Setting) -> int:
    """Parameters of the last layer, adapters too, that see the pooled tokens alone."""
    whole = setting.sharding.stage == 3
    return 0 if whole else setting.parameters.pooled_alone + setting.parameters.pooled_adapter


def _attention(setting: Setting, chunk: Chunk, layers: float) -> float:
    causal = 0.5 if setting.config.model.attention == "causal" else 1.0
    return 4.0 * causal * layers * setting.parameters.attention_width * chunk.squared_tokens


def _useful(setting: Setting) -> float:
    """As MFU counts: 6 a parameter and real token (4 with LoRA), attention within texts, all layers."""
    each = 4 if setting.config.model.lora is not None else 6
    causal = 0.5 if setting.config.model.attention == "causal" else 1.0
    squares = sum(chunk.squares for chunk in setting.workload.chunks)
    attention = 3 * 4.0 * causal * setting.parameters.layers * setting.parameters.attention_width * squares
    return each * setting.parameters.matrices * setting.workload.real_tokens + attention


def loss_flops(setting: Setting) -> float:
    """Local rows by all columns, float32: the product once in the forward, then three times in the backward
    (scores anew, two gradients)."""
    return 8.0 * setting.local_rows * setting.global_columns * setting.parameters.dimension


def collective_seconds(setting: Setting, received: float, ranks: int | None = None) -> float:
    """Of an all-gather or reduce-scatter after which each of `ranks` (default: all) has `received` bytes.

    Every GPU takes in (W - 1) / W of it over its link; into every node comes once what other nodes have,
    over all of the node's adapters together.
    """
    world = ranks or setting.world_size
    if world == 1:
        return 0.0
    reached = setting.cluster.assumptions.bandwidth
    seconds = received * (world - 1) / world / (setting.cluster.link * reached)
    nodes = 1 if ranks else setting.nodes_used
    if nodes > 1:
        adapters = min(setting.cluster.gpus_per_node, -(-world // nodes))
        between = 1e9 * setting.cluster.internode_gb_per_second * adapters
        seconds = max(seconds, received * (nodes - 1) / nodes / (between * reached))
    return seconds


def exchange_seconds(setting: Setting) -> float:
    """Passages, and queries where the loss is symmetric, float32: gathered once, their gradients reduced."""
    columns = setting.global_columns
    if setting.config.train.symmetric:
        columns += setting.config.train.global_batch_size
    return 2 * collective_seconds(setting, 4.0 * columns * setting.parameters.dimension)


def traffic_seconds(setting: Setting) -> float:
    """ZeRO's collectives of a step, all of them."""
    b, parameters, sharding = setting.bytes_per_weight, setting.parameters, setting.sharding
    chunks = len(setting.workload.chunks) if setting.cached else 1
    gradient = collective_seconds(setting, b * parameters.trained)
    # ZeRO-0 and 1 reduce at the last chunk alone, whatever is asked.
    reductions = 1 if sharding.stage < 2 or setting.reduces_once else chunks
    if sharding.stage < 3:  # the second is the gather of updated weights, or of an all-reduce
        return gradient * reductions + gradient + _offloading(setting)
    return gradient * reductions + _gathers(setting, chunks) + _offloading(setting)


def _gathers(setting: Setting, chunks: int) -> float:
    """ZeRO-3: the weights for every forward and every backward; with hpZ all but the first in the group."""
    whole = float(setting.bytes_per_weight * setting.parameters.held)
    count = (3 if setting.cached else 2) * chunks
    group = setting.sharding.group
    if group > 1 and setting.world_size > group:
        return collective_seconds(setting, whole) + (count - 1) * collective_seconds(setting, whole, group)
    return count * collective_seconds(setting, whole)


def _offloading(setting: Setting) -> float:
    """Gradients to the host, weights back; if weights live there, all for every forward and backward."""
    share = setting.bytes_per_weight * setting.parameters.trained / setting.world_size
    held = setting.bytes_per_weight * setting.parameters.held / setting.world_size
    moved = 2 * share if setting.sharding.optimizer_on_host else 0.0
    if setting.sharding.weights_on_host:
        chunks = len(setting.workload.chunks) if setting.cached else 1
        moved += (3 if setting.cached else 2) * chunks * held
    rate = 1e9 * setting.cluster.kind.host_gb_per_second * setting.cluster.assumptions.bandwidth
    return moved / rate


def optimizer_seconds(setting: Setting) -> float:
    """AdamW reads and writes its state once: 28 bytes a parameter of the rank's share, at memory's speed."""
    share = setting.parameters.trained / (setting.world_size if setting.sharding.stage > 0 else 1)
    moved = (28 + 2 * setting.bytes_per_weight) * share
    if setting.sharding.optimizer_on_host:
        return moved / (_HOST_MEMORY * setting.cluster.assumptions.bandwidth)
    return moved / (1e9 * setting.cluster.kind.memory_gb_per_second * setting.cluster.assumptions.bandwidth)
