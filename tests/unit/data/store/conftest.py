"""A small tokenizer, and runs over native rows."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.load import validate
from distributed_hbt.config.model import ModelConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.models.tokenizer import train_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return train_tokenizer(iter(["a small text", "ein kleiner Text", "un petit texte"] * 3), 300)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunConfig]:
    """make_run(rows, ...): each list of rows is written as a source of its own."""

    def make(*sources: Sequence[Any], folder: str = "data", **data: Any) -> RunConfig:
        written = []
        for i, rows in enumerate(sources):
            path = tmp_path / folder / f"rows{i}.jsonl"
            path.parent.mkdir(exist_ok=True)
            lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            written.append({"format": "hbt_jsonl", "path": str(path)})
        model = {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 300}}}
        return validate({"name": "run", "model": model, "data": {"sources": written, **data}})

    return make


@pytest.fixture(scope="session")
def texts(tokenizer: Any) -> TextEncoder:
    architecture = {"model_type": "qwen3"}
    return TextEncoder(tokenizer, ModelConfig(architecture=architecture, tokenizer="trained above"))


def native_row(
    group: str, query: str, languages: str, positives: Sequence[Any], negatives: Sequence[Any] = ()
) -> dict[str, Any]:
    """`languages` as en-de (query, passage); a passage as its text, or as a mapping."""
    query_language, passage_language = languages.split("-")
    return {
        "group_id": group,
        "query": query,
        "query_language": query_language,
        "passage_language": passage_language,
        "positive_passages": [_passage(passage) for passage in positives],
        "negative_passages": [_passage(passage) for passage in negatives],
    }


def _passage(passage: Any) -> dict[str, Any]:
    return passage if isinstance(passage, dict) else {"text": passage}


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    return native_row
