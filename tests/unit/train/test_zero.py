"""Which ZeRO configuration a run gets, and what may stand in it."""

import json
import re
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


def test_file_may_not_turn_off_the_gradient_s_norm(tmp_path: Path) -> None:
    """Steps with a gradient that is not finite, since nobody looks at it."""
    file = tmp_path / "z.json"
    file.write_text(json.dumps({"zero_optimization": {"stage": 2, "compute_grad_norm": False}}))
    with pytest.raises(ConfigError, match="compute_grad_norm"):
        read_zero(str(file))


def test_run_level_facts_are_injected() -> None:
    """DeepSpeed's own default of clipping at 1.0 where the run asks for none."""
    config = run(None, global_batch_size=24, max_grad_norm=None)
    content = engine_config({"zero_optimization": {"stage": 1}}, config, world_size=3)
    assert content["train_batch_size"] == 24
    assert content["train_micro_batch_size_per_gpu"] == 8
    assert content["gradient_clipping"] == 0.0
    assert content["bf16"] == {"enabled": True}


@pytest.mark.parametrize(
    ("zero", "said"),
    [
        ({"stage": 2, "offload_param": {"device": "cpu"}}, "offload_param needs ZeRO stage 3, this is 2"),
        (
            {"stage": 0, "offload_optimizer": {"device": "cpu"}},
            "offload_optimizer needs ZeRO stage 1, this is 0",
        ),
        ({"stage": 3, "offload_optimizer": {"device": "nvme"}}, "offload_optimizer.device is nvme"),
        ({"stage": 3, "offload_optimizer": {"device": "cpu", "ratio": 0.5}}, "offload_optimizer.ratio"),
        ({"stage": 3, "offload_optimizer": {"device": "cpu", "super_offload": True}}, "super_offload"),
    ],
)
def test_offload_that_can_not_be_is_refused(zero: dict[str, object], said: str, tmp_path: Path) -> None:
    """An assertion out of DeepSpeed on every rank, or an offload that it ignores."""
    file = tmp_path / "z.json"
    file.write_text(json.dumps({"zero_optimization": zero}))
    with pytest.raises(ConfigError, match=said) as error:
        read_zero(str(file))
    assert str(file) in str(error.value)


SHIPPED = sorted((ROOT / "ds_configs").glob("*.json"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_files_have_their_stage_and_are_known_to_deepspeed(file: Path) -> None:
    """A file that is named for one stage and holds another, or a misspelt key."""
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig

    zero = read_zero(str(file))["zero_optimization"]
    assert file.stem.startswith(f"zero{zero['stage']}")
    known = DeepSpeedZeroConfig.model_fields
    assert set(zero) <= set(known) | {field.alias for field in known.values()}
    assert ("offload_param" in zero, "offload_optimizer" in zero) == ("offload" in file.stem,) * 2
    assert ("zero_hpz_partition_size" in zero) == ("hpz" in file.stem)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_files_pass_deepspeed_s_own_parser(file: Path) -> None:
    """A value that DeepSpeed refuses, beside those that the run adds, or reads as something else."""
    from deepspeed.runtime.config import DeepSpeedConfig

    zero = read_zero(str(file))
    parsed = DeepSpeedConfig(engine_config(zero, run(None, global_batch_size=16), world_size=1))
    assert parsed.zero_optimization_stage == zero["zero_optimization"]["stage"]
    found = parsed.zero_config.model_dump(mode="json")
    for key, value in zero["zero_optimization"].items():
        alone = value["device"] if isinstance(value, dict) else value
        got = found[READ_AS.get(key, key)]
        assert (got["device"] if isinstance(got, dict) else got) == alone, key
    assert parsed.zero_force_ds_cpu_optimizer is False


READ_AS = {
    "stage3_prefetch_bucket_size": "prefetch_bucket_size",
    "stage3_param_persistence_threshold": "param_persistence_threshold",
    "stage3_max_live_parameters": "max_live_parameters",
    "stage3_max_reuse_distance": "max_reuse_distance",
    "stage3_gather_16bit_weights_on_model_save": "gather_16bit_weights_on_model_save",
}
"""DeepSpeed's fields that have another name in files."""


def test_shipped_files_hold_the_partitioning_alone_and_are_all_explained() -> None:
    """A batch size, a precision or an optimizer in two places; a file that README.md leaves out."""
    for file in SHIPPED:
        assert list(json.loads(file.read_text(encoding="utf-8"))) == ["zero_optimization"]
    readme = (ROOT / "ds_configs/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.json)` \| (.+) \| (.+) \|$", readme, flags=re.M)
    assert sorted(name for name, *_ in rows) == [file.name for file in SHIPPED]
    keys = {key for file in SHIPPED for key in read_zero(str(file))["zero_optimization"]} - {"stage"}
    assert [key for key in sorted(keys) if f"`{key}`" not in readme] == []


@pytest.mark.parametrize(
    ("name", "launcher"),
    [
        ("qwen3_4b_lora", "one_node_zero1"),
        ("qwen3_8b_lora", "one_node_zero1"),
        ("qwen3_4b_full", "one_node_zero2"),
        ("qwen3_8b_full", "several_nodes_zero3_hpz"),
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
