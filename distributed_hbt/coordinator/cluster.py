"""Being connected to a Ray cluster: one of this machine's own for a command's time, or an existing one."""

import contextlib
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from distributed_hbt.coordinator.worker_lines import WorkerLines
from distributed_hbt.errors import ConfigError, one_line

_CONNECT_SECONDS = 10.0
_OTHER_NODES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
OBJECT_STORE_BYTES = 256 * 2**20
"""Of a local cluster: nothing large goes through it, data travels in files."""

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A Ray cluster for the time of the block.

    Without an address one is started on this machine: on loopback, with token authentication, without a
    dashboard, in a temporary folder; it ends with the block, and with this process however that ends.
    `auto`, or `host:port`, is an existing one, which is only left. What its workers log comes to stderr, and
    so does everything that is written to stdout in the block.

    Raises ConfigError naming --address.
    """
    # Ray reads these when it is imported.
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    os.environ["RAY_COLOR_PREFIX"] = "0"
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # a thread that outlives the block starts no other cluster
    with _worker_lines_on_stderr(), _local() if address is None else _existing(address):
        yield


def is_copied_code() -> bool:
    """Whether this is a job that Ray runs in a copy of a folder that was sent along."""
    import ray

    return bool(ray.get_runtime_context().runtime_env.get("working_dir"))


@contextlib.contextmanager
def _local() -> Iterator[None]:
    _settle_token()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # As Ray does on macOS and Windows, where it has no other nodes: it listens on loopback alone. Otherwise
    # its ports are open to whoever reaches this machine. Read when it is imported.
    os.environ[_OTHER_NODES] = "0"
    import ray

    folder = Path(tempfile.mkdtemp(prefix="hbt-ray-"))
    _log.info("starting Ray on this machine")
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            logging_level=logging.ERROR,
            _temp_dir=str(folder / "r"),  # which Ray opens to everybody; around it is a folder of ours alone
        )
        yield
    finally:
        ray.shutdown()
        del os.environ[_OTHER_NODES]
        shutil.rmtree(folder, ignore_errors=True)  # its sockets and logs


@contextlib.contextmanager
def _existing(address: str) -> Iterator[None]:
    _check_reachable(address)
    import ray

    _log.info("connecting to Ray at %s", address)
    try:
        ray.init(address=address, logging_level=logging.ERROR)
    # Ray raises ConnectionError, RuntimeError, ValueError and errors of its own for what is wrong here.
    except Exception as error:
        raise _unusable(address, one_line(error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _settle_token() -> None:
    """A local cluster takes the user's token, or one that this process and its children alone know."""
    if "ray" in sys.modules:
        return  # it may have read its token already, and switches the authentication on itself
    if "RAY_AUTH_TOKEN" not in os.environ and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ.setdefault("RAY_AUTH_MODE", "token")


def _check_reachable(address: str) -> None:
    """Ray itself tries for a minute, and may end the process."""
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdigit():
        raise _unusable(address, "is no host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unusable(address, getattr(error, "strerror", None) or str(error)) from error


def _unusable(address: str, why: str) -> ConfigError:
    remedy = (
        "name the head as host:port, set RAY_AUTH_MODE and RAY_AUTH_TOKEN as there; or leave --address out "
        "for a cluster of this machine"
    )
    return ConfigError("--address", f"{address} can not be used ({why})", remedy)


@contextlib.contextmanager
def _worker_lines_on_stderr() -> Iterator[None]:
    lines = WorkerLines(sys.stderr)
    with contextlib.redirect_stdout(lines), contextlib.redirect_stderr(lines):
        yield
