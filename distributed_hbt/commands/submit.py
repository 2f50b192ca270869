"""hbt submit RUN.yaml [key=value ...] [--address ADDR]"""

import argparse

from distributed_hbt.commands.run_file import add_run_arguments, load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument(
        "--address", metavar="ADDR", help="Ray cluster, host:port or auto; default: one of this machine's own"
    )


def run(options: argparse.Namespace) -> int:
    config = load(options)
    from distributed_hbt.coordinator.submit import submit

    submit([config], options.address)
    return 0
