"""hbt data check RUN.yaml [key=value ...] | hbt data convert RUN.yaml --out FILE [--source N]"""

import argparse
from pathlib import Path

from distributed_hbt.commands.run_file import add_run_arguments, load
from distributed_hbt.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="check|convert", required=True)
    check = actions.add_parser("check", help="counts per source, language and pair; bad rows")
    add_run_arguments(check)
    check.add_argument("--json", action="store_true", help="as JSON")
    convert = actions.add_parser("convert", help="write a source in the native form, hbt_jsonl")
    add_run_arguments(convert)
    convert.add_argument("--source", type=int, default=0, help="position in data.sources, from 0")
    convert.add_argument("--out", type=Path, required=True, help="FILE.jsonl or FILE.jsonl.gz")


def run(options: argparse.Namespace) -> int:
    config = load(options)
    from distributed_hbt.config.paths import check_sources

    check_sources(config)
    if options.action == "check":
        from distributed_hbt.data.check import summarise

        summary = summarise(config.data)
        print(summary.as_json() if options.json else summary.as_text())
        summary.bad_rows.verdict(config.data.max_bad_share)
        return 0
    from distributed_hbt.data.convert import convert

    sources = config.data.sources
    if not 0 <= options.source < len(sources):
        raise ConfigError(
            "--source", f"{options.source} is no position of data.sources", f"0 to {len(sources) - 1}"
        )
    report = convert(sources[options.source], options.out, config.data.max_bad_share)
    print(f"{report.good} rows written to {options.out}, {report.bad} bad rows left out")
    return 0
