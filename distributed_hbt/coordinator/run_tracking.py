"""The coordinator's side of a run's record: rank 0 begins it, the coordinator ends it."""

import logging
import threading

from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.tracked_run import TrackedRun
from distributed_hbt.tracking.base import Status, Tracker

_log = logging.getLogger(__name__)


class RunTracking:
    """Opens the tracker when there is something to say; safe in several threads."""

    def __init__(self, config: RunConfig, directory: RunDirectory) -> None:
        self._config = config
        self._directory = directory
        self._tracker: Tracker | None = None
        self._lock = threading.Lock()

    def tracker(self) -> Tracker:
        """The run that rank 0 has begun, or an earlier submit. Raises ConfigError naming tracking.uri."""
        from distributed_hbt.tracking.open import open_tracker

        with self._lock:
            if self._tracker is None:
                # How many ranks there are is rank 0's to say: it may change.
                self._tracker = open_tracker(self._config, self._directory.path, world_size=None)
            return self._tracker

    def finish(self, status: Status) -> None:
        """End the run, unless it never began: data that can not be used leaves nothing behind."""
        try:
            if self._tracker is None and TrackedRun.of(self._directory.path) is None:
                return
            self.tracker().finish(status)
        except ConfigError as error:
            _log.warning("the end of the run is not in MLflow: %s", error)
