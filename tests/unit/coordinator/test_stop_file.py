"""The file by which ranks are asked to stop."""

from pathlib import Path

import pytest

from distributed_hbt.coordinator.stop_file import StopFile
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory


def test_rank_0_sees_the_wish_in_the_file_it_has_always_seen(tmp_path: Path) -> None:
    """Catches a new file in its place, which a shared file system shows to other machines late."""
    file = StopFile.of(RunDirectory(tmp_path))
    file.reset()
    inode = file.path.stat().st_ino
    with file.stopping(Ranks(0, 2, 0)) as asked, file.stopping(Ranks(1, 2, 1)) as asked_of_other:
        assert not asked()
        file.ask()
        assert asked()
        assert not asked_of_other()  # rank 0 tells it
    assert file.path.stat().st_ino == inode
    file.reset()
    assert not file.asked()


def test_rank_with_another_folder_is_refused(tmp_path: Path) -> None:
    """Catches checkpoints that lie on every machine's own disk, each of them half."""
    with pytest.raises(ConfigError, match=r"output_dir: .* storage that all machines share"):
        StopFile.of(RunDirectory(tmp_path)).check_shared()


def test_wish_to_pause_waits_for_a_checkpoint_and_never_replaces_the_wish_to_stop(tmp_path: Path) -> None:
    """Steps that are lost for a restart that could wait; an `hbt stop` that waits for ever, since a pause
    that is taken back took it back as well."""
    file = StopFile.of(RunDirectory(tmp_path))
    file.reset()
    file.ask_for_pause(wanted=True)
    with file.stopping(Ranks(0, 2, 0)) as asked:
        assert not asked()
        assert asked(at_checkpoint=True)
        file.ask()
        file.ask_for_pause(wanted=False)
        assert asked()
    file.reset()
    assert not file.asked(at_checkpoint=True)
