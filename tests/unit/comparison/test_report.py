"""The folder that a report is: page, figures, pictures."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from PIL import Image

from distributed_hbt.comparison.comparison import Comparison, Row
from distributed_hbt.comparison.report import numbers, tables
from distributed_hbt.comparison.report.content import Cell, Finding, Panel, Plot, Section, Table
from distributed_hbt.comparison.report.plots.training_loss import curve, smoothed
from distributed_hbt.comparison.report.rows import best, marked
from distributed_hbt.comparison.report.style import VARIABLES, styles_of
from distributed_hbt.comparison.report.verdicts import in_words
from distributed_hbt.comparison.report.write import ReportFiles, write_report
from distributed_hbt.errors import ConfigError
from tests import comparisons

SUBJECTS = {
    "xquad_r": comparisons.xquad_r,
    "miracl": comparisons.miracl,
    "alone": comparisons.alone,
    "hostile": comparisons.hostile,
}


@pytest.fixture(scope="module", params=SUBJECTS)
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Comparison, ReportFiles]:
    comparison = SUBJECTS[request.param]()
    folder = tmp_path_factory.mktemp("reports") / request.param
    return comparison, write_report(comparison, folder, title="Strategies", lead="Which is best?")


class Elements(HTMLParser):
    """Every element of a page with its attributes; everything that is not closed as it should be."""

    VOID = ("meta", "link", "br", "hr", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.wrong += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(tag)

    def of(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for found, attributes in self.found if found == tag)


def test_figures_are_the_comparison_as_json(written: tuple[Comparison, ReportFiles]) -> None:
    """A report whose data file lost a digit, a system or what is significant."""
    comparison, files = written
    expected = json.loads(json.dumps(comparison.as_json()))
    assert json.loads(files.figures.read_text(encoding="utf-8")) == expected


def test_page_is_well_formed_with_ids_that_occur_once(written: tuple[Comparison, ReportFiles]) -> None:
    """Two plots with one id: the second draws with the first one's clip paths and markers."""
    elements = Elements(written[1].page.read_text(encoding="utf-8"))
    assert not elements.wrong
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    text = written[1].page.read_text(encoding="utf-8")
    references = {
        *re.findall(r"url\(#([^)]+)\)", text),
        *re.findall(r'(?:href|labelledby)="#?(s\d[^"]*)"', text),
    }
    assert references - set(ids) == set()


def test_page_asks_for_nothing_from_outside(written: tuple[Comparison, ReportFiles]) -> None:
    """A font or script from the network: the page is broken where there is none, and tells on its reader."""
    text = written[1].page.read_text(encoding="utf-8")
    elements = Elements(text)
    for _, attributes in elements.found:
        for name in ("src", "href", "xlink:href", "srcset", "data"):
            address = attributes.get(name) or "#"
            assert address.startswith(("#", "data:")), f"{name}={address}"
    assert not re.search(r"https?://|@import|url\((?!#)", text)


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    """A run that is called <script>...</script> runs in the reader's browser."""
    files = write_report(
        comparisons.hostile(), tmp_path / "report", title="<b>title", lead="<i>lead",
        sections=(Section("<u>heading", ("<s>paragraph",), (Finding("<q>about", "<del>says"),)),),
    )  # fmt: skip
    elements = Elements(files.page.read_text(encoding="utf-8"))
    assert len(list(elements.of("script"))) == 1
    assert {tag for tag, _ in elements.found}.isdisjoint({"b>title", "i", "u", "s", "q", "del"})


def test_every_picture_has_a_text_alternative_or_is_hidden(written: tuple[Comparison, ReportFiles]) -> None:
    """A plot that a screen reader passes over."""
    elements = Elements(written[1].page.read_text(encoding="utf-8"))
    for attributes in elements.of("svg"):
        is_described = attributes.get("role") == "img" and len(attributes.get("aria-label") or "") > 20
        assert is_described or attributes.get("aria-hidden") == "true"
    assert not list(elements.of("img"))


def test_colours_of_plots_are_those_of_the_page(written: tuple[Comparison, ReportFiles]) -> None:
    """A hatch or label that keeps its light colours on a dark page; a colour that the page does not know."""
    text = written[1].page.read_text(encoding="utf-8")
    style, _, body = text.partition("</style>")
    assert [colour for colour in VARIABLES if colour in body.lower()] == []
    used = set(re.findall(r"var\((--(?:ink|muted|line|surface|series-\d))\)", body))
    assert used <= set(re.findall(r"(--[\w-]+):", style))
    assert {"--ink", "--muted", "--series-1"} <= used


