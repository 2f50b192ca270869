"""The part of a model card that says how well the encoder does."""

from collections.abc import Iterable, Iterator

from distributed_hbt.config.run import RunConfig
from distributed_hbt.export.data_facts import same_collection
from distributed_hbt.export.provenance import Measured, Provenance


def measures(run: Provenance | None) -> Iterator[str]:
    """Paragraphs: every figure of every benchmark, with its interval."""
    yield "## Measures"
    if run is None or not run.measured:
        yield "This checkpoint was not evaluated, or its results are not there."
        return
    yield (
        "Each figure with its 95% interval: the bootstrap over queries, which says how far other queries of "
        "the same kind would move it, and nothing of other seeds."
    )
    for measured in run.measured:
        yield f"### {measured.summary['benchmark']}"
        yield _settings(measured, run.config)
        figures = [
            (
                " ".join(filter(None, (figure.group, figure.measure))),
                _number(figure.value),
                "" if figure.interval is None else " to ".join(map(_number, figure.interval)),
            )
            for figure in measured.figures
        ]
        yield table(("figure", "value", "95% interval"), figures)
        if any(figure.group == "rank_distance" for figure in measured.figures):
            yield (
                "Language bias, of answers that say the same in different languages: `rank_distance` is the "
                "mean distance between the best and the worst rank of them, `max_rank` the worst rank, both "
                "better when lower; `rank_correlation` how alike the rankings of parallel questions are, 1 "
                "where their language does not matter; `peer` the p value of equal ranks in all languages."
            )


def _settings(measured: Measured, config: RunConfig) -> str:
    summary = measured.summary
    facts = [
        f"{name.removeprefix('num_')}: {summary[name]}"
        for name in ("num_queries", "num_candidates")
        if name in summary
    ]
    for name in ("languages", "article_range", "candidate", "split", "dimension"):
        value = summary.get(name)
        if value is not None:
            facts.append(f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    text = "; ".join(facts)
    if same_collection(config, summary["benchmark"]):
        text += (
            ". Part of the same collection was trained on: these figures can not be set beside those of "
            "models that were not"
        )
    return f"{text}."


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.4f}"
