"""Figures of a result as .png, .svg or .pdf files, drawn by matplotlib without pyplot.

Each function draws one result and writes one file, whole or not at all. matplotlib (the extra ``plot``) is imported
when a figure is drawn. The same result gives the same bytes: no date, no random ids, no settings of the user's.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kdegrad import output
from kdegrad.errors import SettingError
from kdegrad.text import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kdegrad.descent import Descent
    from kdegrad.evaluation import Evaluation
    from kdegrad.overview import Overview
    from kdegrad.properties import Verdict
    from kdegrad.sweeps import Sweep

SUFFIXES: Final = (".png", ".svg", ".pdf")
_METADATA: Final[dict[str, dict[str, str | None]]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "kdegrad"},
    "pdf": {"CreationDate": None, "Creator": "kdegrad", "Producer": None},
}


def require_matplotlib(file: str) -> None:
    """Refuse a file that no figure can be written to, before anything is computed or matplotlib is imported.

    Raises
    ------
    SettingError
        For a suffix that is none of `SUFFIXES`, or if matplotlib is not installed.
    """
    import logging  # only a figure needs it

    if Path(file).suffix.lower() not in SUFFIXES:
        raise SettingError("plot", f"{shown(file)} ends in none of {', '.join(SUFFIXES)}: name one of these", "--plot")
    try:
        found = find_spec("matplotlib")
    except ValueError:  # a test or a sandbox has put something else in its place
        found = None
    if found is None:
        raise SettingError("plot", "needs matplotlib, which is not installed: pip install 'kdegrad[plot]'", "--plot")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns where it cannot store its list of fonts


def loss(evaluation: Evaluation, file: str) -> None:
    """Draw target, density, and the points as stems by weight; on a circle as a rose."""
    from kdegrad.figures import circle, line

    on_circle = evaluation.problem.settings.circumference is not None
    draw = circle.rose if on_circle else line.panels
    _write(file, lambda: draw(evaluation, of_gradient=False))


def gradient(evaluation: Evaluation, file: str, *, per_bin: bool = False) -> None:
    """Draw the gradient of each point at its angle below the density; with `per_bin` a map of points and bins."""
    from kdegrad.figures import circle, line

    on_circle = evaluation.problem.settings.circumference is not None
    draw = circle.rose if on_circle else line.panels
    _write(file, lambda: line.gradient_per_bin(evaluation) if per_bin else draw(evaluation, of_gradient=True))


def groups(overview: Overview, file: str) -> None:
    """Draw how the losses of groups are spread, and the gradient per weight along the distance from the target."""
    from kdegrad.figures import many

    _write(file, lambda: many.panels(overview))


def sweep(family: Sweep, file: str, *, log: bool = False) -> None:
    """Draw KL, gradient and gradient per weight along the parameter, a curve for each kernel."""
    from kdegrad.figures import families

    _write(file, lambda: families.sweep(family, log=log))


def descent(done: Descent, file: str) -> None:
    """Draw the course of the loss, how near the end it was, and the paths of the points."""
    from kdegrad.figures import families

    _write(file, lambda: families.descent(done))


def verdicts(checks: Sequence[Verdict], file: str, title: str = "") -> None:
    """Draw the residual of each check over its tolerance, a row for each property."""
    from kdegrad.figures.checks import residuals

    _write(file, lambda: residuals(checks, title))


def _write(file: str, draw: Callable[[], Figure]) -> None:
    """Write what `draw` returns, in the style of all figures."""
    import matplotlib
    import numpy as np

    from kdegrad.figures.style import SETTINGS

    kind = Path(file).suffix.lower()[1:]
    data = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a label in a script that the font lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        draw().savefig(data, format=kind, metadata=_METADATA[kind])
    with output.replacing(file) as stream:
        stream.write(data.getvalue())
