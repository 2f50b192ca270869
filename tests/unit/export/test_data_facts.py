"""What a card says of data, from a configuration alone."""

from typing import Any

import pytest

from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.export.data_facts import (
    languages,
    place,
    same_collection,
    trained_slice,
    without_address,
)
from distributed_hbt.export.provenance import Provenance

SQUAD = {
    "format": "squad",
    "path": "/srv/somebody/data/xquad-r/{language}.json*",
    "languages": ["eng", "de"],
    "article_range": [0, 38],
}


def config(*sources: dict[str, Any], **changes: Any) -> RunConfig:
    model = {"architecture": {"model_type": "qwen3"}, "tokenizer": "any"}
    return validate({"name": "run", "model": model, "data": {"sources": list(sources)}, **changes})


def test_languages_are_those_counted_else_those_named_within_those_chosen() -> None:
    """A language of the data that no batch was made of; codes in two spellings."""
    parallel = {"format": "parallel", "paths": {"sw": "a.txt", "zh-Hans": "b.txt"}}
    assert languages(Provenance(config(SQUAD, parallel))) == ["de", "en", "sw", "zh"]
    counted = Provenance(config(SQUAD), source_counts=({"queries_per_language": {"en": 4, "fr": 1}},))
    assert languages(counted) == ["en", "fr"]
    chosen = config(SQUAD, sampling={"languages": ["de", "th"]})
    assert languages(Provenance(chosen)) == ["de"]
    rows = config({"format": "hbt_jsonl", "path": "rows.jsonl"})
    assert languages(Provenance(rows)) == []


def test_data_is_named_without_the_folders_of_a_machine() -> None:
    """A user's name on a public page; articles that nobody knows were held out."""
    (source,) = config(SQUAD).data.sources
    assert trained_slice(source) == "xquad-r/{language}.json*, articles 0 to 37"
    assert place("hf://datasets/o/n/train/*.jsonl.gz") == "hf://datasets/o/n/train/*.jsonl.gz"
    assert place("/a/b/c/model") == "c/model"


@pytest.mark.parametrize(
    ("root", "same"), [("/srv/somebody/data/xquad-r", True), ("/srv/somebody/data/xquad", False)]
)
def test_a_benchmark_of_the_training_data_s_folder_is_told(root: str, same: bool) -> None:
    """Figures on the rest of a collection, set beside those of models that never saw it."""
    made = config(SQUAD, evaluation={"benchmarks": [{"name": "xquad_r", "root": root}]})
    assert same_collection(made, "xquad_r") is same
    assert same_collection(made, "another") is False


def test_the_store_s_address_is_left_out() -> None:
    """A password that is published with a model."""
    made = config(SQUAD, tracking={"uri": "https://me:secret@host", "experiment": "e"})
    assert without_address(made).tracking.uri is None
    assert without_address(made).tracking.experiment == "e"
