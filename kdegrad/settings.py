"""The options of SPEC section 6: their names, their defaults, what each may be. No numbers are crunched here.

`Settings` holds the meaning, default and range of each; the keywords of the library, the keys of a YAML problem and
the flags of the command line are these names.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, fields
from typing import Any, Final, TypedDict

from kdegrad.errors import SettingError
from kdegrad.text import nearest

CIRCUMFERENCE: Final[Mapping[str, float]] = {"degrees": 360.0, "radians": 2.0 * math.pi, "turns": 1.0}
RULES: Final = ("midpoint", "gauss", "exact")
SUMS: Final = ("auto", "dense", "fast")
MOST_BINS: Final = 10_000_000
MOST_GAUSS_BINS: Final = 10_000


class Options(TypedDict, total=False):
    """The keywords of `kdegrad.loss` and its kin; `Settings` holds their meaning and defaults."""

    target: tuple[float, float] | None
    kernel: str
    bandwidth: float
    df: float
    bins: int
    rule: str
    at: float | None
    scale: float
    background: float
    circular: bool
    period: float | None
    unit: str
    sums: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of a problem, each checked for its range.

    Attributes
    ----------
    target
        The interval (a, b) that the target density is uniform on, in the unit of the angles.
    kernel
        A name or alias of SPEC section 3.
    bandwidth
        The kernel's scale h, in the unit of the angles.
    df
        Degrees of freedom ν of ``student-t``; nothing else reads it.
    bins, rule
        The quadrature: how many nodes, and where (``midpoint``, ``gauss`` or ``exact``).
    at
        The single node that replaces the quadrature: the note's "only one of the bins".
    scale
        C, a factor on the kernel.
    background
        E, the share of the target's own uniform density that is mixed into the model's.
    circular, period, unit
        The domain: a line, or a circle whose circumference is `period` or, without one, a full turn in `unit`.
    sums
        Which summation: ``auto``, ``dense`` or ``fast``. The numbers are the same.

    Raises
    ------
    SettingError
        Naming the option, the value and the remedy.
    """

    target: tuple[float, float] | None = None
    kernel: str = "laplace"
    bandwidth: float = 1.0
    df: float = 3.0
    bins: int = 360
    rule: str = "midpoint"
    at: float | None = None
    scale: float = 1.0
    background: float = 0.0
    circular: bool = False
    period: float | None = None
    unit: str = "degrees"
    sums: str = "auto"

    def __post_init__(self) -> None:
        for name in ("bandwidth", "df", "scale"):
            _require_positive(name, getattr(self, name))
        if self.period is not None:
            _require_positive("period", self.period)
        if isinstance(self.circular, str) or str(self.circular) not in ("True", "False"):  # also NumPy's
            raise SettingError("circular", f"{self.circular!r} is neither true nor false")
        for name, choices in (("unit", tuple(CIRCUMFERENCE)), ("rule", RULES), ("sums", SUMS)):
            object.__setattr__(self, name, choice(name, getattr(self, name), choices))
        self._check_background()
        self._check_node()
        self._check_bins()
        if self.target is not None:
            object.__setattr__(self, "target", self._checked_target(self.target))
        self._keep_plain_values()

    @property
    def circumference(self) -> float | None:
        """The circle's circumference P in the unit of the angles; None on the line."""
        if self.period is not None:
            return float(self.period)
        return CIRCUMFERENCE[self.unit] if self.circular else None

    def _keep_plain_values(self) -> None:
        """Keep numbers of Python's: what NumPy gives for one may be an array that changes."""
        plain: dict[str, Any] = {
            name: float(getattr(self, name)) for name in ("bandwidth", "df", "scale", "background")
        }
        plain |= {name: float(x) for name in ("at", "period") if (x := getattr(self, name)) is not None}
        plain |= {"bins": operator.index(self.bins), "circular": bool(self.circular)}
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def _check_background(self) -> None:
        if not (is_real(self.background) and 0.0 <= self.background < 1.0):
            raise SettingError("background", f"{self.background!r} is outside [0, 1): 0 is no background")
        if self.background > 0.0 and self.target is None:
            raise SettingError("background", "spreads over the target's width: give --target LOW HIGH too")

    def _check_node(self) -> None:
        if self.at is not None and not (is_real(self.at) and math.isfinite(self.at)):
            raise SettingError("at", f"{self.at!r} is no place: give a finite angle")
        if self.at is None and self.target is None:
            raise SettingError(
                "target", "no target is given: add --target LOW HIGH, the interval [a, b] (or --at X, one bin)"
            )

    def _check_bins(self) -> None:
        try:
            whole = not isinstance(self.bins, bool) and self.bins == operator.index(self.bins)
        except (TypeError, ValueError):  # no whole number; an array
            whole = False
        if not whole:
            raise SettingError("bins", f"{self.bins!r} is no whole number: give 1 to {MOST_BINS}")
        is_gauss = self.rule == "gauss" and self.at is None
        most = MOST_GAUSS_BINS if is_gauss else MOST_BINS
        if not 1 <= self.bins <= most:
            of_rule = " for the rule gauss" if is_gauss else ""
            raise SettingError("bins", f"{self.bins} is out of range: give 1 to {most}{of_rule}")

    def _checked_target(self, target: Any) -> tuple[float, float]:
        """Return the interval as two floats of its own, once they are one."""
        if isinstance(target, (Set, Mapping)):  # which have no order, no values
            raise SettingError("target", f"{target!r} is no interval: give two numbers, low and high")
        try:
            low, high = (float(edge) if is_real(edge) else math.nan for edge in target)
        except (TypeError, ValueError):
            low = high = math.nan
        if math.isnan(low) or math.isnan(high):
            raise SettingError("target", f"{target!r} is no interval: give two numbers, low and high")
        width = high - low
        if math.isinf(low) or math.isinf(high):
            raise SettingError("target", f"[{low:g}, {high:g}] is not finite: give two finite angles")
        if math.isinf(width):
            raise SettingError("target", f"[{low:g}, {high:g}] is wider than a float64 can be: narrow it")
        if low >= high:
            raise SettingError(
                "target",
                f"low {low:g} is not below high {high:g}: give low < high (across the wrap of a circle: 350 370)",
            )
        period = self.circumference
        roundings = 2.0 * math.ulp(max(abs(low), abs(high)))  # 512.2 - 152.2 is more than 360 by one
        if period is not None and width > period + roundings:
            raise SettingError(
                "target", f"[{low:g}, {high:g}] is {width:g} wide, wider than the circle ({period:g}): narrow it"
            )
        return low, high


