"""The tracker of a run: a new MLflow run, or the one that a resumed run began."""

import logging
from functools import partial
from pathlib import Path

from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.tracked_run import TrackedRun
from distributed_hbt.tracking.base import Tracker
from distributed_hbt.tracking.begin import begin_run
from distributed_hbt.tracking.deliver import StoreRun, write_params, write_tags
from distributed_hbt.tracking.git_commit import git_commit
from distributed_hbt.tracking.mlflow_store import connect, default_uri, problems_of
from distributed_hbt.tracking.mlflow_tracker import MlflowTracker
from distributed_hbt.tracking.package_versions import package_versions
from distributed_hbt.tracking.run_facts import run_params, run_tags

_log = logging.getLogger(__name__)


def open_tracker(
    config: RunConfig, run_dir: Path, *, world_size: int | None, lazily: bool = False
) -> Tracker:
    """Begin the run in MLflow, or go on with the one that `run_dir` names. `world_size` is None where the
    ranks say it themselves.

    Parameters and tags are written before this returns. Raises ConfigError naming tracking.uri where the
    store of a new run can not be reached or written. A run that has begun goes on without its store: what it
    logs waits in the run directory until the store is back, as after every later fault.

    `lazily`: a run that has begun is not looked for in the store before numbers of a step are logged. To
    import MLflow takes a quarter of what rank 0 needs to start again, while the other ranks wait.
    """
    begin = partial(begin_in_store, config, run_dir, world_size)
    if lazily and TrackedRun.of(run_dir) is not None:
        return MlflowTracker(run_dir, begin, lazily=True)
    try:
        run = begin()
    except ConfigError as error:
        if error.where != "tracking.uri" or TrackedRun.of(run_dir) is None:
            raise
        _log.warning("tracking: %s; the run goes on, and what it logs is sent later", error.what)
        run = None
    return MlflowTracker(run_dir, begin, run=run)


def begin_in_store(config: RunConfig, run_dir: Path, world_size: int | None) -> StoreRun:
    """The run, new or running again, with its parameters and tags. Raises ConfigError."""
    output_dir = Path(config.output_dir)
    uri = config.tracking.uri or default_uri(output_dir)
    client, experiment_id = connect(uri, config.tracking.experiment, output_dir / "mlartifacts")
    with problems_of(uri):
        found = begin_run(client, uri, experiment_id, config.name, run_dir)
        run = StoreRun(client, str(found.info.run_id), int(found.info.start_time))
        changed = write_params(client, run.run_id, run_params(config))
        if changed:
            what = "tracking: run %s keeps the parameters that it started with: %s"
            _log.info(what, run.run_id, ", ".join(changed))
        tags = run_tags(config, world_size=world_size, commit=git_commit(), versions=package_versions())
        write_tags(client, run.run_id, tags)
    return run
