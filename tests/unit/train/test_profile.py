"""The table of a profile."""

import pytest

from distributed_hbt.train.profile import as_table, step_times


def test_times_are_means_of_steps_and_add_up() -> None:
    """Sums shown as means, or time that is in no phase and then nowhere."""
    times = step_times({"data": 1.0, "forward": 4.0}, [3.0, 5.0], collectives=0.5)
    assert times["steps"] == 2
    assert times["seconds"] == pytest.approx({"data": 0.5, "forward": 2.0, "rest": 1.5, "step": 4.0})
    assert times["collectives"] == pytest.approx(0.25)
    assert "forward                       2.0000   50.0%" in as_table(times)
