"""The problem: points, kernel, domain and quadrature, checked once and frozen."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import FloatArray, require_everywhere, texts, vector
from kdegrad.domain import Circle, Domain, Line
from kdegrad.errors import InputError, SettingError
from kdegrad.kernel import Kernel, make_kernel
from kdegrad.notebook import InNotebook
from kdegrad.option import truth
from kdegrad.quadrature import Rule, gauss, midpoint
from kdegrad.settings import MOST_GAUSS_BINS, DrawingOptions, Settings, TargetOptions
from kdegrad.targets import Interval, Points, TargetLike, checked_target
from kdegrad.text import counted, interval_text, nine_digits, shortened, shown, spoken, summary
from kdegrad.weights import LEAST_WEIGHT, Counts, are_weights, log_softmax, logits_of, logits_or_weights

NO_WIDTH: Final = "spreads over the target's width, and points on a line have none: take an interval, or leave it out"


@final
@dataclass(frozen=True, init=False, eq=False)
class Problem(InNotebook):
    """N points with logits, a target, a kernel, a domain and a quadrature.

    Parameters
    ----------
    angles
        Shape (N,), finite, in the unit of the settings.
    logits
        Shape (N,), finite or -inf (a point of weight zero), one finite at least; None: all equal.
    labels
        N names for reports, or None.
    weights
        In place of logits: shape (N,), finite and ≥ 0, one above 0 at least. A logit is the logarithm of a weight.
    name
        What reports and figures call the problem: the file that it was read from, or None.
    copy
        False: arrays of float64 are taken as they are, on the promise that they do not change.
    target
        Two numbers, the interval [a, b]; or `kdegrad.Points`, a mapping ``{"angle": [...], "weight": [...]}``, a number
        (one observed angle): target points, which stand in place of a quadrature.
    at
        A single node in place of a quadrature, with an interval as target or without one.
    kernel, bandwidth, df, rule, bins, scale, background, circular, period, unit, sums
        The options; see `Settings`.
    zero, clockwise
        How a circle is drawn: where 0 is (``E``, ``N``, ``S``, ``W``), and which way angles grow.

    Attributes
    ----------
    target
        The interval; None where target points or a single node stand without one.
    observed
        The target points, or the single node as one; None where the target is an interval alone.
    counted
        How many things the points stand for: the sum of `weights` that are counts, whole numbers; else None.

    Raises
    ------
    InputError
        For points that cannot be used.
    SettingError
        For an option out of range.
    """

    angles: FloatArray
    logits: FloatArray
    labels: tuple[str, ...] | None
    name: str | None
    target: Interval | None
    observed: Points | None
    at: float | None
    settings: Settings
    drawing: DrawingOptions
    domain: Domain
    kernel: Kernel
    counted: int | None

    def __init__(
        self,
        angles: ArrayLike,
        logits: ArrayLike | None = None,
        labels: Iterable[str] | None = None,
        *,
        weights: ArrayLike | None = None,
        name: str | None = None,
        copy: bool = True,
        target: TargetLike | None = None,
        at: float | None = None,
        kernel: str = "laplace",
        bandwidth: float = 1.0,
        df: float = 3.0,
        rule: str = "midpoint",
        bins: int = 360,
        scale: float = 1.0,
        background: float = 0.0,
        circular: bool = False,
        period: float | None = None,
        unit: str = "degrees",
        sums: str = "auto",
        zero: str = "E",
        clockwise: bool = False,
    ) -> None:
        names_of_settings = {row.name for row in Settings.rows}
        settings = Settings(**{key: value for key, value in locals().items() if key in names_of_settings})
        node = TargetOptions(at=at).at
        given = None if target is None else checked_target(target, settings.circumference)
        interval = given if isinstance(given, Interval) else None
        observed = with_node(given if isinstance(given, Points) else None, node)
        check_quadrature(settings, has_interval=interval is not None, has_points=observed is not None)
        copy = truth("copy", copy)
        points = vector("angles", angles, copy)
        what, given_values = logits_or_weights(logits, weights)
        values = vector(f"{what}s", np.zeros_like(points) if given_values is None else given_values, copy)
        _check_points(points, values, what)
        names = texts("labels", labels, len(points), "point")
        number = None
        if what == "weight":
            number = Counts.of(values).number
            values = logits_of(values)
            values.flags.writeable = False
        domain, made_kernel = domain_and_kernel(settings)
        parts: dict[str, Any] = {
            "angles": points,
            "logits": values,
            "labels": names,
            "name": checked_name(name),
            "target": interval,
            "observed": observed,
            "at": node,
            "settings": settings,
            "drawing": DrawingOptions(zero=zero, clockwise=clockwise),
            "domain": domain,
            "kernel": made_kernel,
            "counted": number,
        }
        for attribute, part in parts.items():
            object.__setattr__(self, attribute, part)

    def __repr__(self) -> str:
        at = "" if self.at is None else f"at {nine_digits(self.at)}"
        target = "" if self.target is None else f"target {interval_text(self.target)}"
        points = "" if self.target_points is None else counted(len(self.target_points), "target point")
        settings = settings_texts(self.settings, self.kernel, self.rule_name)
        return summary(repr_name(self), counted(len(self.angles), "point"), target, points, at, *settings)

    @property
    def target_points(self) -> Points | None:
        """The target points; None for an interval, and where a single node stands."""
        return self.observed if self.at is None else None

    @cached_property
    def interval(self) -> Interval:
        """The target's interval, or the hull of its points: see `Points.hull`."""
        return self.nodes_hull if self.target is None else self.target

    @cached_property
    def nodes_hull(self) -> Interval:
        """The interval that the nodes lie in: the target's, or the hull of the target points or of the single node."""
        if self.observed is not None:
            return self.observed.hull(self.domain)
        assert self.target is not None  # checked when it was made: one of the two is there
        return self.target

    @property
    def reduced_interval(self) -> Interval:
        """The target's interval where its nodes are formed: see `Domain.reduced_interval`."""
        return Interval(*self.domain.reduced_interval(*self.interval))

    @property
    def centre(self) -> float:
        """The single node where there is one, else the middle of the target."""
        return self.nodes_hull.centre if self.at is None else self.at

    @property
    def background_width(self) -> float:
        """The length that a background is spread over: that of the interval, with target points on a circle P."""
        return self.domain.measure if self.target is None else self.target.width

    @property
    def rule_name(self) -> str:
        """The name of the quadrature rule: ``at`` for a single node, ``points`` for target points."""
        return name_of_rule(self.settings, self.observed, self.at)

    @cached_property
    def log_weights(self) -> FloatArray:
        """Log S_j, shape (N,)."""
        logs = log_softmax(self.logits)
        logs.flags.writeable = False
        return logs

    @cached_property
    def rule(self) -> Rule:
        """The nodes and weights of the rules of bins; target points and a single node come before `rule` and `bins`.

        Raises
        ------
        SettingError
            For the rule ``exact``, whose nodes depend on the density: see `kdegrad.Evaluation.rule`.
        """
        if self.observed is not None:
            return self.observed.rule()
        match self.settings.rule:
            case "midpoint":
                return midpoint(*self.reduced_interval, self.settings.bins)
            case "gauss":
                return gauss(*self.reduced_interval, self.settings.bins)
        raise SettingError("rule", "the rule exact has no nodes before the problem is evaluated: see Evaluation.rule")

    @property
    def options(self) -> dict[str, Any]:
        """The options by name, but for those of the drawing, as the keywords of `kdegrad.loss` take them."""
        target = self.target_points if self.target is None else self.target
        return {"target": target, "at": self.at, **asdict(self.settings)}

    def replace(self, **changes: Any) -> Problem:
        """Return the problem with other angles, logits (or weights), labels, name or options; the rest stays."""
        if changes.get("weights") is not None:
            changes.setdefault("logits", None)
        has_other_weights = "logits" in changes
        points = {part: changes.pop(part, getattr(self, part)) for part in ("angles", "logits", "labels", "name")}
        made = Problem(**points, **{**self.options, **asdict(self.drawing), **changes})
        if not has_other_weights:
            object.__setattr__(made, "counted", self.counted)
        return made


