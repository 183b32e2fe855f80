"""The problem: points, kernel, domain and quadrature, checked once and frozen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Unpack, final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import FloatArray, require_everywhere, vector
from kdegrad.domain import Circle, Domain, Line
from kdegrad.errors import InputError
from kdegrad.kernel import Kernel, make_kernel
from kdegrad.quadrature import Rule, make_rule
from kdegrad.settings import Options, Settings, from_options
from kdegrad.weights import log_softmax


@final
@dataclass(frozen=True, init=False, eq=False)
class Problem:
    """N points with logits, a target on [a, b], a kernel, a domain and a quadrature.

    Parameters
    ----------
    angles
        Shape (N,), finite, in the unit of the settings.
    logits
        Shape (N,), finite or -inf (a point of weight zero), one finite at least; None: all equal.
    labels
        N names for reports, or None.
    copy
        False: arrays of float64 are taken as they are, on the promise that nobody changes them.
    **options
        The options of `Settings`, by name.

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
    settings: Settings
    domain: Domain
    kernel: Kernel

    def __init__(
        self,
        angles: ArrayLike,
        logits: ArrayLike | None = None,
        labels: Iterable[str] | None = None,
        *,
        copy: bool = True,
        **options: Unpack[Options],
    ) -> None:
        settings = from_options(options)
        points = vector("angles", angles, copy)
        values = vector("logits", np.zeros_like(points) if logits is None else logits, copy)
        names = None if labels is None else _names(labels)
        _check_points(points, values, names)
        period = settings.circumference
        domain = Line() if period is None else Circle(period)
        parts: dict[str, Any] = {
            "angles": points,
            "logits": values,
            "labels": names,
            "settings": settings,
            "domain": domain,
            "kernel": make_kernel(settings.kernel, settings.bandwidth, domain, settings.df),
        }
        for name, part in parts.items():
            object.__setattr__(self, name, part)

    @property
    def target(self) -> tuple[float, float] | None:
        """The interval (a, b), or None where a single node stands without one."""
        return self.settings.target

    @property
    def width(self) -> float | None:
        """The target's width b - a."""
        return None if self.target is None else float(self.target[1]) - float(self.target[0])

    @cached_property
    def log_weights(self) -> FloatArray:
        """Log S_j, shape (N,)."""
        logs = log_softmax(self.logits)
        logs.flags.writeable = False
        return logs

    @cached_property
    def rule(self) -> Rule:
        """The nodes and weights; for the rule ``exact`` they are found here, at the first use."""
        settings = self.settings
        if settings.rule != "exact" or settings.at is not None:
            return make_rule(settings)
        from kdegrad.exact import exact_rule  # what few need is loaded for them alone

        return exact_rule(self)

    @property
    def log_share(self) -> float:
        """Return log((1-E) C), what stands before the sum over the points."""
        return math.log1p(-self.settings.background) + math.log(self.settings.scale)

    def log_mixture(self, log_kernel_sums: FloatArray) -> FloatArray:
        """Return log p̃ = log((1-E) C Σ_j S_j K_h + E/(b-a)) from the logarithm of the sum."""
        log_density = log_kernel_sums + self.log_share
        background = self.settings.background
        if background == 0.0:
            return log_density
        assert self.width is not None  # Settings saw to it
        mixture: FloatArray = np.logaddexp(log_density, math.log(background) - math.log(self.width))
        return mixture

    def replace(self, **changes: Any) -> Problem:
        """Return the problem with other angles, logits, labels or options; the rest stays."""
        points = {name: changes.pop(name, getattr(self, name)) for name in ("angles", "logits", "labels")}
        return Problem(**points, **{**asdict(self.settings), **changes})


def _names(labels: Iterable[str]) -> tuple[str, ...]:
    try:
        return tuple(labels)
    except TypeError:
        raise InputError(f"labels: {labels!r} is no list of names: give one for each angle") from None


def _check_points(angles: FloatArray, logits: FloatArray, labels: Sequence[str] | None) -> None:
    if len(logits) != len(angles):
        raise InputError(f"{len(angles)} angles but {len(logits)} logits: give one logit for each angle")
    if labels is not None and len(labels) != len(angles):
        raise InputError(f"{len(angles)} angles but {len(labels)} labels: give one label for each angle")
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(angles.sum())  # one pass; not finite if an angle is not, and hardly ever otherwise
    if not math.isfinite(total):
        require_everywhere(np.isfinite(angles), angles, "angle", "give a finite number")
    if not math.isfinite(logits.max()):
        require_everywhere(logits < np.inf, logits, "logit", "give a finite number, or -inf for weight zero")  # nor NaN
        raise InputError("no point has a positive weight: all logits are -inf")
