"""hbt show-config RUN.yaml [key=value ...] [--json]"""

import argparse
import json

from distributed_hbt.commands.run_file import add_run_arguments, load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--json", action="store_true", help="as JSON instead of YAML")


def run(options: argparse.Namespace) -> int:
    config = load(options)
    from distributed_hbt.config.load import dump, public

    as_json = options.json
    print(json.dumps(public(config), indent=2, ensure_ascii=False) if as_json else dump(config).rstrip())
    return 0
