"""How a submitted run is asked to stop, wherever its processes are: a file of the run directory."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.stop_signals import StopAsked, StopSignals

_GO, _STOP, _PAUSE = "go", "stop", "pause"


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
        self.ask_for_pause(wanted=False)

    def ask(self) -> None:
        """Ask the ranks to finish their step, write a checkpoint and end."""
        self._write(_STOP, self.cluster())

    def asked(self, *, at_checkpoint: bool = False) -> bool:
        """Whether the ranks are to stop; `at_checkpoint`: or to end after a step that has a checkpoint."""
        return self._words()[:1] == [_STOP] or (at_checkpoint and self.pause_asked())

    def ask_for_pause(self, *, wanted: bool) -> None:
        """Ask the ranks to end at their next checkpoint, or no longer. In a file of its own, so that it can
        not replace the wish that they stop."""
        self._pause.write_text(_PAUSE if wanted else _GO, encoding="utf-8")

    def pause_asked(self) -> bool:
        """Whether the ranks are to end at their next checkpoint."""
        return self._pause.read_text(encoding="utf-8") == _PAUSE

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

    @property
    def _pause(self) -> Path:
        return self.path.with_name(_PAUSE)

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


def _no(*, at_checkpoint: bool = False) -> bool:
    return False
