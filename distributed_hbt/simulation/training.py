"""A training on a cluster whose nodes fail, event by event."""

from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import simpy

from distributed_hbt.simulation.assumptions import Assumptions
from distributed_hbt.simulation.stragglers import Float64

Events = Generator[simpy.Event, Any, None]


@dataclass(slots=True)
class Account:
    """Where the seconds went; together they are all that passed."""

    useful: float = 0.0
    """Steps that stayed, as long as they take with equal work on all ranks."""
    straggling: float = 0.0
    """What those steps took longer, since the others waited for the slowest rank."""
    checkpointing: float = 0.0
    lost: float = 0.0
    """Steps and checkpoints that a failure made undone."""
    restarting: float = 0.0
    waiting: float = 0.0
    """For a node in the place of one that failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a training. `seconds` is read from the clock, the parts of `account` were added up."""

    seconds: float
    account: Account
    failures: int

    @property
    def goodput(self) -> float:
        """The part of the time that was progress."""
        return self.account.useful / self.seconds

    @property
    def parts(self) -> dict[str, float]:
        """Name -> share of the time."""
        return {name: seconds / self.seconds for name, seconds in asdict(self.account).items()}


def simulate(
    assumptions: Assumptions,
    *,
    steps: int,
    step_seconds: float,
    steps_per_checkpoint: int,
    seed: int,
    slowdowns: Float64 | None = None,
) -> Outcome:
    """Train `steps` steps, each as long as the slowest rank needs.

    `step_seconds`: with equal work on all ranks. `slowdowns`: of batches, from which each step draws its own
    (see stragglers.py); None for equal work. Failures come at random with the cluster's MTTF, whatever it
    does, and set the training back to its last whole checkpoint. The last step has one too.
    """
    env = simpy.Environment()
    training = _Training(env, assumptions, step_seconds, slowdowns, np.random.default_rng([seed, 1]))
    process = env.process(training.run(steps, steps_per_checkpoint))
    env.process(training.fail(process, np.random.default_rng([seed, 2])))
    env.run(until=process)
    return Outcome(env.now, training.account, training.failures)


class _Training:
    def __init__(
        self,
        env: simpy.Environment,
        assumptions: Assumptions,
        step_seconds: float,
        slowdowns: Float64 | None,
        generator: np.random.Generator,
    ) -> None:
        self.account = Account()
        self.failures = 0
        self._env = env
        self._assumptions = assumptions
        self._step_seconds = step_seconds
        self._slowdowns = slowdowns
        self._generator = generator
        spares = assumptions.spare_nodes
        self._spares = None if spares is None else simpy.Container(env, init=spares)

    def run(self, steps: int, steps_per_checkpoint: int) -> Events:
        """From checkpoint to checkpoint until all steps are done."""
        cost, done, began = self._assumptions.checkpoint_cost, 0, 0.0
        while done < steps:
            count = min(steps_per_checkpoint, steps - done)
            balanced = count * self._step_seconds
            taken = self._taken(count)
            try:
                began = self._env.now
                yield self._env.timeout(taken + cost)
            except simpy.Interrupt:
                self.account.lost += self._env.now - began
                yield from self._recover()
                continue
            done += count
            self.account.useful += balanced
            self.account.straggling += taken - balanced
            self.account.checkpointing += cost

    def fail(self, training: simpy.Process, generator: np.random.Generator) -> Events:
        """Nodes and GPUs fail independently and without memory: together they are one such source."""
        while True:
            yield self._env.timeout(generator.exponential(self._assumptions.mttf))
            self.failures += 1
            if self._spares is not None:
                self._env.process(self._repair(self._spares))
            training.interrupt()

    def _taken(self, count: int) -> float:
        if self._slowdowns is None:
            return count * self._step_seconds
        return float(self._generator.choice(self._slowdowns, count).sum()) * self._step_seconds

    def _repair(self, spares: simpy.Container) -> Events:
        yield self._env.timeout(self._assumptions.repair)
        yield spares.put(1)

    def _recover(self) -> Events:
        """Replace the node that failed, and those that fail meanwhile; then start anew."""
        broken = 1
        while True:
            began = self._env.now
            try:
                while broken and self._spares is not None:
                    with self._spares.get(1) as spare:  # gives the request back where it is interrupted
                        yield spare
                    broken -= 1
            except simpy.Interrupt:
                broken += 1
                continue
            finally:
                self.account.waiting += self._env.now - began
            began = self._env.now
            try:
                yield self._env.timeout(self._assumptions.restart)
                return
            except simpy.Interrupt:
                broken = 1
            finally:
                self.account.restarting += self._env.now - began
