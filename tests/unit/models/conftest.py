"""Tiny models and tokenizers of the tested families, all random or trained on the spot."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.models.tokenizer import train_tokenizer

SENTENCES = (
    "The river rises in the mountains and flows to the sea.",
    "Der Fluss entspringt in den Bergen und fließt ins Meer.",
    "Река берёт начало в горах и впадает в море.",
    "ينبع النهر من الجبال ويصب في البحر.",
    "नदी पहाड़ों से निकलती है और समुद्र में गिरती है।",
    "แม่น้ำไหลจากภูเขาลงสู่ทะเล",
    "这条河发源于山区，流入大海。",
    "Mto huo unaanzia milimani na kutiririka hadi baharini.",
)

_SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
_NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}

DECODERS: dict[str, dict[str, Any]] = {
    "qwen3": {"model_type": "qwen3", **_SIZES, **_GROUPED},
    "qwen2": {"model_type": "qwen2", **_SIZES, "num_key_value_heads": 2},
    "llama": {"model_type": "llama", **_SIZES, **_GROUPED},
    "mistral": {"model_type": "mistral", **_SIZES, **_GROUPED, "sliding_window": 4},
    "gemma": {"model_type": "gemma", **_SIZES, **_GROUPED},
    "gemma2": {"model_type": "gemma2", **_SIZES, **_GROUPED, "sliding_window": 4},
    "gemma3_text": {
        "model_type": "gemma3_text",
        **_SIZES,
        **_GROUPED,
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "phi3": {"model_type": "phi3", **_SIZES, "num_key_value_heads": 2, "pad_token_id": None},
}
ENCODERS: dict[str, dict[str, Any]] = {
    "xlm-roberta": {"model_type": "xlm-roberta", **_SIZES, **_NO_DROPOUT, "max_position_embeddings": 40},
    "roberta": {"model_type": "roberta", **_SIZES, **_NO_DROPOUT, "max_position_embeddings": 40},
    "bert": {"model_type": "bert", **_SIZES, **_NO_DROPOUT, "max_position_embeddings": 38},
    "electra": {"model_type": "electra", **_SIZES, **_NO_DROPOUT, "max_position_embeddings": 38},
    "modernbert": {"model_type": "modernbert", **_SIZES},
}

ModelOf = Callable[..., ModelConfig]


@pytest.fixture(scope="session")
def sentences() -> tuple[str, ...]:
    return SENTENCES


@pytest.fixture(scope="session")
def model_of() -> ModelOf:
    """(family, **fields) -> ModelConfig of a tiny float32 model of that family."""

    def make(family: str, architecture: dict[str, Any] | None = None, **fields: Any) -> ModelConfig:
        known = DECODERS | ENCODERS
        defaults: dict[str, Any] = {
            "tokenizer": "unused",
            "dtype": "float32",
            "attention": "bidirectional" if family in ENCODERS else "causal",
            # Gemma 2 caps attention scores, which torch's fused attention can not.
            "attention_implementation": "eager" if family == "gemma2" else "sdpa",
            "max_query_length": 16,
            "max_passage_length": 32,
        }
        return ModelConfig(architecture={**known[family], **(architecture or {})}, **{**defaults, **fields})

    return make


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Byte-level BPE of 400 tokens, without a template."""
    return train_tokenizer(iter(SENTENCES * 4), 400)


@pytest.fixture(scope="session")
def xlmr_tokenizer() -> Any:
    """As XLM-R's: Unigram with Metaspace, `<s> text </s>`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    inner.train_from_iterator(
        SENTENCES * 4,
        trainers.UnigramTrainer(
            vocab_size=250, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


@pytest.fixture(scope="session")
def bert_tokenizer() -> Any:
    """As BERT's: WordPiece, `[CLS] text [SEP]`, no EOS."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=False)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    inner.train_from_iterator(
        SENTENCES * 4, trainers.WordPieceTrainer(vocab_size=250, special_tokens=special, show_progress=False)
    )
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


@pytest.fixture(scope="session")
def padded() -> Callable[[list[list[int]], str], tuple[torch.Tensor, torch.Tensor]]:
    """(token lists, side) -> input_ids_BL padded with token 1, attention_mask_BL."""

    def pad(rows: list[list[int]], side: str) -> tuple[torch.Tensor, torch.Tensor]:
        length = max(map(len, rows))
        ids, mask = [], []
        for row in rows:
            gap = length - len(row)
            ids.append([1] * gap + row if side == "left" else row + [1] * gap)
            mask.append([0] * gap + [1] * len(row) if side == "left" else [1] * len(row) + [0] * gap)
        return torch.tensor(ids), torch.tensor(mask)

    return pad
