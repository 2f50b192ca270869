"""The last layer for one token, and encoding without gradients: the same embeddings with less work."""

from unittest.mock import patch

import pytest
import torch

from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.last_layer import can_run_for_one_token
from distributed_hbt.models.lora import merge

DECODERS = ("qwen3", "qwen2", "llama", "mistral", "gemma", "gemma2", "gemma3_text")
ENCODERS = ("xlm-roberta", "roberta", "bert", "electra")
PLAIN = {"phi3": "causal", "modernbert": "bidirectional"}
ROWS = [[5, 9, 13, 22, 31, 40, 8, 3, 17, 18, 19, 3], [7, 44, 3], [50, 12, 19, 60, 3], [9]]


def lively(encoder):
    """In evaluation mode, with weights so large that attention is far from uniform."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return encoder.eval()


def last_layer(encoder):
    stacks = [module for module in encoder.modules() if isinstance(module, torch.nn.ModuleList)]
    return next(stack for stack in stacks if len(stack) == encoder.backbone.config.num_hidden_layers)[-1]


def widths(encoder, batch):
    """How many tokens of a text the linear modules of the last layer saw, by name."""
    seen = {}
    handles = [
        module.register_forward_hook(lambda _, args, __, name=name: seen.update({name: args[0].shape[1]}))
        for name, module in last_layer(encoder).named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    encoder.embed(*batch)
    for handle in handles:
        handle.remove()
    return seen


def whole(encoder, batch):
    """Embeddings with every layer run for every token."""
    with patch("distributed_hbt.models.encoder.can_run_for_one_token", return_value=False):
        return encoder(*batch)


def assert_same(encoder, batch, atol=1e-6):
    with torch.no_grad():
        expected = whole(encoder, batch)
    found = encoder.embed(*batch)
    assert not found.requires_grad
    assert (expected[0] - expected[1]).abs().max() > 1e-2
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize(
    ("family", "attention", "pooling"),
    [(f, "causal", p) for f in (*DECODERS, "phi3") for p in ("last_token", "mean")]
    + [
        (f, "bidirectional", p) for f in (*DECODERS, *ENCODERS, *PLAIN) for p in ("last_token", "mean", "cls")
    ],
)
def test_embeddings_are_those_of_forward(family, attention, pooling, implementation, side, model_of, padded):
    """Keys a pooled token should not see (padding, beyond a window) or misses, another token's position,
    a token that is not the pooled one, padding turned to the wrong side."""
    if family == "gemma2":
        implementation = "eager"
    model = model_of(
        family,
        attention=attention,
        pooling=pooling,
        padding_side=side,
        attention_implementation=implementation,
    )
    assert_same(lively(build_encoder(model, 1)), padded(ROWS, side))


@pytest.mark.parametrize("lora", [None, {"rank": 4}])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("family", "attention", "pooling"),
    [(f, "causal", "last_token") for f in DECODERS] + [(f, "bidirectional", "cls") for f in ENCODERS],
)
def test_gradients_are_those_of_the_whole_layer(family, attention, pooling, side, lora, model_of, padded):
    """A gradient that does not reach the keys and values of other tokens, or the adapters of a part that
    runs twice."""
    model = model_of(family, attention=attention, pooling=pooling, padding_side=side, lora=lora)
    encoder = lively(build_encoder(model, 1))
    weight_BD = torch.arange(4.0 * encoder.dimension).view(4, -1).sin()
    found = []
    for run in (whole, lambda encoder, batch: encoder(*batch)):
        encoder.zero_grad()
        (run(encoder, padded(ROWS, side)) * weight_BD).sum().backward()
        found.append({n: p.grad for n, p in encoder.named_parameters() if p.grad is not None})
    expected, short = found
    assert expected.keys() == short.keys()
    error, size = (
        torch.nn.utils.get_total_norm(list(grads.values()))
        for grads in ({n: short[n] - expected[n] for n in expected}, expected)
    )
    assert error <= 1e-4 * size


@pytest.mark.parametrize(
    ("family", "pooling"),
    [(f, "last_token") for f in DECODERS] + [(f, p) for f in ENCODERS for p in ("last_token", "cls")],
)
def test_the_last_layer_runs_for_the_pooled_token_alone(family, pooling, model_of, padded):
    """The plain path taken without a word: equal, and none of the work saved."""
    encoder = lively(build_encoder(model_of(family, pooling=pooling), 1))
    seen = widths(encoder, padded(ROWS, "right"))
    assert len(seen) >= 6
    assert set(seen.values()) == {1}


def test_keys_and_values_are_computed_for_all_tokens_and_queries_for_none_of_them(model_of, padded):
    """A query projection over all tokens, whose result nobody reads."""
    encoder = lively(build_encoder(model_of("qwen3"), 1))
    calls = []
    attention = last_layer(encoder).self_attn
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        module = attention.get_submodule(name)
        module.register_forward_hook(lambda _, args, __, name=name: calls.append((name, args[0].shape[1])))
    encoder.embed(*padded(ROWS, "right"))
    wide, one = [("k_proj", 12), ("v_proj", 12)], [("q_proj", 1), ("k_proj", 1), ("v_proj", 1), ("o_proj", 1)]
    assert calls == wide + one


@pytest.mark.parametrize("family", PLAIN)
def test_an_unknown_backbone_runs_whole(family, model_of, padded):
    """A layer that is taken for one of the known kind because a name fits."""
    encoder = lively(build_encoder(model_of(family, attention=PLAIN[family]), 1))
    assert not can_run_for_one_token(encoder.backbone)
    assert set(widths(encoder, padded(ROWS, "right")).values()) == {12}


def test_flash_attention_and_foreign_code_run_whole(model_of):
    """A mask of single queries handed to a kernel that takes none, or a layer of unknown code."""
    backbone = build_encoder(model_of("qwen3"), 1).backbone
    assert can_run_for_one_token(backbone)
    backbone.config._attn_implementation_internal = "flash_attention_2"
    assert not can_run_for_one_token(backbone)
    foreign = build_encoder(model_of("qwen3"), 1).backbone
    foreign.__class__ = type("Qwen3Model", (type(foreign),), {"__module__": "transformers_modules.somebody"})
    assert not can_run_for_one_token(foreign)


@pytest.mark.parametrize("pooling", ["mean", "last_token"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_causal_attention_gets_no_mask(side, pooling, model_of, padded):
    """The cost of a mask where no real token could see the padding anyway."""
    encoder = lively(build_encoder(model_of("qwen3", pooling=pooling, padding_side=side), 1))
    masks = []
    attention = encoder.backbone.layers[0].self_attn
    attention.register_forward_pre_hook(
        lambda _, __, kwargs: masks.append(kwargs["attention_mask"]), with_kwargs=True
    )
    encoder.embed(*padded(ROWS, side))
    assert masks == [None]


@pytest.mark.parametrize("family", ["qwen3", "xlm-roberta"])
@pytest.mark.parametrize("merged", [False, True])
def test_adapters_in_the_last_layer_count(family, merged, model_of, padded):
    """An adapter of the query or feed-forward part that is passed by."""
    lora = {"rank": 4, "target_modules": "all-linear"}
    encoder = lively(build_encoder(model_of(family, lora=lora), 1))
    batch = padded(ROWS, "right")
    before = encoder.embed(*batch)
    if merged:
        merge(encoder.backbone)
        torch.testing.assert_close(encoder.embed(*batch), before, rtol=0, atol=1e-5)
    assert_same(encoder, batch)


def test_a_single_layer_is_the_last(model_of, padded):
    """An index that takes the embedding, or the layer before the last, for the last."""
    encoder = lively(build_encoder(model_of("llama", {"num_hidden_layers": 1}), 1))
    assert_same(encoder, padded(ROWS, "right"))


@pytest.mark.parametrize("family", ["qwen3", "mistral", "xlm-roberta"])
def test_bfloat16_gives_the_same_to_its_rounding(family, model_of, padded):
    """Keys and values kept in another precision than the model's."""
    encoder = lively(build_encoder(model_of(family, dtype="bfloat16"), 1))
    assert encoder.embed(*padded(ROWS, "right")).dtype == torch.float32
    assert_same(encoder, padded(ROWS, "right"), atol=2e-2)


def test_nothing_is_left_on_the_model(model_of, padded):
    """A hook that stays, also after an error: the next training step would run for one token a text."""
    encoder = lively(build_encoder(model_of("qwen3"), 1))
    batch = padded(ROWS, "right")
    with torch.no_grad():
        before, names = encoder(*batch), list(encoder.state_dict())
        encoder.embed(*batch)
        broken = encoder.backbone.norm.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            encoder.embed(*batch)
        broken.remove()
        assert torch.equal(encoder(*batch), before)
    assert list(encoder.state_dict()) == names


def test_encoding_in_training_mode_is_refused(model_of, padded):
    """Dropout in embeddings, or activation checkpointing that drops the keys and values."""
    encoder = build_encoder(model_of("qwen3"), 1)
    with pytest.raises(AssertionError, match="eval"):
        encoder.embed(*padded(ROWS, "right"))
