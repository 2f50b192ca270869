"""What a run's configuration says of its data, for people who do not have its machine."""

from pathlib import Path
from typing import Any

from distributed_hbt.config.run import RunConfig
from distributed_hbt.export.provenance import Provenance
from distributed_hbt.languages import language_code

_LANGUAGE_FIELDS = ("language", "query_language", "passage_language")
_PLACE_FIELDS = ("path", "corpus", "topics", "triples", "queries", "collection")


def languages(run: Provenance) -> list[str]:
    """Codes that were trained on: those that the store counted, else those that the configuration names."""
    found = {code for counts in run.source_counts for code in counts["queries_per_language"]}
    if not found:
        found = {language_code(name) for source in run.config.data.sources for name in _named(source)}
    chosen = run.config.sampling.languages
    if chosen is not None:
        found = found & set(chosen) if found else set(chosen)
    return sorted(found)


def trained_slice(source: Any) -> str:
    """Where a source's data is, without the folders of the machine, and which part of it was taken."""
    content = source.model_dump(mode="json", exclude_none=True)
    places = [place(content[name]) for name in _PLACE_FIELDS if name in content]
    places += [place(path) for path in content.get("paths", {}).values()]
    facts = ", ".join(dict.fromkeys(places))
    if "article_range" in content:
        first, stop = content["article_range"]
        facts += f", articles {first} to {stop - 1}"
    return facts


def place(path: str) -> str:
    """The last two parts of a local path; an address of the hub as it is."""
    if path.startswith("hf://") or is_hub_id(path):
        return path
    return "/".join(part for part in Path(path).parts[-2:] if part != "/")


def is_hub_id(name: str) -> bool:
    """`owner/name` or `name`; a folder's path in a resolved configuration is absolute."""
    return not name.startswith((".", "/", "~")) and name.count("/") <= 1 and not name.startswith("hf:")


def same_collection(config: RunConfig, label: str) -> bool:
    """Whether files below the folder of the benchmark are among the training data."""
    benchmark = next((one for one in config.evaluation.benchmarks if one.label == label), None)
    root = getattr(benchmark, "root", None) or getattr(benchmark, "path", None)
    if root is None:
        return False
    content = [source.model_dump(mode="json", exclude_none=True) for source in config.data.sources]
    paths = [one[name] for one in content for name in _PLACE_FIELDS if name in one]
    return any(path == root or path.startswith(root.rstrip("/") + "/") for path in paths)


def without_address(config: RunConfig) -> RunConfig:
    """The configuration without the address of its MLflow store, which may hold a password."""
    return config.model_copy(update={"tracking": config.tracking.model_copy(update={"uri": None})})


def _named(source: Any) -> set[str]:
    content = source.model_dump(mode="json", exclude_none=True)
    found = {content[name] for name in _LANGUAGE_FIELDS if name in content}
    return found | set(content.get("languages", ())) | set(content.get("paths", ()))
