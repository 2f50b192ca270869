"""What a machine has run out of."""

import errno
import os

import pytest

from distributed_hbt.errors import ConfigError, DataError, HbtError, WorkerFailed
from distributed_hbt.resource_errors import is_of_the_run, resource_failure


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/x"), "the disk is full"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "quota"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "too many open files"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "the disk or network file system fails"),
        (MemoryError(), "there is no memory left"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "there is no memory left"),
        (RuntimeError("Error while serializing: No space left on device (os error 28)"), "the disk is full"),
        (RuntimeError("code: -98, name: EADDRINUSE, message: address already in use"), "the port is taken"),
    ],
)
def test_each_lack_is_named_with_its_remedy(error: Exception, what: str) -> None:
    """`unexpected: OSError: [Errno 28] ...; run again with --debug`: as if the program was wrong."""
    found = resource_failure(error)
    assert isinstance(found, WorkerFailed)
    assert found.exit_code == 1
    assert what in found.what
    assert found.remedy
    assert found.where == ("runs/x" if getattr(error, "filename", None) else "resources")


def raised(error: HbtError, cause: Exception) -> HbtError:
    with pytest.raises(HbtError) as caught:
        raise error from cause
    return caught.value


def test_a_cause_below_other_errors_is_found() -> None:
    """A store that is called damaged, since there was no descriptor left to open it."""
    damaged = DataError("store/index.npy", "is damaged", "delete the store")
    found = resource_failure(raised(damaged, OSError(errno.EMFILE, os.strerror(errno.EMFILE))))
    assert found is not None
    assert (found.where, "damaged" in str(found)) == ("store/index.npy", False)


def test_errors_that_name_the_place_already_stay_as_they_are() -> None:
    """A remedy that names the field of the run, and one that does not."""
    full = ConfigError("data.store_dir", "can not be written (No space left on device)", "free some space")
    assert resource_failure(raised(full, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))) is None
    for other in (ValueError("no"), FileNotFoundError(2, "No such file"), RuntimeError("a port"), damaged()):
        assert resource_failure(other) is None


def test_a_remedy_that_is_none_is_not_repeated() -> None:
    """`delete the store` in the line that says that there are too few descriptors."""
    told = DataError("store", "is damaged ([Errno 24] Too many open files)", "delete the store")
    assert "delete" not in str(resource_failure(told))


def damaged() -> HbtError:
    return raised(DataError("a", "is damaged", "delete it"), ValueError("not a zip file"))


def test_a_full_disk_is_the_run_s_and_a_port_is_not() -> None:
    """Restarts that meet the same full disk three times; none where another node would do."""
    assert is_of_the_run(OSError(errno.ENOSPC, "full"))
    assert not is_of_the_run(OSError(errno.EADDRINUSE, "taken"))
    assert not is_of_the_run(MemoryError())
