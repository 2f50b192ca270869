"""What a simulated cluster and training are taken to be. Times in seconds, sizes in bytes."""

import math
from dataclasses import dataclass

HOUR = 3600.0
_LLAMA3_GPU_HOURS = 16_384 * 54 * 24
_LLAMA3_INTERRUPTIONS, _LLAMA3_OF_GPUS = 419, 0.587
"""Llama 3 (arXiv 2407.21783, section 3.3.4): 419 unexpected interruptions in 54 days on 16,384 H100s of 8 a
node, 58.7% of them by GPUs and their memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assumptions:
    """One cluster, one training. The defaults are explained, with their sources, in docs/goodput.md."""

    gpus: int
    gpus_per_node: int = 8
    gpu_mttf: float = _LLAMA3_GPU_HOURS * HOUR / (_LLAMA3_INTERRUPTIONS * _LLAMA3_OF_GPUS)
    """Mean time between the failures of one GPU that end the training."""
    node_mttf: float = _LLAMA3_GPU_HOURS / 8 * HOUR / (_LLAMA3_INTERRUPTIONS * (1 - _LLAMA3_OF_GPUS))
    """Of all else that fails with a node: host, network, software."""
    spare_nodes: int | None = None
    """Nodes that stand by; None: there is always one."""
    repair: float = 24 * HOUR
    """Until a node that failed can stand by again."""
    detection: float = 63.0
    """Until the coordinator knows of a node that is gone (measured: docs/cluster.md)."""
    start: float = 90.0
    """Until ranks that are started again can load their checkpoint."""
    state_bytes: float = 8.2e9 * 14
    """Of a checkpoint's engine state, which all nodes write together; 8B parameters, full, bfloat16."""
    encoder_bytes: float = 8.2e9 * 2
    """Of the encoder in it, which rank 0 writes alone."""
    node_bandwidth: float = 2e9
    """Bytes a second that a node writes to, or reads from, shared storage."""
    storage_bandwidth: float = 50e9
    """Of the shared storage in all."""

    @property
    def nodes(self) -> int:
        return math.ceil(self.gpus / self.gpus_per_node)

    @property
    def mttf(self) -> float:
        """Between two failures of any part."""
        return 1.0 / (self.gpus / self.gpu_mttf + self.nodes / self.node_mttf)

    @property
    def checkpoint_cost(self) -> float:
        """The training stands still while a checkpoint is written (train/checkpoints/state.py)."""
        return self._together(self.state_bytes) + self.encoder_bytes / self._one_node

    @property
    def restart(self) -> float:
        """Detection, start and loading."""
        return self.detection + self.start + self._together(self.state_bytes)

    @property
    def best_interval(self) -> float:
        """Young's: sqrt(2 x cost x MTTF), of work between two checkpoints (doi 10.1145/361147.361115)."""
        return math.sqrt(2 * self.checkpoint_cost * self.mttf)

    @property
    def _one_node(self) -> float:
        return min(self.node_bandwidth, self.storage_bandwidth)

    def _together(self, size: float) -> float:
        return size / min(self.nodes * self.node_bandwidth, self.storage_bandwidth)
