"""What a run was trained or measured on, as MLflow's dataset inputs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from distributed_hbt.masking import masked_values

_DIGEST_LENGTH = 36
"""MLflow's limit."""
_PROFILE_LENGTH = 60_000


@dataclass(frozen=True)
class DatasetFacts:
    """A dataset: `digest` names its content, wherever its files lie; `profile` holds counts."""

    name: str
    kind: str
    """The format of the files, or the kind of the benchmark."""
    source: Mapping[str, Any]
    """Where the files are, and which part of them was taken."""
    digest: str
    profile: Mapping[str, Any]
    context: Literal["training", "evaluation"]


def dataset_input(facts: DatasetFacts) -> Any:
    """An mlflow.entities.DatasetInput."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = json.dumps(facts.profile, ensure_ascii=False)
    dataset = Dataset(
        name=facts.name,
        digest=facts.digest[:_DIGEST_LENGTH],
        source_type=facts.kind,
        source=json.dumps(masked_values(facts.source), ensure_ascii=False),
        profile=profile if len(profile) <= _PROFILE_LENGTH else json.dumps({"left_out": "too long"}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", facts.context)])
