"""How the coordinator asks the ranks to stop, wherever they are: a file of the run directory."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.stop_signals import StopAsked

_GO, _STOP = "go", "stop"


@dataclass(frozen=True, slots=True)
class StopFile:
    """A file that is always there while a run trains. It is written in place and opened for every look: a
    shared file system may hide a new file for a minute, but not what an opened one holds."""

    path: Path

    @classmethod
    def of(cls, directory: RunDirectory) -> "StopFile":
        return cls(directory.path / "stop")

    def reset(self) -> None:
        """Nobody is asked to stop."""
        self.path.write_text(_GO, encoding="utf-8")

    def ask(self) -> None:
        """Ask the ranks to finish their step, write a checkpoint and end."""
        self.path.write_text(_STOP, encoding="utf-8")

    def asked(self) -> bool:
        """Whether the ranks are to stop."""
        return self.path.read_text(encoding="utf-8") == _STOP

    @contextlib.contextmanager
    def stopping(self, ranks: Ranks) -> Iterator[StopAsked]:
        """Asked in rank 0 alone; it tells the others."""
        yield self.asked if ranks.is_first else _no

    def check_shared(self) -> None:
        """Call on a rank. Raises ConfigError where the run directory is not the coordinator's."""
        if not self.path.exists():
            what = f"{self.path.parent} is not the coordinator's folder of that name on this rank's machine"
            raise ConfigError("output_dir", what, "choose one on storage that all machines share")


def _no() -> bool:
    return False
