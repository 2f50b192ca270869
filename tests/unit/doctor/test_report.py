"""One check that breaks; lines, JSON and verdict."""

import json

from distributed_hbt.doctor.examine import CHECKS, examine
from distributed_hbt.doctor.finding import Finding, Subject
from distributed_hbt.doctor.report import as_json, has_failed, line, verdict
from distributed_hbt.errors import ConfigError
from tests.unit.doctor.conftest import Examined

GOOD = Finding("disk", "ok", "fast")
ODD = Finding("gpus", "warning", "odd", "update the driver")
BAD = Finding("ray", "failure", "gone", "start it")


def _breaks(subject: Subject) -> list[Finding]:
    raise ZeroDivisionError("division\nby zero")


def _refuses(subject: Subject) -> list[Finding]:
    raise ConfigError("model.base", "is no model", "name one")


def test_a_check_that_breaks_is_a_failure_and_the_others_go_on() -> None:
    """A doctor that dies of the illness, or says nothing of it."""
    checks = {"one": _breaks, "two": _refuses, "three": lambda subject: [GOOD]}
    broken, refused, good = examine(Subject(), checks)
    assert (broken.check, broken.status) == ("one", "failure")
    assert "ZeroDivisionError: division by zero" in broken.text
    assert refused == Finding("two", "failure", "model.base: is no model", "name one")
    assert good == GOOD


def test_a_line_has_status_check_text_and_remedy() -> None:
    """A finding over several lines, which no grep finds."""
    assert line(Finding("disk", "warning", "is\nslow", "take\nanother")) == (
        "warning  disk           is slow; take another"
    )


def test_only_a_failure_ends_a_run(examined: Examined) -> None:
    """A warning that stops a job in a pipeline; a failure that does not."""
    assert not has_failed([GOOD, ODD])
    assert has_failed([GOOD, BAD, ODD])
    assert verdict(examined(), [GOOD, ODD, ODD]) == "1 ok, 2 warnings, 0 failures: tiny can start"
    assert verdict(examined(), [BAD]) == "0 ok, 0 warnings, 1 failure: tiny would fail"
    assert verdict(Subject(), [BAD]) == "0 ok, 0 warnings, 1 failure"


def test_json_has_what_programs_read(examined: Examined) -> None:
    """A key that was renamed."""
    assert json.loads(as_json(examined(address="auto"), [BAD])) == {
        "run": "tiny",
        "address": "auto",
        "ok": False,
        "findings": [{"check": "ray", "status": "failure", "text": "gone", "remedy": "start it"}],
    }
    assert json.loads(as_json(Subject(), []))["run"] is None


def test_every_check_of_the_issue_is_made() -> None:
    """A check that was written and never listed."""
    assert set(CHECKS) == {
        *("settings", "packages", "gpus", "compiler", "loopback", "shared memory", "open files", "disk"),
        *("locks", "data", "model", "ray", "mlflow"),
    }