def require_problem(given: object) -> None:
    """Raise an `InputError` for what is no problem, such as a batch of them."""
    if isinstance(given, Problem):
        return
    if isinstance(given, (str, os.PathLike)):
        raise InputError(f"{shortened(given)} is not a problem: kdegrad.load reads one from a file")
    if isinstance(getattr(given, "problem", None), Problem):  # of an evaluation, or a sweep
        raise InputError(f"{type(given).__name__} is not a problem, and was made of one: give its .problem")
    remedy = "give kdegrad.Problem(...); of a batch, batch.problem(0) is the first"
    raise InputError(f"{type(given).__name__} is not a problem: {remedy}")


def checked_name(name: object) -> str | None:
    """Return the name of a problem or a batch; InputError for what is no text."""
    if name is None or isinstance(name, str):
        return name
    raise InputError(f"name: {shortened(name)} is not text: give the name of what the points are")


def domain_and_kernel(settings: Settings) -> tuple[Domain, Kernel]:
    """Return where the angles are, and the kernel there."""
    period = settings.circumference
    domain = Line() if period is None else Circle(period)
    return domain, make_kernel(settings.kernel, settings.bandwidth, domain, settings.df)


def with_node(observed: Points | None, node: float | None) -> Points | None:
    """Return the target points, or the single node `at` as one; SettingError where both are given."""
    if node is None:
        return observed
    if observed is not None:
        raise SettingError("at", "is one target point, and target has others: leave one of them out")
    return Points([node])


