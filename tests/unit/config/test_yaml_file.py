"""YAML that would take the memory, the time or the stack of whoever reads it."""

from pathlib import Path

import pytest

from distributed_hbt.config import yaml_file
from distributed_hbt.errors import ConfigError

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(LAUGHS, "holds more than 100000 values", id="billion laughs"),
        pytest.param("a: &a [*a]", "recursive|nested too deeply|more than", id="itself"),
        pytest.param("a: &a {b: *a}", "recursive|nested too deeply|more than", id="itself in a mapping"),
        pytest.param("a: " + "[" * 200 + "]" * 200, "nested too deeply", id="deep"),
        pytest.param("a: " + "[" * 100_000, "nested too deeply", id="deep and open"),
        pytest.param("{a: " * 5000, "nested too deeply", id="deep mappings"),
        pytest.param("a: 1\nb: 2\na: 3", r"run\.yaml:3: .*key 'a' stands twice", id="twice"),
        pytest.param("? [a, b]\n: 1", "a list is no key", id="a list as a key"),
        pytest.param("a: !!python/object/apply:os.system [touch /tmp/x]", "could not determine", id="python"),
        pytest.param("a: !!binary x", "is not YAML", id="binary"),
        pytest.param("a: " + "9" * 5000, "is not YAML", id="a huge number"),
        pytest.param("- a\n- b", "holds no mapping", id="a list"),
        pytest.param("a: b\n---\nc: d", "is not YAML", id="two documents"),
        pytest.param("#" + "x" * 2**22, "characters", id="long"),
    ],
)
def test_it_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    """A machine that is out of memory, or a RecursionError, for a file of a kilobyte."""
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        yaml_file.read(file)
    assert "\n" not in str(caught.value)


def test_many_keys_are_read_in_no_time(tmp_path: Path) -> None:
    """Every key compared with all before it: minutes for a file of a megabyte."""
    file = tmp_path / "run.yaml"
    file.write_text("a:\n" + "".join(f"  k{i}: 1\n" for i in range(10_000)), encoding="utf-8")
    assert len(yaml_file.read(file)["a"]) == 10_000


def test_anchors_that_stay_small_are_taken(tmp_path: Path) -> None:
    """Aliases are YAML, and useful."""
    file = tmp_path / "run.yaml"
    file.write_text("a: &a {b: 1}\nc: *a\nd: [*a, *a]\n", encoding="utf-8")
    assert yaml_file.read(file) == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}, {"b": 1}]}
