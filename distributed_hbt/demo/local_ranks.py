"""Start the ranks of a run on this machine."""

import os
import subprocess
import sys
from pathlib import Path

from distributed_hbt.errors import WorkerFailed


def train_here(run_file: Path, num_ranks: int) -> None:
    """Run the training worker on `num_ranks` processes. Raises WorkerFailed if one fails."""
    threads = max(1, (os.cpu_count() or 1) // num_ranks)
    command = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--standalone", "--nproc-per-node", str(num_ranks)),
        *("-m", "distributed_hbt.train", str(run_file)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    stderr = 2  # stdout is for results
    done = subprocess.run(command, env=environment, stdout=stderr, check=False)
    if done.returncode:
        raise WorkerFailed(str(run_file), "the training ended with an error", "see its messages above")
