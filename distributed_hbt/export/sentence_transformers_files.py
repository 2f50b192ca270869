"""The files that make a Hugging Face folder one of sentence-transformers, as release 6.2 reads them."""

import json
from pathlib import Path
from typing import Any

from distributed_hbt.models.manifest import EncoderManifest

_POOLING = {"last_token": "lasttoken", "mean": "mean", "cls": "cls"}
_MODULES = {
    "": "sentence_transformers.base.modules.transformer.Transformer",
    "1_Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "2_Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}
_NEEDS_LENGTHS = "queries and passages have maximum lengths of their own"
_NEEDS_BIDIRECTIONAL = "older releases read is_causal: false and attend causally all the same"


def write_sentence_transformers_files(
    folder: Path, manifest: EncoderManifest, *, bidirectional: bool
) -> None:
    """Write modules, prompts, lengths and similarity beside the model's own files.

    `bidirectional`: the model is a decoder that attends to both sides.
    """
    names = [name for name in _MODULES if manifest.normalize or name != "2_Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": name, "type": _MODULES[name]} for i, name in enumerate(names)
    ]
    _write(folder / "modules.json", modules)
    _write(folder / "sentence_bert_config.json", _transformer(manifest))
    _write(folder / "config_sentence_transformers.json", _model(manifest, bidirectional))
    _write(
        folder / "1_Pooling" / "config.json",
        {
            "embedding_dimension": manifest.embedding_dimension,
            "pooling_mode": _POOLING[manifest.pooling],
            "include_prompt": True,
        },
    )
    if manifest.normalize:
        names_of = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
        _write(folder / "2_Normalize" / "config.json", names_of)


def _transformer(manifest: EncoderManifest) -> dict[str, Any]:
    content = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        "module_output_name": "token_embeddings",
        "query_length": manifest.max_query_length,
        "document_length": manifest.max_passage_length,
    }
    # The base below an adapter may be stored in another type than the adapter was trained on.
    return {**content, "model_kwargs": {"dtype": manifest.dtype}} if manifest.adapter else content


def _model(manifest: EncoderManifest, bidirectional: bool) -> dict[str, Any]:
    requirements = {"sentence-transformers": {"specifier": ">=6.2", "reason": _NEEDS_LENGTHS}}
    if bidirectional:
        requirements["transformers"] = {"specifier": ">=5.2", "reason": _NEEDS_BIDIRECTIONAL}
    passage = manifest.passage_prompt
    return {
        "model_type": "SentenceTransformer",
        "prompts": {"query": manifest.query_prompt, "document": passage, "passage": passage},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine" if manifest.normalize else "dot",
        "requirements": requirements,
    }


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
