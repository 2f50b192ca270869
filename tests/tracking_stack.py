"""MLflow as a team runs it: a server over PostgreSQL and an S3-compatible store, which proxies artifacts."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.mlflow_server import MlflowServer
from tests.postgres_server import postgres_server

BUCKET = "mlflow"
S3_KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class TrackingStack:
    """The MLflow server, the address of its database, and a client of the store that holds its artifacts."""

    server: MlflowServer
    database: str
    s3: Any


@contextlib.contextmanager
def tracking_stack(folder: Path) -> Iterator[TrackingStack]:
    """All three, ended again. Skips, with what to install, where one of them can not be had.

    The store is moto's server: S3 over HTTP, in memory. It outlives the MLflow server, as a bucket does.
    """
    reason = "{} is not installed (pip install 'distributed-hbt[dev]')"
    for package in ("psycopg2", "boto3", "moto"):
        pytest.importorskip(package, reason=reason.format(package))
    with postgres_server() as database, s3_server() as (endpoint, s3):
        server = MlflowServer(
            folder,
            {
                "MLFLOW_BACKEND_STORE_URI": database,
                "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/runs",
                "MLFLOW_S3_ENDPOINT_URL": endpoint,
                **S3_KEYS,
            },
        )
        server.allow_only_its_own_address()
        _make_tables(database)
        try:
            server.start()
            yield TrackingStack(server, database, s3)
        finally:
            server.end()


def _make_tables(database: str) -> None:
    """As docs/tracking.md has it, and a migration job does it."""
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", database]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def s3_server() -> Iterator[tuple[str, Any]]:
    """Its address, and a client of it; it has the bucket `mlflow`."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        s3 = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=S3_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=S3_KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=S3_KEYS["AWS_DEFAULT_REGION"],
        )
        s3.create_bucket(Bucket=BUCKET)
        yield endpoint, s3
    finally:
        server.stop()
