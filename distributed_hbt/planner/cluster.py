"""What a run is planned on: a cluster file, frozen and strict."""

import difflib
import json
from pathlib import Path

from pydantic import Field, ValidationError

from distributed_hbt.config import yaml_file
from distributed_hbt.config.base import Section
from distributed_hbt.config.messages import config_error
from distributed_hbt.errors import ConfigError
from distributed_hbt.planner.gpus import KINDS, GpuKind


class Assumptions(Section):
    """What nobody knows before a run has been measured. Every plan prints them."""

    utilisation: float = Field(default=0.4, gt=0, le=1)
    """Share of the device's peak that matrix products reach while they run."""
    bandwidth: float = Field(default=0.8, gt=0, le=1)
    """Share of the stated bandwidths that collectives, memory and disks reach."""
    overlap: float = Field(default=0.8, ge=0, le=1)
    """Share of the forward and backward beside which ZeRO's traffic runs, where `overlap_comm` is set."""
    fragmentation: float = Field(default=0.1, ge=0, lt=1)
    """Memory that the allocator holds without using it, as a share of what is used."""
    reserved_gib: float = Field(default=1.5, ge=0)
    """CUDA's context, NCCL's buffers and cuBLAS's workspaces on every GPU, GiB."""
    query_tokens: float | None = Field(default=None, gt=0)
    """Mean length of queries, prompt and EOS included; null: 21, as XQuAD-R's questions."""
    passage_tokens: float | None = Field(default=None, gt=0)
    """Mean length of passages before they are cut; null: 223, as XQuAD-R's paragraphs."""
    restart_seconds: float = Field(default=300.0, gt=0)
    """From a failure until the first step after it."""


class ClusterDescription(Section):
    """Nodes of one kind."""

    gpu: str | GpuKind
    """A kind that `planner.gpus` knows, or a device described here."""
    gpus_per_node: int = Field(ge=1)
    nodes: int = Field(default=1, ge=1)
    internode_gb_per_second: float = Field(default=50.0, gt=0)
    """Between nodes, for each GPU, one direction, 1e9 bytes a second: 400 Gbit/s are 50."""
    intranode_gb_per_second: float | None = Field(default=None, gt=0)
    """Between GPUs of a node, for each, one direction; null: as the kind has it."""
    storage_gb_per_second: float = Field(default=2.0, gt=0)
    """To where checkpoints are written, for all nodes together."""
    price_per_gpu_hour: float | None = Field(default=None, ge=0)
    """In whatever currency; null: no cost is stated."""
    mttf_hours: float | None = Field(default=None, gt=0)
    """Mean time to failure of one GPU with its share of a node, hours; null: 50,000 (see docs/planner.md)."""
    assumptions: Assumptions = Assumptions()
    """What a plan assumes."""

    @property
    def kind(self) -> GpuKind:
        """The device. Raises ConfigError for a name that is not known."""
        if isinstance(self.gpu, GpuKind):
            return self.gpu
        if self.gpu in KINDS:
            return KINDS[self.gpu]
        near = difflib.get_close_matches(self.gpu, KINDS, n=1, cutoff=0.0)
        remedy = f"did you mean {near[0]}? Known are {', '.join(KINDS)}; or describe the device here"
        raise ConfigError("gpu", f"{self.gpu!r} is no known kind", remedy)

    @property
    def gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    @property
    def link(self) -> float:
        """Bytes a second between GPUs of a node, for each, as stated."""
        return 1e9 * (self.intranode_gb_per_second or self.kind.link_gb_per_second)


def load_cluster(path: Path) -> ClusterDescription:
    """Read a cluster file. Raises ConfigError, which begins with the file."""
    content = yaml_file.read(path)
    try:
        cluster = ClusterDescription.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise _in_file(path, config_error(error, ClusterDescription, content)) from error
    try:
        cluster.kind  # noqa: B018 (raises)
    except ConfigError as error:
        raise _in_file(path, error) from error
    return cluster


def _in_file(path: Path, error: ConfigError) -> ConfigError:
    return ConfigError(f"{path}: {error.where}", error.what, error.remedy)
