"""What counts as growth in a long run."""

import pytest

from benchmarks.soak_growth import Sample, growths, table


def samples(**grown: float) -> list[Sample]:
    """A process over 100 s that settles in the first half; `grown` adds to a measure over the second."""
    return [
        Sample(
            seconds=float(second),
            step=second * 10,
            process="rank 0",
            rss_mb=500 + min(second, 30) * 10 + grown.get("rss_mb", 0) * max(0, second - 50) / 50,
            files=40 + (300 if second == 75 else 0) + int(grown.get("files", 0) * max(0, second - 50) / 50),
            threads=20 + second % 3,
        )
        for second in range(101)
    ]


def test_what_has_settled_does_not_grow() -> None:
    """Caches that fill at the start, a peak in the middle, or a number that goes up and down, taken for a
    leak."""
    assert not any(growth.grows for growth in growths(samples()))


@pytest.mark.parametrize(("measure", "more"), [("rss_mb", 40), ("files", 5)])
def test_what_grows_is_named(measure: str, more: float) -> None:
    """A leak that is small beside the level."""
    found = growths(samples(**{measure: more}))
    assert [growth.measure for growth in found if growth.grows] == [measure]
    assert "GROWS" in table(found)


def test_a_process_that_came_late_or_left_early_is_not_judged() -> None:
    """The start of a process that is taken for a leak."""
    late = [s._replace(process="late", rss_mb=s.seconds) for s in samples() if s.seconds > 80]
    assert {growth.process for growth in growths([*samples(), *late])} == {"rank 0"}


def test_too_few_samples_say_nothing() -> None:
    """A run that was too short and passes."""
    with pytest.raises(ValueError, match="too few"):
        growths(samples()[::5])
