"""hbt train RUN.yaml [key=value ...]"""

import argparse

from distributed_hbt.commands.run_file import add_run_arguments, load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)


def run(options: argparse.Namespace) -> int:
    config = load(options)
    from distributed_hbt.pipeline import start

    start(config)
    return 0
