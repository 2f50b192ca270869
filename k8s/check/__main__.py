"""`python -m k8s.check`: a line a finding on stdout; exit 0 none, 1 some, 2 it could not be checked."""

import sys

from distributed_hbt.errors import HbtError
from k8s.check.check import check_all
from k8s.check.overlays import render_all


def main() -> int:
    try:
        rendered = render_all()
        findings = check_all(rendered)
    except HbtError as error:
        print(f"check-k8s: error: {error}", file=sys.stderr)
        return error.exit_code
    for finding in findings:
        print(finding)
    if findings:
        return 1
    folders = len(rendered.jobs) + len(rendered.beside)
    print(f"{folders} overlays and combinations rendered; nothing is wrong", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
