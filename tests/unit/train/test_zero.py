"""Which ZeRO configuration a run gets, and what may stand in it."""

import json
from pathlib import Path

import pytest
import yaml

from distributed_hbt.config.load import load_run, validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.train.zero import RUN_OWNED, engine_config, read_zero, with_deepspeed

ROOT = Path(__file__).resolve().parents[3]


def run(deepspeed: str | None, **train: object) -> RunConfig:
    return validate(
        {
            "name": "t",
            "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": "t"},
            "data": {"sources": [{"format": "hbt_jsonl", "path": "x"}]},
            "train": {"deepspeed": deepspeed, **train},
        }
    )


def launched_with(file: Path) -> dict[str, str]:
    return {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(file)}


def test_run_without_one_takes_the_launcher_s() -> None:
    """The launcher's ZeRO-3 silently replaced by a default."""
    file = ROOT / "ds_configs/zero3.json"
    settled = with_deepspeed(run(None), launched_with(file))
    assert settled.train.deepspeed == str(file)


def test_other_configuration_of_the_launcher_is_refused_with_both_names() -> None:
    """One of two ZeRO configurations silently preferred."""
    own, other = ROOT / "ds_configs/zero2.json", ROOT / "ds_configs/zero3.json"
    with pytest.raises(ConfigError) as error:
        with_deepspeed(run(str(own)), launched_with(other))
    assert str(own) in str(error.value)
    assert str(other) in str(error.value)


def test_bare_stage_of_the_launcher_must_agree() -> None:
    """An accelerate configuration with zero_stage and no file goes unseen."""
    bare = {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}
    with pytest.raises(ConfigError, match="ZeRO stage 3"):
        with_deepspeed(run(str(ROOT / "ds_configs/zero2.json")), bare)
    with_deepspeed(run(str(ROOT / "ds_configs/zero3.json")), bare)


def test_use_cpu_is_refused() -> None:
    """accelerate's use_cpu, with which every rank silently trains alone and without DeepSpeed."""
    with pytest.raises(ConfigError, match="use_cpu: true silently switches DeepSpeed off"):
        with_deepspeed(run(None), {"ACCELERATE_USE_CPU": "true"})


@pytest.mark.parametrize("key", sorted(RUN_OWNED))
def test_file_may_not_restate_what_the_run_owns(key: str, tmp_path: Path) -> None:
    """A micro batch in two places, of which one is not obeyed."""
    file = tmp_path / "z.json"
    file.write_text(json.dumps({"zero_optimization": {"stage": 1}, key: 1}))
    with pytest.raises(ConfigError, match=key):
        read_zero(str(file))


def test_run_level_facts_are_injected() -> None:
    """DeepSpeed's own default of clipping at 1.0 where the run asks for none."""
    config = run(None, global_batch_size=24, max_grad_norm=None)
    content = engine_config({"zero_optimization": {"stage": 1}}, config, world_size=3)
    assert content["train_batch_size"] == 24
    assert content["train_micro_batch_size_per_gpu"] == 8
    assert content["gradient_clipping"] == 0.0
    assert content["bf16"] == {"enabled": True}


@pytest.mark.parametrize("file", sorted((ROOT / "ds_configs").glob("*.json")), ids=lambda file: file.stem)
def test_shipped_files_have_their_stage_and_are_known_to_deepspeed(file: Path) -> None:
    """A file that is named for one stage and holds another, or a misspelt key; README.md leaves one out."""
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    zero = read_zero(str(file))["zero_optimization"]
    assert file.stem.startswith(f"zero{zero['stage']}")
    known = DeepSpeedZeroConfig.model_fields
    assert set(zero) <= set(known) | {field.alias for field in known.values()}
    DeepSpeedZeroConfig(**zero)
    assert f"`{file.name}`" in (ROOT / "ds_configs/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "launcher"),
    [
        ("qwen3_4b_lora", "gpu_zero1"),
        ("qwen3_8b_lora", "gpu_zero1"),
        ("qwen3_4b_full", "gpu_zero2"),
        ("qwen3_8b_full", "gpu_zero3_hpz"),
    ],
)
def test_large_runs_go_with_their_accelerate_configuration(name: str, launcher: str) -> None:
    """A run that accelerate's launcher refuses, since both name a file; LoRA on a partitioned base."""
    config = load_run(ROOT / f"launchers/runs/{name}.yaml")
    accelerate = yaml.safe_load((ROOT / f"launchers/accelerate/{launcher}.yaml").read_text(encoding="utf-8"))
    with_deepspeed(config, launched_with(ROOT / accelerate["deepspeed_config"]["deepspeed_config_file"]))
    assert config.cluster.num_workers == accelerate["num_processes"]
    assert config.train.deepspeed is not None
    stage = read_zero(config.train.deepspeed)["zero_optimization"]["stage"]
    assert stage == 1 or config.model.lora is None
