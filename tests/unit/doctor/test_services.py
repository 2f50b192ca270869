"""Ray and MLflow: reachable or not, silent, full, refusing; and nothing is left behind."""

import contextlib
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.doctor import mlflow_store, ray_cluster
from distributed_hbt.doctor.finding import Subject
from distributed_hbt.errors import ConfigError
from distributed_hbt.tracking.mlflow_store import connect, default_uri
from distributed_hbt.tracking.probe import ask
from tests.distributed.run_for_tests import write_run
from tests.mlflow_server import mlflow_server
from tests.unit.doctor.conftest import Examined


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says anything."""
    held = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(listener.accept()[0])

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in held:
        connection.close()


def test_a_ray_address_without_a_head_is_a_failure(examined: Examined) -> None:
    """Ray itself would try for a minute and then end the process."""
    (found,) = ray_cluster.check(examined(address="127.0.0.1:9"))
    assert found.status == "failure"
    assert "127.0.0.1:9 can not be used (Connection refused)" in found.text
    assert "name the head as host:port" in found.remedy


def test_a_silent_ray_head_is_not_waited_for(
    silent: int, monkeypatch: pytest.MonkeyPatch, examined: Examined
) -> None:
    """Something else listens at that port."""
    monkeypatch.setattr(ray_cluster, "SECONDS", 3.0)
    (found,) = ray_cluster.check(examined(address=f"127.0.0.1:{silent}"))
    assert (found.status, "no answer within 3 s" in found.text) == ("failure", True)


def test_a_run_that_is_too_large_for_the_cluster_is_a_failure(examined: Examined) -> None:
    """One start of Ray answers for both: what it has is held against what the run takes."""
    content = {"ray": "2", "nodes": [{"cpus": 2.0, "gpus": 0.0}], "free": {"cpus": 1.0, "gpus": 0.0}}
    (found,) = ray_cluster.against_run(examined("cluster.num_workers=4"), "Ray", content)
    assert (found.status, "missing: 2 CPUs" in found.text) == ("failure", True)
    (found,) = ray_cluster.against_run(examined(), "Ray", content)
    assert (found.status, "1 CPU are free now" in found.text) == ("warning", True)


@pytest.fixture(scope="module")
def with_store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Subject, Path]:
    """A run whose database is there, with an experiment but no run in it; and that file."""
    run = load_run(write_run(tmp_path_factory.mktemp("store")))
    output_dir = Path(run.output_dir)
    connect(default_uri(output_dir), run.tracking.experiment, output_dir / "mlartifacts")
    return Subject(run), output_dir / "mlflow.db"


def rows(database: Path) -> dict[str, int]:
    """Table -> rows."""
    with contextlib.closing(sqlite3.connect(database)) as open_database:
        tables = [
            name for (name,) in open_database.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        return {
            name: open_database.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for name in tables
        }


def test_a_test_run_leaves_nothing_in_a_database(with_store: tuple[Subject, Path]) -> None:
    """A run named hbt-doctor in everybody's comparison."""
    subject, database = with_store
    before = rows(database)
    (found,) = mlflow_store.check(subject)
    assert (found.status, "took a run of experiment distributed_hbt" in found.text) == ("ok", True)
    assert rows(database) == before
    left = [path for path in database.parent.rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {"mlflow.db", "mlflow.db.lock"}


def ask_store(subject: Subject) -> dict[str, str]:
    """What the check's process does, in this one."""
    assert subject.run is not None
    tracking = subject.run.tracking
    return ask(tracking.uri, tracking.experiment, subject.run.output_dir, subject.folder)


def test_a_database_that_refuses_runs_is_a_failure(with_store: tuple[Subject, Path]) -> None:
    """A user of the database who may read alone: what it said, not SQLAlchemy's hint before that."""
    subject, database = with_store
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'read only'); END"
    with contextlib.closing(sqlite3.connect(database)) as open_database:
        open_database.execute(refuse)
        try:
            with pytest.raises(ConfigError, match=r"tracking\.uri: sqlite:.*IntegrityError\) read only"):
                ask_store(subject)
        finally:
            open_database.execute("DROP TRIGGER refuse")


def test_a_deleted_experiment_is_a_failure(with_store: tuple[Subject, Path]) -> None:
    """MLflow keeps the name, and the run dies as it begins."""
    subject, database = with_store
    assert subject.run is not None
    with contextlib.closing(sqlite3.connect(database)) as open_database:
        mark = "UPDATE experiments SET lifecycle_stage = ? WHERE name = ?"
        open_database.execute(mark, ("deleted", subject.run.tracking.experiment))
        open_database.commit()
        try:
            with pytest.raises(ConfigError, match="restore it there, or choose another name"):
                ask_store(subject)
        finally:
            open_database.execute(mark, ("active", subject.run.tracking.experiment))
            open_database.commit()


def test_a_store_that_is_away_is_a_failure(examined: Examined) -> None:
    """MLflow's own attempts take minutes. And a password is not shown."""
    (found,) = mlflow_store.check(examined("tracking.uri=http://me:secret@127.0.0.1:9"))
    assert (found.status, "Connection refused" in found.text) == ("failure", True)
    assert "secret" not in found.text


def test_a_silent_store_is_not_waited_for(
    silent: int, monkeypatch: pytest.MonkeyPatch, examined: Examined
) -> None:
    """A server that hangs."""
    monkeypatch.setattr(mlflow_store, "SECONDS", 3.0)
    (found,) = mlflow_store.check(examined(f"tracking.uri=http://me:secret@127.0.0.1:{silent}"))
    assert (found.status, "no answer within 3 s" in found.text) == ("failure", True)
    assert "secret" not in found.text


def test_a_server_takes_a_run_and_shows_none(tmp_path: Path, examined: Examined) -> None:
    """A server has no way to delete for good: the run is at least marked, its file gone, and this is said."""
    from mlflow import MlflowClient

    with mlflow_server(tmp_path / "server") as uri:
        found = ask_store(examined(f"tracking.uri={uri}"))
        client = MlflowClient(uri)
        shown = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert (found["status"], "mlflow gc" in found["text"]) == ("ok", True)
    assert list(shown) == []
    assert [path for path in (tmp_path / "server" / "artifacts").rglob("*") if path.is_file()] == []
