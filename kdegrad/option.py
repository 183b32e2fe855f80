"""What an option is: a row of the table in `kdegrad.settings`, and the check of its values, wherever they come from."""

import math
import operator
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import NoneType
from typing import Any, ClassVar, Final, get_args

from kdegrad import grammar
from kdegrad.errors import SettingError
from kdegrad.text import nearest, shortened, shown


@dataclass(frozen=True, eq=False, repr=False)
class Range:
    """The finite numbers from `low` to `high`; an end that is open is not one of them."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = self.low < value if self.open_low else self.low <= value
        below = value < self.high if self.open_high else value <= self.high
        return above and below and -math.inf < value < math.inf

    def __str__(self) -> str:
        if self.high < math.inf:
            return f" from {self.low} to {'below ' if self.open_high else ''}{self.high}"
        return "" if self.low == -math.inf else f" {'above' if self.open_low else 'of at least'} {self.low}"


_READS: Final[Mapping[Any, Callable[[str], Any]]] = {
    float: grammar.number,
    int: grammar.integer,
    bool: grammar.truth,
    tuple[float, float]: grammar.number,
}


@dataclass(frozen=True, eq=False, repr=False)
class Option:
    """What an option is beside its name, type and default."""

    metavar: str
    help: str
    allowed: Range | tuple[str, ...] | None = None  # None: not checked here
    default: str = ""  # shown in help when the default is not a literal
    aliases: Mapping[str, str] | None = None  # other names of those that are allowed
    words: str = ""  # ``module.NAME`` in kdegrad: the names that a shell completes, where `allowed` does not list them
    key: bool = True  # whether it is also a key of a YAML problem
    reported: str = ""  # for a setting: its name in the field ``problem`` of a report, where that is another
    commands: tuple[str, ...] = ()  # commands that offer this flag; empty: every command that has its group
    short: str = ""  # a second spelling of the flag, of one letter
    is_text: bool = False  # of a list: a comma is a part of the text, and does not separate two


Flag = partial(Option, key=False)


@dataclass(frozen=True, eq=False, repr=False)
class Row:
    """One row of the table."""

    name: str  # as a keyword; with an underscore at its end if it is a Python keyword or builtin (from_, list_)
    type: Any  # float, int, bool, str, tuple[float, float] or tuple[str, ...]
    optional: bool  # whether it may be None: not given
    default: Any
    option: Option

    @property
    def reads(self) -> Callable[[str], Any]:
        """The function that reads a value, or each of several, from text; it raises ValueError."""
        return _READS.get(self.type, str)

    @property
    def spelled(self) -> str:
        """The name in flags, YAML keys and messages."""
        return self.name.removesuffix("_").replace("_", "-")

    def is_default(self, value: Any) -> bool:
        """Whether a value is the default: a text, a number or None; a tuple of the caller's may hold anything."""
        return type(value) is type(self.default) and type(value) is not tuple and bool(value == self.default)


def checked(row: Row, value: Any) -> Any:
    """Return the value of an option, converted to its type; SettingError for one that is not allowed."""
    allowed = row.option.allowed
    if value is None and row.optional:
        return None
    if row.type is bool:
        return truth(row.spelled, value)
    if isinstance(allowed, Range):
        return _number(row, value, allowed)
    if row.type is str and allowed is None:
        return _text(row, value)
    if row.type != tuple[str, ...]:
        return value if allowed is None else choice(row.spelled, value, allowed, row.option.aliases)
    names = several(row.spelled, value)
    if allowed is None:
        return tuple(_text(row, name) for name in names)
    return tuple(dict.fromkeys(choice(row.spelled, name, allowed, row.option.aliases) for name in names))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Group:
    """Options that belong together. Each is checked and kept as a plain value, not as an array, which might change."""

    panel: ClassVar[str]  # the heading in help
    rows: ClassVar[tuple[Row, ...]] = ()

    def __init_subclass__(cls) -> None:
        rows = {row.name: row for row in cls.rows}  # begins with those of the base class
        annotations: dict[str, Any] = cls.__annotations__
        for name, annotated in annotations.items():
            if hasattr(annotated, "__metadata__"):
                alternatives = get_args(annotated.__origin__)
                optional = NoneType in alternatives
                kind = alternatives[0] if optional else annotated.__origin__
                rows[name] = Row(name, kind, optional, getattr(cls, name), *annotated.__metadata__)
        cls.rows = tuple(rows.values())

    def __post_init__(self) -> None:
        for row in self.rows:
            value = getattr(self, row.name)
            if not row.is_default(value):  # which most are: they need no check
                object.__setattr__(self, row.name, checked(row, value))


