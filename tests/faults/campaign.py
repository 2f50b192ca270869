"""One run that is killed again and again, beside the same run left alone."""

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.distributed.run_for_tests import write_run, zero_overrides
from tests.faults.equality import byte_differences, differences, leftovers
from tests.faults.kills import Case, Kill, Phase
from tests.faults.life import Life, count_files, size
from tests.lareqa_files import write_lareqa
from tests.programs import Programs

LORA = "model.lora={rank: 4, alpha: 8, dropout: 0.1}"


@dataclass(frozen=True)
class Hit:
    """What one kill met. `outcome`: `killed`, or `late` where the program had ended by then. `inside`: for a
    write, whether half of it lay there afterwards. `logged` and `whole`: the last step in train.jsonl and the
    newest whole checkpoint at the time of death; `resumed`: where the next life began, None where it had
    nothing to train. `seconds`: of this life, from its start to its death."""

    case: str
    phase: Phase
    victim: str
    outcome: str
    inside: bool
    logged: int
    whole: int
    seconds: float
    resumed: int | None = None

    @property
    def lost(self) -> int | None:
        """Steps that were done again."""
        return None if self.resumed is None else self.logged - self.resumed


@dataclass(frozen=True)
class Suffered:
    """A run's kills, and how what it left differs from the undisturbed run's."""

    hits: tuple[Hit, ...]
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """Of the undisturbed run: seconds to its first step and of a step, files of each kind of write."""

    start: float
    step: float
    files: dict[Phase, int]


@dataclass(frozen=True)
class Sizes:
    """Of a run: enough steps for all kills, as few as do."""

    max_steps: int = 200
    checkpoint_every: int = 8
    evaluate_every: int = 40


