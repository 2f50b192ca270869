"""A run directory from its copies, where a run starts on an empty disk."""

import logging
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from distributed_hbt.config import yaml_file
from distributed_hbt.config.load import differing_fields, validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import CheckpointError, ConfigError
from distributed_hbt.remote.target import Copy, Remote, open_remote, problems_of
from distributed_hbt.run_directory import MAY_CHANGE, RunDirectory
from distributed_hbt.run_lock import hold

_WAIT_SECONDS = 24 * 3600.0
"""Ranks that share the run directory wait for the one that fetches."""
_log = logging.getLogger(__name__)


def fetch_if_empty(config: RunConfig, due: Collection[int]) -> None:
    """Where the run directory has no run, and `remote` has copies of one: the newest that is whole, and those
    of steps that are `due` to be evaluated. Every rank calls this before it looks at the run directory.

    Raises ConfigError naming remote.url where it can not be reached or has another configuration's run,
    CheckpointError where it has copies and none is whole.
    """
    directory = RunDirectory(config.run_dir)
    if config.remote is None or directory.config.exists():
        return
    remote = open_remote(config.remote, config.name)
    with problems_of(config.remote.url):
        if not remote.copies():
            return
        with hold(directory.path / "fetch.lock", "fetching", _WAIT_SECONDS):
            if not directory.config.exists():  # another rank has fetched
                _fetch(config, remote, directory, due)


def _fetch(config: RunConfig, remote: Remote, directory: RunDirectory, due: Collection[int]) -> None:
    copies = list(reversed(remote.copies()))
    with tempfile.TemporaryDirectory(prefix="fetched-", dir=directory.path) as temporary:
        folder = Path(temporary)
        for copy in copies:
            if _take(remote, copy, folder / copy.name, config):
                break
        else:
            what = f"{remote.where} has {len(copies)} copies of checkpoints, and none is whole"
            raise CheckpointError("remote.url", what, "remove them to start anew")
        _place_run_files(folder / copy.name / "run", directory)
        for other in [copy, *_to_evaluate(config, directory, copies, copy.step, due)]:
            if other == copy or _take(remote, other, folder / other.name, None):
                target = directory.checkpoint(other.step)
                shutil.rmtree(target, ignore_errors=True)
                target.parent.mkdir(exist_ok=True)
                (folder / other.name / "checkpoint").rename(target)
        # Last: a directory that has it has begun, and is not fetched again.
        (folder / copy.name / "run" / directory.config.name).replace(directory.config)
    _log.info("fetched the checkpoint of step %d from %s", copy.step, remote.where)


def _take(remote: Remote, copy: Copy, to: Path, config: RunConfig | None) -> bool:
    """Fetch one copy, where `config` is given with its run's files; False, and a line in the log, where it is
    damaged. Raises ConfigError where its configuration differs from `config`."""
    try:
        facts = remote.files(copy)
        if config is not None:
            _fetch_run_files(remote, copy, facts, to, config)
        remote.download(copy, [name for name in facts if name.startswith("checkpoint/")], facts, to)
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        _log.warning("%s/%s can not be used (%s); the one before is tried", remote.where, copy.name, error)
        return False
    return True


def _fetch_run_files(remote: Remote, copy: Copy, facts: dict[str, Any], to: Path, config: RunConfig) -> None:
    remote.download(copy, [name for name in facts if name.startswith("run/")], facts, to)
    found = validate(yaml_file.read(to / "run" / RunDirectory(to).config.name))
    fields = [field for field in differing_fields(config, found) if not field.startswith(MAY_CHANGE)]
    if fields:
        what = f"{remote.where} has a run with other values of {', '.join(fields)}"
        raise ConfigError("remote.url", what, "give these their old values, or the run another name")


def _to_evaluate(
    config: RunConfig, directory: RunDirectory, copies: list[Copy], below: int, due: Collection[int]
) -> list[Copy]:
    """The copy of each earlier step that is to be evaluated and has no results yet."""
    labels = [benchmark.label for benchmark in config.evaluation.benchmarks]
    newest_of = {copy.step: copy for copy in reversed(copies)}
    return [
        newest_of[step]
        for step in sorted(due)
        if step < below and step in newest_of and not directory.has_results(step, labels)
    ]


def _place_run_files(fetched: Path, directory: RunDirectory) -> None:
    """All but the configuration, over what a fetch that was ended has left."""
    for path in sorted(fetched.rglob("*")):
        target = directory.path / path.relative_to(fetched)
        if path.is_file() and target != directory.config:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
