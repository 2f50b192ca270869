"""Exported folders in the released sentence-transformers."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer

from distributed_hbt.export.export import export_encoder
from distributed_hbt.models.saved import load_encoder
from tests.unit.export.conftest import TEXTS, Checkpoint, assert_same, embeddings

DECODERS = ("qwen3", "llama", "mistral", "gemma2", "gemma3_text", "phi3")


def assert_same_embeddings(checkpoint: Path, out: Path) -> SentenceTransformer:
    """The export in sentence-transformers, and in our own loader, gives what the checkpoint gives."""
    theirs = SentenceTransformer(str(out), device="cpu", local_files_only=True)
    trained, ours = load_encoder(checkpoint / "encoder"), load_encoder(out)
    for kind, encode in (("query", theirs.encode_query), ("passage", theirs.encode_document)):
        expected = embeddings(trained, kind)
        assert_same(encode(list(TEXTS), batch_size=3), expected)
        assert_same(encode([TEXTS[0]]), expected[:1])
        assert_same(embeddings(ours, kind), expected)
    return theirs


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("family", DECODERS)
def test_a_decoder_of_each_family_embeds_alike(
    family: str, attention: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Attention that is causal again after loading, or only where a batch has padding; a lost prompt, EOS or
    maximum length."""
    trained = checkpoint(family, attention=attention, pooling="mean")
    assert_same_embeddings(trained, export_encoder(trained, tmp_path / "out"))


@pytest.mark.parametrize("append_eos", [True, False])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", ["last_token", "mean", "cls"])
def test_each_pooling_side_and_end_embeds_alike(
    pooling: str, side: str, append_eos: bool, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """The wrong token pooled: padding, or the last token of the text in place of EOS."""
    trained = checkpoint(
        "qwen3",
        pooling=pooling,
        padding_side=side,
        append_eos=append_eos,
        attention="bidirectional" if pooling == "cls" else "causal",
    )
    assert_same_embeddings(trained, export_encoder(trained, tmp_path / "out"))


@pytest.mark.parametrize(
    ("family", "side"),
    [(family, side) for family in ("bert", "xlm-roberta") for side in ("left", "right")]
    + [("modernbert", "right")],
)
def test_an_encoder_with_its_own_template_embeds_alike(
    family: str, side: str, checkpoint: Checkpoint, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Learned positions that count the padding on the left; a template that is applied twice."""
    name = {"bert": "bert_tokenizer", "xlm-roberta": "xlmr_tokenizer", "modernbert": "tokenizer"}[family]
    trained = checkpoint(family, tokenizer=request.getfixturevalue(name), pooling="cls", padding_side=side)
    theirs = SentenceTransformer(str(export_encoder(trained, tmp_path / "out")), device="cpu")
    texts = [text for text in TEXTS if "<" not in text]  # a piece of a vocabulary may be found in a text
    ours = load_encoder(trained / "encoder")
    for encode, kind in (
        (theirs.encode_query, ours.texts.queries),
        (theirs.encode_document, ours.texts.passages),
    ):
        assert_same(encode(texts), ours.encoder.embed(*ours.texts.pad(kind(texts))))


@pytest.mark.parametrize("append_eos", [True, False])
def test_a_bos_that_the_tokenizer_adds_stays_and_eos_comes_with_it(
    append_eos: bool, checkpoint: Checkpoint, tokenizer: Any, tmp_path: Path
) -> None:
    """Llama's and Gemma's tokenizers: transformers reads `add_bos_token` and forgets the EOS."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    backend = copy.deepcopy(tokenizer.backend_tokenizer)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    with_bos = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        truncation_side="left",
    )
    trained = checkpoint("llama", tokenizer=with_bos, append_eos=append_eos)
    config = trained / "encoder" / "tokenizer_config.json"  # as the families' own classes write it
    content = {**json.loads(config.read_text()), "add_bos_token": True, "add_eos_token": False}
    config.write_text(json.dumps(content))
    assert_same_embeddings(trained, export_encoder(trained, tmp_path / "out"))


@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("family", ["qwen3", "xlm-roberta"])
def test_adapters_merged_or_kept_embed_alike(
    family: str, merged: bool, checkpoint: Checkpoint, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A folder without the adapter's effect, or without its base."""
    lora = {"rank": 4, "alpha": 12.0}
    tokens = {"tokenizer": request.getfixturevalue("tokenizer")}
    trained = checkpoint(family, lora=lora, pooling="mean", **tokens)
    out = export_encoder(trained, tmp_path / "out", merge_lora=merged)
    assert (out / "adapter_model.safetensors").exists() is not merged
    if merged:
        (tmp_path / "run" / "base").rename(tmp_path / "run" / "moved")
        theirs = SentenceTransformer(str(out), device="cpu")
        (tmp_path / "run" / "moved").rename(tmp_path / "run" / "base")
        assert_same(theirs.encode_query(list(TEXTS)), embeddings(load_encoder(trained / "encoder"), "query"))
    assert_same_embeddings(trained, out)


def test_embeddings_that_are_not_normalised_stay_so_and_are_compared_by_product(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Cosines where the encoder was trained on inner products."""
    trained = checkpoint("qwen3", normalize=False)
    theirs = assert_same_embeddings(trained, export_encoder(trained, tmp_path / "out"))
    assert theirs.similarity_fn_name == "dot"


def test_prefixes_of_matryoshka_embeddings_can_be_taken(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Prefixes that are not of unit length, compared by a product."""
    trained = checkpoint("qwen3", matryoshka_dimensions=(8, 16))
    out = export_encoder(trained, tmp_path / "out")
    theirs = SentenceTransformer(str(out), device="cpu", truncate_dim=8)
    prefix = embeddings(load_encoder(trained / "encoder"), "query")[:, :8]
    given = theirs.encode_query(list(TEXTS))
    assert_same(given, prefix)
    assert theirs.similarity_fn_name == "cosine"
    unit = torch.nn.functional.normalize(prefix, dim=-1)
    assert_same(theirs.similarity(given, given), unit @ unit.T)


def test_prompts_and_lengths_are_said_in_the_files(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """A user, or a program, that looks for a prompt by its name."""
    trained = checkpoint("qwen3", query_prompt="Frage: ", passage_prompt="Absatz: ")
    theirs = SentenceTransformer(str(export_encoder(trained, tmp_path / "out")), device="cpu")
    assert theirs.prompts == {"query": "Frage: ", "document": "Absatz: ", "passage": "Absatz: "}
    assert theirs.max_seq_length == 32
    assert (theirs[0].query_length, theirs[0].document_length) == (14, 32)
    assert [type(module).__name__ for module in theirs] == ["Transformer", "Pooling", "Normalize"]
    by_name = theirs.encode([TEXTS[0]], prompt_name="passage")
    assert_same(by_name, embeddings(load_encoder(trained / "encoder"), "passage")[:1])


def test_bfloat16_is_kept_and_can_be_read_as_float32(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """A folder of twice the size, or weights that are rounded differently."""
    trained = checkpoint("qwen3", dtype="bfloat16")
    out = export_encoder(trained, tmp_path / "out")
    as_saved: Any = SentenceTransformer(str(out), device="cpu")
    assert as_saved[0].auto_model.dtype == torch.bfloat16
    exact = SentenceTransformer(str(out), device="cpu", model_kwargs={"dtype": "float32"})
    ours = load_encoder(trained / "encoder", dtype="float32")
    assert_same(exact.encode_query(list(TEXTS)), embeddings(ours, "query"))
