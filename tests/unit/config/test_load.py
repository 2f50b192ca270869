"""Loading, overriding, refusing, resolving."""

from pathlib import Path

import pytest

from distributed_hbt.config.load import differing_fields, dump, flatten, load_run
from distributed_hbt.config.paths import check_inputs
from distributed_hbt.errors import ConfigError

MINIMAL = """
name: t
model:
  architecture: {model_type: qwen3, hidden_size: 64}
  tokenizer: {train: {vocab_size: 400}}
data:
  sources:
    - {format: hbt_jsonl, path: train.jsonl}
"""


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    (tmp_path / "train.jsonl").touch()
    file = tmp_path / "run.yaml"
    file.write_text(MINIMAL, encoding="utf-8")
    return file


def test_defaults_are_the_documented_ones(run_file: Path) -> None:
    """A default that drifts from the contract."""
    config = load_run(run_file)
    assert config.seed == 13
    assert (config.sampling.strategy, config.sampling.alpha) == ("hybrid", 0.5)
    assert (config.model.query_prompt, config.model.passage_prompt) == ("Query: ", "Passage: ")
    assert (config.train.global_batch_size, config.train.temperature) == (1024, 0.02)
    assert config.evaluation.depth == 1000


def test_overrides_reach_nested_fields_and_lists(run_file: Path) -> None:
    """An override of a list item or of a section that is null that is dropped."""
    (run_file.parent / "other.jsonl").touch()
    config = load_run(
        run_file,
        [
            "model.lora.rank=8",
            "data.sources.0.path=other.jsonl",
            "train.learning_rate=1e-4",
            "train.betas=[0.9, 0.95]",
        ],
    )
    assert config.model.lora is not None
    assert config.model.lora.rank == 8
    assert config.train.learning_rate == 1e-4
    assert config.train.betas == (0.9, 0.95)
    assert config.model_dump()["data"]["sources"][0]["path"] == str(run_file.parent / "other.jsonl")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.learnin_rate=3", "train.learnin_rate: unknown key; did you mean train.learning_rate?"),
        ("data.sources.0.pth=x", "data.sources.0.pth: unknown key; did you mean data.sources.0.path?"),
        ("trian.max_steps=3", "trian: unknown key; did you mean train?"),
        ("model.tokenizer.train.vocab=9", "model.tokenizer.train.vocab: unknown key"),
        ("data.sources.0.format=xml", "data.sources.0.format: 'xml' is not known; choose one of"),
        ("evaluation.benchmarks=[{name: squad}]", "evaluation.benchmarks.0.name: 'squad' is not known"),
        ("sampling.alpha=1.5", "sampling.alpha: 1.5 does not fit; input should be less than or equal to 1"),
        ("sampling.alpha=-0.1", "sampling.alpha: -0.1 does not fit"),
        ("train.max_steps=0", "train.max_steps: 0 does not fit; input should be greater than or equal to 1"),
        ("train.checkpoint_every=0", "train.checkpoint_every: 0 does not fit"),
        ("train.max_steps=ten", "train.max_steps: 'ten' does not fit; input should be a valid integer"),
        ("train.max_steps=1.5", "train.max_steps: 1.5 does not fit"),
        ("train.symmetric=1", "train.symmetric: 1 does not fit"),
        ("train.temperature=0", "train.temperature: 0 does not fit; input should be greater than 0"),
        ("train.temperature=.inf", "train.temperature: inf does not fit"),
        ("seed=-1", "seed: -1 does not fit"),
        ("name=a/b", "name: 'a/b' does not fit"),
        ("name=", "name: None does not fit"),
        ("model.base=x", "model: exactly one of base and architecture is needed"),
        ("model.tokenizer=null", "model: architecture comes without a tokenizer; set model.tokenizer"),
        ("model.architecture.model_type=bert", "model: attention: causal does not fit a bert"),
        ("model.pooling=first", "model.pooling: 'first' does not fit"),
        ("model.lora={rank: 0}", "model.lora.rank: 0 does not fit"),
        ("model.lora={layers: [3, 1]}", "model.lora: layers [3, 1] is no range"),
        ("model.matryoshka_dimensions=[8, 8]", "model: matryoshka_dimensions repeats a value"),
        ("sampling={strategy: x_y, languages: [en]}", "sampling: strategy x_y needs two languages"),
        ("sampling={strategy: en_en, languages: [de]}", "sampling: strategy en_en needs English"),
        ("sampling.language_distribution=0.5", "sampling: language_distribution: temperature 0.5 is below 1"),
        (
            "evaluation.every=7",
            "run configuration: evaluation.every 7 is no multiple of train.checkpoint_every",
        ),
        ("train.loss=printed", "run configuration: train.loss printed has only hard negatives"),
        ("train.distillation={weight: 1.0}", "run configuration: train.distillation compares the passages"),
        ("train.distillation={weight: 0}", "train.distillation.weight: 0 does not fit"),
        ("train.profile_steps=[4, 4]", "train: profile_steps [4, 4] is no range"),
        ("data.sources=[]", "data.sources: [] does not fit"),
        ("data.max_bad_share=2", "data.max_bad_share: 2 does not fit"),
        ("data.sources.3.path=x", "data.sources.3: is a list of 1 items; name one by its position from 0"),
        ("name.first=x", "name: holds 't', which has no keys below it; override it as a whole"),
        ("train.max_steps", "command line: 'train.max_steps' is no key=value"),
        ("train.max_steps=[1", "train.max_steps:1: is not YAML"),
    ],
)
def test_refused_with_its_full_path_and_a_remedy(run_file: Path, override: str, message: str) -> None:
    """A wrong value that passes, or a message that does not say where."""
    with pytest.raises(ConfigError) as error:
        load_run(run_file, [override])
    assert str(error.value).startswith(message)
    assert "; " in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: t\nname: u\n", ":2: is not YAML: key 'name' stands twice"),
        ("name: [t\n", ":2: is not YAML"),
        ("- a\n- b\n", "holds no mapping of keys to values"),
        ("", "holds no mapping of keys to values"),
        ("name: t\noutput_dir: ${HBT_NOT_SET_ANYWHERE}/x\n", "output_dir: environment variable"),
    ],
)
def test_file_that_is_no_run_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A repeated key of which the last silently wins; a variable that silently becomes empty."""
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_run(file)
    assert message in str(error.value)


def test_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """A traceback out of the decoder."""
    file = tmp_path / "run.yaml"
    file.write_bytes(b"name: \xff\n")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_run(file)


def test_yaml_surprises_are_off(run_file: Path) -> None:
    """Norwegian read as false, 1e-5 read as text."""
    config = load_run(run_file, ["sampling.languages=[no, en]", "train.learning_rate=1e-5"])
    assert config.sampling.languages == ("no", "en")
    assert config.train.learning_rate == 1e-5


def test_resolved_configuration_loads_to_the_same(run_file: Path, tmp_path: Path) -> None:
    """A resolved config.yaml that means something else than what ran."""
    config = load_run(run_file, ["model.lora.layers=[0, 2]", "train.max_grad_norm=null"])
    again = tmp_path / "elsewhere" / "config.yaml"
    again.parent.mkdir()
    again.write_text(dump(config), encoding="utf-8")
    assert load_run(again) == config


def test_paths_are_taken_from_data_root_then_from_the_run_file(run_file: Path, tmp_path: Path) -> None:
    """A data root that is ignored, or that hides the run file's own neighbours."""
    root = tmp_path / "root"
    (root / "xquad").mkdir(parents=True)
    (root / "xquad" / "en.json").touch()
    config = load_run(
        run_file,
        [
            f"data.root={root}",
            'data.sources=[{format: squad, path: "xquad/{language}.json", languages: [en]}]',
            "evaluation.benchmarks=[{name: xquad_r, root: xquad}]",
        ],
    )
    assert config.model_dump()["data"]["sources"][0]["path"] == f"{root}/xquad/{{language}}.json"
    assert config.evaluation.benchmarks[0].root == f"{root}/xquad"
    check_inputs(config)


