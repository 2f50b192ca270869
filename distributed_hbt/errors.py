"""The errors that users see. Each is one line: where, what is wrong, and the remedy."""

from distributed_hbt.masking import masked

_LONGEST = 2000


def terminal_line(text: str) -> str:
    """`text` as one line for a terminal: secrets masked, characters that would command it written out, the
    middle of a very long one left out."""
    line = masked(" ".join(text.split()))
    if not line.isprintable():
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"


class HbtError(Exception):
    """Base of all errors addressed to the user.

    `where` is a field path or file:line, `what` says what is wrong, `remedy` what to do about it.
    `exit_code` is the process exit status (2: usage, configuration or data; 1: the run failed).
    """

    exit_code = 2

    def __init__(self, where: str, what: str, remedy: str) -> None:
        self.where = where
        self.what = what
        self.remedy = remedy
        super().__init__(where, what, remedy)

    def __str__(self) -> str:
        return terminal_line(f"{self.where}: {self.what}; {self.remedy}")


class ConfigError(HbtError, ValueError):
    """The run configuration or the command line can not be used as given."""


class DataError(HbtError, ValueError):
    """Training or evaluation data can not be used as given."""


class CheckpointError(HbtError, ValueError):
    """A checkpoint is missing, damaged, or belongs to another run."""


class WorkerFailed(HbtError, RuntimeError):  # noqa: N818 (the name says what happened)
    """A run that had started could not go on."""

    exit_code = 1


def one_line(error: BaseException) -> str:
    """What another library's error says, made short enough for one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
