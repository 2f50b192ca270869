"""hbt score --qrels FILE --run FILE [--measures ...]"""

import argparse
import json
from pathlib import Path

DEFAULT_MEASURES = ("nDCG@10", "R@100", "RR@10", "AP")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--qrels", type=Path, required=True, help="TREC judgments, .gz too")
    parser.add_argument("--run", dest="run_path", type=Path, required=True, help="TREC run, .gz too")
    parser.add_argument("--measures", nargs="+", default=list(DEFAULT_MEASURES), metavar="MEASURE")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    from distributed_hbt.evaluation.score import score

    result = score(options.qrels, options.run_path, options.measures)
    if options.json:
        print(json.dumps(result))
        return 0
    for measure, value in result["measures"].items():
        print(f"{measure}\t{value:.6f}")
    return 0
