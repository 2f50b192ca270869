"""DeepSpeed's Muon optimizer, which every engine imports and no run uses."""

import contextlib
import importlib
import os

_SWITCH = "TORCHDYNAMO_DISABLE"


def import_muon_uncompiled() -> None:
    """Import it without torch's compiler, which its decorators would load for it: a sixth of a rank's start.

    Call before an engine is built. Later compilation is not touched: torch reads the switch at a decorator.
    """
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "1"
    try:
        with contextlib.suppress(ModuleNotFoundError):  # a version of DeepSpeed without it
            importlib.import_module("deepspeed.runtime.zero.muon.muon_optimizer")
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
