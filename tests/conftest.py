"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.programs import Programs

# No time limits (machines are noisy), and the same cases in every run.
settings.register_profile(
    "project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Root of the real data; tests that need it skip with a message where it is absent."""
    folder = Path(os.environ.get("HBT_SHARED") or ROOT.parent / "shared") / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set HBT_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def programs() -> Programs:
    """hbt, torchrun and accelerate, as users start them."""
    return Programs()
