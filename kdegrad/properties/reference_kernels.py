"""Every kernel a second time: its formula written plainly, sharing nothing with `kdegrad.kernel`.

All take real and complex arguments, so that any derivative is an imaginary part: f'(x) = Im f(x + iε)/ε, with no
difference formed and hence to round-off. Distances keep their sign convention: the derivative at a kink is the mean of
its sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kdegrad.arrays import BoolArray, FloatArray
from kdegrad.problem import Problem

Numbers = NDArray[Any]  # real, or complex with a step

_SQUARE_OF_A_STEP: Final = 1e-40  # what a complex division leaves where 0 is meant; a rounded 1 - |u| is 1e-17 or 0
LEGENDRE: Final = np.polynomial.legendre.leggauss(20)


@lru_cache(maxsize=64)
def _student_log_peak(df: float) -> float:
    """Return log K(0) of Student's t: 1/K(0) = √ν ∫ cosh(s)^-ν ds by the trapezoidal rule, u = √ν sinh s."""
    step = 0.1 * min(1.0, 1.0 / math.sqrt(df))
    s = step * np.arange(1, 1 + math.ceil((45.0 / df + 10.0 / math.sqrt(df)) / step))
    log_cosh = np.where(s < 20.0, 0.5 * np.log1p(np.sinh(np.minimum(s, 20.0)) ** 2), s - math.log(2.0))
    terms = np.exp(-df * log_cosh)
    return -math.log(math.sqrt(df) * step * (1.0 + 2.0 * float(terms.sum())))


def _log1p(x: Numbers) -> Any:
    """Return log(1 + x) to round-off also for a small x; NumPy's own for complex numbers adds 1 first."""
    return 0.5 * np.log1p(x.real * (2.0 + x.real) + x.imag**2) + 1j * np.arctan2(x.imag, 1.0 + x.real)


UNBOUNDED: Final[Mapping[str, Callable[[Numbers, float], Any]]] = {  # log K(u) for Re u ≥ 0; the second argument is ν
    "gaussian": lambda u, _: -0.5 * u * u - 0.5 * math.log(2.0 * math.pi),
    "laplace": lambda u, _: -u - math.log(2.0),
    "logistic": lambda u, _: -u - 2.0 * np.log(1.0 + np.exp(-u)),
    "sigmoid": lambda u, _: -u - np.log(1.0 + np.exp(-2.0 * u)) - math.log(0.5 * math.pi),
    "cauchy": lambda u, _: -np.log(1.0 + u * u) - math.log(math.pi),
    "student-t": lambda u, df: -0.5 * (df + 1.0) * _log1p(u * u / df) + _student_log_peak(df),
}
COMPACT: Final[Mapping[str, Callable[[Numbers], Any]]] = {  # K as a function of the remainder s = 1 - |u|, 0 ≤ Re s ≤ 1
    "epanechnikov": lambda s: 3.0 / 4.0 * (s * (2.0 - s)),
    "biweight": lambda s: 15.0 / 16.0 * (s * (2.0 - s)) ** 2,
    "triweight": lambda s: 35.0 / 32.0 * (s * (2.0 - s)) ** 3,
    "tricube": lambda s: 70.0 / 81.0 * (s * (3.0 - 3.0 * s + s * s)) ** 3,
    "triangular": lambda s: s,
    "cosine": lambda s: math.pi / 4.0 * np.sin(0.5 * math.pi * s),
    "uniform": lambda s: 0.5 + 0.0 * s,
}
_AT_EDGE: Final = {"uniform": 1.0, "biweight": 0.0, "triweight": 0.0, "tricube": 0.0}  # the last three end flat
HEAVY_TAILS: Final[Mapping[str, Callable[[float], float]]] = {  # df → ν, where K falls as |u|^-(ν+1)
    "cauchy": lambda _: 1.0,
    "student-t": lambda df: df,
}
EXPONENTIAL_TAILS: Final = ("laplace", "logistic", "sigmoid")  # K e^|u| tends to a constant
KINKED_AT_0: Final = ("laplace", "triangular", "wrapped-laplace")


