"""What `hbt submit` refuses within a second: ZeRO configuration, batch and ranks, the run's directory."""

from distributed_hbt.coordinator.sizes import usable_sizes
from distributed_hbt.doctor.finding import Finding, Subject, failed
from distributed_hbt.errors import HbtError
from distributed_hbt.run_directory import check_run_directory
from distributed_hbt.train.zero import with_deepspeed

_CHECK = "settings"


def check(subject: Subject) -> list[Finding]:
    """Nothing is said of a machine alone."""
    run = subject.run
    if run is None:
        return []
    ranks = run.cluster.num_workers
    found = []
    for refuses in (
        lambda: with_deepspeed(run),
        lambda: usable_sizes(run),
        lambda: check_run_directory(run),
    ):
        try:
            refuses()
        except HbtError as error:
            found.append(failed(_CHECK, error))
    batch = run.train.global_batch_size
    return found or [Finding(_CHECK, "ok", f"{run.name}: {batch} rows a step over {ranks} ranks")]
