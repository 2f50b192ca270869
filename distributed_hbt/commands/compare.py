"""hbt compare RUN RUN ... | --experiment NAME [--out DIR]"""

import argparse
import json
import sys
from pathlib import Path

from distributed_hbt.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} [SYSTEM=]RUN[,RUN...] ... | --experiment NAME [options]"
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        help="a run directory, a folder of results, or an MLflow run id; SYSTEM=RUN,RUN names the seeds of "
        "one system; else runs whose configurations differ in the seed alone are one",
    )
    parser.add_argument("--experiment", metavar="NAME", help="all finished runs of an MLflow experiment")
    parser.add_argument("--tracking-uri", metavar="URI", help="of MLflow; default: sqlite:///runs/mlflow.db")
    parser.add_argument(
        "--baseline", metavar="SYSTEM", help="compare all others with this one; default: all pairs"
    )
    parser.add_argument(
        "--measure",
        metavar="GROUP:MEASURE",
        action="append",
        help="of the tables, such as cross:nDCG@10 (groups: mono, cross, multi, mean); may be repeated",
    )
    parser.add_argument("--languages", action="store_true", help="tables by query language too")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write the report there: a page, figures, tables, plots",
    )
    parser.add_argument("--log-to", metavar="EXPERIMENT", help="keep the report in MLflow too (needs --out)")
    parser.add_argument("--title", default="Runs compared", help="of the report")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything as JSON")
    form.add_argument("--markdown", action="store_true", help="tables in Markdown")
    form.add_argument("--latex", action="store_true", help="tables in LaTeX")


def run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from distributed_hbt.compared_runs import compared_systems, store_of
    from distributed_hbt.comparison.compare import compare
    from distributed_hbt.comparison.render import latex, markdown, print_tables
    from distributed_hbt.comparison.report.write import write_report
    from distributed_hbt.comparison.tables import tables_of
    from distributed_hbt.tracking.parent import log_comparison

    if options.log_to is not None and options.out is None:
        raise ConfigError("--log-to", "has no report to keep", "give --out too")

    with compared_systems(options.runs, options.experiment, options.tracking_uri) as systems:
        comparison = compare(systems, baseline=options.baseline, **_measures(options.measure))
    tables = list(tables_of(comparison, by_language=options.languages))
    if options.out is not None:
        report = write_report(comparison, options.out, title=options.title)
        print(f"the report: {report.page}", file=sys.stderr)
        if options.log_to is not None:
            store = store_of(options.tracking_uri)
            run_id = log_comparison(store, options.log_to, options.title, options.out)
            print(f"in MLflow: run {run_id} of {options.log_to}", file=sys.stderr)
    if options.json:
        print(json.dumps(comparison.as_json(), ensure_ascii=False, allow_nan=False))
    elif options.markdown:
        print(markdown(tables))
    elif options.latex:
        print(latex(tables))
    else:
        print_tables(tables, Console(width=None if Console().is_terminal else 160))
    return 0


def _measures(given: list[str] | None) -> dict[str, list[tuple[str, str]]]:
    if given is None:
        return {}
    pairs = []
    for text in given:
        group, colon, measure = text.partition(":")
        if not colon or group not in ("mono", "cross", "multi", "mean") or not measure:
            raise ConfigError("--measure", f"{text!r} is no GROUP:MEASURE", "write it as cross:nDCG@10")
        pairs.append((group, measure))
    return {"measures": pairs}
