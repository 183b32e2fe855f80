"""How every figure looks: sizes for a column of text, and two colours that colour-blind readers can tell apart."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from kdegrad.figures import colours
from kdegrad.figures.colours import LIGHT
from kdegrad.text import safe_text

INK, FAINT, BAND, PAPER = (LIGHT[name] for name in ("ink", "faint", "band", "paper"))
PULLED, PUSHED = LIGHT["pulled"], LIGHT["pushed"]
CURVES: Final = tuple(LIGHT[name] for name in ("pulled", "pushed", "green", "pink", "amber", "sky", "grey"))
DASHES: Final = ("-", "--", ":")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")

WIDTH: Final = 4.8  # inches; printed at 3.4 the letters are 6 points high, at 7 they are 12
LABEL_LENGTH: Final = 18
SMALL: Final = 6.5  # points: of names and numbers inside a panel
MOST_OF_HEIGHT: Final = 0.6  # which a legend in Axes of the user's may take
PLAIN: Final = (0.9e-3, 1.1e4)  # the range of a logarithmic axis whose ticks are plain numbers

SETTINGS: Final[Any] = {  # the keys are matplotlib's
    "figure.dpi": 150,
    "savefig.dpi": 200,
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "axes.formatter.useoffset": False,  # 2460310.5, not 0.5 beside +2.46031e6
    "axes.formatter.limits": (-5, 9),
    "axes.titlelocation": "left",
    "axes.unicode_minus": False,  # as in the texts, and as people search for it
    "text.color": INK,
    "text.parse_math": False,  # labels and file names are data
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.3,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana"],  # of nearly the same widths: a reader of an SVG has one of them
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "kdegrad",
}

# What takes the place of a colour on a dark page, in an SVG, which has no background of its own.
DARK: Final = {LIGHT[name]: colour for name, colour in colours.DARK.items()}


def is_dark_colour(colour: Any) -> bool:
    """Return whether a page of this colour is dark."""
    red, green, blue, _ = to_rgba(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.4


def finished_svg(svg: bytes) -> bytes:
    """Return an SVG of matplotlib's that fits light and dark pages, by what the reader prefers, and is smaller."""
    rules = "".join(
        f'[style*="{part}: {light}"]{{{part}:{dark} !important}}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )
    style = (
        f'<style type="text/css">text{{white-space:pre}}@media (prefers-color-scheme:dark){{{rules}}}</style>\n </defs>'
    )
    svg = svg.replace(b"</defs>", style.encode("ascii"), 1)
    return re.sub(rb' d="[^"]*"', lambda path: re.sub(rb"(\.\d\d)\d+", rb"\1", path[0]), svg)  # 1/100 of a point


def legend_below(drawing: Figure, *sources: Axes, columns: int = 2) -> None:
    """Put one legend for all of `sources` below the axes, each name once."""
    entries: dict[str, Any] = {}
    for axes in sources:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(name, handle)
    drawing.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)


def raise_top(axes: Axes, part: float) -> None:
    """Leave a part of the height free above what is drawn."""
    transform = axes.yaxis.get_transform()
    low, high = transform.transform(np.array(axes.get_ylim())).tolist()
    top = float(transform.inverted().transform(np.array([low + (high - low) / (1.0 - part)]))[0])
    axes.set_ylim(top=top)


def legend_inside(axes: Axes, **look: Any) -> None:
    """Put the legend of Axes at their top, in one column or two, above all that is drawn there."""
    frame = axes.get_window_extent()
    for count in (2, 1):
        legend = axes.legend(loc="upper center", ncols=count, columnspacing=1.0, **look)
        box = legend.get_window_extent()
        if box.width < frame.width:
            break
    raise_top(axes, min(1.1 * box.height / frame.height, MOST_OF_HEIGHT))


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Name the decades of a logarithmic axis, and 2 and 5 between them where there are few.

    All names are plain numbers, 0.001 to 10000, or all are powers of ten.
    """
    decades = math.log10(high / low) if 0.0 < low < high else 0.0
    if 0.0 < decades < 0.7:
        places = np.asarray(MaxNLocator(4).tick_values(low, high))
        axis.set_major_locator(FixedLocator(places[places > 0.0].tolist()))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2.0 else (1.0, 2.0, 5.0), numticks=8))
    axis.set_minor_locator(NullLocator())
    is_plain = low >= PLAIN[0] and high <= PLAIN[1]
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if is_plain else power(value)))


def power(value: float) -> str:
    """Return a number above 0 as a power of ten: 10⁻⁸, 2·10¹², 10⁰; nothing for what is outside of float64."""
    if not 0.0 < value < math.inf:
        return ""
    exponent = math.floor(math.log10(value) + 1e-9)
    factor = f"{value / 10.0**exponent:.3g}"
    superscript = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{superscript}" if factor == "1" else f"{factor}·10{superscript}"


def short(label: str, longest: int = LABEL_LENGTH) -> str:
    """Return a label with control characters escaped, and not wider than so many letters."""
    text = safe_text(label)
    if columns(text) <= longest:
        return text
    while columns(text) > longest - 1:
        text = text[: min(len(text) - 1, longest)]
    return f"{text}…"


def columns(text: str) -> int:
    """Return how wide a text is in letters; those of Chinese, Japanese and Korean are two wide."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
