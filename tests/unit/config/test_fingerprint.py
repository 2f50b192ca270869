"""Which runs are one system, and which are one run."""

from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.fingerprint import run_fingerprint, system_fingerprint
from distributed_hbt.config.load import dump, load_run
from distributed_hbt.config.run import RunConfig

MINIMAL = """
name: t
model:
  architecture: {model_type: qwen3, hidden_size: 64}
  tokenizer: {train: {vocab_size: 400}}
data:
  root: data
  sources:
    - {format: hbt_jsonl, path: train.jsonl}
evaluation:
  benchmarks: [{name: xquad_r, root: xquad-r}]
"""


def load(folder: Path, *overrides: str) -> RunConfig:
    (folder / "data/xquad-r").mkdir(parents=True, exist_ok=True)
    (folder / "data/train.jsonl").touch()
    (folder / "run.yaml").write_text(MINIMAL, encoding="utf-8")
    return load_run(folder / "run.yaml", overrides)


@pytest.mark.parametrize(
    "override",
    [
        *("name=other", "output_dir=elsewhere", "cluster.num_workers=7", "tracking.experiment=e"),
        *("tracking.tags.team=ir", "train.deepspeed=zero3.json", "train.profile_steps=[2, 4]"),
        *("mining.depth=7", "data.store_dir=stores", "data.damaged_rows=skip"),
        *("train.max_skipped_steps=99", "train.compare_ranks_every=7", "train.checkpoints.keep_last=2"),
    ],
)
def test_what_changes_no_figure_changes_no_fingerprint(tmp_path: Path, override: str) -> None:
    """Seeds of one system that were run on other machines, and are not grouped."""
    one, other = load(tmp_path), load(tmp_path, override)
    assert one != other
    assert system_fingerprint(one) == system_fingerprint(other)
    assert run_fingerprint(one) == run_fingerprint(other)


@pytest.mark.parametrize(
    "override",
    [
        *("train.learning_rate=2e-5", "sampling.alpha=0.25", "model.pooling=mean", "evaluation.depth=10"),
        *("data.sources.0.weight=1.0", "evaluation.benchmarks.0.languages=[en]", "model.lora.rank=4"),
    ],
)
def test_what_may_change_a_figure_changes_both(tmp_path: Path, override: str) -> None:
    """Two systems whose runs are averaged as if they were one."""
    one, other = load(tmp_path), load(tmp_path, override)
    assert system_fingerprint(one) != system_fingerprint(other)
    assert run_fingerprint(one) != run_fingerprint(other)


def test_the_seed_tells_runs_apart_and_not_systems(tmp_path: Path) -> None:
    """A seed in the system's name leaves every group with one run."""
    one, other = load(tmp_path), load(tmp_path, "seed=14")
    assert system_fingerprint(one) == system_fingerprint(other)
    assert run_fingerprint(one) != run_fingerprint(other)
    assert run_fingerprint(one) != system_fingerprint(one)


def test_data_that_was_moved_with_its_root_is_the_same(tmp_path: Path) -> None:
    """Absolute paths of one machine make every machine a system of its own."""
    one, other = load(tmp_path / "a"), load(tmp_path / "b")
    content: Any = one.model_dump()
    assert content["data"]["sources"][0]["path"] == str(tmp_path / "a/data/train.jsonl")
    assert system_fingerprint(one) == system_fingerprint(other)


def test_fingerprints_are_the_same_after_reading_the_resolved_file(tmp_path: Path) -> None:
    """Tags of a run must agree with what is computed from its config.yaml, in any process."""
    one = load(tmp_path, "train.learning_rate=1e-05")
    (tmp_path / "resolved.yaml").write_text(dump(one), encoding="utf-8")
    again = load_run(tmp_path / "resolved.yaml")
    assert (system_fingerprint(again), run_fingerprint(again)) == (
        system_fingerprint(one),
        run_fingerprint(one),
    )
    assert len(system_fingerprint(one)) == len(run_fingerprint(one)) == 12
