"""A plan as text and as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distributed_hbt.planner.memory import GIB
from distributed_hbt.planner.plan import Plan


def as_text(plan: Plan) -> str:
    """For people: sections of aligned lines."""
    lines = [*_head(plan), "", *_memory(plan), "", *_time(plan), "", *_run(plan)]
    return "\n".join([*lines, "", *_assumptions(plan)])


def as_json(plan: Plan) -> dict[str, Any]:
    """For programs: bytes, seconds, parameters."""
    setting, counts, step = plan.setting, plan.setting.parameters, plan.step
    peak = plan.memory.peak
    return {
        "run": setting.config.name,
        "gpu": _gpu_name(plan),
        "ranks": setting.world_size,
        "zero_stage": setting.sharding.stage,
        "architecture": setting.architecture.source,
        "parameters": {
            "total": counts.total,
            "embeddings": counts.embeddings,
            "without_embeddings": counts.without_embeddings,
            "adapter": counts.adapter,
            "trained": counts.trained,
            "largest_layer": counts.largest_layer,
        },
        "memory": {
            "moment": peak.name,
            "parts": dict(peak.parts),
            "moments": {m.name: dict(m.parts) for m in plan.memory.moments},
            "total": peak.total,
            "room": plan.memory.room,
            "fits": plan.memory.fits,
            "on_host": plan.memory.on_host,
        },
        "step": {"seconds": step.total, "parts": step.parts(), "traffic": step.whole_traffic},
        "texts": {
            "chunks": len(setting.workload.chunks),
            "real_tokens": setting.workload.real_tokens,
            "padded_tokens": setting.workload.padded_tokens,
        },
        "tokens_per_second": plan.tokens_per_second,
        "mfu": plan.mfu,
        "hours": plan.hours,
        "gpu_hours": plan.gpu_hours,
        "cost": plan.cost,
        "checkpoint": {
            "bytes": plan.checkpoint.size,
            "seconds": plan.checkpoint.seconds,
            "every_steps": plan.checkpoint.steps,
            "best_steps": plan.checkpoint.best_steps,
            "failures": plan.checkpoint.failures,
            "lost_share": plan.checkpoint.lost_share,
        },
        "miracl": {
            "passages_per_second_per_gpu": plan.evaluation.passages_per_second,
            "gpu_hours": plan.evaluation.encode_gpu_hours + plan.evaluation.search_gpu_hours,
            "hours": plan.evaluation.hours,
        },
        "assumptions": setting.cluster.assumptions.model_dump(),
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = cells
        padded = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        return "  ".join([first.ljust(widths[0]), *padded]).rstrip()

    return "\n".join(map(line, (header, *rows)))


def gib(size: float) -> str:
    return f"{size / GIB:,.2f}" if abs(size) < 10 * GIB else f"{size / GIB:,.1f}"


def duration(seconds: float) -> str:
    """In the unit that suits it."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.3g} s"


def _gpu_name(plan: Plan) -> str:
    gpu = plan.setting.cluster.gpu
    return gpu if isinstance(gpu, str) else "described in the cluster file"


def _head(plan: Plan) -> Iterator[str]:
    setting, counts = plan.setting, plan.setting.parameters
    train = setting.config.train
    tuning = "LoRA" if setting.config.model.lora is not None else "full"
    where = f"{setting.nodes_used} node{'s' if setting.nodes_used > 1 else ''}"
    yield f"{setting.config.name}: {setting.world_size} ranks on {where}, GPU {_gpu_name(plan)}"
    yield (
        f"ZeRO-{setting.sharding.stage}{', hpZ' if setting.sharding.group > 1 else ''}, {tuning}, "
        f"{setting.config.model.dtype}, {train.gradient} gradients"
        f"{', activation checkpointing' if train.activation_checkpointing else ''}"
    )
    yield f"parameters          {counts.total:>16,}  ({setting.architecture.source})"
    yield f"  embeddings        {counts.embeddings:>16,}"
    yield f"  without           {counts.without_embeddings:>16,}"
    if counts.adapter:
        yield f"  adapter           {counts.adapter:>16,}"
    yield f"  largest layer     {counts.largest_layer:>16,}"


def _memory(plan: Plan) -> Iterator[str]:
    peak = plan.memory.peak
    yield f"Memory of a GPU, GiB (most in the {peak.name})"
    yield from _parts(peak.parts, gib)
    yield f"  {'together':<26}{gib(peak.total):>10}"
    verdict = "fits" if plan.memory.fits else "DOES NOT FIT"
    yield f"  {'there is':<26}{gib(plan.memory.room):>10}  {verdict}, {gib(abs(plan.memory.left))} " + (
        "left" if plan.memory.fits else "too much"
    )
    if plan.memory.on_host:
        yield f"  {'in the host for each rank':<26}{gib(plan.memory.on_host):>10}"


def _time(plan: Plan) -> Iterator[str]:
    step, work = plan.step, plan.setting.workload
    padding = f"{work.padded_tokens / work.real_tokens - 1:.0%} padding"
    yield f"A step, seconds ({len(work.chunks)} chunks a rank, {work.real_tokens:,} real tokens, {padding})"
    yield from _parts(step.parts(), lambda seconds: f"{seconds:.3f}")
    yield f"  {'together':<26}{step.total:>10.3f}"
    yield f"  {'(ZeRO traffic in all)':<26}{step.whole_traffic:>10.3f}"


def _run(plan: Plan) -> Iterator[str]:
    checkpoint, evaluation = plan.checkpoint, plan.evaluation
    cost = "no price is given" if plan.cost is None else f"{plan.cost:,.0f}"
    yield f"real tokens a second  {plan.tokens_per_second:,.0f} ({plan.mfu:.1%} MFU)"
    yield f"{plan.setting.config.train.max_steps:,} steps  {duration(3600 * plan.hours)}"
    yield f"GPU-hours  {plan.gpu_hours:,.1f}   cost  {cost}"
    yield (
        f"checkpoint  {checkpoint.size / 1e9:,.1f} GB, {duration(checkpoint.seconds)} each; every "
        f"{checkpoint.steps} steps here, least is lost with every {checkpoint.best_steps:,} "
        f"({duration(checkpoint.best_seconds)})"
    )
    lost = f"{checkpoint.lost_share:.1%}"
    yield f"failures to expect  {checkpoint.failures:.2g}; checkpoints and failures take {lost}"
    yield (
        f"MIRACL ({evaluation.passages / 1e6:.0f}M passages)  "
        f"{evaluation.encode_gpu_hours + evaluation.search_gpu_hours:,.1f} GPU-hours, "
        f"{duration(3600 * evaluation.hours)} on {evaluation.gpus} GPUs"
    )


def _assumptions(plan: Plan) -> Iterator[str]:
    assumed = plan.setting.cluster.assumptions
    yield (
        f"Assumed: {assumed.utilisation:.0%} of the peak in matrix products, {assumed.bandwidth:.0%} of "
        f"bandwidths, {assumed.overlap:.0%} of the arithmetic hides traffic; queries of "
        f"{assumed.query_tokens or 21:g} tokens and passages of {assumed.passage_tokens or 223:g} on average "
        "before they are cut (XQuAD-R's distribution). See docs/planner.md."
    )


def _parts(parts: Mapping[str, float], form: Any) -> Iterator[str]:
    for name, value in parts.items():
        if value:
            yield f"  {name:<26}{form(value):>10}"
