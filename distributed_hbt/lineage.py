"""What the tracker is told of a run's data: its sources, its benchmarks, and tags to find runs by."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distributed_hbt.config.run import RunConfig
from distributed_hbt.tracking.datasets import DatasetFacts

if TYPE_CHECKING:
    from distributed_hbt.data.store import Store


def training_datasets(config: RunConfig, store: "Store") -> list[DatasetFacts]:
    """One a source, in the order of the configuration."""
    found = []
    for position, (source, digest, counts) in enumerate(
        zip(config.data.sources, store.source_digests, store.source_counts(), strict=True)
    ):
        settings = source.model_dump(mode="json", exclude_none=True)
        found.append(
            DatasetFacts(
                name=f"{position}-{source.format}",
                kind=source.format,
                source=settings,
                digest=digest,
                profile=counts,
                context="training",
            )
        )
    return found


def data_tags(config: RunConfig, store: "Store") -> dict[str, str]:
    """`data_fingerprint`: of the training rows, whatever the tokenizer; `languages`: trained on, by code."""
    chosen = config.sampling.languages
    languages = [code for code in store.index.languages if chosen is None or code in chosen]
    return {"data_fingerprint": store.data_fingerprint, "languages": ",".join(languages)}


def benchmark_dataset(config: RunConfig, summary: Mapping[str, Any]) -> DatasetFacts | None:
    """Of a summary.json; None for a result from before summaries told their data's fingerprint."""
    digest = summary.get("data_fingerprint")
    if digest is None:
        return None
    label = summary["benchmark"]
    benchmark = next(one for one in config.evaluation.benchmarks if one.label == label)
    tasks = {task: result["num_queries"] for task, result in summary["tasks"].items()}
    counts = {name: summary[name] for name in ("num_queries", "num_candidates") if name in summary}
    return DatasetFacts(
        name=label,
        kind=benchmark.name,
        source=benchmark.model_dump(mode="json", exclude_none=True),
        digest=digest,
        profile={**counts, "queries_per_task": tasks},
        context="evaluation",
    )
