"""A real PostgreSQL server on this machine, from Debian's packages."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mlflow_server import free_port

_SECONDS = 120
_PASSWORD = "of-the-tests"


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The address of an empty database, ended by its process id. Skips where PostgreSQL is not installed."""
    programs = _programs()
    user = _owner()
    # pytest's folders can be entered by their owner alone, and PostgreSQL refuses to be root.
    with tempfile.TemporaryDirectory(prefix="hbt-postgres-") as name:
        folder = Path(name)
        password = folder / "password"
        password.write_text(_PASSWORD)
        for path in (folder, password):
            shutil.chown(path, user)
        data, log = folder / "data", folder / "log"
        _init(programs, data, password, user)
        port = free_port()
        command = [programs / "postgres", "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
        command += ["-c", "fsync=off"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, user=user, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(programs, port, process, log)
            yield f"postgresql+psycopg2://mlflow:{_PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # its fast shutdown, which ends open connections
            process.wait(60)


def _programs() -> Path:
    """Debian keeps those of the server out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return (found[-1] if found else Path(str(on_path)).resolve()).parent


def _owner() -> str:
    """Who runs it: this user, or another one where this is root."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()).pw_name
    return "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"


def _init(programs: Path, data: Path, password: Path, user: str) -> None:
    command = [programs / "initdb", "-D", data, "-U", "mlflow", "-A", "scram-sha-256", "--no-sync"]
    command += ["--pwfile", password, "--encoding", "UTF8", "--locale", "C"]
    done = subprocess.run(command, user=user, cwd=data.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _wait(programs: Path, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(_SECONDS * 5):
        assert process.poll() is None, log.read_text()
        ready = subprocess.run(
            [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False
        )
        if ready.returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError(f"no database after {_SECONDS} s: {log.read_text()}")
