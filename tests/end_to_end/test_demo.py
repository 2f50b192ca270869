"""`hbt demo`, with one of its three strategies."""

import json
from pathlib import Path

import pytest

from distributed_hbt.cli import main
from distributed_hbt.demo import run as demo


def test_demo_learns_and_sets_the_untrained_encoder_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A demo that runs but does not learn, or a table that compares a run with itself."""
    monkeypatch.setattr(demo, "STRATEGIES", ("hybrid",))
    assert main(["demo", "--out", str(tmp_path / "demo"), "--json"]) == 0
    untrained, hybrid = json.loads(capsys.readouterr().out)
    assert (untrained["run"], hybrid["run"]) == ("untrained", "hybrid")
    before, after = untrained["aggregates"], hybrid["aggregates"]
    assert after["mono AP"] > before["mono AP"] + 0.4
    assert after["cross AP"] > before["cross AP"] + 0.3
    assert after["multi AP"] > before["multi AP"] + 0.3
    directory = tmp_path / "demo" / "hybrid"
    assert (directory / "mlflow.json").is_file()
    trained_for = json.loads((directory / "train.jsonl").read_text().splitlines()[-1])
    assert trained_for["step"] == 400
