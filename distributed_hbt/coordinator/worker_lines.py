"""What is logged in Ray's workers, on the driver's stderr.

Ray prints every line that a worker writes with `(<class> pid=..., ip=...) ` in front. Our own lines are
marked where they are logged, and shown without that.
"""

import io
import logging
import re
import sys
import threading
from typing import TextIO

from distributed_hbt.masking import MaskedLines

_MARK = ":hbt:"
_FROM_RAY = re.compile(r"\((?:(?:raylet|gcs_server|autoscaler)\b[^)]*|(?:[\w.]+ )?pid=\w+[^)]*)\) ")
_MARKED = re.compile(_FROM_RAY.pattern + _MARK)

_log = logging.getLogger(__name__)


def log_to_driver(name: str | None) -> None:
    """Call in a worker process: log lines of this project go to the driver; of a process with a `name`, which
    stands in front then, only warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskedLines(f"{_MARK}{f'{name}: ' if name else ''}%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("distributed_hbt").setLevel(logging.WARNING if name else logging.INFO)


class WorkerLines(io.TextIOBase):
    """In place of sys.stdout and sys.stderr: shows the lines that workers log, and passes on what is no line
    of a worker. All others (of libraries, of Ray, the stacks of a process that is killed) are for --debug."""

    def __init__(self, target: TextIO) -> None:
        self._target = target
        self._of_thread = threading.local()

    def write(self, text: str) -> int:
        """Ray prints a line in one piece, and its end in another."""
        left_out = getattr(self._of_thread, "left_out", False)
        self._of_thread.left_out = False
        if text == "\n" and left_out:
            return len(text)
        shown = self._shown(text)
        if shown is None:
            self._of_thread.left_out = True
        else:
            self._target.write(shown)
        return len(text)

    def flush(self) -> None:
        self._target.flush()

    def isatty(self) -> bool:
        return self._target.isatty()

    def fileno(self) -> int:
        return self._target.fileno()

    def _shown(self, text: str) -> str | None:
        marked = _MARKED.search(text)
        if marked is None and _FROM_RAY.match(text):
            _log.debug("%s", text)
            return None
        return _MARKED.sub("", text)
