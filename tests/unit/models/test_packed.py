"""Texts packed into one row: the embeddings and gradients of padded ones."""

import sys
from types import SimpleNamespace

import pytest
import torch

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.models import packed_attention
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.packed_attention import check_device, is_packed, use_packed_attention
from distributed_hbt.models.packing import from_grid, pack, packed, to_grid

DECODERS = ("qwen3", "qwen2", "llama", "mistral", "gemma", "gemma3_text", "phi3")
ENCODERS = ("xlm-roberta", "roberta", "bert", "electra", "modernbert")
ROWS = [[5, 9, 13, 22, 31, 40, 8, 3, 17, 18, 19, 3], [7, 44, 3], [50, 12, 19, 60, 3], [9]]
CASES = [(f, "causal", p) for f in DECODERS for p in ("last_token", "mean")] + [
    (f, "bidirectional", p) for f in DECODERS + ENCODERS for p in ("last_token", "mean", "cls")
]


def both(model_of, family, **fields):
    """Encoders on the same weights, padded and packed, with attention that is far from uniform."""
    found = []
    for padding_free in (False, True):
        encoder = build_encoder(model_of(family, padding_free=padding_free, **fields), 1)
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
        found.append(encoder.eval())
    return found


def gradients(encoder, *batch):
    encoder.zero_grad()
    embedding_BD = encoder(*batch)
    weight_BD = torch.arange(1.0 * embedding_BD.numel()).view_as(embedding_BD).sin()
    (embedding_BD * weight_BD).sum().backward()
    return {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("family", "attention", "pooling"), CASES)
def test_embeddings_are_those_of_padded_texts(family, attention, pooling, model_of, padded):
    """Texts that see each other, positions or windows that go on from one text to the next, another text's
    token pooled."""
    plain, free = both(model_of, family, attention=attention, pooling=pooling)
    with torch.no_grad():
        expected = plain(*padded(ROWS, "right"))
        found = free(*pack(ROWS))
        alone = torch.cat([free(*pack([row])) for row in ROWS])
    assert (expected[0] - expected[1]).abs().max() > 1e-2
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(alone, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("lora", [None, {"rank": 4}])
@pytest.mark.parametrize(
    ("family", "attention", "pooling"), [case for case in CASES if case[2] != "cls" or case[0] in ENCODERS]
)
def test_gradients_are_those_of_padded_texts(family, attention, pooling, lora, model_of, padded):
    """A gradient that padding inside the attention lets through, or holds up."""
    plain, free = both(model_of, family, attention=attention, pooling=pooling, lora=lora)
    expected, found = gradients(plain, *padded(ROWS, "right")), gradients(free, *pack(ROWS))
    assert expected.keys() == found.keys()
    error, size = (
        torch.nn.utils.get_total_norm(list(grads.values()))
        for grads in ({n: found[n] - expected[n] for n in expected}, expected)
    )
    assert error <= 1e-5 * size


@pytest.mark.parametrize("family", ["mistral", "gemma3_text", "modernbert"])
@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_a_window_reaches_as_far_as_for_padded_texts(family, attention, model_of, padded):
    """A window off by one: families hand other numbers to their attention than they build masks from."""
    if family == "modernbert" and attention == "causal":
        return
    narrow = {"local_attention": 4} if family == "modernbert" else {"sliding_window": 3}
    plain, free = both(
        model_of, family, architecture=narrow, attention=attention, pooling="mean", normalize=False
    )
    with torch.no_grad():
        torch.testing.assert_close(free(*pack(ROWS)), plain(*padded(ROWS, "right")), rtol=0, atol=2e-5)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_padded_batch_is_packed_first(side, model_of, padded):
    """Padding that a packed encoder takes for text, in an evaluation that pads."""
    _, free = both(model_of, "qwen3")
    with torch.no_grad():
        expected = free(*pack(ROWS))
    assert torch.equal(free.embed(*padded(ROWS, side)), expected)
    ids_1T, packing = packed(*padded(ROWS, side))
    expected_1T, expected_packing = pack(ROWS)
    assert torch.equal(ids_1T, expected_1T)
    assert packing.longest == expected_packing.longest
    for found, tensor in zip(packing.tensors(), expected_packing.tensors(), strict=True):
        assert found.dtype == tensor.dtype
        assert torch.equal(found, tensor)


def test_linear_layers_see_real_tokens_alone(model_of):
    """Padding that comes back somewhere: equal, and none of the work saved."""
    tokens = sum(map(len, ROWS))
    for pooling, last in (("mean", {tokens}), ("last_token", {tokens, len(ROWS)})):
        _, free = both(model_of, "qwen3", pooling=pooling)
        seen = {}
        for name, module in free.backbone.layers.named_modules():
            if isinstance(module, torch.nn.Linear):
                widths = seen.setdefault(name.partition(".")[0], set())
                module.register_forward_hook(lambda _, args, __, widths=widths: widths.add(args[0].shape[:2]))
        free(*pack(ROWS))
        assert seen == {"0": {(1, tokens)}, "1": {(1, width) for width in last}}


@pytest.mark.parametrize(("family", "shortened"), [("llama", True), ("mistral", False), ("phi3", False)])
def test_the_last_layer_runs_for_the_pooled_tokens_where_it_has_no_window(family, shortened, model_of):
    """A window that is measured from the wrong token, or work that is done for nobody."""
    _, free = both(model_of, family)
    assert free.shortens_last_layer is shortened
    seen = []
    last = free.backbone.layers[-1].self_attn.o_proj
    last.register_forward_hook(lambda _, args, __: seen.append(args[0].shape[1]))
    free(*pack(ROWS))
    assert seen == [len(ROWS) if shortened else sum(map(len, ROWS))]


def test_activation_checkpointing_keeps_where_texts_begin(model_of, padded):
    """A layer that is run again without the arguments of its first run."""
    plain, free = both(model_of, "qwen3")
    expected = gradients(plain, *padded(ROWS, "right"))
    free.train().enable_activation_checkpointing()
    found = gradients(free, *pack(ROWS))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-4)


