"""Exported encoders in MLflow's registry (SQLite)."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from distributed_hbt.cli import main
from distributed_hbt.models.saved import load_encoder
from tests.mlflow_server import mlflow_server
from tests.unit.export.conftest import TEXTS, Checkpoint, assert_same, embeddings


@pytest.fixture
def mlflow(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The library, looking at a store of this test: a database that is not there yet, or a server."""
    import mlflow

    before = mlflow.get_tracking_uri()
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as servers:
        if getattr(request, "param", "sqlite") == "sqlite":
            mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
        else:
            mlflow.set_tracking_uri(servers.enter_context(mlflow_server(tmp_path / "server")))
        yield mlflow
        mlflow.set_tracking_uri(before)


@pytest.mark.parametrize("mlflow", ["sqlite", "server"], indirect=True)
def test_a_registered_model_gives_the_encoder_s_embeddings(
    mlflow: Any, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model in the registry that pools, prompts or cuts in another way; queries and passages mixed up."""
    trained = checkpoint("qwen3", pooling="mean", attention="bidirectional", lora={"rank": 2})
    out, uri = tmp_path / "out", mlflow.get_tracking_uri()
    arguments = ["--merge-lora", "--register", "tiny", "--tracking-uri", uri]
    assert main(["export", str(trained), "--out", str(out), *arguments]) == 0
    assert capsys.readouterr().out == f"{out}\nmodels:/tiny/1\n"
    assert {path.name for path in tmp_path.iterdir()} <= {
        *("mlflow.db", "mlflow.db.lock", "out", "run", "runs", "server")
    }
    model = mlflow.pyfunc.load_model("models:/tiny/1")
    ours = load_encoder(trained / "encoder")
    kinds = ["query", "passage"] * len(TEXTS)
    rows = pd.DataFrame({"text": [text for text in TEXTS for _ in range(2)], "kind": kinds})
    given = model.predict(rows)
    assert given.dtype == np.float32
    assert_same(given[::2], embeddings(ours, "query"))
    assert_same(given[1::2], embeddings(ours, "passage"))
    signature = model.metadata.signature
    assert [column.name for column in signature.inputs] == ["text", "kind"]
    assert signature.outputs.inputs[0].shape == (-1, 32)
    assert model.input_example["kind"].tolist() == ["query", "passage"]
    with pytest.raises(Exception, match="'title' is none; say query or passage"):
        model.predict(pd.DataFrame({"text": ["a"], "kind": ["title"]}))


def test_each_registration_is_the_next_version(
    mlflow: Any, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is taken, and the export refused for it."""
    trained = checkpoint("qwen3")
    for number in (1, 2):
        out = tmp_path / f"out{number}"
        arguments = ["--register", "tiny", "--tracking-uri", mlflow.get_tracking_uri()]
        assert main(["export", str(trained), "--out", str(out), *arguments]) == 0
        assert capsys.readouterr().out.splitlines()[1] == f"models:/tiny/{number}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--register", "tiny"], "--tracking-uri: the checkpoint has no run around it"),
        (
            ["--register", "a/b", "--tracking-uri", "sqlite:///x.db"],
            "--register: 'a/b' is no name of a model",
        ),
        (["--tracking-uri", "sqlite:///x.db"], "--tracking-uri: says where to register, and nothing is"),
        (
            ["--register", "tiny", "--tracking-uri", "http://127.0.0.1:9"],
            "tracking.uri: http://127.0.0.1:9 can not",
        ),
    ],
)
def test_what_can_not_be_registered_is_not_exported(
    arguments: list[str],
    message: str,
    mlflow: Any,
    checkpoint: Checkpoint,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A slip found out after gigabytes were written, when the command can not be repeated."""
    assert main(["export", str(checkpoint("qwen3")), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
