"""hbt plan RUN.yaml [key=value ...] --cluster FILE [--sweep] [--out DIR] [--json]"""

import argparse
import json
import sys
from pathlib import Path

from distributed_hbt.commands.run_file import add_run_arguments, load
from distributed_hbt.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument(
        "--cluster", type=Path, metavar="FILE", help="what it would run on; see launchers/clusters"
    )
    parser.add_argument("--sweep", action="store_true", help="world sizes times ZeRO stages, as a table")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write plan.json, and the sweep's plot, there"
    )
    parser.add_argument("--json", action="store_true", help="as JSON: bytes and seconds")


def run(options: argparse.Namespace) -> int:
    config = load(options)
    if options.cluster is None:
        what = "is not given, and a plan needs a kind of GPU"
        raise ConfigError("--cluster", what, "name a file such as launchers/clusters/h100_1x8.yaml")
    from distributed_hbt.planner.cluster import load_cluster

    cluster = load_cluster(options.cluster)
    from distributed_hbt.planner.setting import SettingBuilder

    builder = SettingBuilder(cluster)
    if options.sweep:
        from distributed_hbt.planner.sweep import sweep, sweep_as_json, sweep_as_text

        plans = sweep(builder, config)
        content: object = sweep_as_json(plans)
        text = sweep_as_text(plans)
    else:
        from distributed_hbt.planner.advice import advice, advice_as_json, advice_as_text
        from distributed_hbt.planner.plan import plan_of
        from distributed_hbt.planner.render import as_json, as_text

        plan = plan_of(builder.of(config))
        knobs = advice(builder, plan)
        plans = [plan]
        content = {**as_json(plan), "advice": advice_as_json(plan, knobs)}
        text = f"{as_text(plan)}\n\n{advice_as_text(plan, knobs)}"
    print(json.dumps(content) if options.json else text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "plan.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        if options.sweep:
            from distributed_hbt.planner.plot import write_plot

            for path in write_plot(plans, options.out):
                print(f"the plot: {path}", file=sys.stderr)
    return 0
