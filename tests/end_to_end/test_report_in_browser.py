"""A report as its readers meet it: in a browser, on a desk, on a phone, on paper, by keyboard."""

import base64
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys

from distributed_hbt.comparison.comparison import Comparison
from distributed_hbt.comparison.report.write import write_report
from tests import comparisons
from tests.browser import browser, requested, set_media, set_width

SUBJECTS = {
    "xquad_r": comparisons.xquad_r,
    "miracl": comparisons.miracl,
    "alone": comparisons.alone,
    "hostile": comparisons.hostile,
}
PHONE, DESK = 360, 1280


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    return {
        name: write_report(make(), folder / name, title="Strategies", lead="Which is best?").page
        for name, make in SUBJECTS.items()
    }


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(params=SUBJECTS)
def page(request: pytest.FixtureRequest, pages: dict[str, Path], driver: webdriver.Chrome) -> Path:
    return open_page(driver, pages[request.param])


def open_page(driver: webdriver.Chrome, path: Path, width: int = DESK) -> Path:
    set_media(driver)
    set_width(driver, width)
    driver.get("about:blank")
    requested(driver)
    driver.get_log("browser")
    driver.get(path.as_uri())
    return path


def test_page_opens_without_errors_and_without_the_network(page: Path, driver: webdriver.Chrome) -> None:
    """A script that the page's own policy refuses; a font from elsewhere; a name that runs."""
    addresses = [address for address in requested(driver) if not address.startswith("data:")]
    assert addresses == [page.as_uri()]
    assert driver.get_log("browser") == []
    assert driver.execute_script("return document.title") == "Strategies"
    assert driver.execute_script("return document.querySelectorAll('thead button').length") > 0


SHOWN = """
const found = {};
for (const table of document.querySelectorAll("main > section > .scroll table")) {
  const columns = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  found[table.caption.querySelector("span").textContent] = [...table.tBodies[0].rows].map((row) =>
    Object.fromEntries([...row.cells].map((cell, i) => [columns[i], {
      text: cell.innerText.split("\\n")[0].trim(), all: cell.innerText,
      value: cell.querySelector("data") ? Number(cell.querySelector("data").value) : null,
      bold: Boolean(cell.querySelector("strong")),
    }])));
}
return found;
"""


@pytest.mark.parametrize("subject", SUBJECTS)
def test_tables_show_what_the_data_file_holds(
    subject: str, pages: dict[str, Path], driver: webdriver.Chrome
) -> None:
    """A column under the wrong system, a sign turned round, a rounded number that sorts wrongly."""
    path = open_page(driver, pages[subject])
    shown = driver.execute_script(SHOWN)
    data = json.loads((path.parent / "comparison.json").read_text(encoding="utf-8"))
    title = "MIRACL" if subject == "miracl" else "XQuAD-R"
    lines = shown[f"{title}: figures"]
    expected = data["benchmarks"][0]["summary"]
    assert [line["measure"]["text"] for line in lines] == [f"{r['group']} {r['measure']}" for r in expected]
    for line, row in zip(lines, expected, strict=True):
        for system, figure in row["figures"].items():
            assert line[system]["value"] == figure["mean"]
            assert line[system]["text"].startswith(f"{figure['mean']:.4f}")
            assert f"[{figure['low']:.4f},\N{NO-BREAK SPACE}{figure['high']:.4f}]" in line[system]["all"]
            highest = max(other["mean"] for other in row["figures"].values())
            assert line[system]["bold"] == (figure["mean"] == highest and len(row["figures"]) > 1)
    differences = [(row, found) for row in expected for found in row["differences"]]
    tested = shown.get(f"{title}: differences", [])
    for line, (row, found) in zip(tested, differences, strict=True):
        check_difference(line, row, found)


