"""The thread that sends."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distributed_hbt.tracking.background import BackgroundSender
from distributed_hbt.tracking.deliver import StoreRun
from distributed_hbt.tracking.spool import Entry, Spool, spool_files


class Store:
    """Fails as it is told; `seen` has (name, step) of each number, and of other calls what they wrote."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.calls: list[int] = []
        self.before: Callable[[], None] = lambda: None
        self.has: dict[str, int] = {}

    def log_batch(self, run_id: str, metrics: Sequence[Any]) -> None:
        self.before()
        self.calls.append(len(metrics))
        self.seen += [(metric.key, metric.step) for metric in metrics]

    def log_artifact(self, run_id: str, path: str, folder: str | None) -> None:
        self.before()
        self.seen.append(Path(path).name)

    def set_terminated(self, run_id: str, status: str, time: int) -> None:
        self.seen.append(status)

    def get_metric_history(self, run_id: str, name: str) -> list[Any]:
        return [SimpleNamespace(step=step) for step in range(1, self.has.get(name, 0) + 1)]

    def get_run(self, run_id: str) -> Any:
        found = [SimpleNamespace(key=key, step=step) for key, step in self.has.items()]
        return SimpleNamespace(to_proto=lambda: SimpleNamespace(data=SimpleNamespace(metrics=found)))


def loss(step: int) -> Entry:
    return {"metrics": {"train/loss": 0.5}, "step": step, "time": 1000}


def losses(*steps: int) -> list[tuple[str, int]]:
    return [("train/loss", step) for step in steps]


class Sending:
    """A spool and its thread, whose pauses are short."""

    def __init__(
        self,
        folder: Path,
        store: Store,
        *,
        away: Callable[[], bool] = lambda: False,
        begin: Callable[[], None] = lambda: None,
        pauses: Sequence[float] = (0.001, 0.001),
    ) -> None:
        def began() -> StoreRun:
            begin()
            return StoreRun(store, "run", 0)

        self.spool = Spool(folder / "tracking")
        self.sender = BackgroundSender(folder, self.spool, began, lambda run: away(), pauses=pauses)
        self.sender.start()

    def put(self, *entries: Entry) -> None:
        for entry in entries:
            self.spool.append(entry)
        self.sender.wake()

    def end(self, seconds: float = 60) -> int:
        """How many entries wait for the next start."""
        self.sender.close(seconds)
        waiting = self.spool.waiting()
        self.spool.close()
        return waiting


def file(name: str) -> Entry:
    return {"artifact": name, "folder": ""}


def test_everything_arrives_in_order_and_in_batches(tmp_path: Path) -> None:
    """Numbers that wait at the end of a run would be lost; one call a number would never catch up."""
    store, gate = Store(), threading.Event()
    sending = Sending(tmp_path, store, begin=lambda: gate.wait(60) and None)
    sending.put(*(loss(step) for step in range(2500)), file("a"), loss(2500))
    assert store.seen == []  # all of it was taken, and nothing is sent
    gate.set()
    assert sending.end() == 0
    assert store.seen == [*losses(*range(2500)), "a", *losses(2500)]
    assert store.calls[:2] == [1000, 1000]
    assert len(store.calls) <= 4 + 2  # a block that is read may end within a batch


def test_a_store_that_fails_for_a_while_loses_nothing(tmp_path: Path) -> None:
    """A locked database or a restarted server must not cost numbers."""
    store = Store()
    faults = [OSError("locked"), OSError("locked")]

    def fail() -> None:
        if faults:
            raise faults.pop()

    store.before = fail
    sending = Sending(tmp_path, store)
    sending.put(loss(1), loss(2))
    assert sending.end() == 0
    assert store.seen == losses(1, 2)
    assert sending.sender.refused == 0


