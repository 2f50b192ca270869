"""Whether two processes can keep each other out by a lock file below output_dir, as runs do."""

import tempfile
from pathlib import Path

from distributed_hbt.doctor.child import answer, start
from distributed_hbt.doctor.finding import Finding, Subject
from distributed_hbt.run_lock import hold

_CHECK = "locks"
_SECONDS = 60.0


def check(subject: Subject) -> list[Finding]:
    """A second process must be kept out while this one holds the lock, and get it afterwards."""
    remedy = "choose an output_dir with locks: a local disk, NFS 4, Lustre with -o flock"
    try:
        with tempfile.TemporaryDirectory(dir=subject.folder, prefix=".hbt-doctor-") as folder:
            path = Path(folder) / "training.lock"
            with hold(path, "check"):
                while_held = _other_process_gets(path)
            afterwards = _other_process_gets(path)
    except OSError as error:
        what = f"{subject.folder} takes no files ({error.strerror})"
        return [Finding(_CHECK, "failure", what, "choose an output_dir that can be written")]
    if while_held:
        what = f"two processes held one lock in {subject.folder} at the same time"
        return [Finding(_CHECK, "failure", what, remedy)]
    if not afterwards:
        what = f"a lock in {subject.folder} stayed after its holder had released it"
        return [Finding(_CHECK, "failure", what, remedy)]
    return [Finding(_CHECK, "ok", f"{subject.folder} has working locks")]


def _other_process_gets(path: Path) -> bool:
    process = start("distributed_hbt.doctor.lock_taker", [str(path)])
    return answer(process, _SECONDS).strip() == "taken"
