"""What `hbt plan` reads beside the run file, damaged."""

import shutil
from pathlib import Path

from tests.fuzz.cases import Target
from tests.fuzz.conftest import FuzzOf
from tests.fuzz.counts import cases

ROOT = Path(__file__).resolve().parents[2]


@cases(2, 100)
def test_damaged_clusters_and_deepspeed_files(fuzzed: FuzzOf, tmp_path: Path, first: int, stop: int) -> None:
    """Costs of a cluster that nobody has, or a traceback of DeepSpeed's settings."""
    cluster, zero = tmp_path / "cluster.yaml", tmp_path / "zero.json"
    shutil.copy(ROOT / "launchers" / "clusters" / "cpu_2.yaml", cluster)
    shutil.copy(ROOT / "ds_configs" / "zero3_offload.json", zero)
    run_file = ROOT / "launchers" / "runs" / "xquad_r_tiny.yaml"
    arguments = ["plan", str(run_file), f"train.deepspeed={zero}", "--cluster", str(cluster), "--json"]
    fuzzed(Target("plan", (cluster, zero), lambda out: arguments), range(first, stop))