def check_difference(line: dict[str, Any], row: dict[str, Any], found: dict[str, Any]) -> None:
    is_better = (found["mean"] > 0) == row["higher_is_better"]
    verdict = ("better" if is_better else "worse") if found["significant"] else "not significant"
    assert line["verdict"]["text"] == verdict
    assert line["compared"]["text"] == f"{found['other']} \N{MINUS SIGN} {found['one']}"
    assert line["difference"]["value"] == found["mean"]
    assert line["p (Holm)"]["value"] == found["p_holm"]
    assert [line[name]["value"] for name in ("wins", "losses", "ties")] == [
        found[name] for name in ("wins", "losses", "ties")
    ]


OUTSIDE = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll("body *")]
  .filter((e) => !e.closest(".scroll *, .unseen, svg *, .skip"))
  .filter((e) => e.getBoundingClientRect().right > width + 1)
  .map((e) => e.tagName + "." + e.className + ": " + e.textContent.slice(0, 40));
"""
WIDTHS = """
const root = document.documentElement;
document.querySelectorAll("details").forEach((details) => { details.open = true; });
return [root.scrollWidth, root.clientWidth];
"""


@pytest.mark.parametrize("width", [PHONE, 768, DESK])
def test_nothing_scrolls_sideways_but_tables(page: Path, driver: webdriver.Chrome, width: int) -> None:
    """A long name or a wide plot that makes a phone's page pan."""
    set_width(driver, width)
    needed, there = driver.execute_script(WIDTHS)
    assert needed <= there <= width
    assert driver.execute_script(OUTSIDE) == []


SMALLEST = """
return [...document.querySelectorAll("svg[role=img]")].flatMap((svg) => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return [...svg.querySelectorAll("text")].map((t) => scale * parseFloat(getComputedStyle(t).fontSize));
});
"""


def test_labels_of_plots_can_be_read_on_a_phone(pages: dict[str, Path], driver: webdriver.Chrome) -> None:
    """A plot made for a wide screen and shrunk."""
    open_page(driver, pages["xquad_r"], PHONE)
    assert min(driver.execute_script(SMALLEST)) > 8


UNDESCRIBED = """
const hidden = (svg) => svg.getAttribute("aria-hidden") === "true";
return [...document.querySelectorAll("img, svg")]
  .filter((e) => !hidden(e) && !(e.getAttribute("role") === "img" && e.getAttribute("aria-label")))
  .map((e) => e.outerHTML.slice(0, 80));
"""
HEADINGS = "return [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map((h) => Number(h.tagName[1]))"
UNNAMED = """
return [...document.querySelectorAll("table")].filter((table) =>
  !table.caption || [...table.querySelectorAll("th")].some((th) => !th.scope)
  || [...table.tBodies[0].rows].some((row) => row.cells[0].scope !== "row")).length;
"""
IDS = "return [...document.querySelectorAll('[id]')].map((element) => element.id)"
LANDMARKS = "return ['header', 'nav', 'main', 'footer'].map((n) => document.querySelectorAll(n).length)"


def test_structure_says_what_eyes_see(page: Path, driver: webdriver.Chrome) -> None:
    """A plot without text alternative, a heading that skips a level, a table without headers."""
    assert driver.execute_script(UNDESCRIBED) == []
    assert driver.execute_script(UNNAMED) == 0
    assert driver.execute_script(LANDMARKS) == [1, 1, 1, 1]
    ids = driver.execute_script(IDS)
    assert len(ids) == len(set(ids))
    levels = driver.execute_script(HEADINGS)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert driver.execute_script("return document.documentElement.lang") == "en"


FOCUSED = """
const e = document.activeElement, style = getComputedStyle(e);
return [e.className || e.tagName.toLowerCase(), e.tagName === "BODY", style.outlineStyle !== "none",
        e.getBoundingClientRect().top > -1];
"""


