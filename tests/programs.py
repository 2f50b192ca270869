"""Programs as users start them."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


OF_A_RANK = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class Programs:
    """Starts hbt, torchrun and accelerate from the repository's root, without a rank's environment."""

    def __init__(self) -> None:
        kept = {k: v for k, v in os.environ.items() if k not in OF_A_RANK}
        self.environment = {**kept, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def run(
        self, *command: str | Path, seconds: int = 900, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def start(self, *command: str | Path, log: Path) -> subprocess.Popen[bytes]:
        """In a process group of its own, so that a test can kill all of it."""
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=self.environment,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def hbt(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.run(BIN / "hbt", *arguments)

    @staticmethod
    def torchrun(run_file: str | Path, overrides: Sequence[str], ranks: int = 2) -> list[str]:
        return [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(ranks), "-m", "distributed_hbt.train", str(run_file), *overrides),
        ]

    @staticmethod
    def accelerate(
        config: str, run_file: str | Path, *overrides: str, flags: Sequence[str] = ()
    ) -> list[str]:
        return [
            *(str(BIN / "accelerate"), "launch", "--config_file", f"launchers/accelerate/{config}.yaml"),
            *(*flags, "-m", "distributed_hbt.train", str(run_file), *overrides),
        ]
