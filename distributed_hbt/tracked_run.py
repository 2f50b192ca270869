"""The MLflow run of a folder, as its mlflow.json says."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import write_aside

_NAME = "mlflow.json"


@dataclass(frozen=True)
class TrackedRun:
    """Which run of which store. A run directory has one, and so has the folder of a study."""

    tracking_uri: str
    experiment_id: str
    run_id: str

    @classmethod
    def of(cls, folder: Path) -> "TrackedRun | None":
        """None where the folder names no run. Raises ConfigError for a damaged file."""
        path = folder / _NAME
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(*(str(content[name]) for name in ("tracking_uri", "experiment_id", "run_id")))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigError(str(path), f"names no MLflow run ({error})", "remove the file") from error

    def write(self, folder: Path) -> None:
        """Make the folder name this run, whatever it named before."""
        write_aside(folder / _NAME, json.dumps(asdict(self), indent=2) + "\n")
