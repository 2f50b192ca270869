"""A run in MLflow."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distributed_hbt.tracked_run import TrackedRun
from distributed_hbt.tracking.background import PAUSES, BackgroundSender, now
from distributed_hbt.tracking.base import Status
from distributed_hbt.tracking.datasets import DatasetFacts
from distributed_hbt.tracking.deliver import METRICS_AT_ONCE, StoreRun
from distributed_hbt.tracking.names import evaluation_metrics, tracking_name
from distributed_hbt.tracking.spool import FOLDER, Entry, Spool
from distributed_hbt.tracking.system_metrics import INTERVAL_SECONDS, SystemMetrics

_FINISH_SECONDS = 120.0
_AWAY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")
"""MLflow's error codes for a request that nobody answered, and for a database that is locked or gone."""

_log = logging.getLogger(__name__)


class MlflowTracker:
    """Writes what it is told to a file of the run directory, and sends it from a thread; see `Tracker`."""

    def __init__(
        self,
        run_dir: Path,
        begin: Callable[[], StoreRun],
        *,
        run: StoreRun | None = None,
        lazily: bool = False,
        pauses: Sequence[float] = PAUSES,
        finish_seconds: float = _FINISH_SECONDS,
    ) -> None:
        """`run`: what `begin` has given, where the store was there. `lazily`: nothing is sent, and MLflow not
        imported, before numbers of a step are logged, or the end. `pauses`: seconds before each further
        attempt; `finish_seconds`: how long the end waits. Raises OSError where `run_dir` takes no file."""
        self._run_dir = run_dir
        self._spool = Spool(run_dir / FOLDER)
        self._sender = BackgroundSender(run_dir, self._spool, begin, _is_away, run=run, pauses=pauses)
        if not lazily:
            self._sender.start()
        self._finish_seconds = finish_seconds
        self._system: SystemMetrics | None = None

    @property
    def run_id(self) -> str:
        run = self._sender.run
        if run is not None:
            return run.run_id
        known = TrackedRun.of(self._run_dir)
        assert known is not None  # without a store no run is begun
        return known.run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Takes microseconds: a line of a file."""
        self._log_metrics(metrics, step, now())

    def log_evaluation(self, summary: Mapping[str, Any], step: int, measured: float | None = None) -> None:
        """Metrics `<benchmark>/<aggregate or task>/<measure>`, `@` as `_at_`."""
        time = now() if measured is None else int(measured * 1000)
        self._log_metrics(evaluation_metrics(summary), step, time)

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """The file is read later, where it stands."""
        within = path.is_relative_to(self._run_dir)  # which may be moved until then
        file = path.relative_to(self._run_dir) if within else path.absolute()
        self._put({"artifact": str(file), "folder": folder})

    def log_datasets(self, datasets: Sequence[DatasetFacts]) -> None:
        """Dataset inputs of the run."""
        if datasets:
            self._put({"datasets": [asdict(facts) for facts in datasets]})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Sent by the thread."""
        self._put({"tags": dict(tags)})

    def watch_system(self, *, interval: float = INTERVAL_SECONDS) -> None:
        """Log how busy this machine is, until the tracker is closed. The step is the time in seconds since
        the run began, which goes on where a resumed run does."""
        self._system = SystemMetrics(
            lambda metrics: self._log_metrics(metrics, None, now()), interval=interval
        )

    def finish(self, status: Status) -> None:
        """Waits two minutes at most; the next start of the run sends the rest."""
        self._end_system_metrics()
        self._put({"status": status, "time": now()})
        self.close()

    def close(self) -> None:
        """Waits two minutes at most; the next start of the run sends the rest."""
        self._end_system_metrics()
        self._sender.close(self._finish_seconds)
        waiting, lost = self._spool.waiting(), self._sender.refused + self._spool.dropped
        self._spool.close()
        if waiting:
            what = (
                "tracking: %d entries of run %s are not in MLflow; the next start of the run sends them (%s)"
            )
            _log.warning(what, waiting, self.run_id, self._run_dir / FOLDER)
        if lost:
            _log.warning("tracking: %d entries of run %s are lost to MLflow", lost, self.run_id)

    def _log_metrics(self, metrics: Mapping[str, float], step: int | None, time: int) -> None:
        numbers = [(tracking_name(name), float(value)) for name, value in metrics.items()]
        for first in range(0, len(numbers), METRICS_AT_ONCE):
            part = dict(numbers[first : first + METRICS_AT_ONCE])
            self._put({"metrics": part, "step": step, "time": time})
        if step is not None:
            self._sender.start()

    def _put(self, entry: Entry) -> None:
        before = self._spool.unwritten
        self._spool.append(entry)
        if before is None and self._spool.unwritten is not None:
            what = "tracking: %s can not be written (%s); what is logged waits in memory"
            _log.warning(what, self._spool.path, self._spool.unwritten)
        self._sender.wake()

    def _end_system_metrics(self) -> None:
        if self._system is not None:
            self._system.close()
            self._system = None


def _is_away(run: StoreRun) -> bool:
    """Whether the run can not even be read: no server, or one that has no database. An answer that refuses
    it is an answer."""
    from mlflow.exceptions import MlflowException

    try:
        run.client.get_run(run.run_id)
    # Whatever the store's client raises, the thread goes on.
    except Exception as error:
        return isinstance(error, MlflowException) and error.error_code in _AWAY
    return False