def test_every_plot_is_a_picture_of_its_own(written: tuple[Comparison, ReportFiles]) -> None:
    """A picture that is empty, or that MLflow gets none of."""
    files = written[1]
    assert len(set(files.plots)) == len(files.plots) > 0
    assert sorted(files.plots) == sorted((files.page.parent / "plots").iterdir())
    for path in files.plots:
        with Image.open(path) as picture:
            assert min(picture.size) > 200
            assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 20
    text = files.page.read_text(encoding="utf-8")
    assert text.count("<figure>") == len(files.plots) == text.count("The numbers behind this plot")


def test_plots_without_data_are_left_out(tmp_path: Path) -> None:
    """Empty axes in the report of a benchmark that has no pairs of languages."""
    files = write_report(comparisons.miracl(), tmp_path / "report", title="MIRACL")
    assert [path.name for path in files.plots] == ["miracl-by-language.png"]
    alone = write_report(comparisons.alone(), tmp_path / "alone", title="One")
    assert "xquad-r-cells.png" in [path.name for path in alone.plots]
    assert "xquad-r-cells-difference.png" not in [path.name for path in alone.plots]


def test_report_of_the_same_comparison_is_the_same_bytes(tmp_path: Path) -> None:
    """A date or a random id: two reports can not be compared."""
    pages = [
        write_report(comparisons.miracl(), tmp_path / name, title="MIRACL").page.read_bytes()
        for name in ("one", "two")
    ]
    assert pages[0] == pages[1]


def test_sections_of_a_study_come_first_with_their_plots(tmp_path: Path) -> None:
    """A study whose answer is lost, or stands behind all tables."""

    def draw(axes: Axes) -> None:
        axes.plot([3, 7], [0.4, 0.5])

    plot = Plot(
        "capacity", "Capacity", "Right is larger.", (Panel("AP by size", "A line that rises.", draw),),
        (Table("By size", ("size", "AP"), ((Cell("3B"), Cell("0.4", 0.4)),)),),
    )  # fmt: skip
    sections = (Section("The answer", ("Larger is better.",), plots=(plot, plot)),)
    files = write_report(comparisons.miracl(), tmp_path / "report", title="Study", sections=sections)
    text = files.page.read_text(encoding="utf-8")
    assert (
        0 < text.index("Larger is better.") < text.index("A line that rises.") < text.index("MIRACL: figures")
    )
    assert [path.name for path in files.plots] == ["capacity.png", "capacity-2.png", "miracl-by-language.png"]


def test_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Half a report that looks like one, or an old one that is gone when the new one fails."""
    folder = tmp_path / "report"
    write_report(comparisons.miracl(), folder, title="first")

    calls = []

    def fail_at_the_second_call(axes: Axes) -> None:
        calls.append(axes)
        if len(calls) == 2:
            raise ZeroDivisionError

    broken = Plot("broken", "Broken", "", (Panel("broken", "", fail_at_the_second_call),), ())
    with pytest.raises(ZeroDivisionError):
        write_report(comparisons.miracl(), folder, title="second", sections=[Section("x", plots=(broken,))])
    assert "<h1>first</h1>" in (folder / "report.html").read_text(encoding="utf-8")
    write_report(comparisons.miracl(), folder, title="third")
    assert "<h1>third</h1>" in (folder / "report.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    """Somebody's home directory, replaced by a report."""
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="name another folder"):
        write_report(comparisons.miracl(), tmp_path, title="x")
    assert (tmp_path / "plots" / "notes.txt").read_text() == "mine"
    with pytest.raises(ConfigError, match="name another folder"):
        write_report(comparisons.miracl(), tmp_path / "plots" / "notes.txt", title="x")


