"""Everything that a plan is computed from, gathered once."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.planner.activations import Activations, measure_activations
from distributed_hbt.planner.architecture import Architecture, architecture_of
from distributed_hbt.planner.cluster import ClusterDescription
from distributed_hbt.planner.parameters import ParameterCounts, count_parameters
from distributed_hbt.planner.sharding import Sharding, sharding_of
from distributed_hbt.planner.texts import Workload, assumed_workload
from distributed_hbt.train.zero import read_zero, with_deepspeed

_LENGTHS = 32


def bytes_per_weight(model: ModelConfig) -> int:
    """Of what is computed with; optimizers have float32."""
    return 2 if model.dtype == "bfloat16" else 4


@dataclass(frozen=True, eq=False)
class Setting:
    """A run on a cluster. `teacher` are the bytes of a frozen teacher, which every rank keeps."""

    config: RunConfig
    cluster: ClusterDescription
    architecture: Architecture
    parameters: ParameterCounts
    sharding: Sharding
    activations: Activations
    workload: Workload
    teacher: int

    @property
    def world_size(self) -> int:
        return self.config.cluster.num_workers

    @property
    def bytes_per_weight(self) -> int:
        return bytes_per_weight(self.config.model)

    @property
    def cached(self) -> bool:
        return self.config.train.gradient == "cached"

    @property
    def reduces_once(self) -> bool:
        """Whether the chunks' gradients stay on their rank until the last one."""
        return self.cached and self.config.reduces_once and self.sharding.stage > 0

    @property
    def local_rows(self) -> int:
        return self.config.train.global_batch_size // self.world_size

    @property
    def global_columns(self) -> int:
        """Rows of the score matrix's other side: all ranks' passages."""
        return self.workload.passages * self.world_size

    @property
    def peak_flops(self) -> float:
        """Of one device, FLOP/s, in the run's type."""
        kind = self.cluster.kind
        bf16 = self.config.model.dtype == "bfloat16"
        return 1e12 * (kind.bfloat16_teraflops if bf16 else kind.float32_teraflops)

    @property
    def nodes_used(self) -> int:
        """Nodes over which the ranks are spread, packed as tightly as they can be."""
        a_node = self.cluster.gpus_per_node // max(self.config.cluster.gpus_per_worker, 1)
        return -(-self.world_size // max(a_node, 1))


@dataclass
class SettingBuilder:
    """What it has found out about a model it finds out once."""

    cluster: ClusterDescription
    _models: dict[str, tuple[Architecture, ParameterCounts]] = field(default_factory=dict)
    _activations: dict[tuple[object, ...], Activations] = field(default_factory=dict)

    def of(self, config: RunConfig, workload: Workload | None = None) -> Setting:
        """Raises ConfigError where the cluster can not hold the ranks, or no such model can be built."""
        config = with_deepspeed(config, {})
        check_room(config, self.cluster)
        assert config.train.deepspeed is not None
        sharding = sharding_of(read_zero(config.train.deepspeed))
        architecture, parameters = self._model(config)
        work = workload or assumed_workload(config, config.cluster.num_workers, self.cluster.assumptions)
        return Setting(
            config=config,
            cluster=self.cluster,
            architecture=architecture,
            parameters=parameters,
            sharding=sharding,
            activations=self._activations_of(config, architecture, sharding, work),
            workload=work,
            teacher=self._teacher(config),
        )

    def with_room(self, ranks: int, gpus_per_worker: int) -> Self:
        """The same for a cluster with as many nodes of its kind as so many ranks need, if it has fewer."""
        a_node = max(self.cluster.gpus_per_node // max(gpus_per_worker, 1), 1)
        nodes = max(self.cluster.nodes, -(-ranks // a_node))
        return replace(self, cluster=self.cluster.model_copy(update={"nodes": nodes}))

    def _model(self, config: RunConfig) -> tuple[Architecture, ParameterCounts]:
        key = config.model.model_dump_json()
        if key not in self._models:
            architecture = architecture_of(config.model)
            self._models[key] = architecture, count_parameters(architecture)
        return self._models[key]

    def _activations_of(
        self, config: RunConfig, architecture: Architecture, sharding: Sharding, work: Workload
    ) -> Activations:
        # Rounded, so that plans that differ little share what was found out.
        length = -(-work.largest.longest // _LENGTHS) * _LENGTHS
        checkpointing, whole = config.train.activation_checkpointing, sharding.stage == 3
        key = (config.model.model_dump_json(), checkpointing, whole, length)
        if key not in self._activations:
            self._activations[key] = measure_activations(
                architecture, checkpointing=checkpointing, whole_layers=whole, length=length
            )
        return self._activations[key]

    def _teacher(self, config: RunConfig) -> int:
        """Bytes of the weights of `train.teacher`."""
        teacher = config.train.teacher
        if teacher is None:
            return 0
        model = teacher.model
        if model is None:
            assert teacher.encoder is not None
            if not (Path(teacher.encoder) / "config.json").is_file():
                what = f"{teacher.encoder} has no config.json to plan with"
                raise ConfigError("train.teacher.encoder", what, "name a folder of a whole encoder")
            model = ModelConfig(base=teacher.encoder, attention="bidirectional", pooling="mean")
        parameters = count_parameters(architecture_of(model)).total
        return parameters * bytes_per_weight(model)


def check_room(config: RunConfig, cluster: ClusterDescription) -> None:
    """Raises ConfigError where the cluster has fewer GPUs than the run asks for, or rows can not be dealt."""
    asked, each = config.cluster.num_workers, max(config.cluster.gpus_per_worker, 1)
    room = cluster.nodes * (cluster.gpus_per_node // each)
    if asked > room:
        what = f"{asked} ranks of {each} GPU{'s' if each > 1 else ''} do not fit {cluster.nodes} "
        what += f"node{'s' if cluster.nodes > 1 else ''} of {cluster.gpus_per_node}"
        raise ConfigError("cluster.num_workers", what, f"set it to {room} or less, or describe more nodes")
    if config.train.global_batch_size % asked:
        what = f"{config.train.global_batch_size} is no multiple of cluster.num_workers {asked}"
        raise ConfigError("train.global_batch_size", what, "change one of them")
