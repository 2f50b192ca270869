"""What a check says, and what it is asked about."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import HbtError

Status = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` says what to do about a warning or a failure; "" where all is
    well. A failure ends the run that was asked about; a warning does not."""

    check: str
    status: Status
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be examined: this machine, with a run where one is given, on the Ray cluster at `address`
    where one is given."""

    run: RunConfig | None = None
    address: str | None = None

    @property
    def folder(self) -> Path:
        """The run's output_dir, or the nearest folder above it that is there; else the working directory."""
        wanted = Path(self.run.output_dir if self.run else ".").absolute()
        return next(folder for folder in (wanted, *wanted.parents) if folder.exists())

    @property
    def gpus_here(self) -> int:
        """GPUs that the ranks take on this machine: none where they run on another cluster."""
        if self.run is None or self.address is not None:
            return 0
        return self.run.cluster.num_workers * self.run.cluster.gpus_per_worker


Check = Callable[[Subject], list[Finding]]


def failed(check: str, error: HbtError) -> Finding:
    """An error of the project's own as a failure."""
    return Finding(check, "failure", f"{error.where}: {error.what}", error.remedy)