def several(name: str, value: Any) -> tuple[Any, ...]:
    """Return what the option `name` lists; a text is one name, not its letters."""
    if isinstance(value, str):
        return (value,)
    try:
        return tuple(value)
    except TypeError:
        raise SettingError(name, f"{shortened(value)} is not a list: give one or more") from None


def truth(name: str, value: Any) -> bool:
    """Return whether the option `name` is on: a bool, of Python or NumPy."""
    if isinstance(value, bool) or (type(value).__module__ == "numpy" and str(value) in ("True", "False")):
        return bool(value)
    raise SettingError(name, f"{shortened(value)} is neither true nor false")


def _text(row: Row, value: object) -> str:
    """Return the text that `value` is; SettingError for anything else."""
    if isinstance(value, str):
        return value
    raise SettingError(row.spelled, f"{shortened(value)} is not text")


def require_callable(name: str, value: object) -> None:
    """Raise a SettingError for what is to be called, and cannot be."""
    if value is not None and not callable(value):
        raise SettingError(name, f"{shortened(value)} cannot be called: give a function, or leave it out")


def requires_gradient(value: object) -> bool:
    """Return whether a value is a tensor whose gradient would be lost here."""
    return getattr(value, "requires_grad", False) is True


def require_no_gradient(name: str, *values: object) -> None:
    """Raise a SettingError for a tensor whose gradient would be lost here."""
    if any(map(requires_gradient, values)):
        raise SettingError(name, "a tensor that requires a gradient: call .detach() first")


def is_real(value: object) -> bool:
    """Return whether `value` is a real number, of Python or NumPy, infinite ones too."""
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # NumPy kinds i, u, f only: no bool, string or complex
    if isinstance(value, (str, bool)) or kind not in "iuf" or not hasattr(value, "__float__"):
        return False
    if getattr(value, "ndim", None) or requires_gradient(value):
        return False  # NumPy 1 converted one-element arrays, with a warning
    if getattr(value, "mask", False):  # the masked constant of NumPy, which is NaN with a warning
        return False
    try:
        return not math.isnan(float(value))
    except (TypeError, ValueError, OverflowError):  # an array; a signalling NaN; an integer beyond the floats
        return False


def _number(row: Row, value: Any, allowed: Range) -> float:
    """Return the number that `value` is, an integer where the option is one."""
    require_no_gradient(row.spelled, value)
    kind, wanted = ("an integer", "an integer") if row.type is int else ("a number", "a finite number")
    number: float | None = None
    if row.type is float and is_real(value):
        number = float(value)
    elif row.type is int and not isinstance(value, bool):
        with suppress(TypeError):  # not an integer; an array of several
            number = operator.index(value)
    if number is None or number not in allowed:
        wrong = f"is not {kind}" if number is None else "is out of range"
        raise SettingError(row.spelled, f"{shortened(value)} {wrong}: give {wanted}{allowed}")
    return number


def choice(name: str, value: object, choices: tuple[str, ...], aliases: Mapping[str, str] | None = None) -> str:
    """Return the choice that `value` is, or is another name of, in whatever case it is written."""
    by_lower = {choice.lower(): choice for choice in choices} | dict(aliases or {})
    if not isinstance(value, str) or value.lower() not in by_lower:
        written = shown(value) if isinstance(value, str) else shortened(value)
        listed = ", ".join(choice if choice.isalnum() else f"'{choice}'" for choice in choices)
        has_commas = isinstance(value, str) and "," in value
        remedy = "; give several as a list of texts" if has_commas else nearest(str(value), choices)
        raise SettingError(name, f"unknown {written}: choose {listed}{remedy}")
    return by_lower[value.lower()]