class Campaign:
    """Runs a case below `folder`. Both runs stand at the same path, one after the other, since summaries and
    model cards name it; the undisturbed one is moved aside."""

    def __init__(self, folder: Path, case: Case, sizes: Sizes) -> None:
        self._folder = folder / case.name
        self._folder.mkdir(parents=True)
        self._case = case
        benchmark = write_lareqa(self._folder / "benchmark", ["de", "en"])
        run_file = write_run(
            self._folder,
            train={"max_steps": sizes.max_steps, "checkpoint_every": sizes.checkpoint_every},
            evaluation={"every": sizes.evaluate_every, "benchmarks": [benchmark]},
        )
        overrides = [*zero_overrides(case.stage, *([LORA] if case.lora else []))]
        overrides.append(f"data.store_dir={self._folder / 'stores'}")
        self._train = Programs.torchrun(run_file, overrides)
        self._run = self._folder / "runs" / "tiny"
        self._out = self._folder / "runs" / "exported"
        last = self._run / "checkpoints" / f"step-{sizes.max_steps:08d}"
        export = ["export", str(last), "--out", str(self._out), *(["--merge-lora"] if case.lora else [])]
        self._export = [sys.executable, "-m", "distributed_hbt.cli", *export]

    def suffer(self) -> Suffered:
        """Do all of it."""
        measured = self._undisturbed()
        aside = self._folder / "whole"
        (self._folder / "runs").rename(aside)
        hits: list[Hit] = []
        for number, kill in enumerate(self._case.kills):
            hits.append(self._one(kill, measured, self._log(f"kill-{number}")))
            _tell(hits[-1])
        _must(Life(self._train, self._log("last")))
        if not self._out.exists():  # the last kill may have come too late
            _must(Life(self._export, self._log("last-export")))
        wrong = [
            *differences(aside / "tiny", self._run),
            *byte_differences(aside / "exported", self._out),
            *(f"{name} is left" for name in leftovers(self._folder / "runs", self._folder / "stores")),
        ]
        return Suffered(tuple(self._with_resumes(hits)), tuple(wrong))

    def _undisturbed(self) -> Measured:
        """Run without a kill, and look at how long a start and a step take, and how many files each kind of
        write has."""
        life = Life(self._train, self._log("whole"))
        life.wait_until(lambda: size(self._run / "train.jsonl") > 0)
        start = time.monotonic() - life.began
        files = {phase: self._most_files(life, phase) for phase in ("checkpoint", "evaluation")}
        _must(life)
        seconds = sorted(json.loads(line)["seconds"] for line in (self._run / "train.jsonl").open())
        life = Life(self._export, self._log("whole-export"))
        files["export"] = self._most_files(life, "export")
        _must(life)
        return Measured(start, seconds[len(seconds) // 2], files)

    def _one(self, kill: Kill, measured: Measured, log: Path) -> Hit:
        life = Life(self._export if kill.phase == "export" else self._train, log)
        try:
            self._wait_for_moment(kill, measured, life)
            hit = life.kill(kill.victim)
            seconds = time.monotonic() - life.began
        finally:
            life.abandon()
        return Hit(
            self._case.name,
            kill.phase,
            kill.victim,
            "killed" if hit else "late",
            inside=bool(self._halves(kill.phase)),
            logged=self._logged(),
            whole=self._newest(),
            seconds=round(seconds, 2),
        )

    def _wait_for_moment(self, kill: Kill, measured: Measured, life: Life) -> None:
        """Return when it has come, or the program has ended before.

        What an earlier life left is told from what this one writes by its time: a resumed run cuts
        train.jsonl and makes its folders anew.
        """
        if kill.phase == "start":
            time.sleep(kill.fraction * measured.start)
        elif kill.phase == "step":
            first, log = self._newest() + kill.skip, self._run / "train.jsonl"
            if life.wait_until(lambda: life.has_written(log) and self._logged() >= first):
                time.sleep(kill.fraction * measured.step)
        else:
            enough = kill.fraction * measured.files[kill.phase]
            seen: list[Path] = []  # in the order of their coming

            def reached() -> bool:
                seen.extend(p for p in self._halves(kill.phase) if p not in seen and life.has_written(p))
                if len(seen) <= kill.skip:
                    return False
                files = count_files(seen[kill.skip])
                return files is None or files >= enough

            life.wait_until(reached)

    def _with_resumes(self, hits: list[Hit]) -> Iterator[Hit]:
        """Where training went on after each kill, as the log of a later life says: the next one may have been
        killed before it got there."""
        logs = [self._log(f"kill-{number}") for number in range(len(hits))] + [self._log("last")]
        for number, hit in enumerate(hits):
            if hit.phase in ("evaluation", "export"):
                yield hit
                continue
            began = (_began_at(log.read_text(errors="replace")) for log in logs[number + 1 :])
            yield replace(hit, resumed=next((step for step in began if step is not None), None))

    def _halves(self, phase: Phase) -> list[Path]:
        """What is being written, or was when its writer died."""
        folder, pattern = {
            "checkpoint": (self._run / "checkpoints", "step-*.partial*"),
            "evaluation": (self._run / "evaluation", "*/*.partial*"),
            "export": (self._out.parent, f"{self._out.name}.partial*"),
        }.get(phase, (self._run, "no such thing"))
        try:
            return list(folder.glob(pattern))
        except FileNotFoundError:  # renamed between listing and looking
            return []

    def _most_files(self, life: Life, phase: Phase) -> int:
        """Files of the next write, just before it is renamed."""
        most, seen = 0, False

        def is_over() -> bool:
            nonlocal most, seen
            halves = self._halves(phase)
            most = max([most, *(count_files(half) or 0 for half in halves)])
            seen = seen or bool(halves)
            return seen and not halves

        life.wait_until(is_over)
        if not seen:
            raise RuntimeError(f"{phase} was never seen\n{life.log}")
        return most

    def _logged(self) -> int:
        path = self._run / "train.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return int(json.loads(lines[-1])["step"]) if lines else 0

    def _newest(self) -> int:
        done = [int(path.parent.name[5:13]) for path in self._run.glob("checkpoints/step-????????/COMPLETE")]
        return max(done, default=0)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def _began_at(log: str) -> int | None:
    """Steps that were done when a life began to train; None where it did not get there."""
    found = re.findall(r"resumed from \S*step-(\d+)", log)
    if found:
        return int(found[-1])
    return 0 if "first step after" in log else None


def _must(life: Life) -> None:
    code = life.end()
    if code != 0:
        raise RuntimeError(f"ended with {code}\n{life.log}")


def _tell(hit: Hit) -> None:
    print(
        f"{hit.case}: {hit.phase}, {hit.victim}: {hit.outcome} after {hit.seconds} s, "
        f"step {hit.logged}, checkpoint {hit.whole}",
        file=sys.stderr,
        flush=True,
    )
