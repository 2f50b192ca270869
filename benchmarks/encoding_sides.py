"""The two sides of benchmarks/encode.py: this project and sentence-transformers, reading one folder."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distributed_hbt.config.evaluation import XQUAD_R_LANGUAGES
from distributed_hbt.config.model import ModelConfig
from distributed_hbt.evaluation.embed import WINDOW
from distributed_hbt.evaluation.encode import encode_stream
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import load_encoder, save_encoder
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.models.tokenizer import EOS, train_tokenizer

Texts = Sequence[str]

LONGEST = 512
PROMPT = "Passage: "
AS_SHIPPED = 32
ARCHITECTURE = {
    "model_type": "qwen3",
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "intermediate_size": 1536,
}


def read_texts(root: Path) -> tuple[list[str], list[str]]:
    """Sentences and paragraphs of XQuAD-R in all its languages."""
    sentences: list[str] = []
    paragraphs: list[str] = []
    for language in XQUAD_R_LANGUAGES:
        content = json.loads(gzip.decompress((root / f"{language}.json.gz").read_bytes()))
        for paragraph in (p for article in content["data"] for p in article["paragraphs"]):
            text = paragraph["context"]
            paragraphs.append(text)
            sentences += [text[first:stop] for first, stop in paragraph["sentence_breaks"]]
    return sentences, paragraphs


def write_model(folder: Path, texts: Texts, vocab_size: int) -> None:
    """A random decoder and a tokenizer trained on `texts`, whose template ends a text with its EOS."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = train_tokenizer((PROMPT + text for text in texts), vocab_size)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {EOS}", special_tokens=[(EOS, tokenizer.eos_token_id)]
    )
    model = ModelConfig(
        architecture=ARCHITECTURE,
        tokenizer="trained above",
        dtype="float32",
        passage_prompt=PROMPT,
        max_passage_length=LONGEST,
    )
    encoder = build_encoder(model, seed=13, vocab_size=len(tokenizer))
    manifest = EncoderManifest.from_config(model, embedding_dimension=encoder.dimension)
    save_encoder(folder, encoder, tokenizer, manifest, encoder.state_dict())


class Side:
    """`padded_tokens` are those that went through the backbone in the last call."""

    def __init__(self, backbone: Any) -> None:
        self.backbone = backbone
        self.padded_tokens = 0
        backbone.embed_tokens.register_forward_hook(self._count)

    def _count(self, _: object, args: tuple[torch.Tensor], __: object) -> None:
        self.padded_tokens += args[0].numel()


class Ours(Side):
    """As a job of the evaluation pool encodes a shard, texts in, embeddings out."""

    def __init__(self, folder: Path) -> None:
        self.model = load_encoder(folder)
        self.texts = self.model.texts
        super().__init__(self.model.encoder.backbone)

    def limit(self, max_length: int) -> None:
        settings = self.model.manifest.model_copy(update={"max_passage_length": max_length})
        self.texts = TextEncoder(self.model.texts.tokenizer, settings)

    def __call__(self, texts: Texts) -> np.ndarray:
        self.padded_tokens = 0
        stream = encode_stream(
            self.model.encoder, self.texts, texts, str, window=WINDOW, max_tokens_per_batch=16384
        )
        return np.concatenate([embedding_ND for _, embedding_ND in stream])

    def tokenize(self, texts: Texts) -> None:
        self.texts.passages(texts)


class Peer(Side):
    """sentence-transformers with the modules that the folder asks for; `batch_size` is its only setting."""

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

        kwargs = {"attn_implementation": "sdpa", "dtype": torch.float32}
        transformer = Transformer(str(folder), model_kwargs=kwargs, max_seq_length=LONGEST)
        pooling = Pooling(ARCHITECTURE["hidden_size"], "lasttoken")
        self.model: Any = SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu")
        self.batch_size = AS_SHIPPED
        super().__init__(transformer.model)

    def limit(self, max_length: int) -> None:
        self.model.max_seq_length = max_length

    def __call__(self, texts: Texts, batch_size: int | None = None) -> np.ndarray:
        self.padded_tokens = 0
        size = batch_size or self.batch_size
        embedding_ND = self.model.encode(list(texts), prompt=PROMPT, batch_size=size, show_progress_bar=False)
        return np.asarray(embedding_ND)

    def tokenize(self, texts: Texts) -> None:
        ordered = sorted(texts, key=len, reverse=True)
        for first in range(0, len(ordered), self.batch_size):
            self.model.preprocess(ordered[first : first + self.batch_size], prompt=PROMPT)
