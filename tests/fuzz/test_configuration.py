"""Run files, study files and resolved configurations, damaged."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.cases import Tally, Target, faults_of, run
from tests.fuzz.conftest import FuzzOf
from tests.fuzz.counts import cases
from tests.fuzz.damage import changed

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "launchers" / "runs").glob("*.yaml"))
OUTCOMES = ("works", "one line")


@cases(20, 500)
def test_a_damaged_run_file(fuzzed: FuzzOf, tmp_path: Path, first: int, stop: int) -> None:
    """A traceback of the YAML parser or of the validation, or endless work on a small file."""
    files = []
    for shipped in SHIPPED:
        files.append(tmp_path / shipped.name)
        files[-1].write_bytes(shipped.read_bytes())
    for position, file in enumerate(files):
        target = Target("run file", (file,), lambda out, file=file: ["show-config", str(file)])
        fuzzed(target, range(first, stop)[position :: len(files)])


def leaf_paths(content: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(content, dict | list) and content:
        items = content.items() if isinstance(content, dict) else enumerate(content)
        return [path for key, value in items for path in [(*prefix, key), *leaf_paths(value, (*prefix, key))]]
    return []


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["../../x", "/etc/passwd", "\x00", "${HOME}", "hf://datasets/x", "1e999", "~", "{language}"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def one_value_exchanged(tally: Tally, tmp_path: Path, examples: int) -> None:
    contents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in SHIPPED]
    places = [(i, path) for i, content in enumerate(contents) for path in leaf_paths(content)]
    file = tmp_path / "run.yaml"

    @settings(max_examples=examples)
    @given(st.sampled_from(places), VALUES)
    def check(place: tuple[int, tuple[Any, ...]], value: Any) -> None:
        number, path = place
        content = json.loads(json.dumps(contents[number]))
        here = content
        for part in path[:-1]:
            here = here[part]
        here[path[-1]] = value
        file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
        outcome = run(["show-config", str(file)])
        found = list(faults_of(outcome))
        tally.counts["run file, one value", "FAULT" if found else OUTCOMES[outcome.code != 0]] += 1
        assert not found, (place, value, found)

    check()


def test_one_value_of_a_run_file_exchanged(tally: Tally, tmp_path: Path) -> None:
    """A check across fields that trusts what the check of a field has let through."""
    one_value_exchanged(tally, tmp_path, 25)


@pytest.mark.fuzz
def test_many_values_of_a_run_file_exchanged(tally: Tally, tmp_path: Path) -> None:
    """As above."""
    one_value_exchanged(tally, tmp_path, 400)


@cases(10, 200)
def test_damaged_overrides(tally: Tally, first: int, stop: int) -> None:
    """An override that is no key, no YAML, or goes into what has no keys."""
    content = yaml.safe_load(SHIPPED[0].read_text(encoding="utf-8"))
    places = leaf_paths(content)
    for seed in range(first, stop):
        rng = random.Random(f"override:{seed}")
        place = rng.choice(places)
        key = "".join(c for c in ".".join(map(str, place)) if rng.random() > 0.02)
        here = content
        for part in place:
            here = here[part]
        value = json.dumps(changed(here, rng) if rng.random() < 0.7 else here)[: rng.choice((3, 30, 300))]
        outcome = run(["show-config", str(SHIPPED[0]), f"{key}={value}"])
        found = list(faults_of(outcome))
        tally.counts["override", "FAULT" if found else OUTCOMES[outcome.code != 0]] += 1
        assert not found, (key, value, found)


@cases(2, 60)
def test_a_damaged_study_file(fuzzed: FuzzOf, tmp_path: Path, first: int, stop: int) -> None:
    """A matrix that is no matrix."""
    (tmp_path / "runs").mkdir()
    for run_file in SHIPPED:
        (tmp_path / "runs" / run_file.name).write_bytes(run_file.read_bytes())
    (tmp_path / "studies").mkdir()
    file = tmp_path / "studies" / "alpha.yaml"
    file.write_bytes((ROOT / "launchers" / "studies" / "alpha.yaml").read_bytes())
    fuzzed(Target("study file", (file,), lambda out: ["study", str(file), "--plan"]), range(first, stop))
