"""hbt stop RUN.yaml [key=value ...]"""

import argparse
import sys

from distributed_hbt.commands.run_file import add_run_arguments, load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)


def run(options: argparse.Namespace) -> int:
    config = load(options)
    from distributed_hbt.coordinator.stop import stop

    print(f"{config.run_dir}: {stop(config)}", file=sys.stderr)
    return 0
