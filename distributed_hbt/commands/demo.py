"""hbt demo [--out DIR] [--json]"""

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="default: runs/demo")
    parser.add_argument("--json", action="store_true", help="the comparison as JSON")


def run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from distributed_hbt.comparison.render import print_tables
    from distributed_hbt.comparison.tables import tables_of
    from distributed_hbt.demo.run import run_demo

    result = run_demo(options.out.absolute())
    if options.json:
        print(json.dumps(result.comparison.as_json(), ensure_ascii=False, allow_nan=False))
        return 0
    print_tables(tables_of(result.comparison), Console(width=None if sys.stdout.isatty() else 160))
    print(f"The report: {result.report.page}")
    print(f"To look at the runs: mlflow ui --backend-store-uri sqlite:///{options.out}/mlflow.db")
    return 0
