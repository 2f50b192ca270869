"""hbt plan RUN.yaml [key=value ...] --cluster FILE [--sweep] [--out DIR] [--json]"""

import argparse
import json
from pathlib import Path

from distributed_hbt.commands.run_file import add_run_arguments, load
from distributed_hbt.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument(
        "--cluster", type=Path, metavar="FILE", help="what it would run on; see launchers/clusters"
    )
    parser.add_argument("--json", action="store_true", help="as JSON: bytes and seconds")


def run(options: argparse.Namespace) -> int:
    config = load(options)
    if options.cluster is None:
        what = "is not given, and a plan needs a kind of GPU"
        raise ConfigError("--cluster", what, "name a file such as launchers/clusters/h100_1x8.yaml")
    from distributed_hbt.planner.cluster import load_cluster

    cluster = load_cluster(options.cluster)
    from distributed_hbt.planner.plan import plan_of
    from distributed_hbt.planner.render import as_json, as_text
    from distributed_hbt.planner.setting import Settings

    settings = Settings(cluster)
    plan = plan_of(settings.of(config))
    print(json.dumps(as_json(plan)) if options.json else as_text(plan))
    return 0
