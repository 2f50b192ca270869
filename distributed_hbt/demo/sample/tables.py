"""Reads the tab-separated tables that lie beside this module."""

from importlib.resources import files

from distributed_hbt.errors import DataError

LANGUAGES = ("en", "de", "es", "ru", "el", "ar", "hi", "zh")


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of `<name>.tsv` by column name.

    Raises:
        DataError: a row has more or fewer cells than the header, or an empty cell.
    """
    text = (files(__package__) / f"{name}.tsv").read_text(encoding="utf-8")
    header, *rows = [line.split("\t") for line in text.splitlines()]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header) or not all(row):
            what = f"a row needs {len(header)} filled cells, this one has {sum(map(bool, row))}"
            raise DataError(f"{name}.tsv:{number}", what, "fill the cells")
    return [dict(zip(header, row, strict=True)) for row in rows]
