"""What `hbt compare` is given -> systems: run directories, MLflow runs, experiments."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from distributed_hbt.comparison.results import RunResult, read_run
from distributed_hbt.comparison.systems import Grouped, check_seeds, group_runs
from distributed_hbt.errors import ConfigError

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_REMEDY = "name run directories or MLflow run ids, or an --experiment"


@contextlib.contextmanager
def compared_systems(
    runs: Sequence[str], experiment: str | None, tracking_uri: str | None
) -> Iterator[Grouped]:
    """The systems that the command line names. What comes from MLflow is in a folder that goes at the end.

    Raises ConfigError for a command line that names none, and whatever reading them raises.
    """
    if not runs and experiment is None:
        raise ConfigError("command line", "names no run", _REMEDY)
    with tempfile.TemporaryDirectory(prefix="hbt-compare-") as folder:
        source = _Source(store_of(tracking_uri), Path(folder))
        alone: list[RunResult] = []
        named: dict[str, list[RunResult]] = {}
        for argument in runs:
            name, members = _taken_apart(argument)
            (named.setdefault(name, []) if name else alone).extend(source.read(member) for member in members)
        if experiment is not None:
            alone += source.read_experiment(experiment)
        systems = {**group_runs(alone), **{name: check_seeds(name, of) for name, of in named.items()}}
        yield systems


def store_of(tracking_uri: str | None) -> str:
    """The MLflow store: as given, else MLFLOW_TRACKING_URI, else that of runs/."""
    if tracking_uri is not None:
        return tracking_uri
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('runs').absolute()}/mlflow.db"


def _taken_apart(argument: str) -> tuple[str | None, list[str]]:
    """SYSTEM=RUN,RUN, or a run."""
    if Path(argument).exists():
        return None, [argument]
    name, equals, members = argument.rpartition("=")
    return (name, members.split(",")) if equals and name else (None, [argument])


class _Source:
    """Reads runs from directories, and from MLflow by way of a folder."""

    def __init__(self, uri: str, folder: Path) -> None:
        self._uri = uri
        self._folder = folder

    def read(self, run: str) -> RunResult:
        if _RUN_ID.fullmatch(run) and not Path(run).exists():
            return self._fetch(run)
        return read_run(Path(run))

    def read_experiment(self, experiment: str) -> list[RunResult]:
        from distributed_hbt.tracking.fetch import find_runs

        found = find_runs(self._uri, experiment)
        if not found:
            raise ConfigError("--experiment", f"{experiment} has no finished run", _REMEDY)
        return [self._fetch(run_id) for run_id in found]

    def _fetch(self, run_id: str) -> RunResult:
        from distributed_hbt.tracking.fetch import fetch_run

        return read_run(fetch_run(self._uri, run_id, self._folder))
