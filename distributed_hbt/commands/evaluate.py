"""hbt evaluate RUN.yaml --checkpoint DIR [--out DIR] [key=value ...]"""

import argparse
import json
import sys
from pathlib import Path

from distributed_hbt.commands.run_file import add_run_arguments, load
from distributed_hbt.errors import CheckpointError, ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a step folder, or an encoder folder")
    parser.add_argument("--out", type=Path, help="results; default: evaluation/<step> of the run")
    parser.add_argument("--json", action="store_true", help="print the summaries as one JSON list")


def run(options: argparse.Namespace) -> int:
    config = load(options)
    from distributed_hbt.config.paths import check_benchmarks

    if not config.evaluation.benchmarks:
        raise ConfigError("evaluation.benchmarks", "names nothing to evaluate", "add a benchmark")
    check_benchmarks(config)
    if not options.checkpoint.is_dir():
        raise CheckpointError(str(options.checkpoint), "no such folder", "name a checkpoint's folder")
    from distributed_hbt.evaluation.evaluate import evaluate_checkpoint

    out = options.out or config.run_dir / "evaluation" / options.checkpoint.resolve().name
    paths = evaluate_checkpoint(config.evaluation, options.checkpoint, out)
    summaries = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    if options.json:
        print(json.dumps(summaries))
        return 0
    for path, summary in zip(paths, summaries, strict=True):
        print(f"results in {path.parent}", file=sys.stderr)
        for group, values in summary["aggregates"].items():
            for measure, value in values.items() if isinstance(values, dict) else [("", values)]:
                print(f"{summary['benchmark']}\t{group}\t{measure}\t{value:.4f}")
    return 0