@dataclass(frozen=True)
class Formula:
    """A kernel by its name, with ν where it has one, on a line (no period) or a circle."""

    name: str
    df: float
    period: float | None

    @property
    def is_compact(self) -> bool:
        """Whether K is 0 beyond |d| = h."""
        return self.name in COMPACT

    @property
    def half_period(self) -> float:
        """P/2: no distance is longer; infinite on the line."""
        return math.inf if self.period is None else 0.5 * self.period

    def kinks(self, h: float) -> tuple[float, ...]:
        """Return the distances |d| at which K or K' may jump."""
        at_0 = (0.0,) if self.name in KINKED_AT_0 else ()
        at_edge = (h,) if self.is_compact else ()
        at_antipode = () if self.period is None or self.name in NATIVE else (self.half_period,)
        return at_0 + at_edge + at_antipode

    def difference(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return x ⊖ y: x - y, less the whole turns that bring it into [-P/2, P/2].

        Each place is first brought into [-P/2, P/2] by itself, which is exact: so d is as good for places many turns
        away, and its sign, which says on which side of a kink a pair is, is that of the exact difference.
        """
        d = self.reduced(x) - self.reduced(y)
        return np.asarray(d if self.period is None else d - self.period * np.rint(d / self.period))

    def reduced(self, x: FloatArray) -> FloatArray:
        """Return x less whole turns, in [-P/2, P/2]: fmod is exact, and so is it to take off the rest of a turn."""
        if self.period is None:
            return x
        rest = np.fmod(x, self.period)
        return np.asarray(rest - self.period * np.rint(rest / self.period))

    def is_reached(self, d: FloatArray, h: float) -> BoolArray | bool:
        """Return whether K_h(d) > 0."""
        if not self.is_compact:
            return True
        return np.asarray(np.abs(d) <= h if self.name == "uniform" else np.abs(d) < h)

    def log_density(self, d: Numbers, h: complex) -> Numbers:
        """Return log K_h(d), -inf where K is 0."""
        distance: Numbers = np.abs(d.real)
        if np.iscomplexobj(d):
            distance = np.where(distance < self.half_period, d * np.sign(d.real), distance)
        if self.period is not None and self.name in NATIVE:
            return np.asarray(NATIVE[self.name](distance, h, self.period))
        log_k = self._log_line(distance, h) - np.log(h)
        return np.asarray(log_k if self.period is None else log_k - np.log(self._mass(0.5 * self.period / h)))

    def log_density_at(self, distance: float, h: float) -> float:
        """Return log K_h at one real distance."""
        return float(self.log_density(np.array([distance]), h)[0].real)

    def log_mass(self, h: float) -> float:
        """Return the log of what K_h of the line integrates to over the circle; 0 on the line and for circular K."""
        if self.period is None or self.name in NATIVE:
            return 0.0
        return math.log(self._mass(0.5 * self.period / h).real)

    def _log_line(self, distance: Numbers, h: complex) -> Numbers:
        """Return log K(u) for u = d/h; u and the remainder 1 - u are each formed with one rounding."""
        if not self.is_compact:
            return np.asarray(UNBOUNDED[self.name](distance / h, self.df))
        remainder = (h - distance) / h
        at_edge = _AT_EDGE.get(self.name, 0.5)  # of the inner slope half
        is_edge = np.abs(remainder.real) < _SQUARE_OF_A_STEP
        inside = np.where(is_edge, at_edge, remainder.real > 0.0)
        shape = inside * COMPACT[self.name](np.where(inside > 0.0, remainder, 1.0))
        with np.errstate(divide="ignore"):
            return np.where(inside > 0.0, np.log(shape), -np.inf)

    @lru_cache(maxsize=64)  # noqa: B019 a formula is a few numbers
    def _mass(self, v: complex) -> complex:
        """Return ∫_{-v}^{v} K(u) du: Gauss panels to Re v, and the edge's 2 K(v) Im v beyond it."""
        real = complex(v).real
        unit = min(1.0, math.sqrt(self.df)) if self.name == "student-t" else 1.0
        u, weights = graded_panels(min(real, 1.0) if self.is_compact else real, unit)
        log_k, edge = self._log_line(u, 1.0), self._log_line(np.array([real]), 1.0)
        return complex(2.0 * (weights @ np.exp(log_k)) + 2.0 * np.exp(edge[0]) * (v - real))


def formula_of(problem: Problem) -> Formula:
    """Return the formula of the problem's kernel."""
    return Formula(problem.kernel.name, problem.settings.df, problem.settings.circumference)


def graded_panels(top: float, unit: float) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of panels of 20 Gauss nodes on [0, top]: eight of width `unit`, then ever wider ones."""
    edges = [unit * k for k in range(9)]
    while edges[-1] < top:
        edges.append(2.0 * edges[-1])
    ends = np.unique(np.minimum(edges, top))
    points, weights = LEGENDRE
    half = 0.5 * np.diff(ends)[:, np.newaxis]
    middle = 0.5 * (ends[1:] + ends[:-1])[:, np.newaxis]
    return (middle + half * points).ravel(), (half * weights).ravel()


def _von_mises(d: Numbers, h: complex, period: float) -> Any:
    """Return the log of exp(-2κ sin²(θ/2)), normalised."""
    return _von_mises_shape(d, h, period) - _log_von_mises_mass(h, period)


def _von_mises_shape(d: Numbers, h: complex, period: float) -> Any:
    chord = np.sin(math.pi * d / period) * (period / math.pi) / h
    return -0.5 * chord * chord


@lru_cache(maxsize=64)
def _log_von_mises_mass(h: complex, period: float) -> Any:
    """Return log ∫ exp(-2κ sin²(θ/2)) over the circle, by Gauss panels over half of it."""
    nodes, weights = graded_panels(0.5 * period, min(complex(h).real, period))
    return np.log(2.0 * (weights @ np.exp(_von_mises_shape(nodes, h, period))))


def _wrapped_gaussian(d: Numbers, h: complex, period: float) -> Any:
    """Return log Σ_n exp(-(d + nP)²/(2h²))/(h√(2π)); from h = P on by Poisson's (1 + 2 Σ q^(n²) cos nθ)/P."""
    theta = 2.0 * math.pi * d / period
    s = 2.0 * math.pi * h / period
    if complex(h).real >= period:
        waves = [2.0 * np.exp(-0.5 * (n * s) ** 2) * np.cos(n * theta) for n in (1, 2)]
        return np.log(1.0 + waves[0] + waves[1]) - math.log(period)
    turns = math.ceil(10.0 * complex(h).real / period) + 1
    images = (sign * n * period for n in range(1, turns + 1) for sign in (1.0, -1.0))
    others = sum(np.exp(-turn * (2.0 * d + turn) / (2.0 * h * h)) for turn in images)
    return -0.5 * (d / h) ** 2 + np.log(1.0 + others) - np.log(h * math.sqrt(2.0 * math.pi))


def _wrapped_laplace(d: Numbers, h: complex, period: float) -> Any:
    """Return log of cosh((P/2 - |d|)/h)/(2h sinh(P/(2h)))."""
    v, w = 0.5 * period / h, (0.5 * period - d) / h
    log_ratio = np.log(1.0 + np.exp(-2.0 * w)) - np.log(-np.expm1(-2.0 * v))  # log of cosh w/e^w over sinh v/e^v
    return -d / h + log_ratio - np.log(2.0 * h)


def _wrapped_cauchy(d: Numbers, h: complex, period: float) -> Any:
    """Return log of t/(P (t² + sin²(θ/2)/cosh²(γ/2))), t = tanh(γ/2): sinh γ/(P (cosh γ - cos θ)) in half angles."""
    half = math.pi * h / period
    t = np.tanh(half)
    decay = 2.0 * np.exp(-half) / (1.0 + np.exp(-2.0 * half))  # 1/cosh(γ/2)
    return np.log(t) - np.log(t * t + (np.sin(math.pi * d / period) * decay) ** 2) - math.log(period)


NATIVE: Final[Mapping[str, Callable[[Numbers, complex, float], Any]]] = {
    "von-mises": _von_mises,
    "wrapped-gaussian": _wrapped_gaussian,
    "wrapped-laplace": _wrapped_laplace,
    "wrapped-cauchy": _wrapped_cauchy,
}
