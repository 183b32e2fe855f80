"""Names of columns → what they hold: the role of each column, by the options or by its name."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from kdegrad.errors import InputError, SettingError
from kdegrad.settings import ReadingOptions
from kdegrad.text import enumerated, nearest, one_edit_apart, shown

ROLES: Final = ("angle", "logit", "weight", "label")  # of points; a column has one by its name, or by --ROLE-column
TARGET_ROLES: Final = ("angle", "weight")  # of target points, by their names alone

_ANGLES: Final = ("azimuth", "bearing", "heading", "direction", "theta", "phi", "yaw")
_GROUPS: Final = ("image_id", "image", "group", "sample")  # as columns of groups are called
_ID: Final = re.compile(r"(.*[ _-])?id", re.IGNORECASE)
_TARGETS: Final = (("low", "high"), ("target",))
_OTHER_FLAGS: Final = {"group": "group-by"} | dict.fromkeys(("low", "high", "at"), "target-columns")
_HELD: Final = {"low": "lower ends of the targets", "high": "upper ends of the targets", "at": "observed angles"}


def named(options: ReadingOptions) -> dict[str, str]:
    """Return role → column for the roles whose column was named; ``low`` and ``high``, or ``at``, are of targets."""
    columns = {role: getattr(options, f"{role}_column") for role in ROLES} | {"group": options.group_by}
    targets = options.target_columns or ()
    columns |= zip(("low", "high") if len(targets) == 2 else ("at",), targets, strict=False)
    return {role: column for role, column in columns.items() if column is not None}


def require_groups(options: ReadingOptions) -> None:
    """Refuse targets of groups without groups."""
    if options.target_columns is not None and options.group_by is None:
        raise SettingError("target-columns", "names the targets of groups: give --group-by COLUMN too")


def chosen_columns(
    found: Sequence[str], options: ReadingOptions, place: str, hint: str = "", *, of_target: bool = False
) -> tuple[dict[str, str], list[str]]:
    """Return role → column for the roles that the points have, ``{"angle": "theta"}``, and notes about the choice.

    A column whose name was given must exist. Of the others only that of the angles must. If none has the name of the
    role, one that differs by capitals alone is taken.

    Parameters
    ----------
    found
        The names of the columns that exist, in `place`.
    hint
        Another possible remedy for a missing column, as the end of a sentence.
    of_target
        Whether the points are those of a target, whose columns no option names.

    Raises
    ------
    InputError
        If two columns have one name, one that must exist does not, there are both logits and weights, or a column is to
        hold two things that differ.
    """
    given = named(options)
    names = {role: role for role in (TARGET_ROLES if of_target else ROLES)} | given
    if options.no_weights:
        del names["weight"]
    # Columns without a name, as spreadsheets leave behind the last, may be several.
    twice = [column for column, count in Counter(found).items() if count > 1 and (column or "" in names.values())]
    if twice:
        raise InputError(
            [f"{place}: the column {shown(column)} appears twice: rename or remove one" for column in twice]
        )
    chosen = {role: column for role, column in names.items() if column in found}
    notes = []
    either = {"logit", "weight"}  # "Weight" beside "logit" is something else
    for role in [role for role in names if role not in {*given, *chosen, *(either if either & chosen.keys() else ())}]:
        alike = [column for column in found if column.lower() == role]
        if len(alike) == 1:
            names[role] = chosen[role] = alike[0]
            notes.append(f"has no column {shown(role)}: {shown(alike[0])} is taken for the {role}s")
    # Not those that are several names, since they are not separated as was thought.
    several = r"[,;|\t{}]" if len(found) > 1 else r"[,;|\t{} ]"
    likely = [column for column in found if not re.search(several, column)]
    remedy = "rename the right one to 'angle'" if of_target else "name the right one with {}"
    missing = [
        f"{place}: no column {shown(column)} for the {_held(role)} (columns found: {enumerated(found)}"
        f"{nearest(column, likely) if role in given else _likely_angles(likely)}): "
        f"{remedy.format(flag_of(role))}{hint}"
        for role, column in names.items()
        if column not in found and (role == "angle" or role in given)
    ]
    if missing:
        raise InputError(missing)
    _choose_logits_or_weights(chosen, given, place)
    _refuse_two_uses(chosen, given, place)
    if options.no_weights and not any(column.lower() == "weight" for column in found):
        notes.append("has no column 'weight': --no-weights has no effect")
    if of_target:
        notes += [f"has a column {shown(c)}, which is not read for weights" for c in found if c.lower() == "logit"]
    else:
        notes += _many_problems(found, set(chosen.values()), options)
    return chosen, notes


def _choose_logits_or_weights(chosen: dict[str, str], given: Mapping[str, str], place: str) -> None:
    """Remove the one of the two that was not named; InputError if both were, or neither."""
    if not {"logit", "weight"} <= chosen.keys():
        return
    if ("logit" in given) == ("weight" in given):
        remedy = (
            "leave out --logit-column or --weight-column"
            if "weight" in given
            else "name the one to use with --logit-column or --weight-column, or give --no-weights"
        )
        raise InputError(
            f"{place}: both logits (column {shown(chosen['logit'])}) and weights (column "
            f"{shown(chosen['weight'])}): {remedy}"
        )
    del chosen["weight" if "logit" in given else "logit"]


def _refuse_two_uses(chosen: Mapping[str, str], given: Mapping[str, str], place: str) -> None:
    """Raise an InputError for columns that are to hold two things that differ; a group may be the end of a target."""
    both = [
        f"{place}: the column {shown(chosen[one])} cannot be both the {_held(one)} and the {_held(other)}: give "
        "another column with "
        f"{' or '.join(dict.fromkeys(flag_of(role) for role in (one, other) if role in given))}"
        for one, other in combinations([role for role in chosen if role != "label"], 2)
        if chosen[one] == chosen[other] and {one, other} not in ({"group", end} for end in _HELD)
    ]
    if both:
        raise InputError(both)


def flag_of(role: str) -> str:
    """Return the flag that names the column of a role."""
    return f"--{_OTHER_FLAGS.get(role, f'{role}-column')}"


def _held(role: str) -> str:
    """Return what the column of a role holds."""
    return _HELD.get(role, f"{role}s")


def _many_problems(found: Sequence[str], used: set[str], options: ReadingOptions) -> list[str]:
    """Return a note if the names of columns suggest groups or targets that no option asks for."""
    free = {column.lower(): column for column in found if column not in used}
    group = next((free[name] for name in _GROUPS if name in free), None)
    group = group or next((column for column in free.values() if _ID.fullmatch(column)), None)
    targets = next(([free[end] for end in ends] for ends in _TARGETS if set(ends) <= free.keys()), [])
    flag = f"--target-columns {shlex.quote(','.join(targets))}"
    what = f"column{'s' if len(targets) > 1 else ''} {' and '.join(map(shown, targets))}"
    what = f"the {what}" if len(targets) > 1 else f"a {what}"
    if options.group_by is not None:
        if targets and options.target_columns is None:
            return [f"has {what}, and all groups have one target: give {flag} for a target of each"]
    elif group is not None:
        flags = f"--group-by {shlex.quote(group)}{' ' + flag if targets else ''}"
        return [
            f"has a column {shown(group)}, and all rows are taken as one problem: loss and grad with {flags} take a "
            "problem of each"
        ]
    elif targets:
        return [
            f"has {what}, and all rows are taken as one problem: loss and grad with --group-by COLUMN {flag} take "
            "many, each with its target"
        ]
    return []


def _likely_angles(found: Sequence[str]) -> str:
    """Return ``; did you mean 'azimuth'?`` for the columns that have a word for an angle in their names."""
    likely = []
    for column in found:
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", column)  # of windDirection, wind_direction, DIRECTION
        if any(word in _ANGLES or one_edit_apart(word.removesuffix("s"), "angle") for word in map(str.lower, words)):
            likely.append(shown(column))
    return f"; did you mean {' or '.join(likely[:3])}?" if likely else ""
