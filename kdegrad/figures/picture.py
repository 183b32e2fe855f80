"""What a figure is made of: panels, each drawn into any Axes, alone or together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb, to_rgba, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.text import Text

from kdegrad.figures.fonts import fit_fonts
from kdegrad.figures.style import DARK, PAPER, WIDTH, is_dark_colour, legend_below, legend_inside

_LETTERS: Final = "small"  # beside the size that the user has set


@final
@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of one result, to be drawn on a page of its own or into Axes of the user's.

    Attributes
    ----------
    panels
        Each draws one panel into Axes: the content, the labels of the axes that are not shared, and a name for each
        thing that the legend explains.
    main
        Which panel is drawn where there is only one Axes.
    height
        In inches.
    ratios
        How the panels share the height, or the width; equal shares if empty.
    beside
        Whether the panels stand side by side, not one below the other.
    shared
        Whether panels one below the other share the x axis, and panels side by side the y axis.
    title
        Of the whole figure.
    xlabel
        Of the x axis that the panels share.
    legend
        How many columns the legend has, which stands below all panels; 0 for none.
    polar
        Whether the panels are drawn into polar Axes.
    """

    panels: Sequence[Callable[[Axes], None]]
    height: float
    main: int = 0
    ratios: Sequence[float] = ()
    beside: bool = False
    shared: bool = True
    title: str = ""
    xlabel: str = ""
    legend: int = 2
    polar: bool = False

    def draw(self, drawing: Figure, *, escape: bool = True) -> list[Axes]:
        """Draw all panels into an empty figure, and return their Axes; `escape` is that of `fit_fonts`."""
        drawing.set_size_inches(WIDTH, self.height)
        drawing.set_layout_engine("constrained", h_pad=0.08 if self.polar else None)  # its angles have names outside
        count = len(self.panels)
        grid = drawing.subplots(
            1 if self.beside else count,
            count if self.beside else 1,
            sharex=self.shared and not self.beside,
            sharey=self.shared and self.beside,
            squeeze=False,
            width_ratios=self.ratios or None if self.beside else None,
            height_ratios=None if self.beside else self.ratios or None,
            subplot_kw={"projection": "polar"} if self.polar else None,
        )
        every: list[Axes] = grid.ravel().tolist()
        self._fill(every)
        if self.title:
            drawing.suptitle(self.title, x=0.01, horizontalalignment="left", fontsize="medium")
        if self.legend:
            legend_below(drawing, *every, columns=self.legend)
        fit_fonts(drawing.findobj(Text), every, escape=escape)
        return every

    def draw_into(self, every: Sequence[Axes]) -> None:
        """Draw all panels into as many Axes of the user's, or the main one into a single one."""
        before = {artist for axes in every for artist in axes.findobj()}
        self._fill(every)
        if self.title:
            every[0].set_title(self.title, fontsize=_LETTERS)
        for axes in every if self.legend else ():
            if not axes.get_legend_handles_labels()[1]:
                continue
            if self.polar:  # a circle leaves no room inside
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, fontsize=_LETTERS)
            else:
                legend_inside(axes, fontsize=_LETTERS)
        named: list[Artist] = []
        for axes in every:  # the texts that Axes have before anything is drawn
            named += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
        for text in named:
            text.set_parse_math(False)  # type: ignore[attr-defined]  # labels and file names are data, not mathematics
        ours = [artist for axes in every for artist in axes.findobj() if artist not in before]
        fit_fonts([artist for artist in (*named, *ours) if isinstance(artist, Text)], every, escape=True)
        if is_dark(every[0]):
            recolour(ours)

    def _fill(self, every: Sequence[Axes]) -> None:
        panels = self.panels if len(every) > 1 else [self.panels[self.main if len(self.panels) > 1 else 0]]
        for draw, axes in zip(panels, every, strict=True):
            draw(axes)
        if self.xlabel:
            every[-1].set_xlabel(self.xlabel)


def is_dark(axes: Axes) -> bool:
    """Return whether the page behind Axes is dark."""
    page = axes.get_facecolor()
    return is_dark_colour(page if to_rgba(page)[3] >= 0.5 else axes.figure.get_facecolor())


def darken(drawing: Figure, page: Any, panel: Any) -> None:
    """Make a figure one for a dark page: the colours of the page and of its panels are given."""
    recolour(drawing.findobj())
    drawing.set_facecolor(page)
    for axes in drawing.axes:
        axes.set_facecolor(panel)


def recolour(artists: Sequence[Artist]) -> None:
    """Give artists the colours that stand on a dark page for those on a light one."""
    boxes = [box for artist in artists if isinstance(artist, Text) and (box := artist.get_bbox_patch()) is not None]
    for artist in (*artists, *boxes):
        for part in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
            get, put = (getattr(artist, f"{verb}_{part}", None) for verb in ("get", "set"))
            if get is None or put is None:
                continue
            colours = to_rgba_array(get())
            for light, dark in DARK.items():
                if not (isinstance(artist, Text) and light == PAPER):  # a text that is white is meant for this page
                    colours[np.isclose(colours[:, :3], to_rgb(light), atol=1e-3).all(axis=1), :3] = to_rgb(dark)
            if len(colours):
                put(colours[0] if len(colours) == 1 else colours)


def as_axes(ax: object) -> list[Axes] | None:
    """Return one Axes, or a sequence or an array of them, as a list; None if it is neither."""
    if isinstance(ax, Axes):
        return [ax]
    if not isinstance(ax, (Sequence, np.ndarray)) or isinstance(ax, str):
        return None
    every = list(np.asarray(ax, dtype=object).ravel())
    return every if every and all(isinstance(axes, Axes) for axes in every) else None
