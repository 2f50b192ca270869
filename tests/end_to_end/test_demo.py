"""`hbt demo`, with one of its three strategies and one of its seeds."""

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
    monkeypatch.setattr(demo, "SEEDS", (13,))
    assert main(["demo", "--out", str(tmp_path / "demo"), "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    assert [system["name"] for system in comparison["systems"]] == ["untrained", "hybrid"]
    rows = {(row["group"], row["measure"]): row for row in comparison["benchmarks"][0]["summary"]}
    gained = {group: rows[group, "AP"]["differences"][0] for group in ("mono", "cross", "multi")}
    assert gained["mono"]["mean"] > 0.4
    assert gained["cross"]["mean"] > 0.25
    assert gained["multi"]["mean"] > 0.25
    assert all(one["significant"] for one in gained.values())
    page = (tmp_path / "demo" / "report" / "report.html").read_text()
    assert f"{rows['mono', 'AP']['figures']['hybrid']['mean']:.3f}" in page
    directory = tmp_path / "demo" / "hybrid-13"
    assert (directory / "mlflow.json").is_file()
    trained_for = json.loads((directory / "train.jsonl").read_text().splitlines()[-1])
    assert trained_for["step"] == 300