def test_missing_input_names_its_field(run_file: Path) -> None:
    """A run that starts workers before it notices that a file is absent."""
    config = load_run(run_file, ["data.sources.0.path=absent.jsonl"])
    with pytest.raises(ConfigError, match=r"data\.sources\.0\.path: nothing is found at absent\.jsonl"):
        check_inputs(config)


def test_hub_names_pass_the_path_check(run_file: Path) -> None:
    """A hub model refused because no folder has its name."""
    config = load_run(
        run_file,
        [
            "model={base: Qwen/Qwen3-4B-Base}",
            'data.sources=[{format: hbt_jsonl, path: "hf://datasets/a/b/c.jsonl"}]',
        ],
    )
    check_inputs(config)


def test_differing_fields_are_named(run_file: Path) -> None:
    """A changed run that is taken for the same."""
    one = load_run(run_file)
    other = load_run(run_file, ["train.learning_rate=3e-5", "model.lora.rank=4"])
    assert differing_fields(one, one) == []
    assert differing_fields(one, other) == ["model.lora", "train.learning_rate"]


def test_configuration_is_frozen(run_file: Path) -> None:
    """A component that changes the configuration under the others."""
    config = load_run(run_file)
    with pytest.raises(ValueError, match="frozen"):
        config.train.max_steps = 5  # type: ignore[misc]


def test_flattened_names_are_dotted(run_file: Path) -> None:
    """Parameters that a tracking page can not group."""
    flat = flatten(load_run(run_file))
    assert flat["train.max_steps"] == 1000
    assert flat["model.architecture.hidden_size"] == 64