def test_a_store_that_is_away_for_long_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that is away for longer than a few attempts, while it is moved or upgraded, from the start of
    a run or from later on: the numbers of that time would be gone, and those that came after them there."""
    store = Store()
    starts, writes = iter(range(40)), iter(range(40))

    def refuse(failures: Any) -> None:
        if next(failures, None) is not None:
            raise OSError("refused")

    store.before = lambda: refuse(writes)
    with caplog.at_level(logging.INFO):
        sending = Sending(tmp_path, store, away=lambda: not store.seen, begin=lambda: refuse(starts))
        sending.put(loss(1), loss(2), file("a"), loss(3))
        assert sending.end() == 0
    assert store.seen == [*losses(1, 2), "a", *losses(3)]
    away, back = "MLflow can not be reached (refused); what is logged waits", "MLflow is back"
    assert [record.getMessage() for record in caplog.records] == [
        *(f"tracking: {away}", f"tracking: {back}") * 2
    ]


def test_what_a_store_refuses_does_not_hold_up_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One file that no store takes, and not a number after it is kept; and nobody is told of the file."""
    store = Store()
    away = iter([True, True])

    def refuse() -> None:
        if not store.seen:
            store.seen.append("refused 5 times") if next(count) == 4 else None
            raise OSError("too large")

    count = iter(range(100))
    store.before = refuse
    with caplog.at_level(logging.WARNING):
        sending = Sending(tmp_path, store, away=lambda: next(away, False))
        sending.put(file("large"), loss(1))
        assert sending.end() == 0
    assert store.seen == ["refused 5 times", *losses(1)]
    assert sending.sender.refused == 1
    assert "1 entries could not be written (too large)" in caplog.text


def away_for_ever() -> None:
    raise OSError("refused")


def test_what_the_end_did_not_wait_for_is_sent_by_the_next_start(tmp_path: Path) -> None:
    """Processes of a finished run that wait for a server which nobody starts again; or do not, and lose what
    it has not got. The end that an earlier start wrote is not that of the run which goes on."""
    store = Store()
    first = Sending(tmp_path, store, begin=away_for_ever, pauses=(60.0,))
    first.put(loss(1), file("a"), {"status": "KILLED", "time": 5})
    assert first.end(0.1) == 3
    second = Sending(tmp_path, store, begin=away_for_ever, pauses=(60.0,))
    second.put(loss(2))
    assert second.end(0.1) == 1
    assert store.seen == []
    third = Sending(tmp_path, store)
    third.put(loss(3), {"status": "FINISHED", "time": 9})
    assert third.end() == 0
    assert store.seen == [*losses(1), "a", *losses(2), *losses(3), "FINISHED"]
    assert spool_files(tmp_path / "tracking") == []


def test_steps_that_are_done_again_are_sent_once(tmp_path: Path) -> None:
    """Two values at one step of a curve: a run that resumes does the steps since its checkpoint again. Some
    are in the store, some still wait to be sent there."""
    store = Store()
    first = Sending(tmp_path, store, begin=away_for_ever, pauses=(60.0,))
    first.put(*(loss(step) for step in (2, 3, 4, 5, 6)))
    assert first.end(0.1) == 5
    store.has = {"train/loss": 3, "train/new": 1, "xquad_r/AP": 50}
    second = Sending(tmp_path, store)
    second.put(*(loss(step) for step in (2, 3, 4, 5, 6, 7)))
    second.put({"metrics": {"train/new": 1.0, "train/loss": 1.0}, "step": 5, "time": 1})
    second.put({"metrics": {"xquad_r/AP": 1.0}, "step": 5, "time": 1})  # an evaluation may come late
    assert second.end() == 0
    assert store.seen == [*losses(4, 5, 6), *losses(7), ("train/new", 5), ("xquad_r/AP", 5)]


def test_the_end_sends_what_another_process_has_left_meanwhile(tmp_path: Path) -> None:
    """A rank that ends while the server is away; its coordinator lives until the server is back."""
    store = Store()
    coordinator = Sending(tmp_path, store)
    rank = Sending(tmp_path, store, begin=away_for_ever, pauses=(60.0,))
    rank.put(loss(1))
    assert rank.end(0.1) == 1
    coordinator.put({"status": "FINISHED", "time": 9})
    assert coordinator.end() == 0
    assert ("train/loss", 1) in store.seen
    assert spool_files(tmp_path / "tracking") == []


def test_a_store_that_hangs_does_not_hang_the_end(tmp_path: Path) -> None:
    """The processes of a finished run would hold their GPUs for ever."""
    store, gate = Store(), threading.Event()
    store.before = lambda: gate.wait(60) and None
    sending = Sending(tmp_path, store)
    sending.put(loss(1), loss(2))
    assert sending.end(0.2) == 2  # had it waited for the store, both would have been written
    assert not gate.is_set()
    gate.set()
    sending.sender._thread.join(60)
