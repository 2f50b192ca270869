"""What a training left behind that was ended since a rank of it stalled: who, and where."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from distributed_hbt.errors import WorkerFailed
from distributed_hbt.run_directory import RunDirectory, write_aside

_REMEDY = "look at that node and at the stacks; start again to resume from the last checkpoint"


@dataclass(frozen=True, slots=True)
class Stall:
    """`where` names ranks and nodes, `what` says how long they have not advanced, and in what."""

    where: str
    what: str

    @classmethod
    def of(cls, directory: RunDirectory) -> "Stall | None":
        """That of the last attempt to train; None where none stalled."""
        try:
            return cls(**json.loads(_path(directory).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    @staticmethod
    def forget(directory: RunDirectory) -> None:
        """Call before an attempt begins."""
        _path(directory).unlink(missing_ok=True)

    def write(self, directory: RunDirectory) -> None:
        """For the other ranks, and for the coordinator."""
        write_aside(_path(directory), json.dumps(asdict(self)) + "\n")

    def error(self) -> WorkerFailed:
        """As the user sees it."""
        return WorkerFailed(self.where, self.what, _REMEDY)


def _path(directory: RunDirectory) -> Path:
    return directory.watch / "stall.json"
