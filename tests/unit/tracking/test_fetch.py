"""Stores that can not be fetched from; the rest is in tests/end_to_end/test_tracking.py."""

import socket
from pathlib import Path

import pytest

from distributed_hbt.errors import ConfigError
from distributed_hbt.tracking.fetch import fetch_run, find_runs


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A slip in a path that leaves an empty database behind, and says that nothing was found in it."""
    uri = f"sqlite:///{tmp_path}/absent/mlflow.db"
    with pytest.raises(ConfigError, match=r"names a file that is not there; correct the address[^\n]*$"):
        find_runs(uri, "any")
    with pytest.raises(ConfigError, match="names a file that is not there"):
        fetch_run(uri, "0" * 32, tmp_path / "into")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_away_is_one_line_without_its_password(tmp_path: Path) -> None:
    """Minutes of attempts, then a traceback with the password in it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(ConfigError) as caught:
        fetch_run(f"http://me:secret@127.0.0.1:{port}", "0" * 32, tmp_path)
    assert str(caught.value).startswith(f"tracking.uri: http://me:***@127.0.0.1:{port} can not be used")
    assert "\n" not in str(caught.value)
