"""What the user should know about a problem that was made of a file or a frame: what looks as if it was not meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from kdegrad.settings import CIRCUMFERENCE, DrawingOptions
from kdegrad.text import angle_texts, option_text, spoken

if TYPE_CHECKING:
    from kdegrad.batch import Batch
    from kdegrad.problem import Problem

_WITHIN: Final = 1.0 + 1e-6  # of a turn that is written with seven digits
_MOST_TURNS: Final = 2.0  # that angles go on for without looking like those of another unit


def notes_about(made: Problem | Batch, known: Collection[str], given: Collection[str]) -> Iterator[str]:
    """Yield what is odd about a problem, or about many together.

    Parameters
    ----------
    known
        The names of the options that were given, or that the file has.
    given
        Those that were given.
    """
    for row in DrawingOptions.rows:
        if row.name in given and not made.settings.circumference:
            yield f"{option_text(row.name)} is ignored: there is no circle to draw"
    around, h = made.settings.circumference, made.settings.bandwidth
    if around is not None and h > 0.5 * around:  # as a bandwidth of another unit may be
        unit = made.settings.unit
        yield f"bandwidth {h:g} on a circle of {around:g} {unit}: the kernel is wider than the circle"
    if note := made.settings.note_on_unit:
        yield note
    yield from _other_unit(made, is_given="unit" in known)
    if "bins" in given and made.settings.rule == "exact":
        yield f"{option_text('bins')} is for midpoint and gauss: the rule exact finds its nodes itself"


def _other_unit(made: Problem | Batch, *, is_given: bool) -> Iterator[str]:
    """Yield that angles on a circle look like those of another unit; of degrees only where the unit was not given."""
    import numpy as np

    settings, angles = made.settings, made.angles
    largest, full_turn = float(np.abs(angles).max()), CIRCUMFERENCE[settings.unit]
    if settings.circumference != full_turn:
        return
    is_in_radians = largest <= _WITHIN * CIRCUMFERENCE["radians"]
    if settings.unit == "degrees":
        # whole numbers are hardly ever radians
        if is_in_radians and not is_given and (angles != np.rint(angles)).any():
            yield f"all angles lie within ±2π, and the unit is degrees: are they radians? give {_unit('radians')}"
    elif largest > _MOST_TURNS * full_turn:
        other = "radians" if is_in_radians else "degrees"
        (text,) = angle_texts([largest])
        turn = f"a turn in {settings.unit} is {full_turn:.6g}"
        yield f"angles reach {text}, and {turn}: are they {other}? give {_unit(other)}"


def _unit(name: str) -> str:
    return option_text("unit", spoken(name, repr(name)))
