"""python -m tests.faults.run [--seed N] [--only CASE ...] [--out FILE.json]

Kills six runs 108 times in all (ZeRO 1, 2, 3; full, LoRA), and compares what they leave with what the same
runs leave undisturbed. Prints the table of kills; ends with 1 where anything differs or is left over.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.faults.campaign import Campaign, Sizes
from tests.faults.kills import draw_cases
from tests.faults.report import table


def parser() -> argparse.ArgumentParser:
    """The command line."""
    described = argparse.ArgumentParser(description="kill runs, and see whether anything is lost")
    described.add_argument("--seed", type=int, default=7)
    described.add_argument("--only", nargs="*", metavar="CASE", help="as zero2-lora; default: all six")
    described.add_argument("--out", type=Path, help="all kills as JSON")
    described.add_argument("--keep", action="store_true", help="keep the runs' folders")
    return described


def main() -> int:
    options = parser().parse_args()
    sizes = Sizes()
    folder = Path(tempfile.mkdtemp(prefix="hbt-faults-"))
    hits, wrong, began = [], [], time.monotonic()
    for case in draw_cases(options.seed, sizes.checkpoint_every):
        if options.only and case.name not in options.only:
            continue
        suffered = Campaign(folder, case, sizes).suffer()
        hits += suffered.hits
        wrong += [f"{case.name}: {text}" for text in suffered.wrong]
        print(f"{case.name}: {len(suffered.wrong)} differences", file=sys.stderr, flush=True)
    print(table(hits))
    print(f"\n{(time.monotonic() - began) / 60:.1f} minutes; {len(wrong)} differences")
    for text in wrong:
        print(f"WRONG: {text}")
    if options.out:
        content = {"seed": options.seed, "hits": [asdict(hit) for hit in hits], "wrong": wrong}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if options.keep or wrong:
        print(f"the runs are in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return 1 if wrong or not any(hit.outcome == "killed" for hit in hits) else 0


if __name__ == "__main__":
    sys.exit(main())
