"""The files that the run reads: are they there, and do they begin as their format does."""

from distributed_hbt.config.data import Source
from distributed_hbt.config.paths import hub_inputs, missing_inputs
from distributed_hbt.config.run import RunConfig
from distributed_hbt.doctor.finding import Finding, Subject, failed
from distributed_hbt.doctor.hub import repository_finding
from distributed_hbt.errors import HbtError

_CHECK = "data"


def check(subject: Subject) -> list[Finding]:
    """Nothing is said of a machine alone. The first row of each source is read, not more: `hbt data check`
    reads them all."""
    run = subject.run
    if run is None:
        return []
    found = [failed(_CHECK, error) for error in missing_inputs(run)]
    missing = {finding.text.partition(":")[0] for finding in found}
    for position, source in enumerate(run.data.sources):
        field = f"data.sources.{position}"
        if not any(name.startswith(f"{field}.") for name in {*missing, *_on_hub(run)}):
            found += _unreadable(source, field)
    for repository in sorted({path.split("/", 3)[3] for path in _on_hub(run).values()}):
        found.append(repository_finding(_CHECK, "/".join(repository.split("/")[:2]), "dataset", None))
    return found or [Finding(_CHECK, "ok", _what_is_there(run))]


def _on_hub(run: RunConfig) -> dict[str, str]:
    return {field: path for field, path in hub_inputs(run).items() if path.startswith("hf://")}


def _unreadable(source: Source, field: str) -> list[Finding]:
    from distributed_hbt.data.sources import read_rows

    try:
        first = next(iter(read_rows(source)), None)
    except HbtError as error:
        return [failed(_CHECK, error)]
    if first is None:
        remedy = "check its paths and ranges; `hbt data check` counts what is there"
        return [Finding(_CHECK, "failure", f"{field}: the {source.format} source has no rows", remedy)]
    return []


def _what_is_there(run: RunConfig) -> str:
    sources, benchmarks = len(run.data.sources), len(run.evaluation.benchmarks)
    return f"{sources} sources and {benchmarks} benchmarks are there, and each source's first row can be read"