def repr_name(data: Any) -> str:
    """Return how the repr of a problem or a batch begins: its type, and the name of its file without the folders."""
    kind, name = type(data).__name__, data.name
    return kind if name is None else f"{kind} {shown(os.path.basename(name) or name, 30)}"


def settings_texts(settings: Settings, kernel: Kernel, rule_name: str) -> list[str]:
    """Return what a repr says of the settings."""
    rules = {"midpoint": counted(settings.bins, "bin"), "gauss": f"gauss {settings.bins}", "exact": "exact integral"}
    circle = "" if settings.circumference is None else f"circle of {nine_digits(settings.circumference)}"
    background = "" if settings.background == 0.0 else f"background {nine_digits(settings.background)}"
    return [kernel.name, f"bandwidth {nine_digits(kernel.bandwidth)}", circle, background, rules.get(rule_name, "")]


def name_of_rule(settings: Settings, observed: Points | None, node: float | None) -> str:
    """Return the name of the quadrature rule: ``at`` for a single node, ``points`` for target points."""
    if observed is None:
        return settings.rule
    return "points" if node is None else "at"


def check_quadrature(settings: Settings, *, has_interval: bool, has_points: bool) -> None:
    """Refuse settings that do not fit the target: an interval, target points or a single node, or both."""
    if not has_interval and not has_points:
        raise SettingError(
            "target",
            spoken(
                "no target is given: add --target LOW HIGH, the interval [a, b] (or --at X, one bin; --target-points "
                "FILE; for groups --target-columns NAMES)",
                "no target is given: pass target=(low, high), kdegrad.Points or at=x; for groups target_columns",
            ),
        )
    if not has_interval and settings.background > 0.0 and settings.circumference is None:
        raise SettingError("background", NO_WIDTH)
    if not has_points and settings.rule == "gauss" and settings.bins > MOST_GAUSS_BINS:
        raise SettingError("bins", f"{settings.bins} is out of range: give 1 to {MOST_GAUSS_BINS} for the rule gauss")


def _check_points(angles: FloatArray, values: FloatArray, what: str) -> None:
    """Raise an InputError for angles, and for values that are no logits or no weights, as `what` says."""
    if len(values) != len(angles):
        raise InputError(f"{len(angles)} angles but {len(values)} {what}s: give one {what} for each angle")
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(angles.sum())  # one pass; not finite if an angle is not
    if not math.isfinite(total):
        require_everywhere(np.isfinite(angles), angles, "angle", "give a finite number")
    if what == "weight":
        require_everywhere(are_weights(values), values, "weight", LEAST_WEIGHT)
        if not values.any():
            raise InputError("no point has a positive weight: all weights are 0: give one above 0")
    elif not math.isfinite(values.max()):
        require_everywhere(values < np.inf, values, "logit", "give a finite number, or -inf for weight zero")  # nor NaN
        raise InputError("no point has a positive weight: all logits are -inf: give one that is finite")
