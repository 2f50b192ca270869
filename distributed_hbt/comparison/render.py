"""Tables for the terminal, for Markdown and for LaTeX."""

import re
from collections.abc import Iterable
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distributed_hbt.comparison.tables import TextTable

Format = Literal["text", "markdown", "latex"]

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}"},
}


def print_tables(tables: Iterable[TextTable], console: Console) -> None:
    """For people."""
    for table in tables:
        # Text, not str: a name in brackets is no markup.
        shown = Table(title=Text(table.title), box=box.SIMPLE, title_justify="left", caption=Text(table.note))
        shown.caption_justify = "left"
        for i, column in enumerate(table.header):
            shown.add_column(Text(column), justify="right" if i else "left", overflow="fold")
        for row in table.rows:
            shown.add_row(*(Text(cell) for cell in row))
        console.print(shown)


def markdown(tables: Iterable[TextTable]) -> str:
    return "\n".join(_markdown(table) for table in tables)


def latex(tables: Iterable[TextTable]) -> str:
    """`tabular`s with booktabs' rules, each in a table with its caption."""
    return "\n".join(_latex(table) for table in tables)


def _markdown(table: TextTable) -> str:
    lines = [table.header, ("---", *("---:" for _ in table.header[1:])), *table.rows]
    body = "\n".join("| " + " | ".join(_markdown_cell(cell) for cell in line) + " |" for line in lines)
    return f"**{_markdown_cell(table.title)}**\n\n{body}\n\n{table.note}\n"


def _markdown_cell(text: str) -> str:
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)


def _latex(table: TextTable) -> str:
    columns = "l" + "r" * (len(table.header) - 1)
    rows = "\n".join(_latex_line(row) for row in table.rows)
    return "\n".join(
        (
            *(r"\begin{table}", r"\centering", rf"\caption{{{_escape(table.title)}. {_escape(table.note)}}}"),
            *(rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_line(table.header), r"\midrule"),
            *(rows, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""),
        )
    )


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(_escape(cell) for cell in cells) + r" \\"


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
