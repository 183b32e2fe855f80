"""The colours of figures on a light page and on a dark one, which pages in HTML have too; without matplotlib."""

from __future__ import annotations

from typing import Final

LIGHT: Final = {
    "ink": "#222222",
    "faint": "#8a8a8a",
    "band": "#e9eef3",
    "paper": "#ffffff",
    "pulled": "#0072b2",  # by descent, up: ∂L/∂z < 0
    "pushed": "#d55e00",  # down: ∂L/∂z > 0
    "green": "#009e73",
    "pink": "#cc79a7",
    "amber": "#e69f00",
    "sky": "#56b4e9",
    "grey": "#444444",
}
DARK: Final = {  # the others can be seen on both
    "ink": "#e6edf3",
    "band": "#252c35",
    "paper": "#0d1117",
    "pulled": "#4aa8e0",
    "pushed": "#f0883e",
    "grey": "#c4c4c4",
}
