"""From a study file to its runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from distributed_hbt.config.study import load_study
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.studies.listing import plan_as_json, plan_as_text
from distributed_hbt.studies.plan import StudyPlan, plan_study

ROOT = Path(__file__).resolve().parents[3]
RUN = {
    "name": "base",
    "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 400}}},
    "data": {"sources": [{"format": "hbt_jsonl", "path": "rows.jsonl"}]},
    "train": {"max_steps": 10, "checkpoint_every": 10},
}
STUDY = {
    "name": "small",
    "question": "Does it?",
    "run": "run.yaml",
    "set": {"train.learning_rate": 0.5},
    "vary": {
        "size": {"values": {"thin": {"model.architecture.hidden_size": 8}, "wide": {}}},
        "alpha": {
            "number": "alpha",
            "values": {name: {"sampling.alpha": float(name)} for name in ("0", "0.5", "1")},
        },
    },
    "seeds": [1, 2],
    "measures": ["mono:AP"],
}


def planned(folder: Path, *overrides: str, **study: Any) -> StudyPlan:
    (folder / "run.yaml").write_text(yaml.safe_dump(RUN))
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump({**STUDY, "output_dir": str(folder / "out"), **study}, sort_keys=False))
    config, of_runs = load_study(file, overrides)
    return plan_study(config, file, of_runs)


def test_every_combination_is_run_with_every_seed(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert plan.systems == ("thin 0", "thin 0.5", "thin 1", "wide 0", "wide 0.5", "wide 1")
    assert [run.config.seed for run in plan.of_system("thin 0.5")] == [1, 2]
    one = plan.of_system("thin 0.5")[0]
    assert (one.group, one.number) == ("thin", 0.5)
    assert one.config.sampling.alpha == 0.5
    assert one.config.train.learning_rate == 0.5
    assert one.config.model.architecture == {"model_type": "qwen3", "hidden_size": 8}
    assert len({run.config.name for run in plan.runs}) == 12


def test_overrides_hold_for_all_runs_and_for_the_study(tmp_path: Path) -> None:
    plan = planned(tmp_path, "train.learning_rate=0.25", "study.seeds=[7]")
    assert {run.config.seed for run in plan.runs} == {7}
    assert {run.config.train.learning_rate for run in plan.runs} == {0.25}


def test_an_edited_study_keeps_the_runs_that_did_not_change(tmp_path: Path) -> None:
    """Names hold the fingerprint: another learning rate is another run, another seed one more."""
    before = {run.config.name for run in planned(tmp_path).runs}
    assert before < {run.config.name for run in planned(tmp_path, "study.seeds=[1,2,3]").runs}
    assert not before & {run.config.name for run in planned(tmp_path, "train.learning_rate=0.25").runs}


def test_runs_may_start_from_the_encoder_of_another(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        first={"pretrained": {"train.max_steps": 20, "train.checkpoint_every": 20}},
        vary={
            "start": {
                "values": {
                    "from it": {
                        "model.base": "{first.pretrained}",
                        "model.architecture": None,
                        "model.tokenizer": None,
                    }
                }
            }
        },
    )
    [first] = plan.first
    encoder = RunDirectory(first.config.run_dir).checkpoint(20) / "encoder"
    assert {run.config.model.base for run in plan.runs} == {str(encoder)}


def test_the_plan_says_what_is_finished(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    directory = RunDirectory(plan.runs[0].config.run_dir)
    directory.path.mkdir(parents=True)
    directory.finished.touch()
    assert [run["finished"] for run in plan_as_json(plan)] == [True, *[False] * 11]
    assert plan_as_text(plan).splitlines()[0] == f"finished {plan.runs[0].config.name}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "nobody"}, "baseline: nobody is no system; choose from thin 0"),
        ({"pairs": [["thin 0", "x"]]}, "pairs: x is no system"),
        ({"baseline": "thin 0", "pairs": [["thin 0", "wide 0"]]}, "baseline and pairs are both given"),
        ({"seeds": [1, 1]}, "seeds repeats a seed"),
        ({"measures": ["AP"]}, r"measures\.0: 'AP' does not fit"),
        ({"sead": 1}, "sead: unknown key; did you mean seeds"),
        ({"set": {"train.max_stops": 1}}, r"study\.yaml: thin 0: train\.max_stops: unknown key"),
        ({"vary": {"a": {"number": "a", "values": {"x": {}}}}}, r"vary\.a: the value 'x' is no number"),
        (
            {"curve": {"fit": "log_linear", "measures": ["mono:AP"]}},
            r"curve\.fit: log_linear takes a logarithm",
        ),
        ({"set": {"model.base": "{first.none}"}}, "first: has no run 'none'"),
    ],
)
def test_a_study_that_can_not_be_run_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, **change)


def test_an_override_of_no_field_of_the_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'study\.vary\.x=1' sets no field of a study"):
        planned(tmp_path, "study.vary.x=1")


STUDIES = sorted((ROOT / "launchers/studies").glob("*.yaml"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda path: path.stem)
def test_shipped_studies_are_planned(file: Path) -> None:
    """A study left behind by a renamed field; names that differ from the file's."""
    study, _ = load_study(file)
    plan = plan_study(study, file)
    assert study.name == file.stem
    assert len(study.seeds) >= 3
    assert len(plan.systems) >= 2


def test_each_question_has_a_form_for_a_cluster_and_a_small_one() -> None:
    names = {path.stem for path in STUDIES}
    questions = {name for name in names if not name.endswith("_small")}
    assert len(questions) == 7
    assert names == questions | {f"{name}_small" for name in questions}
