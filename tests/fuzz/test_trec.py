"""TREC judgments and runs, damaged."""

import gzip
from pathlib import Path

from tests.fuzz.cases import Target
from tests.fuzz.conftest import FuzzOf
from tests.fuzz.counts import cases


@cases(30, 500)
def test_damaged_qrels_and_runs(fuzzed: FuzzOf, tmp_path: Path, first: int, stop: int) -> None:
    """A score of a run that was read to the damage and no further."""
    qrels, run = tmp_path / "qrels.tsv", tmp_path / "run.trec.gz"
    qrels.write_text("".join(f"q{i}\t0\td{j}\t{int(i == j)}\n" for i in range(5) for j in range(4)))
    lines = [f"q{i} Q0 d{j} {j + 1} {10.5 - j - i / 7:.9g} hbt\n" for i in range(5) for j in range(6)]
    run.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    plain = tmp_path / "run.trec"
    plain.write_text("".join(lines))
    for file, seeds in ((run, range(first, stop, 2)), (plain, range(first + 1, stop, 2))):
        target = Target(
            "trec",
            (qrels, file),
            lambda out, file=file: ["score", "--qrels", str(qrels), "--run", str(file), "--json"],
        )
        fuzzed(target, seeds)
