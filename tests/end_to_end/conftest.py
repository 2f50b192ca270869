"""What the tests of whole commands share."""

from collections.abc import Iterator

import pytest

from tests.tracking_stack import TrackingStack, tracking_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingStack]:
    """An MLflow server over PostgreSQL and S3; skips where they can not be had."""
    with tracking_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