OPTION_NAMES: Final = tuple(field.name for field in fields(Settings))


def from_options(options: Mapping[str, Any]) -> Settings:
    """Return the settings that `options` give; an unknown name is answered with the nearest ones."""
    require_known(options)
    return Settings(**options)


def require_known(options: Iterable[str]) -> None:
    """Refuse a name that no option has; the nearest ones are offered."""
    for name in options:
        if name not in OPTION_NAMES:
            raise SettingError(name, f"unknown option{nearest(name, OPTION_NAMES)}")


def several(name: str, value: Any) -> tuple[Any, ...]:
    """Return what the option `name` lists; a text is one name, not its letters."""
    if isinstance(value, str):
        return (value,)
    try:
        return tuple(value)
    except TypeError:
        raise SettingError(name, f"{value!r} is no list: give one or more") from None


def is_whole(value: object) -> bool:
    """Return whether `value` is a whole number, of Python or NumPy."""
    return is_real(value) and hasattr(value, "__index__")


def is_real(value: object) -> bool:
    """Return whether `value` is a real number, of Python or NumPy, infinite ones too."""
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # of NumPy: no truth, no text, nothing complex
    if isinstance(value, (str, bool)) or kind not in "iuf" or not hasattr(value, "__float__"):
        return False
    if getattr(value, "ndim", None):
        return False  # an array of one number was one to NumPy 1, with a warning
    try:
        return not math.isnan(float(value))
    except (TypeError, ValueError, OverflowError):  # an array; a signalling NaN; an integer beyond the floats
        return False


def _require_positive(name: str, value: object) -> None:
    if not (is_real(value) and 0.0 < float(value) < math.inf):  # type: ignore[arg-type]  # checked to be a number
        raise SettingError(name, f"{value!r} is out of range: give a finite number above 0")


def choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return the choice that `value` is, in whatever case it is written."""
    if not isinstance(value, str) or value.lower() not in choices:
        raise SettingError(name, f"unknown {value!r}: choose {', '.join(choices)}{nearest(str(value), choices)}")
    return value.lower()
