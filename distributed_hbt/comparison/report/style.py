"""How plots look. Colours are Okabe and Ito's, with marker, hatch and line as second signs.

The colours below are those of the PNGs. In the page each becomes a variable of its style sheet, which dark
mode sets otherwise; so nothing else may use exactly these values.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from distributed_hbt.comparison.report.content import LegendEntry

INK = "#1c2128"
MUTED = "#57606b"
LINE = "#d9dee4"
SURFACE = "#fdfdfb"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b6f76")
VARIABLES = {
    **{INK: "--ink", MUTED: "--muted", LINE: "--line", SURFACE: "--surface"},
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)},
}

_STEPS = 65  # odd: the middle of the diverging map is no difference
SEQUENTIAL: Colormap = matplotlib.colormaps["cividis"].resampled(_STEPS)
DIVERGING: Colormap = LinearSegmentedColormap.from_list(
    "orange-blue", ["#a34700", "#e08a3c", "#f3f3f1", "#5aa3d8", "#08508f"], N=_STEPS
)

_MARKERS = "osD^vPX"
_HATCHES = ("", "///", "||", "\\\\\\", "xx", "--", "++")
_LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 2)))
_FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Devanagari", "Noto Sans Thai")


@dataclass(frozen=True, slots=True)
class SystemStyle:
    """The signs of one system, in every plot the same."""

    colour: str
    marker: str
    hatch: str
    line: Any

    def bar(self) -> dict[str, Any]:
        return {"facecolor": self.colour, "hatch": self.hatch, "edgecolor": SURFACE, "linewidth": 0.6}

    def point(self) -> dict[str, Any]:
        return {"color": self.colour, "marker": self.marker, "markeredgecolor": SURFACE, "markersize": 7}

    def curve(self) -> dict[str, Any]:
        return {"color": self.colour, "linestyle": self.line}


Styles = Mapping[str, SystemStyle]


def styles_of(names: Sequence[str]) -> dict[str, SystemStyle]:
    """By order of appearance; after seven systems the marks shift against the colours."""
    styles = {}
    for index, name in enumerate(names):
        mark = (index + index // len(SERIES)) % len(SERIES)
        styles[name] = SystemStyle(SERIES[index % len(SERIES)], _MARKERS[mark], _HATCHES[mark], _LINES[mark])
    return styles


def legend_of_points(styles: Styles) -> tuple[LegendEntry, ...]:
    return tuple(
        LegendEntry(name, partial(Line2D, [], [], **{**style.point(), "linestyle": "none"}))
        for name, style in styles.items()
    )


def legend_of_bars(styles: Styles) -> tuple[LegendEntry, ...]:
    return tuple(LegendEntry(name, partial(Patch, **style.bar())) for name, style in styles.items())


def legend_of_curves(styles: Styles) -> tuple[LegendEntry, ...]:
    return tuple(
        LegendEntry(name, partial(Line2D, [], [], linewidth=1.8, **style.curve()))
        for name, style in styles.items()
    )


@cache
def _fonts() -> list[str]:
    """Those that are there, for names in any script; matplotlib brings the first."""
    there = set(font_manager.get_font_names())
    return [name for name in _FONTS if name in there]


@contextmanager
def drawing() -> Iterator[None]:
    """The settings that every figure is drawn and saved under.

    A sign that no font has becomes a box in the PNG and is right in the page: no reason to warn.
    """
    settings: Any = {
        **{"svg.fonttype": "none", "svg.hashsalt": "distributed_hbt", "text.parse_math": False},
        **{"font.family": _fonts(), "font.size": 8.5, "axes.labelsize": 8.5, "axes.titlesize": 9.5},
        **{"xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 8.5, "legend.frameon": False},
        **{"text.color": INK, "axes.labelcolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED},
        **{"axes.edgecolor": LINE, "axes.facecolor": "none", "axes.titlecolor": INK, "grid.color": LINE},
        **{"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True},
        **{"axes.unicode_minus": True, "grid.linewidth": 0.7, "hatch.linewidth": 0.7},
        **{"xtick.major.size": 0, "ytick.major.size": 0, "axes.titlelocation": "left"},
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
