"""The arguments that commands on a run file share."""

import argparse
from pathlib import Path

from distributed_hbt.config.run import RunConfig


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """`RUN.yaml [key=value ...]`."""
    parser.add_argument("run_file", metavar="RUN.yaml", type=Path, help="see launchers/runs for examples")
    parser.set_defaults(overrides=[])
    parser.usage = f"{parser.prog} RUN.yaml [key=value ...] [options]"
    parser.epilog = "key=value overrides a field of the run file, for example train.max_steps=100"


def load(options: argparse.Namespace) -> RunConfig:
    """The configuration that the arguments name. Raises ConfigError."""
    from distributed_hbt.config.load import load_run

    return load_run(options.run_file, options.overrides)
