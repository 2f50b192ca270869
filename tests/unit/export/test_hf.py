"""Exported folders in transformers and peft."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from distributed_hbt.export.export import export_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import load_encoder
from tests.unit.export.conftest import TEXTS, Checkpoint, assert_same, embeddings


def mean_embeddings(model: Any, folder: Path, prompt: str, max_length: int) -> torch.Tensor:
    """As a user of transformers alone would write it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(
        [prompt + text for text in TEXTS],
        padding=True,
        truncation=True,
        max_length=max_length,
        return_tensors="pt",
    )
    with torch.no_grad():
        hidden_BLD = model(**batch).last_hidden_state
    weight_BL1 = batch["attention_mask"].unsqueeze(-1)
    return torch.nn.functional.normalize((hidden_BLD * weight_BL1).sum(1) / weight_BL1.sum(1), dim=-1)


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("lora", [None, {"rank": 4, "layers": (0, 1)}])
@pytest.mark.parametrize("family", ["qwen3", "gemma2", "xlm-roberta"])
def test_a_whole_or_merged_model_embeds_alike(
    family: str, lora: dict[str, Any] | None, attention: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """A folder of transformers that lacks the adapter, the attention or the end of a text."""
    if family == "xlm-roberta":
        attention = "bidirectional"
    trained = checkpoint(family, attention=attention, pooling="mean", padding_side="left", lora=lora)
    out = export_encoder(trained, tmp_path / "out", format="hf", merge_lora=True)
    expected = {kind: embeddings(load_encoder(trained / "encoder"), kind) for kind in ("query", "passage")}
    if lora:
        (tmp_path / "run" / "base").rename(tmp_path / "run" / "moved")  # it stands alone
    assert sorted(path.name for path in out.iterdir()) == [
        *("README.md", "config.json", "encoder.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer_config.json"),
    ]
    model = AutoModel.from_pretrained(out).eval()
    assert_same(mean_embeddings(model, out, "Query: ", 14), expected["query"])
    assert_same(mean_embeddings(model, out, "Passage: ", 32), expected["passage"])
    ours = load_encoder(out)
    assert (ours.manifest.adapter, ours.manifest.base) == (False, None)
    for kind in expected:
        assert_same(embeddings(ours, kind), expected[kind])


def test_an_adapter_is_kept_as_peft_reads_it(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """An adapter whose base is named by a path that only the checkpoint can resolve."""
    import peft

    trained = checkpoint("qwen3", lora={"rank": 4}, pooling="mean")
    out = export_encoder(trained, tmp_path / "deep" / "out", format="hf")
    named = json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(tmp_path / "run" / "base") == EncoderManifest.read(out).base
    expected = embeddings(load_encoder(trained / "encoder"), "passage")
    by_peft = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(named), out).eval()
    assert_same(mean_embeddings(by_peft, out, "Passage: ", 32), expected)
    assert_same(mean_embeddings(AutoModel.from_pretrained(out).eval(), out, "Passage: ", 32), expected)
    assert_same(embeddings(load_encoder(out), "passage"), expected)


def test_a_bfloat16_adapter_is_merged_exactly_and_rounded_once(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Small updates that bfloat16 swallows one after the other."""
    trained = checkpoint("qwen3", lora={"rank": 4}, dtype="bfloat16")
    out = export_encoder(trained, tmp_path / "out", format="hf", merge_lora=True)
    exact = load_encoder(trained / "encoder", dtype="float32", merge_lora=True).encoder.state_dict()
    merged = load_encoder(out).encoder.state_dict()
    assert all(torch.equal(tensor, exact[name].to(torch.bfloat16)) for name, tensor in merged.items())
    assert AutoModel.from_pretrained(out).dtype == torch.bfloat16
