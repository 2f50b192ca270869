"""The fuzz run's account: a table of counts, written at the end."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.fuzz.cases import Tally, Target, fuzz

FuzzOf = Callable[[Target, Sequence[int]], None]


@pytest.fixture(scope="session")
def tally(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tally]:
    """Its table goes to fuzz-counts.tsv in pytest's folder of temporary files, faults to fuzz-faults.txt."""
    folder = tmp_path_factory.getbasetemp()
    made = Tally(folder / "fuzz-faults.txt")
    yield made
    outcomes = ("works", "one line", "FAULT")
    rows = ["\t".join(("kind", *outcomes))]
    for kind in sorted({kind for kind, _ in made.counts}):
        rows.append("\t".join([kind, *(str(made.counts[kind, outcome]) for outcome in outcomes)]))
    (folder / "fuzz-counts.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture
def fuzzed(tally: Tally, tmp_path: Path) -> FuzzOf:
    """fuzzed(target, seeds): the cases of these seeds; fails with all faults that they show."""

    def check(target: Target, seeds: Sequence[int]) -> None:
        before = len(tally.faults)
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        fuzz(target, seeds, scratch, tally)
        found = tally.faults[before:]
        assert not found, f"{len(found)} faults:\n" + "\n".join(found)

    return check
