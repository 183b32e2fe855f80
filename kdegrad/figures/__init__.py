"""Figures of results: files that are written whole or not at all, and drawings in a notebook, by matplotlib.

Each kind of result has a `Picture` (`kdegrad.figures.picture`); one of other panels is drawn in the same style. `save`
writes one to a .png, .svg or .pdf file, the same bytes for the same result: no date, no random ids, no settings of the
user's. `plot` draws one into Axes of the user's, or into a figure of pyplot's. matplotlib (the extra ``plot``) is
imported when a figure is drawn, and pyplot by `plot` alone.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from kdegrad import output
from kdegrad.errors import SettingError
from kdegrad.text import shortened, shown, spoken

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kdegrad.batch import Batch
    from kdegrad.descent import Descent
    from kdegrad.evaluation import BatchEvaluation, Evaluation
    from kdegrad.figures.picture import Picture
    from kdegrad.overview import Overview
    from kdegrad.problem import Problem
    from kdegrad.properties import Verdict
    from kdegrad.sweeps import Sweep

    Result: TypeAlias = (
        Evaluation | BatchEvaluation | Overview | Sweep | Descent | Sequence[Verdict] | Problem | Batch | Picture
    )

SUFFIXES: Final = (".png", ".svg", ".pdf")
_ALONE: Final = RLock()  # the settings of matplotlib and Python's filters of warnings are those of all threads
_METADATA: Final[dict[str, dict[str, str | None]]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "kdegrad"},
    "pdf": {"CreationDate": None, "Creator": "kdegrad", "Producer": None},
}


def require_matplotlib(file: str | None = None) -> None:
    """Refuse to draw, or to write a figure to `file`, where that cannot be done; matplotlib is not imported.

    Raises
    ------
    SettingError
        For a suffix that is none of `SUFFIXES`, or if matplotlib is not installed.
    """
    import logging  # only a figure needs it

    if file is not None and Path(file).suffix.lower() not in SUFFIXES:
        name = spoken("plot", "file")
        raise SettingError(name, f"{shown(file)} ends in none of {', '.join(SUFFIXES)}: name one of these")
    try:
        found = find_spec("matplotlib")
    except ValueError:  # a test or a sandbox has put something else in its place
        found = None
    if found is None:
        raise SettingError("plot", "needs matplotlib, which is not installed: pip install 'kdegrad[plot]'")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns where it cannot store its list of fonts


def plot(
    result: Result, ax: Axes | Sequence[Axes] | None = None, *, per_bin: bool = False, log: bool = False
) -> Axes | Any:
    """Draw a result, and return the Axes, as matplotlib's ``subplots`` does: one, or an array of several panels.

    Their figure is pyplot's current one: ``plt.gcf()``.

    Parameters
    ----------
    result
        What `evaluate`, `sweep`, `descend` or `verify` returned. The points of an evaluation are drawn by the gradient
        that was asked for, and by weight where none was (``wrt=()``). A `Problem` or a `Batch` is evaluated so.
    ax
        Where to draw: one Axes of matplotlib for the main panel alone, or as many as the figure has panels. A problem
        on a circle is drawn as a rose into polar Axes, and along a line into others. Without it a new figure is made by
        pyplot, which a notebook shows and ``plt.savefig`` writes; it is dark where pyplot's style is.
    per_bin
        For an `Evaluation` with gradients: a map of the logits' gradient over bins and points.
    log
        For a `Sweep`: logarithmic axes.

    Raises
    ------
    SettingError
        For a result or Axes that cannot be drawn, or if matplotlib is not installed.
    """
    require_matplotlib()
    import numpy as np

    from kdegrad.figures.picture import as_axes

    if ax is None:
        import matplotlib.pyplot as plt

        from kdegrad.figures.picture import darken
        from kdegrad.figures.style import is_dark_colour

        with _ALONE:
            pages = plt.rcParams["figure.facecolor"], plt.rcParams["axes.facecolor"]
            is_dark = is_dark_colour(pages[1])
            with _style(dark=is_dark):
                drawing = plt.figure()
                every = picture_of(result, per_bin=per_bin, log=log).draw(drawing)
                for axis in (axis for axes in every for axis in (axes.xaxis, axes.yaxis)):
                    axis.get_ticklabels()  # makes the ticks, while the style holds
                if is_dark:
                    darken(drawing, *pages)
    else:
        given = as_axes(ax)
        if given is None:
            raise SettingError("ax", f"{shortened(ax)} is not an Axes of matplotlib, or a sequence of them")
        every = given
        unrolled = not any(axes.name == "polar" for axes in every)
        with _settings({"text.parse_math": False}):
            drawn = picture_of(result, per_bin=per_bin, log=log, unrolled=unrolled)
            _require_fitting(drawn, every)
            drawn.draw_into(every)
    return every[0] if len(every) == 1 else np.array(every)


def _require_fitting(drawn: Picture, every: Sequence[Axes]) -> None:
    """Refuse Axes that a picture cannot be drawn into."""
    count = len(drawn.panels)
    if len(every) not in (1, count):
        wanted = "give one" if count == 1 else f"give {count}, one for each panel, or one for the main panel"
        raise SettingError("ax", f"{len(every)} Axes do not fit the figure: {wanted}")
    for axes in every:
        if (axes.name == "polar") != drawn.polar or axes.name == "3d":
            raise SettingError("ax", f"this figure has no place in {axes.name} Axes: give ordinary ones")


def save(
    result: Result,
    file: str | os.PathLike[str] | IO[bytes],
    *,
    format: str | None = None,
    per_bin: bool = False,
    log: bool = False,
    title: str = "",
) -> None:
    """Write the figure of a result to a file, whole or not at all, or into a binary stream.

    Parameters
    ----------
    result, per_bin, log
        As for `plot`.
    file
        A name that ends in .png, .svg or .pdf, or a stream such as `io.BytesIO`.
    format
        ``png``, ``svg`` or ``pdf``; by default that of the suffix, and ``png`` for a stream.
    title
        Of the checks: what was judged.

    Raises
    ------
    SettingError
        As `plot` and `require_matplotlib` do.
    """
    if format is not None and format not in _METADATA:
        raise SettingError("format", f"{shortened(format)} is none of {', '.join(_METADATA)}: name one of these")
    place: AbstractContextManager[IO[bytes]]
    if isinstance(file, (str, os.PathLike)):
        file = os.fspath(file)
        output.check_outputs({"file": file})
        place, kind = output.replacing(file), format or Path(file).suffix.lower()[1:]
    elif not hasattr(file, "write") or isinstance(file, io.TextIOBase):
        raise SettingError("file", f"{shortened(file)} is no place for a figure: give a name, or a binary stream")
    else:
        place, kind = nullcontext(file), format or "png"
    require_matplotlib(file if isinstance(file, str) and format is None else None)
    from matplotlib.figure import Figure

    from kdegrad.figures.style import finished_svg

    data = io.BytesIO()
    with _style():
        drawing = Figure()
        drawn = picture_of(result, per_bin=per_bin, log=log, title=title)
        drawn.draw(drawing, escape=kind != "svg")  # who reads an SVG has fonts of his own
        drawing.savefig(data, format=kind, metadata=_METADATA[kind], transparent=kind == "svg")
    written = data.getvalue() if kind != "svg" else finished_svg(data.getvalue())
    with place as stream:
        stream.write(written)


def picture_of(
    result: Result, *, per_bin: bool = False, log: bool = False, title: str = "", unrolled: bool = False
) -> Picture:
    """Return the figure of a result, not yet drawn; with `unrolled` a circle along a line.

    Where the loss or a gradient is not finite there is no descent either: the figure is that of the loss.
    """
    from kdegrad.batch import Batch
    from kdegrad.descent import Descent
    from kdegrad.evaluation import BatchEvaluation, Evaluation
    from kdegrad.figures.picture import Picture
    from kdegrad.objective import evaluate
    from kdegrad.overview import Overview
    from kdegrad.problem import Problem
    from kdegrad.sweeps import Sweep

    if isinstance(result, Picture):
        return result
    if isinstance(result, (Problem, Batch)):
        result = evaluate(result, wrt=())
    if isinstance(result, BatchEvaluation):
        result = Overview.of(result)
    if isinstance(result, Descent) and not result.start.is_finite:
        result = result.start
    if isinstance(result, Evaluation) and not result.is_finite:
        result = replace(result, gradients=None)
    if per_bin and (not isinstance(result, Evaluation) or result.gradients is None):
        raise SettingError("per_bin", "draws the finite gradient of one problem: give what evaluate(problem) returns")
    if log and not isinstance(result, Sweep):
        raise SettingError("log", "is for a Sweep: leave it out")
    if isinstance(result, Evaluation):
        from kdegrad.figures import bins, circle, line

        if per_bin:
            return bins.gradient_per_bin(result)
        on_circle = result.problem.settings.circumference is not None
        return circle.rose(result) if on_circle and not unrolled else line.panels(result)
    if isinstance(result, Overview):
        from kdegrad.figures import many

        return many.panels(result)
    if isinstance(result, Sweep):
        from kdegrad.figures import families

        return families.sweep(result, log=log)
    if isinstance(result, Descent):
        from kdegrad.figures import descents

        return descents.descent(result)
    from kdegrad.properties import Verdict, Verdicts

    are_checks = isinstance(result, (list, tuple)) and all(isinstance(check, Verdict) for check in result)
    if isinstance(result, Verdicts) or (are_checks and result):
        from kdegrad.figures.checks import residuals

        return residuals(result, title)
    kinds = "evaluate, sweep, descend or verify"
    raise SettingError("result", f"{shortened(result)} cannot be drawn: give what {kinds} returns, or a Problem")


@contextmanager
def _style(*, dark: bool = False) -> Iterator[None]:
    """Make matplotlib draw in the style of all figures, whatever the user has set."""
    import matplotlib

    from kdegrad.figures.style import DARK, SETTINGS

    colours = {key: DARK[value] for key, value in SETTINGS.items() if key.endswith("color") and value in DARK}
    with _ALONE, matplotlib.rc_context():
        matplotlib.rcdefaults()
        with _settings(SETTINGS | colours if dark else SETTINGS):
            yield


@contextmanager
def _settings(settings: Any) -> Iterator[None]:
    """Apply settings of matplotlib, and silence what odd numbers and labels make it and NumPy warn of."""
    import warnings

    import matplotlib
    import numpy as np

    with _ALONE, matplotlib.rc_context(settings), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a label in a script that the font lacks
        yield
