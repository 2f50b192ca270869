"""hbt evaluate RUN.yaml --checkpoint DIR ... [--out DIR] [--address ADDR] [key=value ...]"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from distributed_hbt.commands.run_file import add_run_arguments, load
from distributed_hbt.errors import CheckpointError, ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        action="append",
        metavar="DIR",
        help="a step folder, or an encoder folder; may be given several times",
    )
    parser.add_argument(
        "--out", type=Path, help="results, below <checkpoint's name> if several; default: evaluation/<step>"
    )
    parser.add_argument("--address", help="of a Ray cluster; default: this machine")
    parser.add_argument("--json", action="store_true", help="print the summaries as one JSON list")


def run(options: argparse.Namespace) -> int:
    config = load(options)
    from distributed_hbt.config.paths import check_benchmarks

    if not config.evaluation.benchmarks:
        raise ConfigError("evaluation.benchmarks", "names nothing to evaluate", "add a benchmark")
    check_benchmarks(config)
    checkpoints: list[Path] = options.checkpoint
    for checkpoint in checkpoints:
        if not checkpoint.is_dir():
            raise CheckpointError(str(checkpoint), "no such folder", "name a checkpoint's folder")
    names = [checkpoint.resolve().name for checkpoint in checkpoints]
    if len(set(names)) < len(names):
        raise ConfigError("--checkpoint", "two checkpoints have one name", "evaluate them one at a time")
    from distributed_hbt.coordinator.evaluation_pool import open_executor
    from distributed_hbt.evaluation.evaluate import evaluate_checkpoint

    paths = []
    with open_executor(config, options.address) as executor:
        for checkpoint, name in zip(checkpoints, names, strict=True):
            out = _out(options.out, config.run_dir, name, several=len(names) > 1)
            paths += evaluate_checkpoint(
                config.evaluation, checkpoint, out, stores=config.stores, executor=executor
            )
    _print(paths, as_json=options.json)
    return 0


def _out(out: Path | None, run_dir: Path, name: str, *, several: bool) -> Path:
    if out is None:
        return run_dir / "evaluation" / name
    return out / name if several else out


def _print(paths: list[Path], *, as_json: bool) -> None:
    summaries: list[dict[str, Any]] = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    if as_json:
        print(json.dumps(summaries))
        return
    for path, summary in zip(paths, summaries, strict=True):
        print(f"results in {path.parent}", file=sys.stderr)
        for group, values in summary["aggregates"].items():
            for measure, value in values.items() if isinstance(values, dict) else [("", values)]:
                if isinstance(value, float):
                    print(f"{summary['benchmark']}\t{group}\t{measure}\t{value:.4f}")
