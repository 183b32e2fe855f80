"""The oracle: the definitions and kernels of kdegrad/properties/README.md, evaluated in 50 digits.

The code follows the definitions and shares no formula with kdegrad: K is a density, p a sum, R a mean of r = S K/p. The
exponents of mpmath are unlimited, so that nothing underflows and no logarithms are needed. The float64 inputs (angles,
logits, bandwidth, nodes and weights of the rule) are taken as exact.

`truth(problem)` reads the inputs of a `Problem` but not its kernel object; `kernel(...)` is one kernel at one place.
The derivatives of the kernels are written out here; `test_oracle.py` compares them with differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from mpmath import mp, mpf

from kdegrad import Problem
from kdegrad.objective import nodes_of

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


def _von_mises(h: mpf, period: mpf) -> Kernel:
    """Return exp(κ cos θ)/(P I0(κ)), θ = 2πd/P, κ = 1/(2πh/P)²; ∂κ/∂log h = -2κ."""
    turn = 2 * mp.pi / period
    kappa = 1 / (turn * h) ** 2
    with mp.workdps(DIGITS + 20):
        if kappa < 10**6:
            i0, i1 = mp.besseli(0, kappa), mp.besseli(1, kappa)
            scaled, ratio = +(i0 * mp.exp(-kappa)), +(i1 / i0)
        else:  # DLMF 10.40.1: each term is 1/(8κ) of the one before, so that ten give 50 digits
            sums = [
                1
                + sum(
                    mp.fprod(-(4 * o * o - (2 * k - 1) ** 2) / (8 * k * kappa) for k in range(1, n + 1))
                    for n in range(1, 14)
                )
                for o in (0, 1)
            ]
            scaled, ratio = +(sums[0] / mp.sqrt(2 * mp.pi * kappa)), +(sums[1] / sums[0])

    def values(d: mpf) -> Values:
        theta = turn * d
        cosine = mp.cos(theta)
        density = mp.exp(kappa * (cosine - 1)) / (period * scaled)
        return Values(density, -kappa * mp.sin(theta) * turn * density, -2 * kappa * (cosine - ratio) * density)

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
    """The numbers of a problem, and how large the errors of float64 may be (see `truth`).

    Attributes
    ----------
    loss
        L; inf where a node is uncovered: then the other lists are empty.
    weights, responsibilities, logits, per_weight, angles
        S, R, ∂L/∂z, ∂L/∂z/S and ∂L/∂x, N of each.
    log_bandwidth
        ∂L/∂log h.
    loss_bound, logit_bounds
        The promise of kdegrad/properties/README.md, section "Accuracy".
    angle_bounds, bandwidth_bound
        The corresponding bounds of the other two gradients; see `truth`.
    """

    loss: mpf
    weights: list[mpf]
    responsibilities: list[mpf]
    logits: list[mpf]
    per_weight: list[mpf]
    angles: list[mpf]
    log_bandwidth: mpf
    loss_bound: float
    logit_bounds: list[mpf]
    angle_bounds: list[mpf]
    bandwidth_bound: mpf


def displacement(t: float, x: float, period: float | None) -> mpf:
    """Return t ⊖ x, exactly."""
    d = mpf(t) - mpf(x)
    if period is not None:
        d -= mpf(period) * mp.nint(d / mpf(period))
    return d


def softmax(logits: np.ndarray) -> list[mpf]:
    """Return S_j; the largest logit is subtracted only to keep the exponents short."""
    top = mpf(float(logits.max()))
    terms = [mp.exp(mpf(float(z)) - top) if np.isfinite(z) else mpf(0) for z in logits]
    total = mp.fsum(terms)
    return [term / total for term in terms]


def truth(problem: Problem) -> Truth:
    """Return the exact numbers of `problem` with their bounds.

    The promise: with A_jm = |log S_j| + |log K| + |k'| (|t_m| + |x_j|) over pairs with K > 0, A = max_m Σ_j r_j A_jm,

        |error of L|       ≤ 1e-12 + 8 ε A
        |error of ∂L/∂z_i| ≤ max(S_i, R_i) (1e-12 + 8 ε (A + max_m A_im)) + 1e-300.

    Nothing is promised for the other two gradients. Their bounds follow from the same rounding errors: each term of the
    sum has the relative error above, and an error by the change of its slope while d changes by the rounding
    δ = 8 ε (|t_m| + |x_i|) of the coordinates (at a kink, the jump):

        |error of ∂L/∂x_i|   ≤ Σ_m (w_m S_i/p) (|∂K| (1e-12 + 8 ε (A + A_im)) + |∂K(d+δ) - ∂K(d-δ)|)
        |error of ∂L/∂log h| ≤ the same, summed over i, with K + |d ∂K/∂d| + |∂K/∂log h| for |∂K|.
    """
    with mp.workdps(DIGITS):
        return _truth(problem)


def _truth(problem: Problem) -> Truth:
    settings = problem.settings
    period, h = settings.circumference, mpf(float(settings.bandwidth))
    k = kernel(problem.kernel.name, float(settings.bandwidth), period, float(settings.df))
    angles = [float(x) for x in problem.angles]
    rule = nodes_of(problem)
    nodes = [float(t) for t in rule.nodes]
    rule_weights = [mpf(float(w)) for w in rule.weights]
    share = (1 - mpf(float(settings.background))) * mpf(float(settings.scale))
    floor = mpf(0)
    if settings.background:
        low, high = problem.interval
        floor = mpf(float(settings.background)) / (mpf(float(high)) - mpf(float(low)))
    weights = softmax(problem.logits)
    size_of_logs = [_log(s) for s in weights]

    d = [[displacement(t, x, period) for x in angles] for t in nodes]
    table = [[k(e) for e in row] for row in d]
    densities = [share * mp.fdot(weights, [v.density for v in row]) + floor for row in table]
    if min(densities) == 0:
        nothing: list[mpf] = []
        return Truth(mp.inf, weights, nothing, nothing, nothing, nothing, mp.nan, 0.0, nothing, nothing, mp.nan)
    loss = -mp.fdot(rule_weights, [mp.log(p) for p in densities])

    quotients = [w * share / p for w, p in zip(rule_weights, densities, strict=True)]
    count = range(len(angles))
    over_weight = [mp.fdot(quotients, [row[i].density for row in table]) for i in count]
    responsibilities = [s * ratio for s, ratio in zip(weights, over_weight, strict=True)]
    total = mp.fsum(responsibilities)
    angle_gradient = [weights[i] * mp.fdot(quotients, [row[i].slope for row in table]) for i in count]
    bandwidth_parts = [weights[i] * mp.fdot(quotients, [row[i].bandwidth_slope for row in table]) for i in count]

    spans = [[abs(t) + abs(x) for x in angles] for t in nodes]
    sizes = [
        [
            abs(size_of_logs[i]) + abs(_log(v.density)) + float(abs(v.slope) / v.density) * spans[m][i]
            if v.density > 0 and weights[i] > 0
            else 0.0
            for i, v in enumerate(row)
        ]
        for m, row in enumerate(table)
    ]
    size = max(
        math.fsum(float(weights[i] * v.density * share / p) * sizes[m][i] for i, v in enumerate(row))
        for m, (row, p) in enumerate(zip(table, densities, strict=True))
    )
    relative = [1e-12 + 8 * EPS * (size + max(sizes[m][i] for m in range(len(nodes)))) for i in count]
    angle_bounds, bandwidth_bound = [mpf(0) for _ in count], mpf(0)
    for m, row in enumerate(table):
        for i, v in enumerate(row):
            rounding = 8 * EPS * spans[m][i]
            below, above = k(d[m][i] - rounding), k(d[m][i] + rounding)
            factor = weights[i] * quotients[m]
            angle_bounds[i] += factor * (abs(v.slope) * relative[i] + abs(above.slope - below.slope))
            terms = v.density + abs(d[m][i] * v.slope) + abs(v.bandwidth_slope)
            change = abs(above.bandwidth_slope - below.bandwidth_slope)
            bandwidth_bound += factor * (terms * relative[i] + change)
    return Truth(
        loss=loss,
        weights=weights,
        responsibilities=responsibilities,
        logits=[s * total - r for s, r in zip(weights, responsibilities, strict=True)],
        per_weight=[total - ratio for ratio in over_weight],
        angles=angle_gradient,
        log_bandwidth=-mp.fsum(bandwidth_parts),
        loss_bound=1e-12 + 8 * EPS * size,
        logit_bounds=[
            max(s, r) * bound + mpf("1e-300") for s, r, bound in zip(weights, responsibilities, relative, strict=True)
        ],
        angle_bounds=[bound + mpf("1e-300") * max(1, 1 / h) for bound in angle_bounds],
        bandwidth_bound=bandwidth_bound + mpf("1e-300"),
    )


def _log(x: mpf) -> float:
    """Return log x to a few digits, which is enough for a bound; 0 for 0."""
    if x == 0:
        return 0.0
    mantissa, exponent = mp.frexp(x)
    return math.log(float(mantissa)) + float(exponent) * math.log(2.0)
