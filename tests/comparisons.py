"""Comparisons as a real one would be, made of random numbers with a fixed seed."""

import random
from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from distributed_hbt.comparison.comparison import (
    BenchmarkComparison,
    Comparison,
    Difference,
    Figure,
    Row,
    Run,
    System,
    TrainingLog,
)

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
MIRACL = tuple("ar bn de en es fa fi fr hi id ja ko ru sw te th yo zh".split())  # noqa: SIM905
STRATEGIES = ("X-X-mono", "X-Y", "hybrid")
SEEDS = (13, 14, 15)

_SUMMARY = {
    ("mono", "AP"): (0.3938, 0.1313, 0.3101),
    ("mono", "R@1"): (0.3018, 0.0654, 0.2198),
    ("cross", "AP"): (0.0370, 0.0573, 0.0628),
    ("cross", "R@1"): (0.0108, 0.0203, 0.0254),
    ("multi", "AP"): (0.0405, 0.0276, 0.0467),
    ("multi", "R@10"): (0.0477, 0.0237, 0.0493),
}
_BIAS = {
    "rank_distance": (2333.0, 1748.0, 1997.0),
    "PEER": (0.112, 0.268, 0.241),
    "Max@R": (2511.0, 2102.0, 2240.0),
    "MRC": (0.31, 0.52, 0.49),
}


def xquad_r(names: Sequence[str] = STRATEGIES, baseline: str | None = "X-X-mono") -> Comparison:
    """Three seeds a system, eleven languages, mono, cross and multi tasks."""
    rng = random.Random(7)
    systems = tuple(_system(name, index, SEEDS) for index, name in enumerate(names))
    benchmark = BenchmarkComparison(
        "xquad_r",
        tuple(
            row(rng, names, g, m, [v[i % 3] for i in range(len(names))], baseline)
            for (g, m), v in _SUMMARY.items()
        ),
        tuple(
            row(rng, names, g, m, [_near(rng, v[i % 3]) for i in range(len(names))], baseline, language=code)
            for (g, m), v in _SUMMARY.items()
            for code in LANGUAGES
        ),
        tuple(
            row(
                *(rng, names, "multi", m, [v[i % 3] for i in range(len(names))], baseline),
                higher=m in ("PEER", "MRC"),
            )
            for m, v in _BIAS.items()
        ),
        {name: _cells(rng, index) for index, name in enumerate(names)},
        {name: _top10(rng, index) for index, name in enumerate(names)},
    )
    logs = tuple(
        _log(rng, f"{name}-{seed}", name, index) for index, name in enumerate(names) for seed in SEEDS
    )
    return Comparison(systems, baseline if len(names) > 1 else None, (benchmark,), logs)


def miracl() -> Comparison:
    """Two systems of one seed, compared with each other; means over languages, no pairs of languages."""
    rng, names = random.Random(8), ("X-X-mono", "hybrid")
    figures = {"nDCG@10": (0.4148, 0.4054), "R@100": (0.7683, 0.7628), "RR@10": (0.412, 0.409)}
    benchmark = BenchmarkComparison(
        "miracl",
        tuple(row(rng, names, "mean", m, v, None, seeds=1) for m, v in figures.items()),
        tuple(
            row(rng, names, "mean", m, [_near(rng, x) for x in v], None, language=code, seeds=1)
            for m, v in figures.items()
            for code in MIRACL
        ),
        (),
        {},
        {},
    )
    systems = tuple(_system(name, index, (13,)) for index, name in enumerate(names))
    return Comparison(systems, None, (benchmark,), ())


def alone() -> Comparison:
    """One system: nothing to compare it with."""
    return xquad_r(("hybrid",), None)


HOSTILE = ("<script>alert('x')</script>", "漢字 & العربية 🦜 $x_1$", "a\"b'c --> " + "very-long-name-" * 6)


def hostile() -> Comparison:
    """Names that are markup, in other scripts, mathematics for matplotlib, and far too long."""
    return xquad_r(HOSTILE, HOSTILE[0])


