"""The reference page is that of the code."""

from pathlib import Path

from distributed_hbt.config.reference import page

ROOT = Path(__file__).resolve().parents[3]


def test_page_is_that_of_the_fields() -> None:
    """A field that is added, renamed or given another default without the page.
    Remedy: python -m distributed_hbt.config.reference > docs/configuration.md"""
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == page()


def test_every_knob_says_what_it_is() -> None:
    """A knob that only its author understands. (Sources and benchmarks are told by their section.)"""
    bare = [
        line
        for line in page().splitlines()
        if line.endswith("|  |") and "[format:" not in line and "[name:" not in line and "section" not in line
    ]
    assert bare == []
