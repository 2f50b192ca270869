"""The files that DeepSpeed would write of an engine, taken from it instead of written."""

from pathlib import Path
from typing import Any

import torch

from distributed_hbt.train.checkpoints.host_copy import HostCopy

ENGINE = "engine"
"""Folder of the engine's state in a checkpoint."""
_CONVERTERS = ("zero_to_fp32.py", "zero_to_torch.py")


def engine_files(engine: Any, *, copied: bool, trainable_only: bool) -> dict[str, Any]:
    """File name -> content, of this rank; every rank must call it. Nothing is written.

    The contents are copies in the memory of the host, or, where not `copied`, the engine's own, which hold
    until its next step.
    """
    taker, own = _Taker(copied), engine.checkpoint_engine
    engine.checkpoint_engine = taker
    engine._copy_recovery_script = _write_no_script
    try:
        engine.save_checkpoint(
            ENGINE, tag=ENGINE, save_latest=False, exclude_frozen_parameters=trainable_only
        )
    finally:
        engine.checkpoint_engine = own
    return taker.taken


def write_engine_file(path: Path, content: Any) -> None:
    """Write one of the `engine_files`, as DeepSpeed does. Raises OSError, or what torch makes of one."""
    with path.open("wb") as file:
        torch.save(content, file)


def write_converters(folder: Path) -> list[str]:
    """DeepSpeed's own scripts, which make plain weights of its files; their names."""
    import deepspeed

    source = Path(deepspeed.__file__).parent / "utils"
    for name in _CONVERTERS:
        (folder / name).write_bytes((source / name).read_bytes())
    return list(_CONVERTERS)


class _Taker:
    """Stands where DeepSpeed has what writes its files (its CheckpointEngine), and keeps them instead."""

    def __init__(self, copied: bool) -> None:
        self._copied = copied
        self.taken: dict[str, Any] = {}

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Folders are made when the files are written: an error here would be one rank's alone."""

    def save(self, state_dict: Any, path: str) -> None:
        if self._copied:
            copies = HostCopy()
            state_dict = copies.of(state_dict)
            copies.wait()
        self.taken[Path(path).name] = state_dict

    def create(self, info: Any) -> None:
        """Nothing is begun."""

    def commit(self, info: Any) -> bool:
        return True

    def is_decoupled(self) -> bool:
        return False

    def is_data_parallel_writer(self, dp_rank: int) -> bool:
        return dp_rank == 0

    def preserves_storage_sharing(self) -> bool:
        return True


def _write_no_script(save_path: str) -> None:
    """In the place of DeepSpeed's, for the same reason."""
