"""What runs in the process of an evaluation actor."""

import os
import traceback
from dataclasses import dataclass

import ray

from distributed_hbt.coordinator.worker_lines import log_to_driver
from distributed_hbt.errors import HbtError
from distributed_hbt.evaluation.jobs.job import Job
from distributed_hbt.evaluation.jobs.worker import Worker


@dataclass(frozen=True, slots=True)
class Home:
    """Where an actor lives. `name` is for people: host name and address of the node."""

    node_id: str
    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Report:
    """How far the actor is with attempt `number`: texts done, and its place (file:line), "" if unknown."""

    number: int
    done: int
    place: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job was not done, and where it was; another attempt may do it."""

    what: str
    place: str


class EvaluationActor:
    """Does one job at a time. `home` and `report` answer meanwhile, from a thread of their own."""

    def __init__(self, device: str) -> None:
        log_to_driver(f"evaluation on {os.uname().nodename}")
        self._worker = Worker(device)
        self._number = -1

    def home(self) -> Home:
        node_id = ray.get_runtime_context().get_node_id()
        return Home(node_id, f"{os.uname().nodename} ({ray.util.get_node_ip_address()})", os.getpid())

    def do(self, number: int, job: Job) -> HbtError | Failure | None:
        """Make the job's output; None when it is made.

        Errors are returned, not raised: raised ones would arrive within one of Ray's own.
        """
        self._worker.begin()
        self._number = number
        try:
            job.run(self._worker)
        except HbtError as error:
            error.add_note("".join(traceback.format_exception(error)))
            return error
        # What a job raises beside that comes from the machine: memory, disk, device.
        except Exception as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())
            return Failure(what[:500], self._worker.place)
        return None

    def report(self) -> Report:
        number = self._number  # read first: `do` sets it last
        return Report(number, self._worker.done, self._worker.place)
