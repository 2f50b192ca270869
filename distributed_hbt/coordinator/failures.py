"""What went wrong in an attempt to train, from what Ray Train raises."""

import re
import traceback
from dataclasses import dataclass
from typing import Any

from distributed_hbt.errors import HbtError
from distributed_hbt.resource_errors import resource_failure

_NODE = re.compile(r"node_ip='([^']+)'")
_EXIT = re.compile(r"Worker exit detail: (.*?\.)(?:\s|$)", re.DOTALL)


class RankFailed(Exception):  # noqa: N818 (the name says what happened)
    """Anything but an HbtError that a rank raised; survives pickling whatever it was."""

    def __init__(self, node: str, text: str, trace: str) -> None:
        super().__init__(node, text, trace)
        self.node = node
        self.text = text
        self.trace = trace

    @classmethod
    def of(cls, error: BaseException, node: str) -> "RankFailed":
        text = str(resource_failure(error) or " ".join(f"{type(error).__name__}: {error}".split()))
        return cls(node, text[:300], "".join(traceback.format_exception(error)))


@dataclass(frozen=True, slots=True)
class Failure:
    """Who ended an attempt, and of what."""

    where: str
    what: str
    trace: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def explain(error: BaseException) -> Failure:
    """The cause among the errors of all ranks: one that died, before those that lost their connection to it
    and may call that anything. Raises an HbtError that a rank raised, as it is."""
    from ray.exceptions import RayActorError

    failures: dict[int, Any] = getattr(error, "worker_failures", {})
    lost = [rank for rank, e in sorted(failures.items()) if not isinstance(e, RankFailed | HbtError)]
    if lost:
        return _lost(lost, str(failures[lost[0]]))
    for _, one in sorted(failures.items()):
        if isinstance(one, HbtError):
            raise one
    raised = sorted(failures)
    if raised:
        first: RankFailed = failures[raised[0]]
        return Failure(f"rank {raised[0]} on {first.node}", first.text, first.trace)
    if isinstance(error, RayActorError):
        what = "the process was killed or crashed (out of memory?)"
        return Failure("the controller of Ray Train", what, str(error))
    cause = getattr(error, "controller_failure", error)
    return Failure("Ray Train", _one_line(f"{type(cause).__name__}: {cause}"), str(error))


def _lost(ranks: list[int], text: str) -> Failure:
    node = _NODE.search(text)
    named = ", ".join(map(str, ranks))
    where = f"rank{'s' if len(ranks) > 1 else ''} {named}{f' on {node[1]}' if node else ''}"
    if "its node has died" in text:
        return Failure(where, "the node died", text)
    if "has been hanging" in text or "is unavailable" in text:
        return Failure(where, "does not answer any more", text)
    if "connection error code" in text:
        return Failure(where, "the process was killed or crashed (out of memory?)", text)
    detail = _EXIT.search(text)
    return Failure(where, f"the process died ({_one_line(detail[1] if detail else text)})", text)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:297]}..."
