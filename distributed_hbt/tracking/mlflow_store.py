"""Connecting to an MLflow store, made where it is a database file that is not there yet."""

import contextlib
import logging
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from distributed_hbt.errors import ConfigError, HbtError
from distributed_hbt.masking import connectable, masked

_SQLITE = "sqlite:///"
_CONNECT_SECONDS = 10.0
_LOCK_SECONDS = 300.0
"""Another process may be making the tables, which takes seconds, on a slow disk many."""


def default_uri(output_dir: Path) -> str:
    """The SQLite file of all runs below `output_dir`."""
    return f"{_SQLITE}{output_dir.absolute()}/mlflow.db"


def connect(uri: str, experiment: str, artifacts: Path) -> tuple[Any, str]:
    """(MlflowClient, experiment id). The experiment is made where it is absent; without a server its
    artifacts go below `artifacts`.

    Safe in several processes at once. Raises ConfigError naming tracking.uri or tracking.experiment.
    """
    uri = connectable(uri)
    with problems_of(uri):
        _check_reachable(uri)
        with _one_at_a_time(uri):
            _make_database(database_file(uri))
            client = _client(uri)
            return client, _experiment_id(client, uri, experiment, artifacts)


@contextlib.contextmanager
def open_store(uri: str) -> Iterator[Any]:
    """An MlflowClient of a store that is there already, for reading; faults while it is in use are named too.

    Raises ConfigError naming the address.
    """
    uri = connectable(uri)
    with problems_of(uri):
        database = database_file(uri)
        if database is not None and not database.exists():
            raise ConfigError("tracking.uri", f"{uri} names a file that is not there", _REMEDY)
        _check_reachable(uri)
        with _one_at_a_time(uri):  # opening it may bring its tables up to date
            client = _client(uri)
            client.search_experiments(max_results=1)
        yield client


@contextlib.contextmanager
def problems_of(uri: str) -> Iterator[None]:
    """Turns what MLflow and its database and network clients raise into a ConfigError of one line."""
    try:
        yield
    except HbtError:
        raise
    # MLflow lets through the errors of SQLAlchemy, requests and the file system beside its own.
    except Exception as error:
        lines = (str(error).strip() or type(error).__name__).splitlines()
        # SQLAlchemy puts a hint for its own users before what the database said.
        said = next((line for line in lines if not line.startswith("(raised as a result of")), lines[0])
        what = f"{masked(uri)} can not be used ({masked(said[:200])})"
        is_file = uri.startswith(_SQLITE)
        raise ConfigError(
            "tracking.uri", what, _REMEDY if is_file else f"{_CREDENTIALS}; {_REMEDY}"
        ) from error


_CREDENTIALS = (
    "set its credentials where it asks for them (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
    "or PGPASSWORD)"
)
_REMEDY = "correct the address, or leave tracking.uri out for a file in output_dir"


def _client(uri: str) -> Any:
    _settle_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _make_database(file: Path | None) -> None:
    """Make an SQLite file that is absent aside, and rename it: a process that is ended while MLflow makes the
    tables would leave a file that no later start can use. Raises ConfigError for such a file of other making.
    """
    if file is None:
        return
    if file.exists() and file.stat().st_size:
        _refuse_half_made(file)
        return
    _settle_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for left_over in file.parent.glob(f"{file.name}.partial-*"):
        left_over.unlink()
    partial = file.with_name(f"{file.name}.partial-{os.getpid()}")
    SqlAlchemyStore(f"{_SQLITE}{partial}", "./mlruns").engine.dispose()  # the folder that MLflow itself takes
    partial.replace(file)


def _refuse_half_made(file: Path) -> None:
    """The last thing that MLflow makes is an experiment. What is no database is MLflow's to name."""
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(file)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "experiments" not in names:
            return
        (count,) = database.execute("SELECT count(*) FROM experiments").fetchone()
        if not count:
            what = f"{file} is half made, since MLflow was ended while it made it, and holds no run"
            raise ConfigError("tracking.uri", what, "remove the file")


def _settle_mlflow() -> None:
    """What MLflow is told by variables and log levels."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # results go there
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # Half a minute of attempts a request. With MLflow's own seven the last pauses are of minutes: a run that
    # has ended would sleep on when the server is long back.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    import mlflow  # sets the levels of its loggers  # noqa: F401

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a line for every attempt


def _experiment_id(client: Any, uri: str, name: str, artifacts: Path) -> str:
    from mlflow.exceptions import MlflowException

    location = None if is_server(uri) else artifacts.absolute().as_uri()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        experiment = client.get_experiment_by_name(name)  # another process was faster
    if experiment is None or experiment.lifecycle_stage == "deleted":
        what = f"{name} was deleted in {masked(uri)}"
        raise ConfigError("tracking.experiment", what, "restore it there, or choose another name")
    return str(experiment.experiment_id)


def _check_reachable(uri: str) -> None:
    """A server that is away is seen in seconds; MLflow's own attempts take minutes."""
    if not is_server(uri):
        return
    parts = urlsplit(uri)
    host = parts.hostname or ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return  # then only the proxy can reach it
    port = parts.port or (443 if parts.scheme == "https" else 80)
    socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()


@contextlib.contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Two processes that make the tables of one SQLite file at once both fail."""
    database = database_file(uri)
    if database is None:
        yield
        return
    from filelock import FileLock

    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(f"{database.name}.lock"), timeout=_LOCK_SECONDS):
        yield


def database_file(uri: str) -> Path | None:
    """The file of an SQLite address; None for other addresses."""
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]) if uri.startswith(_SQLITE) else None


def is_server(uri: str) -> bool:
    """Whether the address is that of an MLflow server, not of its database."""
    return urlsplit(uri).scheme in ("http", "https")
