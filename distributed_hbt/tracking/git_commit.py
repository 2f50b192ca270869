"""Which commit of this project runs."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import distributed_hbt

_SECONDS = 10


@dataclass(frozen=True)
class GitCommit:
    """A commit, and whether tracked files differ from it."""

    commit: str
    dirty: bool


def git_commit(package: Path | None = None) -> GitCommit | None:
    """The commit of the checkout that holds the package; None without git or checkout.

    An installed package is in no checkout, even where its environment lies inside of some other one.
    """
    folder = package or Path(distributed_hbt.__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(folder, "rev-parse", "HEAD").strip()
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return GitCommit(commit, dirty=bool(changes.strip()))


def _git(folder: Path, *arguments: str) -> str:
    # Without optional locks: a status must not get into the way of the user's own git commands.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, check=True, timeout=_SECONDS, text=True)
    return done.stdout
