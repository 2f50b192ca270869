"""How a submitted run is asked to stop, wherever its processes are: a file of the run directory."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.stop_signals import StopAsked, StopSignals

_GO, _STOP = "go", "stop"


@dataclass(frozen=True, slots=True)
class StopFile:
    """A file that is always there while a run trains. It is written in place and opened for every look: a
    shared file system may hide a new file for a minute, but not what an opened one holds."""

    path: Path

    @classmethod
    def of(cls, directory: RunDirectory) -> "StopFile":
        return cls(directory.path / "stop")

    def reset(self, cluster: str | None = None) -> None:
        """Nobody is asked to stop. `cluster` is the name of the one that the run is on."""
        self._write(_GO, cluster)

    def ask(self) -> None:
        """Ask the ranks to finish their step, write a checkpoint and end."""
        self._write(_STOP, self.cluster())

    def asked(self) -> bool:
        """Whether the ranks are to stop."""
        return self._words()[:1] == [_STOP]

    def cluster(self) -> str | None:
        """The name of the cluster that the run is on; None where it has none."""
        return next(iter(self._words()[1:]), None)

    @contextlib.contextmanager
    def stopping(self, ranks: Ranks) -> Iterator[StopAsked]:
        """Asked in rank 0 alone; it tells the others."""
        yield self.asked if ranks.is_first else _no

    def check_shared(self) -> None:
        """Call on a rank. Raises ConfigError where the run directory is not the coordinator's."""
        if not self.path.exists():
            what = f"{self.path.parent} is not the coordinator's folder of that name on this rank's machine"
            raise ConfigError("output_dir", what, "choose one on storage that all machines share")

    def _write(self, wish: str, cluster: str | None) -> None:
        self.path.write_text(f"{wish} {cluster or ''}", encoding="utf-8")

    def _words(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").split()


class StopWish:
    """That a submitted run stop: a signal to its coordinator, or what `hbt stop` wrote into its stop file."""

    def __init__(self, signals: StopSignals, file: StopFile) -> None:
        self._signals = signals
        self._file = file

    def asked(self) -> bool:
        """Whether either has come."""
        return self._signals.asked() or self._file.asked()

    def raise_if_asked(self) -> None:
        """Raises KeyboardInterrupt where either has come."""
        if self.asked():
            raise KeyboardInterrupt


def _no() -> bool:
    return False
