"""What an export refuses, and what it leaves behind."""

from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.cli import main
from distributed_hbt.errors import CheckpointError, ConfigError
from distributed_hbt.export.export import export_encoder
from distributed_hbt.models.saved import load_encoder
from tests.unit.export.conftest import Checkpoint


def test_the_command_takes_a_step_folder_or_an_encoder_folder(
    checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path that only one of the commands understands."""
    trained = checkpoint("qwen3")
    (tmp_path / "empty").mkdir()
    for source, out in ((trained, tmp_path / "empty"), (trained / "encoder", tmp_path / "new")):
        assert main(["export", str(source), "--out", str(out), "--format", "hf"]) == 0
        assert capsys.readouterr().out == f"{out}\n"
        load_encoder(out)
    assert not list(tmp_path.glob("*.partial*"))


@pytest.mark.parametrize("there", ["file", "folder"])
def test_what_is_there_is_not_overwritten(
    there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody's folder, with an encoder put over it. It is said before anything is loaded."""
    out = tmp_path / "out"
    if there == "folder":
        out.mkdir()
    (out if there == "file" else out / "precious").write_text("x")
    assert main(["export", str(tmp_path / "absent"), "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        f"hbt: error: --out: {out} is there already; choose another folder, or empty it\n"
    )


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run's folder, given in place of a checkpoint's."""
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "neither this folder nor encoder/ in it has an encoder.json; name a checkpoint" in (
        capsys.readouterr().err
    )


def test_a_failed_export_leaves_nothing(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a folder that looks like a model."""
    trained = checkpoint("qwen3")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("distributed_hbt.export.export.settle_tokenizer", full)
    with pytest.raises(ConfigError, match=r"^--out: .*out can not be written \(No space left on device\)"):
        export_encoder(trained, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize("format", ["sentence-transformers", "hf"])
def test_an_adapter_alone_can_not_be_bidirectional(
    format: Any, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """The base's own file says causal, and nobody would notice."""
    trained = checkpoint("qwen3", lora={"rank": 2}, attention="bidirectional")
    with pytest.raises(CheckpointError, match="attends to both sides; give --merge-lora"):
        export_encoder(trained, tmp_path / "out", format=format)


def test_a_tokenizer_that_transformers_would_rebuild_is_refused(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """transformers does not believe tokenizer.json for some families: other tokens, and no error."""
    with pytest.raises(CheckpointError, match="AutoTokenizer makes other tokens than the encoder"):
        export_encoder(checkpoint("qwen2"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_positions_counted_by_a_foreign_padding_token_are_refused(
    checkpoint: Checkpoint, bert_tokenizer: Any, tmp_path: Path
) -> None:
    """RoBERTa's kin count tokens that are not its padding token, here an ordinary one."""
    with pytest.raises(CheckpointError, match="counts positions by the padding token 1"):
        export_encoder(checkpoint("xlm-roberta", tokenizer=bert_tokenizer), tmp_path / "out")
