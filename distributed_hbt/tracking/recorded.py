"""What MLflow has recorded of a run, by its mlflow.json."""

import json
from collections.abc import Mapping
from pathlib import Path

from distributed_hbt.errors import ConfigError
from distributed_hbt.tracking.fetch import run_of
from distributed_hbt.tracking.mlflow_store import open_store


def recorded_tags(run_file: Path) -> Mapping[str, str]:
    """The tags of the run that the file names; none where there is no such file.

    Raises ConfigError where the file is damaged, or the store can not be reached or lacks the run.
    """
    if not run_file.is_file():
        return {}
    try:
        content = json.loads(run_file.read_text(encoding="utf-8"))
        uri, run_id = str(content["tracking_uri"]), str(content["run_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(str(run_file), f"names no MLflow run ({error})", "remove the file") from error
    with open_store(uri) as client:
        tags: Mapping[str, str] = dict(run_of(client, uri, run_id).data.tags)
        return tags
