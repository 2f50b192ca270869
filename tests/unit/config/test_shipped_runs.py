"""Every run file that the project ships loads and validates."""

from pathlib import Path

import pytest

from distributed_hbt.config.load import load_run

ROOT = Path(__file__).resolve().parents[3]
RUNS = sorted((ROOT / "launchers/runs").glob("*.yaml"))


@pytest.mark.parametrize("run_file", RUNS, ids=lambda path: path.stem)
def test_shipped_run_loads(run_file: Path) -> None:
    """A run file left behind by a renamed field; a ds_configs file that is not there."""
    config = load_run(run_file)
    assert config.name == run_file.stem
    if config.train.deepspeed is not None:
        assert Path(config.train.deepspeed).is_file()
    assert config.train.global_batch_size % config.cluster.num_workers == 0


def test_the_real_thing_is_shipped() -> None:
    """A 3B to 4B and a 7B to 8B decoder, full and LoRA, and the paper's two encoders."""
    configs = [load_run(path) for path in RUNS]
    found = {(config.model.base, config.model.lora is not None) for config in configs}
    for base in ("Qwen/Qwen3-4B-Base", "Qwen/Qwen3-8B-Base"):
        assert {(base, True), (base, False)} <= found
    paper = [config for config in configs if config.name in ("xlmr_paper", "labse_paper")]
    assert {c.model.base for c in paper} == {"FacebookAI/xlm-roberta-base", "sentence-transformers/LaBSE"}
    for config in paper:
        assert (config.train.global_batch_size, config.train.learning_rate) == (100, 3e-5)
