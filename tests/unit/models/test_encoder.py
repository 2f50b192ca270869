"""Attention, padding, pooling and normalisation of an encoder, over the tested families."""

import pytest
import torch

from distributed_hbt.errors import ConfigError
from distributed_hbt.models.build import build_encoder

DECODERS = ("qwen3", "llama", "mistral", "gemma2", "gemma3_text")
ENCODERS = ("xlm-roberta", "bert")
ROWS = [[5, 9, 13, 22, 31, 40, 8, 3], [7, 44, 3], [50, 12, 19, 60, 3]]


def hidden_states(encoder, ids):
    ids_BL = torch.tensor([ids])
    mask_BL = torch.ones_like(ids_BL)
    inputs = encoder._mask_and_positions(mask_BL, "right") if encoder._needs_mask else {}
    with torch.no_grad():
        return encoder.backbone(input_ids=ids_BL, **inputs).last_hidden_state[0]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("pooling", ["mean", "last_token"])
def test_causal_attention_does_not_look_right(family, implementation, pooling, model_of):
    """A mask that lets early tokens see later ones, so that training learns from what inference lacks."""
    if family == "gemma2":
        implementation = "eager"
    model = model_of(family, pooling=pooling, attention_implementation=implementation)
    encoder = build_encoder(model, 1).eval()
    before, after = hidden_states(encoder, ROWS[0]), hidden_states(encoder, [*ROWS[0][:-1], 55])
    assert torch.equal(before[:-1], after[:-1])
    assert not torch.allclose(before[-1], after[-1])


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("family", [*DECODERS, *ENCODERS])
@pytest.mark.parametrize("pooling", ["mean", "last_token"])
def test_bidirectional_attention_looks_right(family, implementation, pooling, model_of):
    """`bidirectional` that only removes a mask, while the kernel stays causal."""
    if family == "gemma2":
        implementation = "eager"
    model = model_of(
        family, pooling=pooling, attention="bidirectional", attention_implementation=implementation
    )
    encoder = build_encoder(model, 1).eval()
    before, after = hidden_states(encoder, ROWS[0]), hidden_states(encoder, [*ROWS[0][:-1], 55])
    assert (before[0] - after[0]).abs().max() > 1e-4
    # Newer transformers go by the configuration alone, older ones and other kernels by the modules.
    assert not any(getattr(module, "is_causal", False) for module in encoder.modules())


@pytest.mark.parametrize("family", ["mistral", "gemma2", "gemma3_text"])
def test_bidirectional_attention_keeps_the_sliding_window(family, model_of):
    """A window that is dropped by the switch: the model would see what it never saw in pretraining."""
    narrow = {"num_hidden_layers": 1, "sliding_window": 4}
    if family != "mistral":
        narrow["layer_types"] = ["sliding_attention"]
    encoder = build_encoder(model_of(family, narrow, attention="bidirectional"), 1).eval()
    before, after = hidden_states(encoder, ROWS[0]), hidden_states(encoder, [*ROWS[0][:-1], 55])
    seen = (before - after).abs().amax(1) > 1e-6
    assert seen.tolist() == [False, False, False, True, True, True, True, True]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("family", "attention", "pooling"),
    [(f, "causal", p) for f in DECODERS for p in ("last_token", "mean")]
    + [(f, "bidirectional", p) for f in DECODERS + ENCODERS for p in ("last_token", "mean", "cls")],
)
def test_padding_does_not_change_an_embedding(family, attention, pooling, side, model_of, padded):
    """Attention to padding, positions that count padding, or pooling that reads a padded token."""
    model = model_of(family, attention=attention, pooling=pooling, padding_side=side)
    encoder = build_encoder(model, 1).eval()
    with torch.no_grad():
        together = encoder(*padded(ROWS, side))
        alone = torch.cat([encoder(*padded([row], side)) for row in ROWS])
    assert torch.isfinite(together).all()
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3


