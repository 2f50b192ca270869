"""Compiled layers: the gradients of layers as they are."""

import pytest
import torch

from distributed_hbt.errors import ConfigError
from distributed_hbt.models import compiled
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.compiled import compile_layers
from distributed_hbt.models.packing import pack

CPU = torch.device("cpu")
BATCHES = ([[5, 9, 13, 22, 31], [7, 44, 3], [50, 12, 19, 60]], [[5, 9], [7, 44, 3, 8, 8, 3, 17]])


def layers(encoder):
    return list(encoder.backbone.layers)


def gradients(encoder, *batch):
    encoder.zero_grad()
    embedding_BD = encoder(*batch)
    (embedding_BD * torch.arange(1.0 * embedding_BD.numel()).view_as(embedding_BD).sin()).sum().backward()
    return {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("padding_free", "checkpointing"), [(False, False), (True, False), (False, True)], ids=str
)
def test_gradients_are_those_of_plain_layers(padding_free, checkpointing, model_of, padded):
    """A compiled layer that loses a mask, its adapters or where texts begin; a last layer that runs whole."""
    model = model_of("qwen3", lora={"rank": 2}, padding_free=padding_free)
    plain, fast = build_encoder(model, 1), build_encoder(model, 1)
    for encoder in (plain, fast):
        for name, parameter in encoder.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(generator=torch.Generator().manual_seed(3))
    if checkpointing:
        fast.enable_activation_checkpointing()
    names = list(fast.state_dict())
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compile_layers(fast, CPU)
    for rows in BATCHES:
        batch = pack(rows) if padding_free else padded(rows, "right")
        expected, found = gradients(plain, *batch), gradients(fast, *batch)
        assert expected.keys() == found.keys()
        error, size = (
            torch.nn.utils.get_total_norm(list(grads.values()))
            for grads in ({n: found[n] - expected[n] for n in expected}, expected)
        )
        assert error <= 1e-5 * size
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert list(fast.state_dict()) == names
    is_compiled = [layer._compiled_call_impl is not None for layer in layers(fast)]
    assert is_compiled == [True, False]


def test_what_can_not_be_compiled_is_refused(model_of, monkeypatch):
    """A page of the compiler's traceback in the first step."""
    encoder = build_encoder(model_of("qwen3"), 1)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"train.compile: torch compiles with no-such-compiler"):
        compile_layers(encoder, CPU)
    monkeypatch.delenv("CXX")
    monkeypatch.setattr(compiled, "layer_stack", lambda backbone: None)
    with pytest.raises(ConfigError, match=r"train.compile: a qwen3 has no list of layers"):
        compile_layers(encoder, CPU)
    assert not any(layer._compiled_call_impl for layer in layers(encoder))
