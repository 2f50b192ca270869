"""The model card of a checkpoint without a run; those of real runs are in tests/end_to_end/test_export.py."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from distributed_hbt.export.export import export_encoder
from distributed_hbt.models.saved import load_encoder
from tests.unit.export.conftest import Checkpoint, assert_same


def front_matter(card: str) -> Any:
    return yaml.safe_load(card.split("---\n")[1])


def results_of_code(card: str, folder: Path) -> list[dict[str, Any]]:
    """What the names of each Python block come to, run as a user would."""
    found = []
    for block in re.findall(r"```python\n(.*?)```", card, flags=re.S):
        names: dict[str, Any] = {}
        exec(block.replace("path/to/this/folder", str(folder)), names)
        found.append(names)
    return found


@pytest.mark.parametrize("pooling", ["last_token", "mean", "cls"])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_code_of_the_card_gives_the_encoder_s_embeddings(
    pooling: str, normalize: bool, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """Published code that pools the wrong token, forgets a prompt, or does not run."""
    attention = "bidirectional" if pooling == "cls" else "causal"
    trained = checkpoint(
        "qwen3", pooling=pooling, normalize=normalize, attention=attention, query_prompt="Q' : "
    )
    out = export_encoder(trained, tmp_path / "out")
    ours = load_encoder(trained / "encoder")
    with torch.no_grad():
        queries = ours.encoder(*ours.texts.pad(ours.texts.queries(["Who wrote Faust?"])))
    blocks = results_of_code((out / "README.md").read_text(), out)
    assert len(blocks) == 2
    for names in blocks:
        assert_same(names["queries"], queries)
    for text, names in (("Faust is a tragedy by Goethe.", blocks[0]), ("Faust is by Goethe.", blocks[1])):
        with torch.no_grad():
            passage = ours.encoder(*ours.texts.pad(ours.texts.passages([text])))
        assert_same(names["passages"][:1], passage)


def test_without_a_run_nothing_is_invented(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Figures, languages or settings of some default, taken for those of the encoder."""
    out = export_encoder(checkpoint("qwen3", matryoshka_dimensions=(8, 16)), tmp_path / "out", format="hf")
    card = (out / "README.md").read_text()
    assert front_matter(card) == {
        "library_name": "transformers",
        "pipeline_tag": "feature-extraction",
        "tags": ["distributed-hbt", "dense-retrieval", "feature-extraction", "multilingual"],
    }
    assert "# license: not set." in card.split("---\n")[1]
    for said in (
        "How it was trained is not known",
        "This checkpoint was not evaluated, or its results are not there.",
        "Languages, training data and quality are not known here.",
        "trained from random weights",
        "the first 8, 16 dimensions",
    ):
        assert said in card
    assert "## Training" not in card
    assert not (out / "training_config.yaml").exists()


def test_an_adapter_s_card_names_its_base(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """A folder that can not be used, and does not say what it lacks."""
    out = export_encoder(checkpoint("qwen3", lora={"rank": 2}), tmp_path / "out", format="hf")
    card = (out / "README.md").read_text()
    assert front_matter(card)["library_name"] == "peft"
    assert f"stands on {tmp_path / 'run' / 'base'}" in card
