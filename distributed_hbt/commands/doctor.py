"""hbt doctor [RUN.yaml] [key=value ...] [--address ADDR] [--json]"""

import argparse
import sys
from pathlib import Path

from distributed_hbt.commands.run_file import load
from distributed_hbt.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_file", metavar="RUN.yaml", type=Path, nargs="?", help="the run that is to work")
    parser.set_defaults(overrides=[])
    parser.usage = f"{parser.prog} [RUN.yaml] [key=value ...] [options]"
    parser.epilog = (
        "exit code: 0 all is well or there are only warnings, 1 the run would fail, 2 a bad run file"
    )
    parser.add_argument(
        "--address", metavar="ADDR", help="Ray cluster, host:port or auto; default: one of this machine's own"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    if options.run_file is not None and "=" in str(options.run_file):
        what = f"{options.run_file} overrides a field, but no run file is named"
        raise ConfigError("command line", what, "name it first: hbt doctor RUN.yaml key=value")
    config = None if options.run_file is None else load(options)
    from distributed_hbt.doctor.examine import examine
    from distributed_hbt.doctor.finding import Subject
    from distributed_hbt.doctor.report import as_json, has_failed, line, verdict

    subject = Subject(config, options.address)
    findings = []
    for finding in examine(subject):
        findings.append(finding)
        print(line(finding), file=sys.stderr if options.json else sys.stdout, flush=True)
    print(as_json(subject, findings) if options.json else verdict(subject, findings))
    return 1 if has_failed(findings) else 0