def test_a_grid_and_back():
    """A token that lands in another text's row; texts of one length, which are not copied."""
    for rows in (ROWS, [[1, 2], [3, 4]]):
        ids_1T, packing = pack(rows)
        grid_BL = to_grid(ids_1T[0], packing.edge_E, packing.longest)
        assert grid_BL.tolist() == [row + [0] * (packing.longest - len(row)) for row in rows]
        assert from_grid(grid_BL, packing.edge_E, ids_1T.shape[1]).tolist() == ids_1T[0].tolist()
        assert packing.position_1T[0].tolist() == [i for row in rows for i in range(len(row))]
        assert packing.texts == len(rows)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"padding_free": True, "attention_implementation": "eager"}, "set sdpa or torch_varlen"),
        ({"padding_free": True, "padding_side": "left"}, "leave padding_side out"),
        ({"attention_implementation": "torch_varlen"}, "set padding_free: true"),
        (
            {"padding_free": True, "attention_implementation": "torch_varlen", "dtype": "float32"},
            "set dtype: bfloat16",
        ),
        ({"attention_implementation": "flash_attention_2", "dtype": "float32"}, "set dtype: bfloat16"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(fields, message):
    """A kernel that is given what it can not take, found in the first step."""
    with pytest.raises(ValueError, match=message):
        ModelConfig(base="x", **fields)


def test_an_unknown_family_is_refused(model_of):
    """A family whose attention does not learn where texts begin, so that they see each other."""
    model = model_of("bert", {"model_type": "distilbert", "dim": 32, "n_layers": 1, "n_heads": 4})
    architecture = {"model_type": "distilbert", "dim": 32, "n_layers": 1, "n_heads": 4, "vocab_size": 64}
    model = model.model_copy(update={"architecture": architecture, "padding_free": True})
    with pytest.raises(ConfigError, match=r"model.padding_free: a distilbert is not known"):
        build_encoder(model, 1)


def test_a_family_that_caps_its_scores_is_told_what_takes_it(model_of):
    """Two refusals that send the user in a circle."""
    with pytest.raises(
        ConfigError, match=r"set it to flash_attention_2, or to eager with padding_free: false"
    ):
        build_encoder(model_of("gemma2", attention_implementation="sdpa", padding_free=True), 1)


def test_a_layer_that_loses_where_texts_begin_is_noticed(model_of):
    """Texts that see each other without a word."""
    _, free = both(model_of, "qwen3")
    ids_1T, packing = pack(ROWS)
    with pytest.raises(AssertionError, match="lost where its texts begin"):
        free.backbone(input_ids=ids_1T, position_ids=packing.position_1T)


def varlen(model_of, family="qwen3", **fields):
    return model_of(
        family, dtype="bfloat16", padding_free=True, attention_implementation="torch_varlen", **fields
    )


def test_what_is_missing_is_named(model_of, monkeypatch):
    """An ImportError of another library, or one that CUDA raises in the first step."""
    here = torch.device("cpu")
    check_device(model_of("qwen3", padding_free=True), here)
    with pytest.raises(ConfigError, match=r"torch_varlen needs an NVIDIA GPU.*set it to sdpa"):
        check_device(varlen(model_of), here)
    flash = varlen(model_of).model_copy(update={"attention_implementation": "flash_attention_2"})
    monkeypatch.setattr(packed_attention, "_is_installed", lambda module: False)
    with pytest.raises(ConfigError, match="needs the package flash-attn, which is not installed"):
        build_encoder(flash, 1)
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", lambda query, key, is_causal: None)
    with pytest.raises(ConfigError, match=r"torch_varlen needs a newer torch than "):
        build_encoder(varlen(model_of), 1)
    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", None)
    with pytest.raises(ConfigError, match=r"torch_varlen needs a newer torch than "):
        build_encoder(varlen(model_of), 1)


def test_torch_varlen_is_built_anywhere_and_refuses_attention_dropout(model_of):
    """Dropout that is left out without a word."""
    assert is_packed(build_encoder(varlen(model_of), 1).backbone)
    with pytest.raises(ConfigError, match="has no attention dropout, and this bert asks for it"):
        build_encoder(varlen(model_of, "bert", architecture={"attention_probs_dropout_prob": 0.1}), 1)


def attention_by_text(query, key, value, edge_q, edge, longest_q, longest, scale, window, cap=None):
    """What kernels for packed texts compute, in plain operations. A window ends with the last query."""
    assert edge_q.dtype == edge.dtype == torch.int32
    assert longest == torch.diff(edge).max()
    assert longest_q in (1, longest)
    out = []
    bounds = (edge_q[:-1], edge_q[1:], edge[:-1], edge[1:])
    for q_first, q_stop, first, stop in zip(*(bound.tolist() for bound in bounds), strict=True):
        q, k, v = query[q_first:q_stop], key[first:stop], value[first:stop]
        q, k, v = (part.transpose(0, 1) for part in (q, k, v))
        k, v = (part.repeat_interleave(q.shape[0] // part.shape[0], 0) for part in (k, v))
        place = torch.arange(stop - first)
        behind = place[(stop - first) - (q_stop - q_first) :, None] - place
        left, right = (side if side >= 0 else longest for side in window)
        scores = (q @ k.transpose(1, 2)) * scale
        scores = scores if cap is None else cap * (scores / cap).tanh()
        scores = scores.masked_fill((behind > left) | (-behind > right), float("-inf"))
        out.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(out)


def reference_varlen(calls):
    """torch's varlen_attn for a machine without a GPU."""

    def attend(query, key, value, edge_q, edge, longest_q, longest, *, scale, window_size, enable_gqa):
        calls.append((window_size, enable_gqa))
        edges = (edge_q, edge, longest_q, longest)
        return attention_by_text(query, key, value, *edges, scale, window_size)

    return attend


def reference_flash(query, key, value, edge_q, edge, longest_q, longest, **asked):
    """FlashAttention's flash_attn_varlen_func for a machine without a GPU."""
    assert asked.pop("dropout_p") == 0.0
    left, right = asked.pop("window_size")
    right = 0 if asked.pop("causal") else right
    scale, cap = asked.pop("softmax_scale"), asked.pop("softcap") or None
    assert not asked
    return attention_by_text(query, key, value, edge_q, edge, longest_q, longest, scale, (left, right), cap)


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("family", ["qwen3", "mistral", "modernbert"])
def test_torch_varlen_is_asked_for_the_same(family, attention, model_of, monkeypatch):
    """Heads, windows, scale or direction handed over wrongly. (The kernel itself needs a GPU: tests/gpu.)"""
    if family == "modernbert":
        attention = "bidirectional"
    calls = []
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", reference_varlen(calls))
    model = varlen(model_of, family, attention=attention)
    found = build_encoder(model, 1).eval()(*pack(ROWS))
    plain = model.model_copy(update={"attention_implementation": "sdpa"})
    torch.testing.assert_close(found, build_encoder(plain, 1).eval()(*pack(ROWS)), rtol=0, atol=3e-2)
    assert {gqa for _, gqa in calls} == {family != "modernbert"}
    if family == "qwen3":  # in the last layer, the pooled token sees everything
        assert [window for window, _ in calls] == [(-1, 0) if attention == "causal" else (-1, -1), (-1, -1)]


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("family", ["qwen3", "mistral", "gemma2"])
@pytest.mark.parametrize("pooling", ["mean", "last_token"])
def test_flash_attention_is_asked_for_the_same(family, attention, pooling, model_of, monkeypatch, padded):
    """The cap of Gemma 2's scores forgotten, or what the test above finds. (The kernel itself: tests/gpu.)"""
    monkeypatch.setitem(sys.modules, "flash_attn", SimpleNamespace(flash_attn_varlen_func=reference_flash))
    model = model_of(
        family, attention=attention, pooling=pooling, attention_implementation="eager", normalize=False
    )
    encoder = build_encoder(model, 1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
        expected = encoder(*padded(ROWS, "right"))
        use_packed_attention(encoder.backbone, "flash_attention_2")
        torch.testing.assert_close(encoder(*pack(ROWS)), expected, rtol=1e-4, atol=1e-5)
