"""Who stalls, from what the ranks have written."""

from dataclasses import replace
from pathlib import Path

from distributed_hbt.train.guards.heartbeat import Heartbeat, find_stall, read_all

STACKS = Path("runs/r/stacks")
LIMIT = 60.0


def beat(rank: int, **changes: object) -> Heartbeat:
    """A rank that waits for the others in step 7."""
    waiting = Heartbeat(rank, f"node-{rank}", 5, 7, 3, "gather", 70.0, "a.py:1 in f", waits=True)
    return replace(waiting, **changes)  # type: ignore[arg-type]


def later(beats: list[Heartbeat]) -> list[Heartbeat | None]:
    return [replace(one, ticks=one.ticks + 3) for one in beats]


def test_the_rank_behind_all_others_is_named_with_its_place() -> None:
    """Those that wait are as late as the one that they wait for."""
    beats = [beat(0), beat(1, beats=1, phase="forward", place="m/x.py:9 in g", waits=False), beat(2)]
    found = find_stall(beats, later(beats), LIMIT, STACKS)
    assert found is not None
    stall, silent = found
    assert str(stall.error()) == (
        "rank 1 on node-1: does not advance for 70 s in step 7 (forward, at m/x.py:9 in g); stacks of all "
        "ranks are in runs/r/stacks; look at that node and at the stacks; start again to resume from the "
        "last checkpoint"
    )
    assert silent == []


def test_of_ranks_in_one_place_the_one_that_waits_for_nobody_is_named() -> None:
    """ZeRO-3 gathers within a forward: all are in it, and one of them sleeps."""
    beats = [beat(0), beat(1), beat(2, waits=False)]
    found = find_stall(beats, later(beats), LIMIT, STACKS)
    assert found is not None
    assert found[0].where == "rank 2 on node-2"


def test_ranks_that_all_wait_are_all_named() -> None:
    """A network that fails: nobody can be accused."""
    beats = [beat(0), beat(1)]
    found = find_stall(beats, later(beats), LIMIT, STACKS)
    assert found is not None
    assert found[0].where == "ranks 0, 1 on node-0, node-1"
    assert found[0].what.startswith("do not advance for 70 s")


def test_a_process_that_does_not_tick_is_named_before_one_that_is_behind() -> None:
    """A frozen rank writes nothing: it would be the last that anybody asks."""
    beats = [beat(0), beat(1), beat(2, beats=1)]
    after = later(beats)
    after[1] = beats[1]
    found = find_stall(beats, after, LIMIT, STACKS)
    assert found is not None
    stall, silent = found
    assert stall.where == "rank 1 on node-1"
    assert "does not answer any more: frozen, or its node is lost; last seen in step 7 (gather" in stall.what
    assert silent == [1]


def test_a_rank_that_goes_on_slowly_is_no_stall() -> None:
    """Ranks that wait for one that reads slowly, or writes a checkpoint, are late, and nothing is wrong."""
    beats = [beat(0), beat(1, beats=1, phase="data", idle=59.0)]
    assert find_stall(beats, later(beats), LIMIT, STACKS) is None


def test_a_rank_without_a_file_does_not_answer() -> None:
    """One that died before its first step."""
    beats = [beat(0)]
    found = find_stall([*beats, None], [*later(beats), None], LIMIT, STACKS)
    assert found is not None
    assert found[0].where == "rank 1"
    assert found[1] == [1]


def test_a_file_that_is_being_written_is_no_dead_rank() -> None:
    """Readers that come between truncation and writing."""
    beats = [beat(0), beat(1, idle=1.0)]
    assert find_stall(beats, [*later(beats[:1]), None], 80.0, STACKS) is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A field that is lost on the way."""
    beat(1).write(tmp_path)
    assert read_all(tmp_path, 3) == [None, beat(1), None]
