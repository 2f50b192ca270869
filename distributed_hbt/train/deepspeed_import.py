"""DeepSpeed as ranks use it, without what it imports for features that no run uses."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator

import torch

_COMPILER_SWITCH = "TORCHDYNAMO_DISABLE"


def import_deepspeed() -> None:
    """Import it before anything else does: that takes half of the time.

    Its tuner would import MLflow on every rank, and its Muon optimizer, which every engine imports, torch's
    compiler for three decorators.
    """
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    with _without_mlflow():
        importlib.import_module("deepspeed")
    with _without_compiler(), contextlib.suppress(ModuleNotFoundError):  # a version without it
        importlib.import_module("deepspeed.runtime.zero.muon.muon_optimizer")


@contextlib.contextmanager
def _without_mlflow() -> Iterator[None]:
    """Within it, an import of MLflow fails, unless the process has it already."""
    if "mlflow" in sys.modules:
        yield
        return
    sys.modules["mlflow"] = None  # type: ignore[assignment]  # Python's own way to say so
    try:
        yield
    finally:
        del sys.modules["mlflow"]


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    """Within it, `torch.compile` leaves functions as they are. It reads the switch when it is called."""
    before = os.environ.get(_COMPILER_SWITCH)
    os.environ[_COMPILER_SWITCH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_COMPILER_SWITCH]
        else:
            os.environ[_COMPILER_SWITCH] = before
