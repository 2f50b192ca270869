"""Every completed checkpoint that is due, evaluated while training goes on."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from distributed_hbt.config.run import RunConfig
from distributed_hbt.coordinator.capacity import evaluation_share
from distributed_hbt.coordinator.evaluation_pool import RayExecutor
from distributed_hbt.coordinator.evaluation_pool_progress import TrackedProgress
from distributed_hbt.coordinator.room import Claim
from distributed_hbt.errors import HbtError, WorkerFailed
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.evaluation.jobs.progress import LoggedProgress, to_all
from distributed_hbt.pipeline import due_steps, evaluate_step
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.tracking.base import Tracker

_LOOK_SECONDS = 1.0
_log = logging.getLogger(__name__)

OpenExecutor = Callable[[], AbstractContextManager[Executor]]


@contextmanager
def executor_of(config: RunConfig, tracker: Callable[[], Tracker], claim: Claim) -> Iterator[Executor]:
    """What does the jobs of a submitted run: actors of the connected cluster, which give way to the claim, or
    this process where the run asks for none. Its progress goes to the log, where the training's is, and to
    the tracker."""
    attempts, share = config.evaluation.max_attempts, evaluation_share(config.cluster)
    sink = to_all(LoggedProgress(), TrackedProgress(tracker))
    if share.count:
        with RayExecutor(
            config.cluster, max_attempts=attempts, sink=sink, gives_way=claim.stands
        ) as executor:
            claim.on_made(executor.rest)
            yield executor
    else:
        device = None if share.gpus else "cpu"
        yield LocalExecutor(device, max_attempts=attempts, sink=sink, threads=int(share.cpus))


class EvaluationFeed:
    """Watches a run directory and evaluates, one checkpoint after the other. Training does not know of it.

    `run` may be called in a thread of its own; `training_is_over` and `abandon` come from others.
    """

    def __init__(
        self,
        config: RunConfig,
        directory: RunDirectory,
        open_executor: OpenExecutor,
        tracker: Callable[[], Tracker],
    ) -> None:
        """`tracker` is called once a checkpoint is there."""
        self._config = config
        self._directory = directory
        self._open_executor = open_executor
        self._tracker = tracker
        self._training_over = threading.Event()
        self._look_now = threading.Event()
        self._abandoned = False
        self._opened = ExitStack()

    def run(self) -> None:
        """Evaluate the checkpoints that are due as they come, until the training is over and all have been.

        One that can not be evaluated keeps none of the others from it, and is tried once more when the
        training is over. Raises WorkerFailed of the first that still can not.
        """
        failed: dict[int, WorkerFailed] = {}
        with self._opened:
            executor = self._opened.enter_context(self._open_executor())
            for step in due_steps(self._config):
                if not self._wait_for(step):
                    break
                self._try(step, executor, failed)
            self._training_over.wait()
            for step in list(failed):
                self._try(step, executor, failed)
        if failed and not self._abandoned:
            raise next(iter(failed.values()))

    def training_is_over(self) -> None:
        """No further checkpoint will come."""
        self._training_over.set()
        self._look_now.set()

    def abandon(self) -> None:
        """End `run` soon: the evaluation in hand is broken off, what it has done so far is kept."""
        self._abandoned = True
        self._training_over.set()
        self._look_now.set()
        self._opened.close()

    def _wait_for(self, step: int) -> bool:
        """Whether the checkpoint, or what came of it, is there, once it is or will not be."""
        labels = [benchmark.label for benchmark in self._config.evaluation.benchmarks]
        while not self._abandoned:
            over = self._training_over.is_set()  # asked first: the last checkpoint comes before it
            if self._directory.is_complete(step) or self._directory.has_results(step, labels):
                return True
            if over:
                return False
            self._look_now.wait(_LOOK_SECONDS)
        return False

    def _try(self, step: int, executor: Executor, failed: dict[int, WorkerFailed]) -> None:
        if self._abandoned:
            return
        error = self._evaluate(step, executor)
        if error is None:
            failed.pop(step, None)
        elif not self._abandoned:
            _log.warning("step %d was not evaluated: %s", step, error)
            failed[step] = error

    def _evaluate(self, step: int, executor: Executor) -> WorkerFailed | None:
        _log.info("evaluating step %d", step)
        try:
            evaluate_step(self._config, self._directory, step, self._tracker(), executor)
        except HbtError as error:
            return WorkerFailed(error.where, error.what, error.remedy)
        # Whatever it is, the training and the other checkpoints have nothing to do with it.
        except Exception as error:
            _log.debug("evaluation of step %d", step, exc_info=True)
            text = " ".join(f"{type(error).__name__}: {error}".split())
            where = str(self._directory.checkpoint(step))
            return WorkerFailed(where, f"could not be evaluated ({text})", "submit again to evaluate it")
        return None
