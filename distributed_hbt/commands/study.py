"""hbt study STUDY.yaml [key=value ...]"""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study_file", metavar="STUDY.yaml", type=Path, help="see launchers/studies for examples"
    )
    parser.add_argument("--address", help="of a Ray cluster; default: one of this machine's own")
    parser.add_argument(
        "--plan", action="store_true", help="list the runs, with what is finished; train none"
    )
    parser.add_argument("--json", action="store_true", help="the comparison, or the plan, as JSON")
    parser.set_defaults(overrides=[])
    parser.usage = f"{parser.prog} STUDY.yaml [key=value ...] [options]"
    parser.epilog = (
        "key=value overrides a field of all runs, study.key=value one of the study, for example "
        "train.max_steps=10 study.seeds=[13]"
    )


def run(options: argparse.Namespace) -> int:
    from distributed_hbt.config.study import load_study
    from distributed_hbt.studies.plan import plan_study

    study, overrides = load_study(options.study_file, options.overrides)
    plan = plan_study(study, options.study_file.absolute(), overrides)
    if options.plan:
        from distributed_hbt.studies.listing import plan_as_json, plan_as_text

        print(json.dumps(plan_as_json(plan)) if options.json else plan_as_text(plan))
        return 0
    from distributed_hbt.studies.answer import as_text
    from distributed_hbt.studies.run import run_study

    result = run_study(study, plan, options.address)
    if options.json:
        print(json.dumps(result.comparison.as_json(), ensure_ascii=False, allow_nan=False))
    else:
        print(as_text(result.sections))
        print(f"The report: {result.report.page}")
    return 0
