"""Checkpoints whose checksums are right again after a test has changed their files."""

from pathlib import Path

from distributed_hbt.checkpoint_marker import MARKER, facts_of, write_marker


def seal(checkpoint: Path) -> None:
    """Write the marker anew, as one who changes a checkpoint on purpose would."""
    files = [path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARKER]
    names = [path.relative_to(checkpoint).as_posix() for path in files]
    write_marker(checkpoint, facts_of(checkpoint, names), {})
