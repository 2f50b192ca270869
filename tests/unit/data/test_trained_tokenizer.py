"""The tokenizer of a run."""

import json
from pathlib import Path

import pytest

from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.trained_tokenizer import prepare_tokenizer, training_texts
from distributed_hbt.errors import DataError


def run(folder: Path, lines: list[str], tokenizer: object) -> RunConfig:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(lines))
    return validate(
        {
            "name": "run",
            "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": tokenizer},
            "data": {"sources": [{"format": "hbt_jsonl", "path": str(path)}]},
        }
    )


def line(group: str, query: str, positive: str, negative: str = "never seen") -> str:
    return json.dumps(
        {
            "group_id": group,
            "query": query,
            "query_language": "en",
            "passage_language": "en",
            "positive_passages": [{"title": "Title", "text": positive}],
            "negative_passages": [{"text": negative}],
        }
    )


def test_each_query_and_positive_is_a_training_text_once(tmp_path: Path) -> None:
    """A paragraph with ten questions would weigh ten times; mined negatives are not the data's text."""
    lines = [line("a", "why", "rain"), line("b", "how", "rain"), line("c", "why", "sun")]
    config = run(tmp_path, lines, {"train": {"vocab_size": 300}})
    assert list(training_texts(config.data)) == ["why", "Title rain", "how", "Title sun"]


def test_a_tokenizer_is_trained_once_for_a_content_and_size(tmp_path: Path) -> None:
    """Another tokenizer after a resume would feed the weights other tokens."""
    lines = [line("a", "banana banana banana", "banana bandana")]
    config = run(tmp_path, lines, {"train": {"vocab_size": 300}})
    first = prepare_tokenizer(config, tmp_path / "stores")
    (folder,) = (tmp_path / "stores").glob("tokenizer-*/")
    written = (folder / "tokenizer.json").stat().st_mtime_ns
    again = prepare_tokenizer(config, tmp_path / "stores")
    assert (folder / "tokenizer.json").stat().st_mtime_ns == written
    assert first("banana").input_ids == again("banana").input_ids
    prepare_tokenizer(run(tmp_path, lines, {"train": {"vocab_size": 301}}), tmp_path / "stores")
    assert len(list((tmp_path / "stores").glob("tokenizer-*/"))) == 2


def test_a_named_tokenizer_is_loaded(tmp_path: Path) -> None:
    """`model.tokenizer: <folder>` beside an architecture."""
    trained = run(tmp_path, [line("a", "why", "rain")], {"train": {"vocab_size": 300}})
    prepare_tokenizer(trained, tmp_path / "stores").save_pretrained(tmp_path / "mine")
    config = run(tmp_path, [line("a", "why", "rain")], str(tmp_path / "mine"))
    assert prepare_tokenizer(config, tmp_path / "other").eos_token == "</s>"
    assert not (tmp_path / "other").exists()


def test_bad_rows_stop_the_training_of_a_tokenizer(tmp_path: Path) -> None:
    """An error inside the trainer's iterator must come out as it is, and leave no tokenizer."""
    config = run(tmp_path, [line("a", "why", "rain"), "{}"], {"train": {"vocab_size": 300}})
    with pytest.raises(DataError, match=r"rows\.jsonl:2: 1 of 2 rows are unusable"):
        prepare_tokenizer(config, tmp_path / "stores")
    assert list((tmp_path / "stores").glob("tokenizer-*/")) == []
