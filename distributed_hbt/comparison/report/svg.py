"""Panels as SVG that stands in the page: its text is text, its colours and fonts are the page's."""

import io
import re
from xml.etree import ElementTree

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from distributed_hbt.comparison.report.content import LegendEntry, Panel
from distributed_hbt.comparison.report.style import VARIABLES, drawing

_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FRACTION = re.compile(r"(\.\d\d)\d+")
_FAMILY = re.compile(r"font-family:[^;]*;?")
_FONT = re.compile(r"font: ((?:[\w.]+ )*?[\d.]+px) [^;]*")


def panel_as_svg(panel: Panel, prefix: str) -> str:
    """To stand in HTML; every id in it begins with `prefix`."""
    with drawing():
        figure = Figure(figsize=(panel.width, panel.height), layout="constrained")
        panel.draw(figure.add_subplot())
        return _svg(figure, prefix, {"role": "img", "aria-label": panel.alternative})


def sign_as_svg(entry: LegendEntry, prefix: str) -> str:
    """What stands for a system in a legend; its name is beside it."""
    with drawing():
        figure = Figure(figsize=(0.34, 0.17))
        figure.legend(
            handles=[entry.sign()], labels=[""], loc="center", borderpad=0, handletextpad=0, handlelength=2.4
        )
        return _svg(figure, prefix, {"aria-hidden": "true"})


def _svg(figure: Figure, prefix: str, attributes: dict[str, str]) -> str:
    buffer = io.BytesIO()
    figure.patch.set_visible(False)
    FigureCanvasSVG(figure).print_figure(buffer, format="svg", metadata=_NO_METADATA)
    root = ElementTree.fromstring(buffer.getvalue())
    _remove(root, ("metadata", "style"))
    used = _references(root)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {
            name.rpartition("}")[2]: _rewritten(name.rpartition("}")[2], value, prefix)
            for name, value in element.attrib.items()
            if name != "id" or value in used
        }
        element.text = (element.text or "") if (element.text or "").strip() else None
        element.tail = None
    width, height = (float(root.attrib.pop(side).removesuffix("pt")) for side in ("width", "height"))
    root.attrib.pop("version", None)
    root.attrib.update(attributes)
    root.set("style", f"--width: {width * 96 / 72:.0f}px; aspect-ratio: {width:g} / {height:g}")
    return ElementTree.tostring(root, encoding="unicode")


def _remove(root: ElementTree.Element, tags: tuple[str, ...]) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in tags:
                parent.remove(child)


def _references(root: ElementTree.Element) -> set[str]:
    found = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            found.update(_REFERENCE.findall(value))
            if name.endswith("href"):
                found.add(value.removeprefix("#"))
    return found


def _rewritten(name: str, value: str, prefix: str) -> str:
    """Ids of this panel alone, colours and fonts of the page, two decimals."""
    if name == "id":
        return f"{prefix}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{prefix}-{value.removeprefix('#')}"
    if name in ("style", "fill", "stroke"):
        for colour, variable in VARIABLES.items():
            value = value.replace(colour, f"var({variable})")
        value = _FONT.sub(r"font: \1 var(--sans)", _FAMILY.sub("font-family: var(--sans);", value))
    value = _REFERENCE.sub(rf"url(#{prefix}-\1)", value)
    return _FRACTION.sub(r"\1", " ".join(value.split())) if name in ("d", "x", "y", "transform") else value
