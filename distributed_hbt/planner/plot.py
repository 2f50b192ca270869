"""A sweep as a picture: memory of a GPU, time and GPU-hours against the number of ranks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distributed_hbt.planner.memory import GIB
from distributed_hbt.planner.plan import Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write_plot(plans: Sequence[Plan], folder: Path) -> list[Path]:
    """sweep.png and sweep.svg in `folder`; their paths. Plans that do not fit are hollow."""
    from matplotlib.figure import Figure

    from distributed_hbt.comparison.report.style import MUTED, drawing

    written = []
    with drawing():
        figure = Figure(figsize=(10.5, 3.6), layout="constrained")
        memory, time, hours = figure.subplots(1, 3)
        _lines(memory, plans, "GiB a GPU", lambda plan: plan.memory.peak.total / GIB)
        room = plans[0].memory.room / GIB
        name = f"a GPU has {room:g} GiB"
        memory.axhline(room, color=MUTED, linestyle="--", linewidth=1, label=name)
        _lines(time, plans, "hours of the run", lambda plan: plan.hours)
        _lines(hours, plans, "GPU-hours", lambda plan: plan.gpu_hours, logarithmic=False)
        handles, labels = memory.get_legend_handles_labels()
        title = f"{plans[0].setting.config.name}: world sizes and ZeRO stages (hollow: does not fit)"
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
        for kind in ("png", "svg"):
            path = folder / f"sweep.{kind}"
            figure.savefig(path, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            written.append(path)
    return written


def _lines(
    axes: "Axes",
    plans: Sequence[Plan],
    label: str,
    value: Callable[[Plan], float],
    *,
    logarithmic: bool = True,
) -> None:
    """One line a ZeRO stage; ranks are on a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    from distributed_hbt.comparison.report.style import styles_of

    stages = sorted({plan.setting.sharding.stage for plan in plans})
    styles = styles_of([f"ZeRO-{stage}" for stage in stages])
    for stage, (name, style) in zip(stages, styles.items(), strict=True):
        line = [plan for plan in plans if plan.setting.sharding.stage == stage]
        axes.plot(
            [plan.setting.world_size for plan in line],
            [value(plan) for plan in line],
            label=name,
            **style.curve(),
        )
        for plan in line:
            face = {} if plan.memory.fits else {"markerfacecolor": "none", "markeredgecolor": style.colour}
            axes.plot([plan.setting.world_size], [value(plan)], **{**style.point(), "markersize": 5, **face})
    worlds = sorted({plan.setting.world_size for plan in plans})
    axes.set_xscale("log", base=2)
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.set_xticks(worlds, [str(world) for world in worlds])
    axes.set_xlabel("ranks")
    axes.set_ylabel(label)
    axes.grid(axis="y")
