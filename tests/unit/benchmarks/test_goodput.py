"""benchmarks/goodput.py from lengths to a plot, and figures of docs/goodput.md made again."""

import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.programs import ROOT

PAGE = ROOT / "docs" / "goodput.md"


@pytest.fixture
def goodput(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """The program as a module; its neighbours are found as when it is started."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import goodput

    yield goodput
    for name in ("goodput", "goodput_plots"):
        sys.modules.pop(name)


def test_a_curve_becomes_a_picture(goodput, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Points beside the formula's line; an empty or broken file."""
    curve = goodput.curve(4096, 20.0)
    of_formula = np.interp([p[0] for p in curve.simulated], *zip(*curve.formula, strict=True))
    near = [abs(median - known) for (_, _, median, _), known in zip(curve.simulated, of_formula, strict=True)]
    assert max(near[:5]) < 1.0
    goodput.draw_intervals(tmp_path / "plot.png", [curve])
    width, height = struct.unpack(">II", (tmp_path / "plot.png").read_bytes()[16:24])
    assert width > height > 300


def test_the_page_says_what_the_assumptions_give(goodput) -> None:  # type: ignore[no-untyped-def]
    """An assumption that was changed, and the table of the page was not."""
    rows = re.findall(r"^\| ([\d,]+) \| (.+?) \|\s*$", PAGE.read_text(encoding="utf-8"), flags=re.M)
    table = {int(gpus.replace(",", "")): cells.split(" | ") for gpus, cells in rows if " h | " in cells}
    assert set(table) == set(goodput.SIZES)
    for gpus, cells in table.items():
        one = goodput.Assumptions(gpus=gpus)
        times = (one.mttf, one.checkpoint_cost, one.restart, one.best_interval)
        assert cells[:4] == [goodput.duration(seconds) for seconds in times]
        assert cells[5] == f"{100 * goodput.formula(one, one.best_interval):.2f}"
