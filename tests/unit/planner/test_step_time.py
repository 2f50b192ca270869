"""FLOPs beside torch's own counter, traffic by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from distributed_hbt.config.load import validate
from distributed_hbt.config.model import LoraConfig
from distributed_hbt.models.build import build_encoder
from distributed_hbt.planner.setting import Setting, SettingBuilder
from distributed_hbt.planner.step_time import (
    backward_flops,
    collective_seconds,
    exchange_seconds,
    forward_flops,
    recomputed_flops,
    step_time_of,
    traffic_seconds,
)
from distributed_hbt.planner.texts import workload_of
from tests.unit.planner.runs import KINDS, ROOT, h100, setting_of, small_model, zero

TEXTS, LENGTH = 4, 32


def small_setting(kind: str, lora: LoraConfig | None, checkpointing: bool = False) -> Setting:
    """One chunk of equal texts, one rank."""
    model = small_model(kind, lora=lora).model_dump(mode="json")
    train = {
        "global_batch_size": 2,
        "activation_checkpointing": checkpointing,
        "deepspeed": str(ROOT / "ds_configs/zero0.json"),
    }
    data = {"sources": [{"format": "hbt_jsonl", "path": "none is read"}]}
    cluster = {"num_workers": 1}
    run = validate({"name": "small", "model": model, "data": data, "train": train, "cluster": cluster})
    return SettingBuilder(h100()).of(run, workload_of(np.full(TEXTS, LENGTH), 2, run))


def counted(kind: str, lora: LoraConfig | None, checkpointing: bool = False) -> tuple[int, int]:
    """FLOPs of a forward and of a backward, by torch's counter; its attention is not halved if causal."""
    encoder = build_encoder(small_model(kind, lora=lora), seed=1)
    if checkpointing:
        encoder.enable_activation_checkpointing()
    ids_BL = torch.ones(TEXTS, LENGTH, dtype=torch.int64)
    with FlopCounterMode(display=False) as forward:
        embedding_BD = encoder(ids_BL, torch.ones_like(ids_BL))
    with FlopCounterMode(display=False) as backward:
        embedding_BD.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "lora",
    [None, LoraConfig(rank=4), LoraConfig(rank=4, layers=(1, 2))],
    ids=["full", "lora", "lora, a layer"],
)
def test_flops_are_those_that_torch_counts(kind: str, lora: LoraConfig | None) -> None:
    """A layer too many, the pooled token's share forgotten, adapters without a backward. A few per cent are
    causal attention, whose other half torch counts, and its backward, which computes scores anew."""
    setting = small_setting(kind, lora)
    forward, backward = counted(kind, lora)
    chunks = setting.workload.chunks
    assert forward_flops(setting, chunks) == pytest.approx(forward, rel=0.06)
    assert backward_flops(setting, chunks) == pytest.approx(backward, rel=0.09)


@pytest.mark.parametrize("kind", ["qwen3", "xlm-roberta"])
def test_recomputation_is_what_the_backward_takes_more(kind: str) -> None:
    """A shortened last layer that is charged for being computed again."""
    _, plain = counted(kind, None)
    _, recomputed = counted(kind, None, checkpointing=True)
    setting = small_setting(kind, None, checkpointing=True)
    found = recomputed_flops(setting, setting.workload.chunks)
    assert found == pytest.approx(recomputed - plain, rel=0.08)


def test_cached_gradients_cost_one_forward_more() -> None:
    """The extra forward in none of the columns."""
    plain = step_time_of(setting_of("qwen3_4b_full", "train.gradient=plain"))
    cached = step_time_of(setting_of("qwen3_4b_full"))
    assert plain.extra_forward == 0
    assert cached.extra_forward == cached.forward
    assert cached.compute == pytest.approx(plain.compute + plain.forward)


def test_a_collective_by_hand() -> None:
    """Both directions counted, a share forgotten; the adapters of one GPU taken for those of the node."""
    one = setting_of("qwen3_4b_full", bandwidth=1.0)
    assert collective_seconds(one, 8e9) == pytest.approx(7e9 / 450e9)
    two = setting_of("qwen3_8b_full", nodes=2, bandwidth=1.0)
    assert collective_seconds(two, 8e9) == pytest.approx(max(7.5e9 / 450e9, 4e9 / 400e9))


def test_zero3_moves_its_weights_for_every_chunk() -> None:
    """6 bytes a parameter and step, and 8 for every chunk of cached gradients; in a node with hpZ."""
    plain = setting_of("qwen3_8b_full", "train.gradient=plain", zero(3), nodes=2)
    held = plain.parameters.held
    assert traffic_seconds(plain) == pytest.approx(3 * collective_seconds(plain, 2 * held))
    cached = setting_of("qwen3_8b_full", zero(3), nodes=2)
    chunks = len(cached.workload.chunks)
    assert chunks > 1
    assert traffic_seconds(cached) == pytest.approx(4 * chunks * collective_seconds(cached, 2 * held))
    slow = replace(cached, cluster=cached.cluster.model_copy(update={"internode_gb_per_second": 1.0}))
    hpz = setting_of("qwen3_8b_full", zero("3_hpz"), nodes=2)
    slow_hpz = replace(hpz, cluster=slow.cluster)
    assert traffic_seconds(slow_hpz) < 0.5 * traffic_seconds(slow)


def test_lora_moves_adapters_alone() -> None:
    """The gradients of frozen weights on their way."""
    setting = setting_of("qwen3_8b_lora")
    assert traffic_seconds(setting) == pytest.approx(
        2 * collective_seconds(setting, 2 * setting.parameters.adapter)
    )


def test_embeddings_are_exchanged_in_float32_once_each_way() -> None:
    """Their exchange for every chunk, or queries where only passages are gathered."""
    setting = setting_of("qwen3_4b_full")
    columns = 1024 * (1 + 4)
    assert exchange_seconds(setting) == pytest.approx(2 * collective_seconds(setting, 4 * columns * 2560))
    symmetric = setting_of("qwen3_4b_full", "train.symmetric=true")
    assert exchange_seconds(symmetric) == pytest.approx(exchange_seconds(setting) * 6 / 5)


def test_traffic_hides_beside_arithmetic() -> None:
    """Traffic added though it runs beside the backward, or lost though nothing hides it."""
    hidden = step_time_of(setting_of("qwen3_4b_full"))
    assert hidden.traffic == 0
    bare = step_time_of(setting_of("qwen3_4b_full", overlap=0.0))
    assert bare.traffic == bare.whole_traffic == hidden.whole_traffic > 0
    assert bare.total == pytest.approx(sum(bare.parts().values()))


def test_real_tokens_make_the_mfu() -> None:
    """6 a parameter and real token, 4 with LoRA; recomputation and padding earn nothing."""
    for name, each in (("qwen3_4b_full", 6), ("qwen3_8b_lora", 4)):
        setting = setting_of(name)
        matrices = each * setting.parameters.matrices * setting.workload.real_tokens
        squares = sum(chunk.squares for chunk in setting.workload.chunks)
        attention = 3 * 2 * setting.parameters.layers * setting.parameters.attention_width * squares
        assert step_time_of(setting).useful_flops == pytest.approx(matrices + attention)
