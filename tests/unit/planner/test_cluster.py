"""Cluster files: what is refused, and how."""

from pathlib import Path

import pytest

from distributed_hbt.errors import ConfigError
from distributed_hbt.planner.cluster import load_cluster
from distributed_hbt.planner.gpus import KINDS, kind_of_device
from tests.unit.planner.runs import ROOT

CLUSTERS = sorted((ROOT / "launchers/clusters").glob("*.yaml"))


@pytest.mark.parametrize("path", CLUSTERS, ids=lambda path: path.stem)
def test_shipped_clusters_are_what_their_names_say(path: Path) -> None:
    """A file left behind by a renamed field; two nodes under the name of four."""
    cluster = load_cluster(path)
    kind, _, size = path.stem.partition("_")
    if kind != "cpu":
        assert f"{cluster.nodes}x{cluster.gpus_per_node}" == size
        assert str(cluster.gpu).lower() == kind


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "gpu: H10\ngpus_per_node: 8",
            "gpu: 'H10' is no known kind; did you mean H100? Known are B200, GH200",
        ),
        ("gpu: H100\ngpus_per_nod: 8", "gpus_per_nod: unknown key; did you mean gpus_per_node?"),
        ("gpu: H100", "gpus_per_node: is missing; set it"),
        ("gpu: H100\ngpus_per_node: 0", "gpus_per_node: 0 does not fit; input should be greater than or"),
        (
            "gpu: H100\ngpus_per_node: 8\nassumptions: {utilization: 0.4}",
            "assumptions.utilization: unknown key",
        ),
        (
            "gpu: H100\ngpus_per_node: 8\nassumptions: {utilisation: 2}",
            "assumptions.utilisation: 2 does not fit",
        ),
    ],
)
def test_a_wrong_cluster_file_is_refused_in_one_line(content: str, message: str, tmp_path: Path) -> None:
    """A misspelt key that leaves a default in place, or a kind that is taken for another."""
    path = tmp_path / "cluster.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_cluster(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_device_can_be_described_in_the_file() -> None:
    """A kind that nobody has put into the table yet."""
    cluster = load_cluster(ROOT / "launchers/clusters/cpu_2.yaml")
    assert cluster.kind.float32_teraflops == 0.106
    assert cluster.link == 1e9


def test_the_table_is_by_kinds_of_their_own() -> None:
    """Memory in GB for GiB; NVLink counted in both directions."""
    assert KINDS["H100"].memory_gib < 80 < KINDS["H200"].memory_gib
    assert KINDS["A100"].link_gb_per_second == 300
    assert kind_of_device("NVIDIA H100 PCIe") == KINDS["H100 PCIe"]
    assert kind_of_device("Quadro K420") is None
