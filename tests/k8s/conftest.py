"""The manifests, rendered once."""

import shutil

import pytest

from distributed_hbt.errors import ConfigError
from k8s.check.overlays import Rendered, render_all
from k8s.check.schemas import schema_folder


@pytest.fixture(scope="session")
def rendered() -> Rendered:
    """Everything that is shipped; tests skip where it can not be rendered or has no schemas."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl; install it: kubernetes.io/docs/tasks/tools")
    try:
        schema_folder()
    except ConfigError as error:
        pytest.skip(str(error))
    return render_all()
