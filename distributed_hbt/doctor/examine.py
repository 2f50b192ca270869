"""All checks, one after the other. One that raises is a failure, and the others still run."""

import logging
from collections.abc import Iterator, Mapping

from distributed_hbt.doctor import (
    compiler,
    data,
    disk,
    gpus,
    limits,
    locks,
    loopback,
    mlflow_store,
    model,
    packages,
    ray_cluster,
    settings,
)
from distributed_hbt.doctor.finding import Check, Finding, Subject, failed
from distributed_hbt.errors import HbtError

CHECKS: Mapping[str, Check] = {
    "settings": settings.check,
    "packages": packages.check,
    "gpus": gpus.check,
    "compiler": compiler.check,
    "loopback": loopback.check,
    "shared memory": limits.check_shared_memory,
    "open files": limits.check_open_files,
    "disk": disk.check,
    "locks": locks.check,
    "data": data.check,
    "model": model.check,
    "ray": ray_cluster.check,
    "mlflow": mlflow_store.check,
}

_log = logging.getLogger(__name__)


def examine(subject: Subject, checks: Mapping[str, Check] = CHECKS) -> Iterator[Finding]:
    """What each check finds, as soon as it is known."""
    for name, check in checks.items():
        _log.debug("checking %s", name)
        yield from _findings(name, check, subject)


def _findings(name: str, check: Check, subject: Subject) -> list[Finding]:
    try:
        return check(subject)
    except HbtError as error:
        return [failed(name, error)]
    # A check that breaks has found something that it was not made for: said, and the others go on.
    except Exception as error:
        text = " ".join(f"the check itself failed ({type(error).__name__}: {error})".split())
        return [Finding(name, "failure", text, "run the doctor with --debug and read its log")]
