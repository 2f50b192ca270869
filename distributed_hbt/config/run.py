"""One run's whole configuration, and the checks across its sections."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from distributed_hbt.config.base import Section
from distributed_hbt.config.data import DataConfig
from distributed_hbt.config.evaluation import EvaluationConfig
from distributed_hbt.config.mining import MiningConfig
from distributed_hbt.config.model import ModelConfig
from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.config.train import TrainConfig


class ClusterConfig(Section):
    """What the run takes from a cluster, and what it does when a part of it is lost."""

    name: str | None = Field(default=None, pattern=r"^\S+$")
    """Of the cluster, where a run comes to several, one after the other. `hbt stop` that names another one
    leaves the run alone, and `hbt submit` waits `wait_seconds` for the one before to end."""
    num_workers: int = Field(default=2, ge=1)
    """Training ranks. Under accelerate, torchrun or Slurm the launcher says how many there are."""
    min_workers: int | None = Field(default=None, ge=1)
    """With `hbt submit`: fewer ranks, down to this number, train where nodes are lost, or never come; null:
    as `num_workers`. Only numbers that divide `train.global_batch_size` are taken: the batches stay."""
    max_workers: int | None = Field(default=None, ge=1)
    """With `hbt submit`: more ranks, up to this number, train from a checkpoint on once the cluster has room
    for them; null: as `num_workers`."""
    shrink_after_seconds: int = Field(default=120, ge=1)
    """How long ranks that lost some of them wait for room for all, before fewer are started; then the largest
    number down to `min_workers` that there is room for. The first start waits `wait_seconds` instead."""
    grow_after_seconds: int = Field(default=60, ge=1)
    """How long there must have been room for more ranks before those that train are asked to end at their
    next checkpoint. It doubles every time that the run gets smaller."""
    gpus_per_worker: int = Field(default=1, ge=0)
    """GPUs a rank; 0 trains on CPUs."""
    cpus_per_worker: int = Field(default=1, ge=1)
    """CPUs a rank."""
    placement: Literal["pack", "spread"] = "pack"
    """Ranks on as few nodes as possible, or on as many."""
    evaluation_actors: int = Field(default=1, ge=0)
    """Processes that evaluate; 0: checkpoints are evaluated by the coordinator itself, after the training."""
    evaluation_gpus_per_actor: float | None = Field(default=None, ge=0)
    """GPUs an evaluation actor, which may be a part of one; null: as `gpus_per_worker`."""
    evaluation_cpus_per_actor: int = Field(default=1, ge=1)
    """CPUs, and threads, an evaluation actor."""
    evaluation_placement: Literal["beside", "after"] = "beside"
    """`beside`: actors have resources of their own and evaluate while training goes on. `after`: they take
    those of the training once it has ended."""
    evaluation_stall_seconds: int = Field(default=1800, ge=1)
    """An evaluation actor that has not advanced for this time, since its node can not be reached or it hangs,
    is killed, and its shard goes elsewhere. Loading the encoder and the first batches must fit into it."""
    max_restarts: int = Field(default=3, ge=0)
    """How often the training is started again, from its last checkpoint, after a process or node was lost."""
    wait_seconds: int = Field(default=600, ge=1)
    """How long a start, or a restart, waits for its resources to be free."""
    collective_timeout_seconds: int = Field(default=1800, ge=1)
    """A collective operation that takes longer ends the attempt: a rank that can not be reached stops no
    run for ever."""
    grace_seconds: int = Field(default=60, ge=1)
    """After SIGTERM or Ctrl-C the ranks finish their step and write a checkpoint; whoever has not ended
    after this time is killed."""

    @property
    def fewest_workers(self) -> int:
        return self.num_workers if self.min_workers is None else self.min_workers

    @property
    def most_workers(self) -> int:
        return self.num_workers if self.max_workers is None else self.max_workers

    @model_validator(mode="after")
    def _bounds_hold_the_number(self) -> Self:
        if self.fewest_workers > self.num_workers:
            raise ValueError(
                f"min_workers {self.min_workers} is above num_workers {self.num_workers}; lower the one "
                "or raise the other"
            )
        if self.most_workers < self.num_workers:
            raise ValueError(
                f"max_workers {self.max_workers} is below num_workers {self.num_workers}; raise the one "
                "or lower the other"
            )
        return self


class TrackingConfig(Section):
    """Where MLflow keeps the run."""

    uri: str | None = None
    """MLflow tracking URI; null: `sqlite:///<output_dir>/mlflow.db`."""
    experiment: str = Field(default="distributed_hbt", min_length=1)
    """MLflow experiment; runs that are to be compared share one."""
    system_metrics: bool = True
    """Sample use of CPU, memory, network and (with the package nvidia-ml-py) GPUs every 10 seconds, on the
    machine of rank 0."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tags of the MLflow run, beside those that are always set."""


