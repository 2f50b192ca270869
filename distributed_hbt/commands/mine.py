"""hbt mine RUN.yaml --checkpoint DIR --out FILE [--address ADDR] [key=value ...]"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from distributed_hbt.commands.run_file import add_run_arguments, load
from distributed_hbt.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from distributed_hbt.mining.summary import Summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a step folder, or an encoder folder")
    parser.add_argument("--out", type=Path, required=True, help="FILE.jsonl or FILE.jsonl.gz")
    parser.add_argument("--address", help="of a Ray cluster; default: this machine")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def run(options: argparse.Namespace) -> int:
    config = load(options)
    from distributed_hbt.config.paths import check_mining

    check_mining(config)
    _check_out(options.out)
    if not options.checkpoint.is_dir():
        raise CheckpointError(str(options.checkpoint), "no such folder", "name a checkpoint's folder")
    from distributed_hbt.coordinator.evaluation_pool import open_executor
    from distributed_hbt.evaluation.encoder_choice import encoder_choice
    from distributed_hbt.mining.mine import mine

    encoder = encoder_choice(config.evaluation, options.checkpoint)
    with open_executor(config, options.address) as executor:
        summary = mine(config, encoder, options.out, executor)
    print(summary.as_json() if options.json else summary.as_text())
    print(f"written to {options.out}", file=sys.stderr)
    _warn(summary)
    return 0


def _check_out(out: Path) -> None:
    if not out.name.endswith((".jsonl", ".jsonl.gz")):
        raise ConfigError("--out", f"{out} is neither .jsonl nor .jsonl.gz", "name the file so")
    if out.is_dir():
        raise ConfigError("--out", f"{out} is a folder", "name a file")
    nearest = next(folder for folder in out.absolute().parents if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        what = f"{out} can not be written ({nearest} is no writable folder)"
        raise ConfigError("--out", what, "name a file elsewhere")


def _warn(summary: "Summary") -> None:
    if summary.empty:
        of = ", ".join(f"{pair} {count}" for pair, count in sorted(summary.empty.items()))
        where = f"{summary.empty.total()} of {summary.rows} rows have no negative at all ({of})"
        print(f"{where}: raise mining.depth, or loosen its margins and first_rank", file=sys.stderr)
