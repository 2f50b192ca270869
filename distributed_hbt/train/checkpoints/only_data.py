"""DeepSpeed's files of a checkpoint are pickles: they are read so that none can run a program.

torch.load has a list of what may be in a file, `weights_only`, under which nothing else is called. DeepSpeed
reads its own files without it, at several places; torch's own switch for that stands above what they say.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from distributed_hbt.errors import CheckpointError

_ONLY, _NOT_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


@contextlib.contextmanager
def only_data() -> Iterator[None]:
    """In the block, torch.load gives tensors, plain values and the classes of DeepSpeed's optimizer state,
    and raises pickle.UnpicklingError for anything else, whatever its caller asks for. So does it in processes
    that are forked there."""
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address
    from torch.serialization import safe_globals

    before = {name: os.environ.pop(name, None) for name in (_ONLY, _NOT_ONLY)}
    os.environ[_ONLY] = "1"
    try:
        with safe_globals([DynamicLossScaler, LossScaler, ZeroStageEnum, fragment_address]):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def check_inside(engine: Path, run_directory: Path) -> None:
    """Whether all files below `engine` lie in the run's own directory, where only the run writes.

    Raises CheckpointError naming the link that leads out of it.
    """
    root = run_directory.resolve()
    for path in (engine, *sorted(engine.rglob("*"))):
        if not path.resolve().is_relative_to(root):
            what = f"leads out of the run directory, to {path.resolve()}"
            raise CheckpointError(str(path), what, "copy the checkpoint into the run directory")
