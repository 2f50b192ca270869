"""The tracker of a run: a new MLflow run, or the one that a resumed run began."""

from pathlib import Path

from distributed_hbt.config.run import RunConfig
from distributed_hbt.tracking.base import Tracker
from distributed_hbt.tracking.begin import begin_run
from distributed_hbt.tracking.git_commit import git_commit
from distributed_hbt.tracking.mlflow_store import connect, default_uri, problems_of
from distributed_hbt.tracking.mlflow_tracker import MlflowTracker, write_params, write_tags
from distributed_hbt.tracking.package_versions import package_versions
from distributed_hbt.tracking.run_facts import run_params, run_tags


def open_tracker(config: RunConfig, run_dir: Path, *, world_size: int | None) -> Tracker:
    """Begin the run in MLflow, or go on with the one that `run_dir` names. `world_size` is None where the
    ranks say it themselves.

    Parameters and tags are written before this returns. Raises ConfigError naming tracking.uri where the
    store can not be reached or written; later faults are logged and never stop the run.
    """
    output_dir = Path(config.output_dir)
    uri = config.tracking.uri or default_uri(output_dir)
    client, experiment_id = connect(uri, config.tracking.experiment, output_dir / "mlartifacts")
    with problems_of(uri):
        run = begin_run(client, uri, experiment_id, config.name, run_dir)
        run_id = str(run.info.run_id)
        write_params(client, run_id, run_params(config))
        tags = run_tags(config, world_size=world_size, commit=git_commit(), versions=package_versions())
        write_tags(client, run_id, tags)
    return MlflowTracker(client, run_id, began=run.info.start_time / 1000)
