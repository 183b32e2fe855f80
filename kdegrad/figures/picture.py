"""What a figure is made of: panels, each drawn into any Axes, alone or together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from kdegrad.figures.style import WIDTH, legend_below

_SMALL: Final = "small"


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
    height, width
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
    width: float = WIDTH
    main: int = 0
    ratios: Sequence[float] = ()
    beside: bool = False
    shared: bool = True
    title: str = ""
    xlabel: str = ""
    legend: int = 2
    polar: bool = False

    def draw(self, drawing: Figure) -> list[Axes]:
        """Draw all panels into an empty figure, and return their Axes."""
        drawing.set_size_inches(self.width, self.height)
        drawing.set_layout_engine("constrained")
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
        return every

    def draw_into(self, every: Sequence[Axes]) -> None:
        """Draw all panels into as many Axes of the user's, or the main one into a single one."""
        self._fill(every)
        if self.title:
            every[0].set_title(self.title, fontsize=_SMALL)
        for axes in every if self.legend else ():
            if axes.get_legend_handles_labels()[1]:
                axes.legend(fontsize=_SMALL)
        for text in titles(every):  # made before our settings held: labels and file names are data, not mathematics
            text.set_parse_math(False)

    def _fill(self, every: Sequence[Axes]) -> None:
        panels = self.panels if len(every) > 1 else [self.panels[self.main if len(self.panels) > 1 else 0]]
        for draw, axes in zip(panels, every, strict=True):
            draw(axes)
        if self.xlabel:
            every[-1].set_xlabel(self.xlabel)


def titles(every: Iterable[Axes]) -> list[Text]:
    """Return the texts that Axes have before anything is drawn: title, names of the axes and of the ticks."""
    found: list[Text] = []
    for axes in every:
        found += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
    return found


def as_axes(ax: object) -> list[Axes] | None:
    """Return one Axes, or a sequence or an array of them, as a list; None if it is neither."""
    if isinstance(ax, Axes):
        return [ax]
    if not isinstance(ax, (Sequence, np.ndarray)) or isinstance(ax, str):
        return None
    every = list(np.asarray(ax, dtype=object).ravel())
    return every if every and all(isinstance(axes, Axes) for axes in every) else None
