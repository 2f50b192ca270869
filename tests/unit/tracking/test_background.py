"""The thread that writes."""

import logging
import threading
import time
from collections.abc import Sequence

import pytest

from distributed_hbt.tracking.background import BackgroundWriter


def test_everything_arrives_in_order_and_in_batches() -> None:
    """Numbers that wait at the end of a run would be lost; one call a number would never catch up."""
    gate = threading.Event()
    seen: list[list[int] | str] = []

    def write(batch: Sequence[int]) -> None:
        gate.wait(10)
        seen.append(list(batch))

    writer = BackgroundWriter(write, batch_size=4)
    writer.put([0])
    time.sleep(0.1)  # the thread is now inside `write`, and the rest waits
    for i in range(1, 7):
        writer.put([i])
    writer.call(lambda: seen.append("job"))
    writer.put([7])
    gate.set()
    assert writer.close(10) == 0
    assert seen == [[0], [1, 2, 3, 4], [5, 6], "job", [7]]


def test_a_slow_store_does_not_block() -> None:
    """A step would wait for the network."""
    gate = threading.Event()
    opened: list[bool] = []
    writer = BackgroundWriter(lambda batch: opened.append(gate.wait(60)), batch_size=10)
    for i in range(1000):
        writer.put([i])
    assert opened == []  # a thousand steps are through, and not one write has ended
    gate.set()
    assert writer.close(10) == 0


def test_a_store_that_fails_for_a_while_loses_nothing() -> None:
    """A locked database or a restarted server must not cost numbers."""
    seen: list[int] = []
    faults = [OSError("locked"), OSError("locked")]

    def write(batch: Sequence[int]) -> None:
        if faults:
            raise faults.pop()
        seen.extend(batch)

    writer = BackgroundWriter(write, batch_size=10, pauses=(0.01, 0.01))
    writer.put([1, 2])
    assert writer.close(10) == 0
    assert seen == [1, 2]


def test_a_store_that_is_away_for_long_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A server that is away for longer than a few attempts, while it is moved or upgraded: the numbers of
    that time would be gone, and those that came after them would be there."""
    seen: list[int | str] = []
    failures = iter(range(40))

    def write(batch: Sequence[int]) -> None:
        if next(failures, None) is not None:
            raise OSError("refused")
        seen.extend(batch)

    writer = BackgroundWriter(write, batch_size=10, pauses=(0.001, 0.002), is_away=lambda: not seen)
    with caplog.at_level(logging.INFO):
        writer.put([1, 2])
        writer.call(lambda: seen.append("job"))
        writer.put([3])
        assert writer.close(10) == 0
    assert seen == [1, 2, "job", 3]
    assert [record.getMessage() for record in caplog.records] == [
        "tracking: MLflow can not be reached (refused); what is logged waits",
        "tracking: MLflow is back",
    ]


def test_what_a_store_refuses_does_not_hold_up_the_rest() -> None:
    """One file that no store takes, and not a number after it is kept while the run goes on."""
    written = threading.Event()
    away = iter([True, True])

    def refused() -> None:
        raise OSError("too large")

    writer = BackgroundWriter(
        lambda batch: written.set(), batch_size=10, pauses=(0.001, 0.001), is_away=lambda: next(away, False)
    )
    writer.call(refused)
    writer.put([1])
    assert written.wait(60)
    assert writer.close(10) == 1


def test_the_end_does_not_wait_for_a_store_that_stays_away() -> None:
    """Processes of a finished run that wait for a server which nobody starts again."""

    def write(batch: Sequence[int]) -> None:
        raise OSError("refused")

    writer = BackgroundWriter(write, batch_size=10, pauses=(0.01, 60.0), is_away=lambda: True)
    writer.put([1, 2])
    assert writer.close(0.1) == 2


def test_a_store_that_stays_away_is_reported_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    """A dead server must not end a run of weeks, nor go unnoticed."""

    def write(batch: Sequence[int]) -> None:
        raise OSError("no route to host")

    writer = BackgroundWriter(write, batch_size=10, pauses=(0.01,))
    with caplog.at_level(logging.WARNING):
        writer.put([1, 2])
        assert writer.close(10) == 2
    assert "2 entries could not be written (no route to host)" in caplog.text


def test_a_store_that_hangs_does_not_hang_the_end() -> None:
    """The processes of a finished run would hold their GPUs for ever."""
    gate = threading.Event()
    writer = BackgroundWriter(lambda batch: gate.wait(60) and None, batch_size=1)
    writer.put([1, 2])
    assert writer.close(0.2) == 2  # had it waited for the store, both would have been written
    assert not gate.is_set()
    gate.set()
