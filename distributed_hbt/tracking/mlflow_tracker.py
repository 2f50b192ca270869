"""A run in MLflow."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distributed_hbt.tracking.background import PAUSES, BackgroundWriter
from distributed_hbt.tracking.base import Status
from distributed_hbt.tracking.datasets import DatasetFacts, dataset_input
from distributed_hbt.tracking.names import evaluation_metrics, tracking_name
from distributed_hbt.tracking.system_metrics import INTERVAL_SECONDS, SystemMetrics

_METRICS_AT_ONCE = 1000
_PARAMS_AT_ONCE = 100
_FINISH_SECONDS = 120.0
_AWAY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")
"""MLflow's error codes for a request that nobody answered, and for a database that is locked or gone."""

_log = logging.getLogger(__name__)


class MlflowTracker:
    """Writes to one MLflow run from a thread of its own; see `Tracker`."""

    def __init__(
        self, client: Any, run_id: str, *, began: float | None = None, pauses: Sequence[float] = PAUSES
    ) -> None:
        """`began`: when the run was begun, seconds since 1970; default: now. `pauses`: seconds before each
        further attempt at what could not be written."""
        self._client = client
        self._run_id = run_id
        self._began = time.time() if began is None else began
        self._writer: BackgroundWriter[Any] = BackgroundWriter(
            self._write, batch_size=_METRICS_AT_ONCE, pauses=pauses, is_away=self._store_is_away
        )
        self._system: SystemMetrics | None = None

    @property
    def run_id(self) -> str:
        return self._run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Takes microseconds; the thread writes up to 1,000 numbers at once."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._writer.put(
            [Metric(tracking_name(key), float(value), now, step) for key, value in metrics.items()]
        )

    def log_evaluation(self, summary: Mapping[str, Any], step: int) -> None:
        """Metrics `<benchmark>/<aggregate or task>/<measure>`, `@` as `_at_`."""
        self.log_metrics(evaluation_metrics(summary), step)

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """The file is read later, by the thread."""
        self._writer.call(lambda: self._client.log_artifact(self._run_id, str(path), folder or None))

    def log_datasets(self, datasets: Sequence[DatasetFacts]) -> None:
        """Dataset inputs of the run."""
        inputs = [dataset_input(facts) for facts in datasets]
        self._writer.call(lambda: self._client.log_inputs(self._run_id, datasets=inputs))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Written by the thread."""
        self._writer.call(lambda: write_tags(self._client, self._run_id, tags))

    def watch_system(self, *, interval: float = INTERVAL_SECONDS) -> None:
        """Log how busy this machine is, until the tracker is closed. The step is the time in seconds since
        the run began, which goes on where a resumed run does."""
        began = self._began
        self._system = SystemMetrics(
            lambda metrics: self.log_metrics(metrics, step=int(time.time() - began)), interval=interval
        )

    def finish(self, status: Status) -> None:
        """Waits two minutes at most for what is still to be written."""
        self._end_system_metrics()
        self._writer.call(lambda: self._client.set_terminated(self._run_id, status))
        self.close()

    def close(self) -> None:
        """Waits two minutes at most for what is still to be written."""
        self._end_system_metrics()
        lost = self._writer.close(_FINISH_SECONDS)
        if lost:
            _log.warning("tracking: %d entries of run %s are not in MLflow", lost, self._run_id)

    def _end_system_metrics(self) -> None:
        if self._system is not None:
            self._system.close()
            self._system = None

    def _store_is_away(self) -> bool:
        """Whether the run can not even be read: no server, or one that has no database. An answer that
        refuses it is an answer."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_run(self._run_id)
        # Whatever the store's client raises, the thread goes on.
        except Exception as error:
            return isinstance(error, MlflowException) and error.error_code in _AWAY
        return False

    def _write(self, metrics: Any) -> None:
        self._client.log_batch(self._run_id, metrics=metrics)


def write_params(client: Any, run_id: str, params: Mapping[str, str]) -> None:
    """Parameters that the run does not have yet, at once."""
    from mlflow.entities import Param

    present = client.get_run(run_id).data.params
    changed = sorted(key for key, value in params.items() if present.get(key, value) != value)
    if changed:
        _log.info(
            "tracking: run %s keeps the parameters that it started with: %s", run_id, ", ".join(changed)
        )
    new = [Param(key, value) for key, value in params.items() if key not in present]
    for first in range(0, len(new), _PARAMS_AT_ONCE):
        client.log_batch(run_id, params=new[first : first + _PARAMS_AT_ONCE])


def write_tags(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    """Tags, set anew where the run has them, at once."""
    from mlflow.entities import RunTag

    every = [RunTag(tracking_name(key), value) for key, value in tags.items()]
    for first in range(0, len(every), _PARAMS_AT_ONCE):
        client.log_batch(run_id, tags=every[first : first + _PARAMS_AT_ONCE])
