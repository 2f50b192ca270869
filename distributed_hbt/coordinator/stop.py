"""Asking a submitted run to stop, from any machine that shares its directory."""

import logging
import time

from distributed_hbt.config.run import RunConfig
from distributed_hbt.coordinator.stop_file import StopFile
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.run_lock import is_held

_LOOK_SECONDS = 0.5
_log = logging.getLogger(__name__)


def stop(config: RunConfig) -> str:
    """Let the run finish its step, write a checkpoint and end, and wait until it has; what came of it, for
    people.

    A run that nobody is at is left alone. So is one that is on another cluster than `cluster.name` says: the
    pods of a cluster that is given up must not stop the run that has gone on in the next one.
    """
    directory = RunDirectory(config.run_dir)
    file, name = StopFile.of(directory), config.cluster.name
    if not is_held(directory.submit_lock):
        return "no hbt submit is at it"
    if name is not None and file.cluster() != name:
        return f"is on cluster {file.cluster()}, not on {name}"
    file.ask()
    _log.info("%s: asked to stop; waiting", directory.path)
    while is_held(directory.submit_lock):
        if not file.asked():
            return "has ended, and was submitted again"
        time.sleep(_LOOK_SECONDS)
    return "has ended"
