"""Which kills a run suffers: drawn from a seed, so that the same seed gives the same list."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Phase = Literal["start", "step", "checkpoint", "evaluation", "export"]
Victim = Literal["rank 0", "rank 1", "all"]

SHARES: dict[Phase, int] = {"start": 1, "step": 8, "checkpoint": 4, "evaluation": 3, "export": 2}
"""Kills of a whole run, by phase. Those of training come first, in any order, as evaluation comes after
the last step here."""

_FURTHEST = 0.8
"""How far into something a kill comes at most: later ones would often be too late."""


@dataclass(frozen=True)
class Kill:
    """One SIGKILL. `skip`: how many steps, checkpoints or evaluations begin after the start before the one
    that is hit. `fraction`: how far into it: of the time that a start or a step took in the undisturbed run,
    or of the files that a write has (time would often come too late where the machine's speed changes)."""

    phase: Phase
    victim: Victim
    skip: int
    fraction: float


@dataclass(frozen=True)
class Case:
    """One run: a ZeRO stage, full or LoRA, and the kills that it suffers one after the other."""

    stage: int
    lora: bool
    seed: int
    kills: tuple[Kill, ...]

    @property
    def name(self) -> str:
        return f"zero{self.stage}-{'lora' if self.lora else 'full'}"


def draw_case(
    stage: int, lora: bool, seed: int, checkpoint_every: int, shares: dict[Phase, int] = SHARES
) -> Case:
    """The kills of one run. A life in training gets at most two checkpoints far, so that there is some of the
    run left for the kills to come."""
    drawn = random.Random(f"{seed} {stage} {lora}")
    training: list[Phase] = [p for p in ("start", "step", "checkpoint") for _ in range(shares.get(p, 0))]
    drawn.shuffle(training)
    later: list[Phase] = [p for p in ("evaluation", "export") for _ in range(shares.get(p, 0))]
    return Case(stage, lora, seed, tuple(_kill(phase, drawn, checkpoint_every) for phase in training + later))


def draw_cases(seed: int, checkpoint_every: int) -> Sequence[Case]:
    """ZeRO 1, 2 and 3, full and LoRA."""
    return [draw_case(stage, lora, seed, checkpoint_every) for stage in (1, 2, 3) for lora in (False, True)]


def _kill(phase: Phase, drawn: random.Random, checkpoint_every: int) -> Kill:
    furthest: dict[Phase, int] = {"step": checkpoint_every + 2, "checkpoint": 1, "evaluation": 1}
    skip = drawn.randint(0, furthest.get(phase, 0))
    # Rank 0 evaluates, when the other has ended; an export has no ranks.
    ranks: dict[Phase, tuple[Victim, ...]] = {"evaluation": ("rank 0",), "export": ("all",)}
    victim: Victim = drawn.choice((*ranks.get(phase, ("rank 0", "rank 1")), "all"))
    return Kill(phase, victim, skip, drawn.uniform(0.0, _FURTHEST))
