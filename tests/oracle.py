"""The oracle: the definitions and kernels of kdegrad/properties/README.md, evaluated in 50 digits.

The code follows the definitions and shares no formula with kdegrad: K is a density, p a sum, R a mean of r = S K/p. The
exponents of mpmath are unlimited, so that nothing underflows and no logarithms are needed. The float64 inputs (angles,
logits, bandwidth, nodes and weights of the rule) are taken as exact.

`truth(problem)` reads the inputs of a `Problem` but not its kernel object; `kernel(...)` is one kernel at one place.
The derivatives of the kernels are written out here; `test_oracle.py` compares them with differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
from mpmath import mp, mpf

from kdegrad import Problem, evaluate
from kdegrad.quadrature import Rule

DIGITS = 50
EPS = float(np.finfo(np.float64).eps)

Shape = Callable[[mpf], tuple[mpf, mpf]]


class Values(NamedTuple):
    """A kernel at one displacement d: K_h, ∂K_h/∂d and ∂K_h/∂log h."""

    density: mpf
    slope: mpf
    bandwidth_slope: mpf


Kernel = Callable[[mpf], Values]


# --- The line kernels: u ≥ 0 → K(u), K'(u) ---------------------------------------------------------------------------


def _gaussian(u: mpf) -> tuple[mpf, mpf]:
    k = mp.exp(-u * u / 2) / mp.sqrt(2 * mp.pi)
    return k, -u * k


def _laplace(u: mpf) -> tuple[mpf, mpf]:
    k = mp.exp(-u) / 2
    return k, -k


def _logistic(u: mpf) -> tuple[mpf, mpf]:
    e = mp.exp(u)
    k = 1 / (e + 2 + 1 / e)
    return k, -(e - 1 / e) * k * k


def _sigmoid(u: mpf) -> tuple[mpf, mpf]:
    e = mp.exp(u)
    k = 2 / (mp.pi * (e + 1 / e))
    return k, -k * (e - 1 / e) / (e + 1 / e)


def _cauchy(u: mpf) -> tuple[mpf, mpf]:
    k = 1 / (mp.pi * (1 + u * u))
    return k, -2 * u * mp.pi * k * k


def _student_t(df: float) -> Shape:
    nu = mpf(df)
    constant = mp.exp(mp.loggamma((nu + 1) / 2) - mp.loggamma(nu / 2)) / mp.sqrt(nu * mp.pi)

    def shape(u: mpf) -> tuple[mpf, mpf]:
        k = constant * (1 + u * u / nu) ** (-(nu + 1) / 2)
        return k, -(nu + 1) * u / (nu + u * u) * k

    return shape


def _compact(inside: Shape) -> Shape:
    """Return the kernel that is 0 beyond u = 1; at the edge its slope is the mean of the one-sided ones."""

    def shape(u: mpf) -> tuple[mpf, mpf]:
        if u > 1:
            return mpf(0), mpf(0)
        k, slope = inside(u)
        return k, slope / 2 if u == 1 else slope

    return shape


def _polynomial(constant: mpf, inner: int, outer: int) -> Shape:
    """Return constant · (1 - u^inner)^outer on u ≤ 1."""

    def inside(u: mpf) -> tuple[mpf, mpf]:
        base = 1 - u**inner
        return constant * base**outer, -constant * outer * base ** (outer - 1) * inner * u ** (inner - 1)

    return _compact(inside)


def _cosine(u: mpf) -> tuple[mpf, mpf]:
    return mp.pi / 4 * mp.cos(mp.pi * u / 2), -mp.pi * mp.pi / 8 * mp.sin(mp.pi * u / 2)


def _uniform(u: mpf) -> tuple[mpf, mpf]:
    return mpf(1) / 2, mpf(0)


COMPACT = ("epanechnikov", "biweight", "triweight", "tricube", "triangular", "cosine", "uniform")
NATIVE = ("von-mises", "wrapped-gaussian", "wrapped-laplace", "wrapped-cauchy")


@cache
def line_shape(name: str, df: float = 3.0) -> Shape:
    """Return u ≥ 0 → (K(u), K'(u)) of a line kernel."""
    with mp.workdps(DIGITS):
        if name == "student-t":
            return _student_t(df)
        return {
            "gaussian": _gaussian,
            "laplace": _laplace,
            "logistic": _logistic,
            "sigmoid": _sigmoid,
            "cauchy": _cauchy,
            "epanechnikov": _polynomial(mpf(3) / 4, 2, 1),
            "biweight": _polynomial(mpf(15) / 16, 2, 2),
            "triweight": _polynomial(mpf(35) / 32, 2, 3),
            "tricube": _polynomial(mpf(70) / 81, 3, 3),
            "triangular": _polynomial(mpf(1), 1, 1),
            "cosine": _compact(_cosine),
            "uniform": _compact(_uniform),
        }[name]


def mass(name: str, v: mpf, df: float = 3.0) -> mpf:
    """Return ∫_{-v}^{v} K(u) du: closed forms, and for compact kernels a quadrature of the polynomial itself."""
    if name in COMPACT:
        shape = line_shape(name)
        return 2 * mp.quad(lambda u: shape(u)[0], [0, min(v, mpf(1))])
    if name == "student-t":
        nu = mpf(df)
        if df > 100:  # the incomplete beta function takes minutes there; the mass beyond u = 25 is below 1e-60
            shape = line_shape(name, df)
            upper = min(v, mpf(25))
            return 2 * mp.quad(lambda u: shape(u)[0], mp.linspace(0, upper, 8), method="gauss-legendre")
        if v * v < nu:  # I_x(1/2, ν/2), x = v²/(ν + v²), from the side where x is small
            return mp.betainc(mpf(1) / 2, nu / 2, 0, v * v / (nu + v * v), regularized=True)
        return 1 - mp.betainc(nu / 2, mpf(1) / 2, 0, nu / (nu + v * v), regularized=True)
    return {
        "gaussian": lambda: mp.erf(v / mp.sqrt(2)),
        "laplace": lambda: -mp.expm1(-v),
        "logistic": lambda: mp.tanh(v / 2),
        "sigmoid": lambda: 4 / mp.pi * mp.atan(mp.tanh(v / 2)),
        "cauchy": lambda: 2 / mp.pi * mp.atan(v),
    }[name]()


# --- Kernels of the displacement -------------------------------------------------------------------------------------


@cache
def kernel(name: str, bandwidth: float, period: float | None = None, df: float = 3.0) -> Kernel:
    """Return d → `Values` of a kernel on the line, or on the circle of circumference `period` for d in [-P/2, P/2]."""
    with mp.workdps(DIGITS):
        if name in NATIVE:
            assert period is not None
            return {
                "von-mises": _von_mises,
                "wrapped-gaussian": _wrapped_gaussian,
                "wrapped-laplace": _wrapped_laplace,
                "wrapped-cauchy": _wrapped_cauchy,
            }[name](mpf(bandwidth), mpf(period))
        return _of_line_shape(name, mpf(bandwidth), None if period is None else mpf(period), df)


def _of_line_shape(name: str, h: mpf, period: mpf | None, df: float) -> Kernel:
    """Return K(|d|/h)/(h c), c = 1 on the line and the mass within half a turn on the circle."""
    shape = line_shape(name, df)
    c, log_c_slope = mpf(1), mpf(0)
    if period is not None:
        v = period / (2 * h)
        c = mass(name, v, df)
        log_c_slope = -2 * v * shape(v)[0] / c  # ∂log c/∂log h: the ends of the integral move

    def values(d: mpf) -> Values:
        u = abs(d) / h
        k, slope = shape(u)
        at_antipode = period is not None and 2 * abs(d) >= period
        density = k / (h * c)
        signed = mpf(0) if at_antipode else mp.sign(d) * slope / (h * h * c)
        return Values(density, signed, -(k + u * slope) / (h * c) - density * log_c_slope)

    return values


def bessel(kappa: mpf) -> tuple[mpf, mpf]:
    """Return e^-κ I0(κ), and 1 - I1(κ)/I0(κ) to as many digits."""
    with mp.workdps(DIGITS + 40):
        if kappa < 10**6:
            i0, i1 = mp.besseli(0, kappa), mp.besseli(1, kappa)
            return i0 * mp.exp(-kappa), 1 - i1 / i0
        # DLMF 10.40.1: each term is 1/(8κ) of the one before, so that ten give 50 digits
        sums = [
            1
            + sum(
                mp.fprod(-(4 * o * o - (2 * k - 1) ** 2) / (8 * k * kappa) for k in range(1, n + 1))
                for n in range(1, 14)
            )
            for o in (0, 1)
        ]
        return sums[0] / mp.sqrt(2 * mp.pi * kappa), 1 - sums[1] / sums[0]


def _von_mises(h: mpf, period: mpf) -> Kernel:
    """Return exp(κ cos θ)/(P I0(κ)), θ = 2πd/P, κ = 1/(2πh/P)²; ∂κ/∂log h = -2κ."""
    turn = 2 * mp.pi / period
    kappa = 1 / (turn * h) ** 2
    scaled, lag = bessel(kappa)

    def values(d: mpf) -> Values:
        theta = turn * d
        fall = 2 * mp.sin(theta / 2) ** 2  # 1 - cos θ
        density = mp.exp(-kappa * fall) / (period * scaled)
        return Values(density, -kappa * mp.sin(theta) * turn * density, 2 * kappa * (fall - lag) * density)

    return values


def _wrapped_gaussian(h: mpf, period: mpf) -> Kernel:
    """Return Σ_n exp(-(d + nP)²/(2h²))/(h√(2π)): this sum for h ≤ P/4, Poisson's theta series for larger h."""
    return gaussian_over_turns(h, period) if 4 * h <= period else gaussian_by_cosines(h, period)


def gaussian_over_turns(h: mpf, period: mpf) -> Kernel:
    """Return the sum over turns, up to terms below 1e-60 of the largest."""
    reach = int(mp.ceil(h / period * 17)) + 1
    norm = h * mp.sqrt(2 * mp.pi)

    def values(d: mpf) -> Values:
        density = slope = bandwidth_slope = mpf(0)
        for n in range(-reach, reach + 1):
            u = (d + n * period) / h
            k = mp.exp(-u * u / 2) / norm
            density += k
            slope -= u / h * k
            bandwidth_slope += (u * u - 1) * k
        return Values(density, slope, bandwidth_slope)

    return values


def gaussian_by_cosines(h: mpf, period: mpf) -> Kernel:
    """Return (1/P)(1 + 2 Σ_n exp(-(2πh/P)² n²/2) cos nθ)."""
    turn = 2 * mp.pi / period
    s = turn * h
    most = int(mp.ceil(17 / s)) + 1
    factors = [2 * mp.exp(-((n * s) ** 2) / 2) / period for n in range(most + 1)]

    def values(d: mpf) -> Values:
        density, slope, bandwidth_slope = 1 / period, mpf(0), mpf(0)
        for n in range(1, most + 1):
            wave = factors[n] * mp.cos(n * turn * d)
            density += wave
            slope -= n * turn * factors[n] * mp.sin(n * turn * d)
            bandwidth_slope -= (n * s) ** 2 * wave
        return Values(density, slope, bandwidth_slope)

    return values


def _wrapped_laplace(h: mpf, period: mpf) -> Kernel:
    """Return Σ_n exp(-|d + nP|/h)/(2h), two geometric series: cosh((P/2 - |d|)/h) / (2h sinh(P/(2h)))."""
    half = period / (2 * h)
    denominator = 2 * h * mp.sinh(half)
    coth = mp.coth(half)

    def values(d: mpf) -> Values:
        w = half - abs(d) / h
        density = mp.cosh(w) / denominator
        sine = mp.sinh(w) / denominator
        return Values(density, -mp.sign(d) * sine / h, -density - w * sine + half * coth * density)

    return values


def _wrapped_cauchy(h: mpf, period: mpf) -> Kernel:
    """Return sinh γ/(P (cosh γ - cos θ)), γ = 2πh/P."""
    turn = 2 * mp.pi / period
    gamma = turn * h
    sinh, cosh = mp.sinh(gamma), mp.cosh(gamma)

    def values(d: mpf) -> Values:
        theta = turn * d
        below = cosh - mp.cos(theta)
        density = sinh / (period * below)
        return Values(
            density,
            -density * mp.sin(theta) * turn / below,
            gamma * (cosh / below - sinh * sinh / (below * below)) / period,
        )

    return values


# --- The problem -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """The numbers of a problem.

    Attributes
    ----------
    loss
        L; inf where a node is uncovered: then the other lists are empty.
    weights, responsibilities, logits, per_weight, angles
        S, R, ∂L/∂z, ∂L/∂z/S and ∂L/∂x, N of each.
    log_bandwidth
        ∂L/∂log h.
    """

    loss: mpf
    weights: list[mpf]
    responsibilities: list[mpf]
    logits: list[mpf]
    per_weight: list[mpf]
    angles: list[mpf]
    log_bandwidth: mpf


def displacement(t: float | mpf, x: float | mpf, period: float | None) -> mpf:
    """Return t ⊖ x, in rational numbers before it is rounded to 50 digits."""
    t, x = (Fraction(*place.as_integer_ratio()) for place in (t, x))
    d = t - x
    if period is not None:
        d -= Fraction(period) * round(d / Fraction(period))
    return mpf(d.numerator) / mpf(d.denominator)


def softmax(logits: np.ndarray) -> list[mpf]:
    """Return S_j; the largest logit is subtracted only to keep the exponents short."""
    top = mpf(float(logits.max()))
    terms = [mp.exp(mpf(float(z)) - top) if np.isfinite(z) else mpf(0) for z in logits]
    total = mp.fsum(terms)
    return [term / total for term in terms]


def truth(problem: Problem, rule: Rule | None = None) -> Truth:
    """Return the exact numbers of `problem`, for the nodes and weights of its own quadrature unless a rule is given."""
    with mp.workdps(DIGITS):
        return _truth(problem, evaluate(problem, wrt=()).rule if rule is None else rule)


def _truth(problem: Problem, rule: Rule) -> Truth:
    settings = problem.settings
    period = settings.circumference
    k = kernel(problem.kernel.name, float(settings.bandwidth), period, float(settings.df))
    angles = [float(x) for x in problem.angles]
    nodes = [float(t) for t in rule.nodes]
    rule_weights = [mpf(float(w)) for w in rule.weights]
    share = (1 - mpf(float(settings.background))) * mpf(float(settings.scale))
    floor = mpf(0)
    if settings.background:
        low, high = problem.target or (0.0, period)  # beside target points all round the circle
        floor = mpf(float(settings.background)) / (mpf(float(high)) - mpf(float(low)))
    weights = softmax(problem.logits)

    table = [[k(displacement(t, x, period)) for x in angles] for t in nodes]
    densities = [share * mp.fdot(weights, [v.density for v in row]) + floor for row in table]
    if min(densities) == 0:
        nothing: list[mpf] = []
        return Truth(mp.inf, weights, nothing, nothing, nothing, nothing, mp.nan)
    loss = -mp.fdot(rule_weights, [mp.log(p) for p in densities])

    quotients = [w * share / p for w, p in zip(rule_weights, densities, strict=True)]
    count = range(len(angles))
    of_bandwidth = [weights[i] * mp.fdot(quotients, [row[i].bandwidth_slope for row in table]) for i in count]
    over_weight = [mp.fdot(quotients, [row[i].density for row in table]) for i in count]
    responsibilities = [s * ratio for s, ratio in zip(weights, over_weight, strict=True)]
    total = mp.fsum(responsibilities)
    return Truth(
        loss=loss,
        weights=weights,
        responsibilities=responsibilities,
        logits=[s * total - r for s, r in zip(weights, responsibilities, strict=True)],
        per_weight=[total - ratio for ratio in over_weight],
        angles=[weights[i] * mp.fdot(quotients, [row[i].slope for row in table]) for i in count],
        log_bandwidth=-mp.fsum(of_bandwidth),
    )
