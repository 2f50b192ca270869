"""The sections of a report, and the page that they make."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from distributed_hbt.comparison.comparison import BenchmarkComparison, Comparison
from distributed_hbt.comparison.report import tables
from distributed_hbt.comparison.report.content import Plot, Section
from distributed_hbt.comparison.report.plots import (
    by_language,
    cells,
    composition,
    language_bias,
    throughput,
    top10,
    trade_off,
    training_loss,
)
from distributed_hbt.comparison.report.rows import benchmark_name
from distributed_hbt.comparison.report.style import Styles, styles_of
from distributed_hbt.comparison.report.svg import panel_as_svg, sign_as_svg
from distributed_hbt.comparison.report.verdicts import in_words

_BOLD = "Bold: the best mean, whether or not it differs significantly."


def sections_of(comparison: Comparison) -> list[Section]:
    """What a comparison has to show; what it has no figures for is left out."""
    styles = styles_of([system.name for system in comparison.systems])
    return [
        *(_benchmark(benchmark, comparison, styles) for benchmark in comparison.benchmarks),
        *_training(comparison, styles),
        _systems(comparison),
    ]


def render(title: str, lead: str | None, note: str, sections: Sequence[Section]) -> str:
    """One HTML file that needs nothing else."""
    environment = Environment(
        loader=PackageLoader("distributed_hbt.comparison.report"),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals["svg"] = lambda panel, prefix: Markup(panel_as_svg(panel, prefix))
    environment.globals["sign"] = lambda entry, prefix: Markup(sign_as_svg(entry, prefix))
    script = environment.get_template("report.js").render()
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html").render(
        title=title, lead=lead, note=note, sections=sections, script=Markup(script), script_digest=digest
    )


def png_name(plot: Plot) -> str:
    return re.sub(r"[^a-z0-9]+", "-", plot.name.lower()).strip("-")


def _benchmark(benchmark: BenchmarkComparison, comparison: Comparison, styles: Styles) -> Section:
    name, baseline = benchmark.benchmark, comparison.baseline
    title = benchmark_name(name)
    present = [s for s in styles if any(s in row.figures for row in benchmark.summary)]
    explanation = f"Mean, 95% interval. {_BOLD}"
    if baseline and len(present) > 1:
        explanation += f" Below: how it compares with {baseline}, after Holm's correction."
    summary = tables.figures(benchmark.summary, present, baseline, f"{title}: figures", explanation)
    tested = tables.differences(
        benchmark.summary,
        f"{title}: differences",
        "On the same queries. p (Holm) is corrected over this table; a difference is significant up to 0.05. "
        "Effect size: mean difference of a query over its standard deviation. Wins: queries on which the "
        "first named is better.",
    )
    return Section(
        title,
        findings=in_words(benchmark.summary),
        tables=(summary, *([tested] if tested else [])),
        plots=tuple(_there(
            trade_off.plot(benchmark, styles),
            cells.maps(name, benchmark.cells),
            cells.differences(name, benchmark.cells, baseline),
            by_language.plot(
                benchmark.by_language, styles, baseline,
                name=f"{name} by language", title=f"{title}: by query language",
            ),
            language_bias.plot(benchmark, styles, baseline),
            by_language.plot(
                benchmark.language_bias, styles, baseline,
                name=f"{name} bias by language", title=f"{title}: language bias by query language",
            ),
            top10.plot(benchmark),
        )),
    )  # fmt: skip


def _training(comparison: Comparison, styles: Styles) -> list[Section]:
    logs = comparison.training
    plots = _there(
        training_loss.plot(logs, styles),
        throughput.plot(logs, styles),
        composition.kinds(logs, styles),
        composition.languages(logs, styles),
    )
    return [Section("Training", plots=plots)] if plots else []


def _systems(comparison: Comparison) -> Section:
    configuration = tables.configuration(comparison.systems)
    return Section(
        "Systems and runs",
        tables=(*([configuration] if configuration else []), tables.runs(comparison)),
    )


def _there(*plots: Plot | None) -> tuple[Plot, ...]:
    return tuple(plot for plot in plots if plot is not None)