@pytest.mark.parametrize("family", [*DECODERS, *ENCODERS])
def test_left_and_right_padding_give_the_same_embedding(family, model_of, padded):
    """Positions under left padding that start at another number than under right padding."""
    left = build_encoder(model_of(family, padding_side="left"), 1).eval()
    right = build_encoder(model_of(family, padding_side="right"), 1).eval()
    with torch.no_grad():
        torch.testing.assert_close(
            left(*padded(ROWS, "left")), right(*padded(ROWS, "right")), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("family", ENCODERS)
def test_positions_are_those_of_pretraining(family, model_of, padded):
    """XLM-R's positions, which begin at 2, begun at 0: every pretrained position embedding is off."""
    encoder = build_encoder(model_of(family), 1).eval()
    ids_BL, mask_BL = padded(ROWS, "right")  # padded with 1, from which XLM-R itself counts positions
    with torch.no_grad():
        theirs = encoder.backbone(input_ids=ids_BL, attention_mask=mask_BL).last_hidden_state
        ours = encoder.backbone(
            input_ids=ids_BL, **encoder._mask_and_positions(mask_BL, encoder.padding_side)
        ).last_hidden_state
    torch.testing.assert_close(ours[mask_BL == 1], theirs[mask_BL == 1], rtol=0, atol=1e-6)


def test_no_mask_goes_to_a_causal_right_padded_last_token_model_and_else_one_does(model_of):
    """The 13 to 19% that an unneeded mask costs; or a mask left out where padding is visible."""
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    for fields, needed in [
        ({}, False),
        ({"padding_side": "left"}, True),
        ({"pooling": "mean"}, True),
        ({"attention": "bidirectional"}, True),
    ]:
        encoder = build_encoder(model_of("qwen3", **fields), 1)
        given = []
        encoder.backbone.register_forward_pre_hook(
            lambda _, args, kwargs, given=given: given.append(kwargs["attention_mask"]), with_kwargs=True
        )
        encoder(torch.tensor([[5, 9, 1], [7, 8, 3]]), mask)
        assert (given[0] is not None) is needed, fields


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("pooling", ["last_token", "mean", "cls"])
def test_pooling_is_what_its_name_says(pooling, side, model_of, padded):
    """An index one off, padding in the mean, a mean over the padded length."""
    model = model_of("qwen3", pooling=pooling, attention="bidirectional", padding_side=side, normalize=False)
    encoder = build_encoder(model, 1).eval()
    ids_BL, mask_BL = padded(ROWS, side)
    with torch.no_grad():
        pooled = encoder(ids_BL, mask_BL)
        hidden = encoder.backbone(
            input_ids=ids_BL, **encoder._mask_and_positions(mask_BL, encoder.padding_side)
        ).last_hidden_state
    for row, tokens in enumerate(ROWS):
        first = 0 if side == "right" else 8 - len(tokens)
        real = hidden[row, first : first + len(tokens)]
        literal = {"last_token": real[-1], "cls": real[0], "mean": sum(real) / len(tokens)}[pooling]
        torch.testing.assert_close(pooled[row], literal, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", ["last_token", "mean"])
def test_bfloat16_weights_give_float32_unit_vectors(pooling, model_of, padded):
    """Normalisation in bfloat16: norms off by half a percent."""
    encoder = build_encoder(model_of("qwen3", pooling=pooling, dtype="bfloat16"), 1).eval()
    assert encoder.backbone.embed_tokens.weight.dtype == torch.bfloat16
    embedding = encoder(*padded(ROWS, "right"))
    assert embedding.dtype == torch.float32
    torch.testing.assert_close(embedding.norm(dim=-1), torch.ones(3), rtol=0, atol=1e-6)


def test_without_normalize_lengths_are_left_alone(model_of, padded):
    """A normalisation that can not be turned off."""
    plain = build_encoder(model_of("qwen3", normalize=False), 1).eval()
    unit = build_encoder(model_of("qwen3"), 1).eval()
    with torch.no_grad():
        raw, normalized = plain(*padded(ROWS, "right")), unit(*padded(ROWS, "right"))
    assert (raw.norm(dim=-1) - 1).abs().min() > 0.1
    torch.testing.assert_close(raw / raw.norm(dim=-1, keepdim=True), normalized)


def test_dimension_is_the_hidden_size(model_of, padded):
    """A dimension read from another field of the configuration."""
    encoder = build_encoder(model_of("qwen3"), 1)
    assert encoder.dimension == 32
    assert encoder(*padded(ROWS, "right")).shape == (3, 32)


def test_the_key_value_cache_is_off(model_of, padded):
    """Memory for a cache that nothing reads."""
    encoder = build_encoder(model_of("gemma3_text"), 1).eval()
    output = encoder.backbone(input_ids=padded(ROWS, "right")[0])
    assert output.past_key_values is None


@pytest.mark.parametrize("lora", [None, {"rank": 2, "dropout": 0.2}])
@pytest.mark.parametrize("family", [*DECODERS, *ENCODERS])
def test_activation_checkpointing_recomputes_and_keeps_the_gradient(family, lora, model_of, padded):
    """Checkpointing that is not switched on, that drops gradients (reentrant, frozen inputs), or that
    draws another dropout in the second pass."""
    fields = {} if lora is None else {"lora": lora}
    plain, checkpointed = (build_encoder(model_of(family, **fields), 1) for _ in range(2))
    checkpointed.enable_activation_checkpointing()
    layers = getattr(checkpointed.backbone, "layers", None) or checkpointed.backbone.encoder.layer
    calls = []
    linear = next(m for m in layers[0].modules() if isinstance(m, torch.nn.Linear))
    linear.register_forward_hook(lambda *_: calls.append(1))
    gradients = []
    for encoder in (plain, checkpointed):
        torch.manual_seed(5)
        encoder(*padded(ROWS, "right"))[:, 0].sum().backward()
        gradients.append({n: p.grad for n, p in encoder.named_parameters() if p.grad is not None})
    assert len(calls) == 2
    assert gradients[0].keys() == gradients[1].keys()
    assert gradients[0]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=0, atol=1e-6)


def test_frozen_layers_below_the_adapters_are_not_recomputed(model_of, padded):
    """Checkpointing that asks for the gradient of the embeddings: a backward through frozen layers."""
    model = model_of("qwen3", {"num_hidden_layers": 3}, lora={"rank": 2, "layers": (1, 3)})
    encoder = build_encoder(model, 1)
    encoder.enable_activation_checkpointing()
    calls = []
    for number, layer in enumerate(encoder.backbone.layers):
        layer.self_attn.register_forward_hook(lambda *_, number=number: calls.append(number))
    encoder(*padded(ROWS, "right")).sum().backward()
    assert calls == [0, 1, 2, 1]  # the last one, which runs for one token, is not recomputed


def test_casting_a_built_encoder_equals_building_it_in_that_type(model_of, padded):
    """`bfloat16()`, which DeepSpeed calls, rounding the rotary frequencies: trained and reloaded model
    would encode differently."""
    cast = build_encoder(model_of("qwen3"), 1).eval().bfloat16()
    assert cast.backbone.rotary_emb.inv_freq.dtype == torch.float32
    built = build_encoder(model_of("qwen3", dtype="bfloat16"), 1).eval()
    built.load_state_dict(cast.state_dict())
    with torch.no_grad():
        assert torch.equal(cast(*padded(ROWS, "right")), built(*padded(ROWS, "right")))


@pytest.mark.parametrize("family", ENCODERS)
def test_a_pretrained_encoder_can_not_attend_causally(family, model_of, tmp_path):
    """The default `causal` with XLM-R as base: a mask left out, and padding in every embedding."""
    build_encoder(model_of(family), 1).backbone.save_pretrained(tmp_path)
    model = model_of("qwen3").model_copy(update={"base": str(tmp_path), "architecture": None})
    with pytest.raises(ConfigError, match=r"model.attention: .*set it to bidirectional"):
        build_encoder(model, 1)


def test_a_model_that_was_made_bidirectional_does_not_pass_as_causal(model_of, tmp_path):
    """A bidirectional export used as base with the default attention."""
    bidirectional = build_encoder(model_of("qwen3", attention="bidirectional"), 1)
    bidirectional.backbone.save_pretrained(tmp_path)
    model = model_of("qwen3").model_copy(update={"base": str(tmp_path), "architecture": None})
    with pytest.raises(ConfigError, match=r"model.attention"):
        build_encoder(model, 1)


def test_a_recurrent_decoder_can_not_be_bidirectional(model_of):
    """A switch that does nothing: recurrent layers only see what is to the left."""
    model = model_of("qwen3", attention="bidirectional").model_copy(
        update={
            "architecture": {
                "model_type": "mamba",
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "vocab_size": 32,
            },
            "attention_implementation": "eager",
        }
    )
    with pytest.raises(ConfigError, match=r"model.attention: a mamba can not be made bidirectional"):
        build_encoder(model, 1)
