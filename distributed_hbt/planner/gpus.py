"""Kinds of GPU: what they compute, hold and move, as their makers state it.

The one table of peaks in the tree: MFU in the benchmarks is reckoned with it too.
"""

from pydantic import Field

from distributed_hbt.config.base import Section


class GpuKind(Section):
    """A device that holds one training rank. A CPU core can be described too."""

    bfloat16_teraflops: float = Field(gt=0)
    """Peak of dense matrix products in bfloat16, accumulated in float32, TFLOP/s."""
    float32_teraflops: float = Field(gt=0)
    """The same in float32, without TF32, which torch leaves off by default."""
    memory_gib: float = Field(gt=0)
    """What a program can have of its memory, GiB."""
    memory_gb_per_second: float = Field(gt=0)
    """Bandwidth of its memory, 1e9 bytes a second."""
    link_gb_per_second: float = Field(gt=0)
    """To the other devices of its node, one direction, 1e9 bytes a second."""
    host_gb_per_second: float = Field(default=25.0, gt=0)
    """To the memory of its host, one direction: what offloading goes through."""


def _kind(bf16: float, fp32: float, gib: float, memory: float, link: float, host: float = 25.0) -> GpuKind:
    return GpuKind(
        bfloat16_teraflops=bf16,
        float32_teraflops=fp32,
        memory_gib=gib,
        memory_gb_per_second=memory,
        link_gb_per_second=link,
        host_gb_per_second=host,
    )


KINDS = {
    "B200": _kind(2_250.0, 75.0, 178, 7_700, 900, 50),
    "GH200": _kind(989.4, 66.9, 94, 4_000, 450, 200),
    "H200": _kind(989.4, 66.9, 139, 4_800, 450, 50),
    "H100": _kind(989.4, 66.9, 79, 3_350, 450, 50),
    "H100 NVL": _kind(835.5, 60.0, 93, 3_900, 300, 50),
    "H100 PCIe": _kind(756.0, 51.2, 79, 2_000, 50, 50),
    "H20": _kind(148.0, 44.0, 95, 4_000, 450, 50),
    "A100": _kind(312.0, 19.5, 79, 2_039, 300),
    "A100 40GB": _kind(312.0, 19.5, 39, 1_555, 300),
    "L40S": _kind(362.0, 91.6, 44, 864, 25),
    "A40": _kind(149.7, 37.4, 44, 696, 25),
    "A10": _kind(125.0, 31.2, 22, 600, 25),
    "L4": _kind(121.0, 30.3, 22, 300, 25),
    "RTX 4090": _kind(165.2, 82.6, 23.5, 1_008, 25),
    "RTX 3090": _kind(71.0, 35.6, 23.5, 936, 25),
}
"""NVIDIA's data sheets: peaks without sparsity, NVLink halved to one direction. Memory is what its driver
leaves, a little under the data sheet's. PCIe 4.0 and 5.0 x16: about 25 and 50 GB/s in practice."""


def kind_of_device(device: str) -> GpuKind | None:
    """By the name that CUDA gives a device; None for one that is not in the table."""
    words = f" {device.replace('-', ' ')} ".lower()
    found = [name for name in KINDS if f" {name.lower()} " in words]
    return KINDS[max(found, key=len)] if found else None
