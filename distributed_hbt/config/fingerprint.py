"""Short names of configurations: equal ones train and measure the same thing, wherever and however often."""

import hashlib
import json
from typing import Any

from distributed_hbt.config.run import RunConfig

_DIGITS = 12
_LEFT_OUT = (
    *(("name",), ("output_dir",), ("seed",), ("cluster",), ("tracking",), ("mining",), ("remote",)),
    *(("train", "deepspeed"), ("train", "profile_steps"), ("data", "root"), ("data", "store_dir")),
    *(("train", "max_skipped_steps"), ("train", "compare_ranks_every"), ("data", "damaged_rows")),
    ("train", "checkpoints"),
)
"""What a run is called, where it stands and what it runs on; and the seed, which tells the runs of a system
apart."""


def system_fingerprint(config: RunConfig) -> str:
    """12 hexadecimal digits: runs of one system differ in nothing but their seed, their name and their place.

    Left out: name, output_dir, seed, cluster, tracking, mining, remote, train.deepspeed, train.profile_steps,
    data.store_dir, train.checkpoints, and what is done about faults (train.max_skipped_steps,
    train.compare_ranks_every, data.damaged_rows). Paths below data.root count from there, so that data that
    was moved is the same data.
    """
    return _digest(_system(config))


def run_fingerprint(config: RunConfig) -> str:
    """12 hexadecimal digits: as `system_fingerprint`, and of one seed."""
    return _digest({**_system(config), "seed": config.seed})


def _system(config: RunConfig) -> dict[str, Any]:
    content = config.model_dump(mode="json")
    root = config.data.root
    for *sections, field in _LEFT_OUT:
        section = content
        for name in sections:
            section = section[name]
        del section[field]
    if root is not None:
        for name in ("data", "evaluation"):
            content[name] = _from_root(content[name], root.rstrip("/") + "/")
    return content


def _from_root(value: Any, root: str) -> Any:
    if isinstance(value, dict):
        return {key: _from_root(item, root) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_root(item, root) for item in value]
    return value.removeprefix(root) if isinstance(value, str) else value


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
