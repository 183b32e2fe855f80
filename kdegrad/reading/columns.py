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
from kdegrad.text import enumerated, nearest, one_edit_apart, option_text, shown, spoken

ROLES: Final = ("angle", "logit", "weight", "label")  # of points; a column has one by its name, or by --ROLE-column
TARGET_ROLES: Final = ("angle", "weight")  # of target points, by their names alone

_ANGLES: Final = ("azimuth", "bearing", "heading", "direction", "theta", "phi", "yaw")
_GROUPS: Final = ("image_id", "image", "group", "sample")  # as columns of groups are called
_ID: Final = re.compile(r"(.*[ _-])?id", re.IGNORECASE)
_TARGETS: Final = (("low", "high"), ("target",))
_OTHER_FLAGS: Final = {"group": "group-by"} | dict.fromkeys(("low", "high", "at"), "target-columns")
# As columns that may hold logits, or weights, are called, but for an s at the end.
_LOGITS: Final = ("logit", "score", "logprob", "log_prob", "log_weight")
_WEIGHTS: Final = (
    *("weight", "count", "n", "freq", "frequency", "mass", "prob", "probability", "p", "conf", "confidence", "score"),
)
_MOST: Final = 8  # columns that a note names
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
        raise SettingError(
            "target-columns", f"names the targets of groups: give {option_text('group-by', 'COLUMN')} too"
        )


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
    if options.no_weights or (names.get("group") == "weight" and "weight" not in given):
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
        notes.append(f"has no column 'weight': {spoken('--no-weights', 'no_weights=True')} has no effect")
    ignored = "weight" if options.no_weights else ""
    unused = [column for column in found if column and column not in chosen.values() and column.lower() != ignored]
    note = _of_unused_target(unused, chosen) if of_target else _of_unused(unused, chosen, options)
    return chosen, [*notes, *filter(None, [note])]


def _choose_logits_or_weights(chosen: dict[str, str], given: Mapping[str, str], place: str) -> None:
    """Remove the one of the two that was not named; InputError if both were, or neither."""
    if not {"logit", "weight"} <= chosen.keys():
        return
    if ("logit" in given) == ("weight" in given):
        either = f"{flag_of('logit')} or {flag_of('weight')}"
        remedy = (
            f"leave out {either}"
            if "weight" in given
            else f"name the one to use with {either}, or give {spoken('--no-weights', 'no_weights=True')}"
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
    """Return the option that names the column of a role."""
    name = option_text(_OTHER_FLAGS.get(role, f"{role}-column"))
    return spoken(name, f"{name}=")


def _held(role: str) -> str:
    """Return what the column of a role holds."""
    return _HELD.get(role, f"{role}s")


def _of_unused(unused: Sequence[str], chosen: Mapping[str, str], options: ReadingOptions) -> str:
    """Return the note that names the columns that are not used, and the options that would use them.

    It is empty where there are logits or weights, and no name suggests groups or targets.
    """
    weighed, many = bool({"logit", "weight"} & chosen.keys()), _many_problems(unused, options)
    if weighed and not many:
        return ""
    said = [] if weighed else ["has neither logits nor weights: all points weigh the same"]
    if unused:
        plural = "columns that are" if len(unused) > 1 else "a column that is"
        offers = "" if weighed else _weight_offers(unused, options)
        said.append(f"{'it ' if said else ''}has {plural} not used: {enumerated(unused, _MOST)}{offers}")
    return "; ".join([*said, *many])


def _of_unused_target(unused: Sequence[str], chosen: Mapping[str, str]) -> str:
    """Return the same about target points, whose columns no option names; angles alone need no note."""
    if not unused or ("weight" in chosen and "logit" not in map(str.lower, unused)):
        return ""
    plural = "columns that are" if len(unused) > 1 else "a column that is"
    has_them = f"has {plural} not used: {enumerated(unused, _MOST)}"
    if "weight" in chosen:
        return has_them
    likely = [column for column in unused if _suggests(column, _WEIGHTS)]
    offer = f" (rename {shown(likely[0])} to 'weight', if it holds the weights)" if likely else ""
    return f"has no weights: all target points weigh the same; it {has_them}{offer}"


def _weight_offers(unused: Sequence[str], options: ReadingOptions) -> str:
    """Return the options that take a column as logits or weights, in brackets, if its name suggests either."""
    roles = [("logit", _LOGITS), *([] if options.no_weights else [("weight", _WEIGHTS)])]
    offers = [
        _taking(f"{role}-column", column) for column in unused for role, names in roles if _suggests(column, names)
    ]
    return f" ({' or '.join(offers[:2])}?)" if offers else ""


def _taking(option: str, *columns: str) -> str:
    """Return how an option that takes columns is given: ``--group-by id``, in the library ``group_by='id'``."""
    return option_text(option, spoken(shlex.quote(",".join(columns)), repr(columns if columns[1:] else columns[0])))


def _suggests(column: str, names: Sequence[str]) -> bool:
    return column.lower().removesuffix("s") in names


def _many_problems(unused: Sequence[str], options: ReadingOptions) -> list[str]:
    """Return what is said if the names of columns suggest groups or targets that no option asks for."""
    free = {column.lower(): column for column in unused}
    group = next((free[name] for name in _GROUPS if name in free), None)
    group = group or next((column for column in free.values() if _ID.fullmatch(column)), None)
    targets = next(([free[end] for end in ends] for ends in _TARGETS if set(ends) <= free.keys()), [])
    flag = _taking("target-columns", *targets) if targets else ""
    both = spoken(" ", " and ")
    taking = spoken("loss and grad with {} take", "{} make")
    if options.group_by is not None:
        if targets and options.target_columns is None:
            return [f"all groups have one target: give {flag} for a target of each"]
    elif group is not None:
        flags = both.join(filter(None, [_taking("group-by", group), flag]))
        return [f"all rows are taken as one problem: {taking.format(flags)} a problem of each"]
    elif targets:
        flags = both.join([option_text("group-by", "COLUMN"), flag])
        return [f"all rows are taken as one problem: {taking.format(flags)} many, each with its target"]
    return []


def _likely_angles(found: Sequence[str]) -> str:
    """Return ``; did you mean 'azimuth'?`` for the columns that have a word for an angle in their names."""
    likely = []
    for column in found:
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", column)  # of windDirection, wind_direction, DIRECTION
        if any(word in _ANGLES or one_edit_apart(word.removesuffix("s"), "angle") for word in map(str.lower, words)):
            likely.append(shown(column))
    return f"; did you mean {' or '.join(likely[:3])}?" if likely else ""
