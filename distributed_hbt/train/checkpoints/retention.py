"""Which checkpoints of a run may go."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from distributed_hbt.config.checkpoints import BestCheckpoints, CheckpointsConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.checkpoints.attempt import remove_folder

LOWER_IS_BETTER = frozenset({"rank_distance", "max_rank"})
"""Aggregates of which the smallest is the best."""
_log = logging.getLogger(__name__)


def remove_surplus(config: RunConfig, directory: RunDirectory) -> None:
    """Remove the complete checkpoints that the configuration does not keep, oldest first.

    A reader sees a checkpoint whole or not at all. One that can not be removed is left, with a warning: it
    costs room and nothing else.
    """
    for step in surplus_steps(config, directory):
        folder = directory.checkpoint(step)
        try:
            remove_folder(folder)
        except OSError as error:
            _log.warning("%s is not to be kept and could not be removed (%s)", folder, error.strerror)
        else:
            _log.info("removed %s, which is not to be kept", folder)


def surplus_steps(config: RunConfig, directory: RunDirectory) -> list[int]:
    """Steps whose checkpoints may go: never that of the newest, nor one whose evaluation is due or under way.

    Folders that are not complete, or were found damaged, are not of these.
    """
    rules, steps = config.train.checkpoints, directory.complete_steps()
    if rules.keep_last is None:
        return []
    kept = {*steps[-rules.keep_last :], *_at_multiples(rules, steps)}
    if rules.best is not None:
        kept |= best_steps(rules.best, directory, steps)
    return [step for step in steps if step not in kept and not _is_awaited(config, directory, step)]


def best_steps(best: BestCheckpoints, directory: RunDirectory, steps: Sequence[int]) -> set[int]:
    """The best of these steps by the measure; of equal ones the later."""
    found = [(value, step) for step in steps if (value := measured(best, directory, step)) is not None]
    sign = -1 if best.measure.rpartition("/")[2] in LOWER_IS_BETTER else 1
    ordered = sorted(found, key=lambda one: (sign * one[0], one[1]))
    return {step for _, step in ordered[-best.number :]}


def measured(best: BestCheckpoints, directory: RunDirectory, step: int) -> float | None:
    """What the step's checkpoint reached; None where it was not evaluated, or its summary has no such
    figure."""
    benchmark, *names = best.measure.split("/")
    path = directory.evaluation(step) / benchmark / "summary.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["aggregates"]
        for name in names:
            found = found[name]
        return float(found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning(
            "%s has no %s (%s: %s), by which train.checkpoints.best goes",
            *(path, "/".join(names), type(error).__name__, error),
        )
        return None


def _at_multiples(rules: CheckpointsConfig, steps: Sequence[int]) -> list[int]:
    return [step for step in steps if rules.keep_every and step % rules.keep_every == 0]


def _is_awaited(config: RunConfig, directory: RunDirectory, step: int) -> bool:
    """Whether the checkpoint is due for evaluation and has no results yet, or is being evaluated."""
    labels = [benchmark.label for benchmark in config.evaluation.benchmarks]
    if step in config.evaluated_steps and not directory.has_results(step, labels):
        return True
    return any(_is_in_work(path) for path in directory.evaluation(step).glob("*"))


def _is_in_work(path: Path) -> bool:
    """An evaluation writes into such folders, and renames or removes them when it is done."""
    return path.is_dir() and (".partial-" in path.name or path.suffix == ".work")