def test_figure_that_is_no_number_is_refused(tmp_path: Path) -> None:
    """NaN in comparison.json, which no other program reads."""
    comparison = comparisons.miracl()
    benchmark = comparison.benchmarks[0]
    row = benchmark.summary[0]
    figure = dataclasses.replace(row.figures["hybrid"], mean=float("nan"))
    damaged = dataclasses.replace(row, figures={**row.figures, "hybrid": figure})
    comparison = dataclasses.replace(
        comparison, benchmarks=(dataclasses.replace(benchmark, summary=(damaged,)),)
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(comparison, tmp_path / "report", title="x")
    assert list(tmp_path.iterdir()) == []


def test_one_seed_is_said() -> None:
    """Intervals over queries that are read as if training had been repeated."""
    assert tables.seeds(comparisons.miracl().systems).startswith("One seed a system.")
    assert "over seeds" in tables.seeds(comparisons.xquad_r().systems)
    systems = (*comparisons.xquad_r().systems[:1], *comparisons.miracl().systems[1:])
    assert tables.seeds(systems).startswith("One seed alone: hybrid.")
    assert "taken to vary as the other does" in tables.seeds(systems)


def _row(*, higher: bool = True, significant: bool = True) -> Row:
    comparison = comparisons.miracl()
    row = comparison.benchmarks[0].summary[0]
    difference = dataclasses.replace(row.differences[0], mean=-0.1, p_holm=0.04 if significant else 0.06)
    means = {"X-X-mono": 0.5, "hybrid": 0.4}
    figures = {name: dataclasses.replace(row.figures[name], mean=mean) for name, mean in means.items()}
    return dataclasses.replace(row, higher_is_better=higher, figures=figures, differences=(difference,))


def test_verdict_follows_significance_and_the_sign_of_the_measure() -> None:
    """A lower rank distance that is called worse; chance that is called a difference."""
    for higher, significant, expected in (
        (True, True, "worse"), (False, True, "better"), (True, False, "not significant"),
    ):  # fmt: skip
        row = _row(higher=higher, significant=significant)
        assert tables.verdict(row, row.differences[0]) == expected
    assert in_words([_row(), _row(higher=False), _row(significant=False)]) == (
        Finding(
            "hybrid compared with X-X-mono",
            "significantly better on mean nDCG@10; significantly worse on mean nDCG@10; "
            "no significant difference on mean nDCG@10.",
        ),
    )


def test_best_and_marks_follow_the_measure_and_the_tests() -> None:
    """Bold on the higher rank distance; an asterisk on a difference from nothing."""
    row = _row()
    assert best(row) == {"X-X-mono"}
    assert best(dataclasses.replace(row, higher_is_better=False)) == {"hybrid"}
    assert best(dataclasses.replace(row, figures={"hybrid": row.figures["hybrid"]})) == set()
    assert marked(row, "X-X-mono") == {"hybrid"}
    assert marked(row, None) == {"hybrid", "X-X-mono"}
    assert marked(_row(significant=False), None) == set()
    assert marked(dataclasses.replace(row, differences=()), "X-X-mono") == set()


def test_numbers_have_three_to_four_digits_and_real_signs() -> None:
    """0.39382716, -0.0, p of zero."""
    assert numbers.number(0.39382716) == "0.3938"
    assert numbers.number(1.0) == "1.0000"
    assert [numbers.number(value) for value in (2332.6, 286.61, 28.661)] == ["2333", "286.6", "28.66"]
    assert numbers.number(-0.00001) == "0.0000"
    assert numbers.signed(-0.25, 2) == "\N{MINUS SIGN}0.25"
    assert numbers.signed(0.25, 2) == "+0.25"
    assert numbers.p_value(0.0) == "<\N{NARROW NO-BREAK SPACE}0.001"
    assert numbers.figure(1.6e-6, 4) == "<\N{NARROW NO-BREAK SPACE}0.0001"
    assert numbers.figure(0.0, 4) == "0.0000"
    assert numbers.interval(None, 1.0, 2) == ""
    assert numbers.short("a-very-long-system-name", 9) == "a-ve…name"


def test_systems_differ_in_colour_and_in_a_second_sign() -> None:
    """Two systems that only colour tells apart, or that look the same."""
    styles = list(styles_of([str(number) for number in range(14)]).values())
    assert len({(style.colour, style.marker) for style in styles}) == 14
    assert len({style.marker for style in styles[:7]}) == len({style.hatch for style in styles[:7]}) == 7
    assert len({str(style.line) for style in styles[:7]}) == 7


def test_curve_skips_steps_without_loss_and_stays_small() -> None:
    """A gap that is drawn as zero; a page of megabytes after a long run."""
    steps = list(range(1, 100_001))
    at, loss = curve(steps, [None if step % 10 == 0 else 2.0 for step in steps])
    assert len(at) <= 300
    assert set(loss) == {2.0}
    assert curve([1, 2], [None, None])[0].size == 0
    assert list(smoothed(loss)) == pytest.approx([2.0] * len(loss))
