"""hbt score --qrels FILE --run FILE [--measures ...]"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--qrels", type=Path, required=True, help="TREC judgments, .gz too")
    parser.add_argument("--run", dest="run_path", type=Path, required=True, help="TREC run, .gz too")
    parser.add_argument("--measures", nargs="+", metavar="MEASURE", help="ir_measures names, as nDCG@10")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    from distributed_hbt.evaluation.score import DEFAULT_MEASURES, score_run

    score = score_run(options.qrels, options.run_path, options.measures or DEFAULT_MEASURES)
    if options.json:
        print(json.dumps(asdict(score)))
        return 0
    for measure, value in score.measures.items():
        print(f"{measure}\t{value:.6f}")
    print(f"{score.num_queries} queries, {score.num_unanswered} of them not in the run", file=sys.stderr)
    return 0
