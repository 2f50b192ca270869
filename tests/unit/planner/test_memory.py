"""Memory by hand; what engines really hold is in tests/distributed/test_planned_memory.py."""

from dataclasses import replace
from pathlib import Path

import pytest

from distributed_hbt.planner.activations import Line
from distributed_hbt.planner.memory import (
    activations,
    buckets,
    gathered,
    gradients,
    logits,
    memory_of,
    on_host,
    optimizer,
    weights,
)
from tests.unit.planner.runs import setting_of, zero

N = 4_022_468_096


@pytest.mark.parametrize(
    ("stage", "bytes_of"),
    [(0, (2, 12, 2)), (1, (2, 12 / 8, 2 / 8)), (2, (2, 12 / 8, 2 / 8)), (3, (2 / 8, 12 / 8, 2 / 8))],
)
def test_full_tuning_by_stage(stage: int, bytes_of: tuple[float, float, float]) -> None:
    """What a stage partitions, taken for what it keeps whole."""
    setting = setting_of("qwen3_4b_full", zero(stage))
    kept_whole = 2 * setting.parameters.small(200_000) if stage == 3 else 0
    assert weights(setting) == pytest.approx(bytes_of[0] * N + kept_whole)
    assert optimizer(setting) == pytest.approx(bytes_of[1] * N)
    assert gradients(setting, end=True) == pytest.approx(bytes_of[2] * N)


def test_lora_keeps_state_for_adapters_alone() -> None:
    """12 bytes for every frozen weight."""
    setting = setting_of("qwen3_8b_lora")
    assert weights(setting) == 2 * (setting.parameters.total + setting.parameters.adapter)
    assert optimizer(setting) == 12 * setting.parameters.adapter / 8


def test_reduced_once_keeps_a_whole_gradient() -> None:
    """The price of `reduce_gradients: once`."""
    by_chunk = setting_of("qwen3_4b_full")
    once = setting_of("qwen3_4b_full", "train.reduce_gradients=once")
    assert gradients(once, end=False) == 8 * gradients(by_chunk, end=False) == 2 * N
    assert gradients(setting_of("qwen3_4b_full", zero(1)), end=False) == 2 * N


def test_a_second_copy_in_the_node_is_counted() -> None:
    """hpZ for nothing."""
    hpz, plain = (setting_of("qwen3_8b_full", zero(stage), nodes=2) for stage in ("3_hpz", 3))
    assert weights(hpz) - weights(plain) == pytest.approx(2 * hpz.parameters.held / 8)


def test_gathered_layers_are_under_zero3_alone() -> None:
    """A layer and what is fetched ahead of it; the embeddings are larger than a layer."""
    assert gathered(setting_of("qwen3_4b_full")) == 0
    setting = setting_of("qwen3_4b_full", zero(3))
    assert gathered(setting) == 2 * (setting.parameters.largest_parameter + 200_000_000)
    assert setting.parameters.largest_parameter == setting.parameters.embeddings


def test_buckets_are_those_of_the_file() -> None:
    """DeepSpeed's defaults for what a file sets; one buffer where two take turns."""
    assert buckets(setting_of("qwen3_4b_full")) == 2 * 2 * 100_000_000
    assert buckets(setting_of("qwen3_4b_full", zero(3))) == 2 * 100_000_000
    assert buckets(setting_of("qwen3_4b_full", zero(0))) == 0


def test_cached_gradients_keep_one_chunk_and_plain_ones_all() -> None:
    """The memory that GradCache is for."""
    flat = Line(0.0, 1.0)
    found = {}
    for gradient in ("plain", "cached"):
        setting = setting_of("qwen3_4b_full", f"train.gradient={gradient}")
        lines = replace(setting.activations, kept=flat, forward=flat, backward=flat)
        found[gradient] = activations(replace(setting, activations=lines))
    tokens = sorted(chunk.tokens for chunk in setting.workload.chunks)
    assert found["cached"] == (tokens[-1], tokens[-2])
    assert found["plain"] == (sum(tokens), sum(tokens[1:]))


def test_logits_are_of_local_rows_and_one_block() -> None:
    """The global matrix on every rank."""
    setting = setting_of("qwen3_4b_full", "train.loss_block_size=1000")
    assert logits(setting) == 2 * 4 * (1024 // 8) * 1000


def test_checkpointing_and_smaller_chunks_take_less() -> None:
    """A knob that turns the wrong way."""
    base = memory_of(setting_of("qwen3_8b_lora"))
    recomputed = memory_of(setting_of("qwen3_8b_lora", "train.activation_checkpointing=true"))
    smaller = memory_of(setting_of("qwen3_8b_lora", "train.max_tokens_per_chunk=2048"))
    assert recomputed.peak.total < smaller.peak.total < base.peak.total


def test_the_peak_has_what_lies_beside_tensors() -> None:
    """Fragmentation or NCCL's buffers forgotten where it is said to fit."""
    memory = memory_of(setting_of("qwen3_8b_lora", fragmentation=0.25, reserved_gib=2.0))
    assert memory.peak.total == pytest.approx(1.25 * memory.allocated + 2 * 2**30)
    assert memory.left == 79 * 2**30 - memory.peak.total
    assert memory.fits is (memory.left >= 0)


def test_a_teacher_is_kept_whole() -> None:
    """A second model on the GPU that nobody counts."""
    moments = memory_of(setting_of("distilled")).moments
    assert [moment.parts["teacher"] for moment in moments] == [2 * 108_891_648] * len(moments)


def test_offloading_moves_state_to_the_host(tmp_path: Path) -> None:
    """State that is counted on both sides, or on none."""
    file = tmp_path / "offload.json"
    file.write_text('{"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu"}}}')
    setting = setting_of("qwen3_4b_full", f"train.deepspeed={file}")
    assert optimizer(setting) == 0
    assert on_host(setting) == pytest.approx(16 * N / 8)
    assert on_host(setting_of("qwen3_4b_full")) == 0


def test_only_cpus_have_temporaries_of_adamw() -> None:
    """A CPU's step that takes more than is planned, or a GPU's fused one that is charged for it."""
    part = "AdamW's temporaries"
    step = {m.name: m.parts for m in memory_of(setting_of("qwen3_4b_full")).moments}["optimizer step"]
    assert part not in step
    on_cpus = memory_of(setting_of("qwen3_4b_full", "cluster.gpus_per_worker=0"))
    assert {m.name: m.parts for m in on_cpus.moments}["optimizer step"][part] == 8 * N / 8