def test_keyboard_reaches_everything_that_does_something(
    pages: dict[str, Path], driver: webdriver.Chrome
) -> None:
    """A table that only a mouse can scroll; a focus that can not be seen."""
    open_page(driver, pages["miracl"])
    reached = []
    for _ in range(200):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        name, is_end, is_visible, is_on_screen = driver.execute_script(FOCUSED)
        if is_end:
            break
        assert is_visible, name
        assert is_on_screen, name
        reached.append(name)
    assert reached[0] == "skip"
    tables = driver.execute_script("return document.querySelectorAll('main > section > .scroll').length")
    assert reached.count("scroll") == tables
    assert {"a", "button", "summary"} <= set(reached)


def test_skip_link_leads_to_the_content(pages: dict[str, Path], driver: webdriver.Chrome) -> None:
    """A link that moves the view but not the focus."""
    open_page(driver, pages["miracl"])
    ActionChains(driver).send_keys(Keys.TAB, Keys.ENTER).perform()
    assert driver.execute_script("return document.activeElement.id") == "content"


SORT = """
const table = document.querySelectorAll("details table")[0];
table.closest("details").open = true;
const head = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === "hybrid");
head.querySelector("button").click();
const values = () => [...table.tBodies[0].rows].map((row) =>
  Number(row.cells[head.cellIndex].querySelector("data").value));
const up = [head.getAttribute("aria-sort"), values()];
head.querySelector("button").click();
return [up, [head.getAttribute("aria-sort"), values()]];
"""


def test_tables_sort_by_the_exact_number(pages: dict[str, Path], driver: webdriver.Chrome) -> None:
    """0.0989 before 0.412 as texts, or a direction that a screen reader is not told."""
    open_page(driver, pages["miracl"])
    (up, rising), (down, falling) = driver.execute_script(SORT)
    assert (up, down) == ("ascending", "descending")
    assert rising == sorted(rising)
    assert falling == rising[::-1]
    assert len(set(rising)) > 10


COLOURS = """
const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
const light = (c) => c.map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const surface = light(rgb(getComputedStyle(document.body).backgroundColor));
const contrast = (colour) => { const l = light(rgb(colour));
  return (Math.max(l, surface) + 0.05) / (Math.min(l, surface) + 0.05); };
const texts = ["h1", ".note", "caption small", "td small", ".verdict.better", ".verdict.worse", "summary",
  "figcaption", "nav a", "thead button"];
const found = texts.map((name) => [name, contrast(getComputedStyle(document.querySelector(name)).color)]);
for (const text of document.querySelectorAll("svg[role=img] text")) {
  if (!text.closest("svg").querySelector("[id*=Quad]") && text.style.fill.startsWith("var"))
    found.push(["plot " + text.textContent, contrast(getComputedStyle(text).fill)]);
}
return [surface, found];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_in_dark(
    scheme: str, pages: dict[str, Path], driver: webdriver.Chrome
) -> None:
    """Dark text of a plot on a dark page."""
    set_media(driver, scheme=scheme)
    open_page(driver, pages["xquad_r"])
    set_media(driver, scheme=scheme)
    surface, found = driver.execute_script(COLOURS)
    assert (surface < 0.1) == (scheme == "dark")
    assert len(found) > 50
    assert [(name, ratio) for name, ratio in found if ratio < 4.5] == []


def test_prints_with_everything_that_is_folded(page: Path, driver: webdriver.Chrome) -> None:
    """A print-out without the numbers behind its plots."""
    pdf = base64.b64decode(driver.print_page())
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Type /Page\n") >= 2
    driver.get(page.as_uri())
    set_media(driver, "print")
    closed = (
        "return [...document.querySelectorAll('details table')].filter((t) => !t.checkVisibility()).length"
    )
    assert driver.execute_script(closed) == 0


def test_works_without_scripts(pages: dict[str, Path], driver: webdriver.Chrome) -> None:
    """Tables or plots that only a script would draw."""
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_page(driver, pages["xquad_r"])
        tree = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    roles = [node.get("role", {}).get("value") for node in tree["nodes"]]
    comparison: Comparison = comparisons.xquad_r()
    assert roles.count("image") > 3 * len(comparison.systems)
    assert roles.count("columnheader") > 10
    assert roles.count("button") == 0
