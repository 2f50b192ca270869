"""A comparison as a folder: the page, figures as JSON, tables as Markdown and LaTeX, plots as PNG."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.aside import aside
from distributed_hbt.comparison.comparison import Comparison
from distributed_hbt.comparison.render import latex, markdown
from distributed_hbt.comparison.report import page, tables
from distributed_hbt.comparison.report.content import Plot, Section
from distributed_hbt.comparison.report.png import write_png
from distributed_hbt.comparison.tables import tables_of
from distributed_hbt.errors import ConfigError

_PAGE, _FIGURES, _PLOTS = "report.html", "comparison.json", "plots"
_MARKDOWN, _LATEX = "tables.md", "tables.tex"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """What was written."""

    page: Path
    figures: Path
    plots: tuple[Path, ...]


def write_report(
    comparison: Comparison,
    folder: Path,
    *,
    title: str,
    lead: str | None = None,
    sections: Sequence[Section] = (),
) -> ReportFiles:
    """Write report.html, comparison.json, tables.md, tables.tex and plots/*.png into `folder`, all or none.

    `lead` and `sections` stand before what the comparison itself has to show. A report that is there already
    is replaced; raises ConfigError if the folder holds anything else, or can not be written.
    """
    folder = folder.absolute()
    _check_may_replace(folder)
    content = json.dumps(comparison.as_json(), allow_nan=False, ensure_ascii=False, indent=1)
    shown = [*sections, *page.sections_of(comparison)]
    html = page.render(title, lead, tables.seeds(comparison.systems), shown)
    partial = aside(folder)
    try:
        (partial / _PLOTS).mkdir(parents=True)
        names = [_write_plot(plot, partial / _PLOTS) for section in shown for plot in section.plots]
        (partial / _FIGURES).write_text(content, encoding="utf-8")
        (partial / _PAGE).write_text(html, encoding="utf-8")
        every = list(tables_of(comparison, by_language=True))
        (partial / _MARKDOWN).write_text(markdown(every), encoding="utf-8")
        (partial / _LATEX).write_text(latex(every), encoding="utf-8")
        _put_in_place(partial, folder)
    except OSError as error:
        what = f"can not be written ({error.strerror})"
        raise ConfigError(str(folder), what, "name another folder") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ReportFiles(folder / _PAGE, folder / _FIGURES, tuple(folder / _PLOTS / name for name in names))


def _put_in_place(partial: Path, folder: Path) -> None:
    """The old report is removed when the new one stands."""
    old = folder.with_name(f"{folder.name}.old-{os.getpid()}")
    if folder.exists():
        folder.replace(old)
    partial.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write_plot(plot: Plot, folder: Path) -> str:
    """A plot's file; benchmarks whose names differ in signs alone get numbers."""
    name, number = page.png_name(plot), 1
    while (folder / f"{name}.png").exists():
        number += 1
        name = f"{page.png_name(plot)}-{number}"
    write_png(plot, folder / f"{name}.png")
    return f"{name}.png"


def _check_may_replace(folder: Path) -> None:
    if not folder.exists():
        return
    own = {_PAGE, _FIGURES, _PLOTS, _MARKDOWN, _LATEX}
    foreign = not folder.is_dir() or any(
        path.name not in own or (path.is_dir() and any(png.suffix != ".png" for png in path.iterdir()))
        for path in folder.iterdir()
    )
    if foreign:
        raise ConfigError(str(folder), "holds something else than a report", "name another folder")
