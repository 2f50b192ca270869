"""Tables say what the comparison says, in three forms."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from distributed_hbt.comparison.compare import compare
from distributed_hbt.comparison.render import latex, markdown, print_tables
from distributed_hbt.comparison.results import read_run
from distributed_hbt.comparison.systems import group_runs
from distributed_hbt.comparison.tables import TextTable, tables_of
from tests.run_files import lareqa_tasks, write_run


@pytest.fixture
def tables(tmp_path: Path) -> list[TextTable]:
    values = {"a_1": 0.1, "b": 0.6, "c": 0.6001}
    for i, (name, value) in enumerate(values.items()):
        questions = [value + 0.001 * (n % 3 + i * (n % 2)) for n in range(30)]
        tasks = {"xquad_r": lareqa_tasks({"de": questions, "en": questions}, {})}
        write_run(tmp_path / name, tasks, alpha=0.1 * (i + 1))
    comparison = compare(group_runs([read_run(tmp_path / name) for name in values]))
    return list(tables_of(comparison, by_language=True))


def test_a_figure_carries_the_letters_of_those_it_beats(tables: list[TextTable]) -> None:
    """Catches letters of the systems that beat it."""
    figures = tables[0]
    assert figures.header == ("system", "mono AP", "mono R@1")
    assert [row[0] for row in figures.rows] == ["a  a_1 (1 seed)", "b  b (1 seed)", "c  c (1 seed)"]
    assert figures.rows[0][1] == "0.1010 [0.1007, 0.1013]"
    assert figures.rows[1][1].endswith("] a")
    assert figures.rows[2][1].endswith("] ab")


def test_every_difference_says_whether_it_is_one(tables: list[TextTable]) -> None:
    differences = tables[1]
    assert differences.rows[0][0] == "mono AP: b - a_1"
    assert differences.rows[0][-1] == "yes"
    assert differences.rows[0][-2] == "30/0/0"
    assert "the 6 tests of this table" in differences.note


def test_tables_by_language_are_there_on_demand(tables: list[TextTable]) -> None:
    by_language = tables[2]
    assert by_language.header == ("system", "mono de AP", "mono en AP")


def test_markdown_keeps_names_as_they_are(tables: list[TextTable]) -> None:
    """Catches an underscore that becomes italics and a bar that becomes a column."""
    text = markdown([tables[0]])
    assert "a\\_1 (1 seed)" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {4}
    assert rows[1] == "| --- | ---: | ---: |"


def test_latex_escapes_what_it_reads_as_commands(tables: list[TextTable]) -> None:
    text = latex([tables[0], TextTable("50% of <x> & y_z", ("a", "b"), (("#", "$"),))])
    assert r"a\_1 (1 seed) & 0.1010 [0.1007, 0.1013]" in text
    assert r"50\% of \textless{}x\textgreater{} \& y\_z" in text
    assert r"\# & \$ \\" in text
    assert text.count(r"\begin{tabular}{lrr}") == 1


def test_people_see_the_same_figures(tables: list[TextTable]) -> None:
    screen = io.StringIO()
    print_tables(tables, Console(file=screen, width=200))
    assert "0.1010 [0.1007, 0.1013]" in screen.getvalue()
    assert "30/0/0" in screen.getvalue()


def test_a_difference_that_chance_explains_is_marked_so(tmp_path: Path) -> None:
    """And a name in brackets is no markup."""
    for name, alpha, sign in (("[red]a", 0.1, 1), ("b", 0.2, -1)):
        questions = [0.5 + sign * 0.01 * (-1) ** n for n in range(30)]
        write_run(tmp_path / name, {"xquad_r": lareqa_tasks({"de": questions}, {})}, alpha=alpha)
    results = [read_run(tmp_path / name) for name in ("[red]a", "b")]
    screen = io.StringIO()
    print_tables(tables_of(compare(group_runs(results))), Console(file=screen, width=200))
    assert screen.getvalue().count("not significant") == 2
    assert "[red]a (1 seed)" in screen.getvalue()
