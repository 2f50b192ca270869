"""What ranks tell each other of their progress, by files, and who of them stalls."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from distributed_hbt.train.guards.stall import Stall

_READS, _SECONDS_TO_WRITE = 5, 0.05


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A rank, as its watching thread has seen it last.

    `ticks` counts what the thread has written: it stands still where the whole process does. `step` (from 1)
    and `beats` (parts of it that began or ended) say how far the rank is; `idle` are the seconds since the
    last of them. `place` is where its main thread is in the code, and `waits` whether that is a collective.
    """

    rank: int
    node: str
    ticks: int
    step: int
    beats: int
    phase: str
    idle: float
    place: str
    waits: bool

    @property
    def progress(self) -> tuple[int, int]:
        return self.step, self.beats

    def write(self, folder: Path) -> None:
        """In place: a shared file system may hide a new file for a minute, but not what an old one holds."""
        _path(folder, self.rank).write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_all(folder: Path, world_size: int) -> "list[Heartbeat | None]":
    """Of every rank; None for one whose file is missing, or being written."""
    return [_read(_path(folder, rank)) for rank in range(world_size)]


def find_stall(
    before: "Sequence[Heartbeat | None]", after: "Sequence[Heartbeat | None]", limit: float, stacks: Path
) -> tuple[Stall, list[int]] | None:
    """Who holds up all others, and the ranks that do not answer; None where nobody does for `limit` seconds.

    `before` and `after` were read some ticks apart. First come ranks that have not ticked in between: their
    process is frozen or gone. Otherwise those that are behind all others; of several equally far, those that
    do not wait for others.
    """
    silent = [rank for rank, (a, b) in enumerate(zip(before, after, strict=True)) if _is_silent(a, b)]
    if silent:
        last = [after[rank] or before[rank] for rank in silent]
        what = (
            f"{_each(silent)} not answer any more: frozen, or its node is lost{_seen([b for b in last if b])}"
        )
        return Stall(_named(silent, last), f"{what}; stacks of the other ranks are in {stacks}"), silent
    beats = [beat for beat in after if beat is not None]
    behind = [b for b in beats if b.progress == min(beat.progress for beat in beats)]
    if any(beat.idle < limit for beat in behind):
        return None
    culprits = [beat for beat in behind if not beat.waits] or behind
    ranks = [beat.rank for beat in culprits]
    first = culprits[0]
    place = f"step {first.step} ({first.phase}, at {first.place})"
    what = (
        f"{_each(ranks)} not advance for {first.idle:.0f} s in {place}; stacks of all ranks are in {stacks}"
    )
    return Stall(_named(ranks, culprits), what), []


def _is_silent(before: Heartbeat | None, after: Heartbeat | None) -> bool:
    if after is None:
        return before is None  # a file that is being written can be read the next time
    return before is not None and before.ticks == after.ticks


def _each(ranks: Sequence[int]) -> str:
    return "does" if len(ranks) == 1 else "do"


def _seen(last: Sequence[Heartbeat]) -> str:
    return f"; last seen in step {last[0].step} ({last[0].phase}, at {last[0].place})" if last else ""


def _named(ranks: Sequence[int], beats: "Sequence[Heartbeat | None]") -> str:
    nodes = sorted({beat.node for beat in beats if beat is not None})
    on = f" on {', '.join(nodes)}" if nodes else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}{on}"


def _path(folder: Path, rank: int) -> Path:
    return folder / f"rank-{rank:05d}.json"


def _read(path: Path) -> Heartbeat | None:
    for _ in range(_READS):
        try:
            return Heartbeat(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):  # half written
            time.sleep(_SECONDS_TO_WRITE)
    return None
