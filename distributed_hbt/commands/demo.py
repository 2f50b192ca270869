"""hbt demo [--out DIR] [--json]"""

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="default: runs/demo")
    parser.add_argument("--json", action="store_true", help="the table as JSON")


def run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from distributed_hbt.comparison.table import as_json, print_tables
    from distributed_hbt.demo.run import run_demo

    results = run_demo(options.out.absolute())
    if options.json:
        print(json.dumps(as_json(results)))
        return 0
    print_tables(results, Console(width=None if sys.stdout.isatty() else 120))
    print(
        f"Everything is in {options.out}; to look at the runs: mlflow ui --backend-store-uri sqlite:///{options.out}/mlflow.db"
    )
    return 0
