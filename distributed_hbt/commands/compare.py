"""hbt compare RUN RUN ... [--json]"""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run directory")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from distributed_hbt.comparison.results import read_run
    from distributed_hbt.comparison.table import as_json, print_tables

    results = [read_run(directory) for directory in options.runs]
    if options.json:
        print(json.dumps(as_json(results)))
    else:
        print_tables(results, Console(width=None if Console().is_terminal else 120))
    return 0