class RunConfig(Section):
    """Everything that decides a run. Written resolved into the run directory."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run and of its directory below `output_dir`."""
    output_dir: str = "runs"
    """Folder of all runs; also of stores and the default MLflow database."""
    seed: int = Field(default=13, ge=0, lt=2**32)
    """Decides weights, batches and dropout."""
    model: ModelConfig
    """The encoder."""
    data: DataConfig
    """Training data."""
    sampling: SamplingConfig = SamplingConfig()
    """How batches are composed."""
    train: TrainConfig = TrainConfig()
    """The optimisation."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """What is measured, and when."""
    mining: MiningConfig = MiningConfig()
    """Hard negatives that `hbt mine` looks for."""
    cluster: ClusterConfig = ClusterConfig()
    """What the run takes from a cluster."""
    tracking: TrackingConfig = TrackingConfig()
    """Where MLflow keeps the run."""

    @property
    def run_dir(self) -> Path:
        return Path(self.output_dir) / self.name

    @property
    def stores(self) -> Path:
        """Where tokenized stores, trained tokenizers, surveys of corpora and embeddings are kept."""
        return Path(self.data.store_dir or Path(self.output_dir) / "stores")

    @property
    def reduces_once(self) -> bool:
        """Whether cached gradients of the chunks are reduced together, after the last one."""
        asked = self.train.reduce_gradients
        return asked == "once" or (asked == "auto" and self.model.lora is not None)

    @model_validator(mode="after")
    def _printed_loss_has_negatives(self) -> Self:
        if self.train.loss == "printed" and self.data.num_hard_negatives == 0:
            raise ValueError("train.loss printed has only hard negatives; set data.num_hard_negatives")
        if self.train.loss == "printed" and self.train.symmetric:
            raise ValueError("train.symmetric does not go with loss printed; set symmetric: false")
        return self

    @model_validator(mode="after")
    def _distillation_has_negatives(self) -> Self:
        if self.train.distillation is not None and self.data.num_hard_negatives == 0:
            raise ValueError(
                "train.distillation compares the passages of a row, which are one without hard negatives; "
                "set data.num_hard_negatives"
            )
        return self

    @model_validator(mode="after")
    def _teacher_fits(self) -> Self:
        teacher = self.train.teacher
        if teacher is None:
            return self
        if self.data.code_switching is not None:
            raise ValueError(
                "train.teacher would be asked code-switched queries; leave out it, or data.code_switching"
            )
        if self.train.distillation is not None and not teacher.contrastive:
            raise ValueError(
                "train.distillation goes with the contrastive loss; set train.teacher.contrastive: true"
            )
        if self.model.padding_free and teacher.form == "optimal_transport":
            raise ValueError(
                "train.teacher.form optimal_transport needs padded texts; set model.padding_free: false"
            )
        return self

    @model_validator(mode="after")
    def _evaluated_steps_have_checkpoints(self) -> Self:
        every = self.evaluation.every
        if every is not None and every % self.train.checkpoint_every:
            raise ValueError(
                f"evaluation.every {every} is no multiple of train.checkpoint_every "
                f"{self.train.checkpoint_every}; change one of them"
            )
        return self
