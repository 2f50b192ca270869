"""A call in a thread of its own, whose outcome is asked for later."""

import threading
from collections.abc import Callable


class BackgroundCall:
    """Starts at once. The thread does not keep the process from ending."""

    def __init__(self, call: Callable[[], None], name: str) -> None:
        self._call = call
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def is_over(self, seconds: float) -> bool:
        """Whether it has ended, after waiting for that so long."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def error(self) -> BaseException | None:
        """What the call has raised."""
        return self._error

    def result(self) -> None:
        """Raises what the call has raised."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._call()
        # Raised again by `result`, in the thread that asks.
        except BaseException as error:
            self._error = error
