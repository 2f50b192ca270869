"""The directory of one run, and what stands where in it (docs: the contract of the run directory)."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.aside import aside
from distributed_hbt.checkpoint_marker import MARKER, sync
from distributed_hbt.config import yaml_file
from distributed_hbt.config.load import differing_fields, dump, validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError

MAY_CHANGE = (
    *("cluster.", "mining.", "output_dir", "remote", "tracking.tags", "tracking.system_metrics"),
    *("train.deepspeed", "train.profile_steps", "train.checkpoints.", "train.max_skipped_steps"),
    *("train.compare_ranks_every", "data.damaged_rows"),
)
"""Fields that a resumed run may have otherwise: they do not touch what is trained or measured. (Whether a
checkpoint fits the ZeRO stage is the checkpoint's to say.)"""

_CHECKPOINT = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class RunDirectory:
    """Paths below one run's directory."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def train_log(self) -> Path:
        return self.path / "train.jsonl"

    @property
    def costs(self) -> Path:
        """Parameters and memory, once all steps are done."""
        return self.path / "costs.json"

    @property
    def training_lock(self) -> Path:
        """Held by rank 0: one training writes here at a time."""
        return self.path / "training.lock"

    @property
    def submit_lock(self) -> Path:
        """Held by the coordinator: one `hbt submit` is at the run."""
        return self.path / "submit.lock"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def profile(self) -> Path:
        """Traces and times of profiled steps."""
        return self.path / "profile"

    @property
    def skipped(self) -> Path:
        """The rows of each step that was skipped, since its loss or gradient was not finite."""
        return self.path / "skipped"

    @property
    def watch(self) -> Path:
        """How far each rank is, and who of them stalled."""
        return self.path / "watch"

    @property
    def stacks(self) -> Path:
        """Where each rank was in the code when one of them stalled."""
        return self.path / "stacks"

    @property
    def base(self) -> Path:
        """Weights of a randomly initialised base model that adapters stand on."""
        return self.path / "base"

    @property
    def finished(self) -> Path:
        """Stands there once the run has been trained, evaluated and recorded: nothing is left to do."""
        return self.path / "FINISHED"

    def checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"step-{step:08d}"

    @property
    def attempt(self) -> Path:
        """Names the attempt to train that may write here: the one that was started last."""
        return self.path / "attempt.json"

    def is_complete(self, step: int) -> bool:
        """Whether the checkpoint after `step` steps is there and whole."""
        return (self.checkpoint(step) / MARKER).exists()

    def checkpoint_steps(self) -> list[int]:
        """Steps that have a checkpoint's folder, in order. It is whole where it has a marker: a folder gets
        its name last."""
        names = [_CHECKPOINT.fullmatch(path.name) for path in self.checkpoints.glob("step-*")]
        return sorted(int(name[1]) for name in names if name)

    def complete_steps(self) -> list[int]:
        """Steps that have a complete checkpoint, in order."""
        return [step for step in self.checkpoint_steps() if self.is_complete(step)]

    def evaluation(self, step: int) -> Path:
        return self.path / "evaluation" / f"step-{step:08d}"

    def has_results(self, step: int, labels: Iterable[str]) -> bool:
        """Whether the checkpoint after `step` steps was evaluated on all benchmarks of these labels."""
        return all((self.evaluation(step) / label / "summary.json").is_file() for label in labels)


def check_run_directory(config: RunConfig) -> RunDirectory:
    """The run's directory, which need not exist yet. Refuses one that holds a run of another configuration.

    Raises ConfigError naming the fields that differ, or output_dir where it can not be written.
    """
    directory = RunDirectory(config.run_dir)
    if directory.config.exists():
        found = validate(yaml_file.read(directory.config))
        fields = [f for f in differing_fields(config, found) if not f.startswith(MAY_CHANGE)]
        if fields:
            raise ConfigError(
                str(directory.config),
                f"was started with other values of {', '.join(fields)}",
                "give these their old values, or the run another name",
            )
        return directory
    nearest = next(folder for folder in directory.path.absolute().parents if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        what = f"{config.output_dir} can not be written ({nearest} is no writable folder)"
        raise ConfigError("output_dir", what, "choose another")
    return directory


def write_config(directory: RunDirectory, config: RunConfig) -> None:
    """Write the resolved configuration, unless it stands there already. Raises ConfigError."""
    if directory.config.exists():
        return
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
        write_aside(directory.config, dump(config))
    except OSError as error:
        what = f"{directory.path} can not be written ({error.strerror})"
        raise ConfigError("output_dir", what, "choose another") from error


def write_aside(path: Path, text: str) -> None:
    """Write a file under another name, then rename it: a reader sees all of it or none, also where the
    machine goes down."""
    partial = aside(path)
    partial.write_text(text, encoding="utf-8")
    sync(partial)
    partial.replace(path)
    sync(path.parent)