def row(
    rng: random.Random,
    names: Sequence[str],
    group: str,
    measure: str,
    means: Sequence[float],
    baseline: str | None,
    *,
    language: str | None = None,
    higher: bool = True,
    seeds: int = len(SEEDS),
) -> Row:
    figures = {name: _figure(rng, value, seeds) for name, value in zip(names, means, strict=True)}
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if baseline in (None, a, b)]
    return Row(
        *(group, language, measure, higher, figures),
        tuple(_difference(rng, figures, a, b, seeds, higher) for a, b in pairs),
    )


def _near(rng: random.Random, value: float) -> float:
    return value * rng.uniform(0.75, 1.25)


def _figure(rng: random.Random, value: float, seeds: int) -> Figure:
    of_seeds = tuple(value * rng.uniform(0.95, 1.05) for _ in range(seeds))
    middle = mean(of_seeds)
    half = 4.3 * stdev(of_seeds) / seeds**0.5 if seeds > 1 else 0.06 * middle
    return Figure(middle, middle - half, middle + half, of_seeds, 220)


def _difference(
    rng: random.Random, figures: Mapping[str, Figure], one: str, other: str, seeds: int, higher: bool
) -> Difference:
    change = figures[other].mean - figures[one].mean
    half = abs(figures[one].mean) * rng.uniform(0.04, 0.12)
    p = 0.0004 if abs(change) > 1.5 * half else 0.03 if abs(change) > half else rng.uniform(0.08, 0.9)
    wins, losses = (120, 70) if (change > 0) == higher else (70, 120)
    return Difference(
        *(one, other, change, change - half, change + half),
        *(
            p / 2,
            p / 2,
            p if seeds > 1 else None,
            p,
            min(1.0, 1.5 * p),
            change / (3 * half),
            wins,
            losses,
            30,
        ),
    )


def _system(name: str, index: int, seeds: Sequence[int]) -> System:
    runs = tuple(Run(f"{name}-{seed}", seed, 12400, f"{seed:08x}{index:024x}") for seed in seeds)
    strategy = ("x_x_mono", "x_y", "hybrid")[index % 3]
    alpha = {"x_x_mono": None, "x_y": None, "hybrid": 0.5}[strategy]
    return System(
        *(name, runs),
        {"sampling.strategy": strategy, "sampling.alpha": alpha, "train.learning_rate": 3e-5 * (index + 1)},
    )


def _cells(rng: random.Random, index: int) -> dict[str, dict[str, float]]:
    inside, across = ((0.39, 0.037), (0.13, 0.057), (0.31, 0.063))[index % 3]
    return {q: {p: _near(rng, inside if q == p else across) for p in LANGUAGES} for q in LANGUAGES}


def _top10(rng: random.Random, index: int) -> dict[str, dict[str, float]]:
    own = (12, 1.5, 4)[index % 3]
    weights = {q: {p: _near(rng, own if q == p else 1) for p in LANGUAGES} for q in LANGUAGES}
    return {q: {p: w / sum(row.values()) for p, w in row.items()} for q, row in weights.items()}


def _log(rng: random.Random, run: str, system: str, index: int) -> TrainingLog:
    steps = tuple(range(1, 1201))
    level = (0.4, 1.1, 0.7)[index % 3]
    loss = tuple(level + 3.5 / (1 + s / 60) + rng.gauss(0, 0.12) if s % 400 else None for s in steps)
    mono = (1200, 0, 597)[index % 3]
    languages = {code: (109, 1150, 640)[index % 3] + rng.randrange(40) for code in LANGUAGES}
    kinds = {kind: count for kind, count in (("mono", mono), ("cross", 1200 - mono)) if count}
    return TrainingLog(
        *(run, system, steps, loss, tuple(41000 * rng.uniform(0.9, 1.1) for _ in steps), kinds, languages),
        num_negatives=tuple(63 for _ in steps),
    )
