"""The oracle in 64-bit mantissas: the definitions of kdegrad/properties/README.md over arrays, and the promised bounds.

`np.longdouble` of x86 has 11 bits more than float64 and exponents to ±4932: the errors of this evaluation are about
1/2000 of those that are promised for kdegrad, and a problem takes a millisecond where 50 digits take a second. The code
shares no formula with kdegrad beyond the definitions; constants of the kernels come from the oracle of 50 digits, to
which `test_scale.py` binds the rest.

`truth` also returns how large the errors of float64 may be. With A_jm = |log S_j| + |log K| + |k'| (|t_m| + |x_j|) over
pairs with K > 0 and A = max_m Σ_j r_j A_jm, the promise is

    |error of L|       ≤ 1e-12 + 8 ε A
    |error of ∂L/∂z_i| ≤ max(S_i, R_i) (exp(e_i) - 1) + 1e-300,   e_i = 1e-12 + 8 ε (A + max_m A_im),

to first order max(S_i, R_i) e_i; an error of e in a logarithm is one of exp(e) - 1 in its exponential. On a circle |t|
and |x| count up to P: places are reduced exactly. Nothing is promised for the other two gradients. Their bounds follow
from the same rounding errors: each term of the sum has the relative error above, and an error by the change of its
slope while d changes by the rounding δ = 8 ε (|t_m| + |x_i|) of the coordinates,

    |error of ∂L/∂x_i|   ≤ Σ_m (w_m S_i/p) (|∂K| (exp(e_i) - 1) + |∂K(d+δ) - ∂K(d)| + |∂K(d) - ∂K(d-δ)|)
    |error of ∂L/∂log h| ≤ the same, summed over i, with K + |d ∂K/∂d| + |∂K/∂log h| for |∂K|.

Within δ of a kink or of the edge of a compact kernel either side is right, unless t ⊖ x is exact in float64: `sides`
has the jumps of the angle gradients, and the loss and the gradient of the logits have a lowest and a highest value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from mpmath import mp, mpf

from kdegrad import Problem
from kdegrad.quadrature import Rule
from tests import oracle

Real = np.longdouble
RealArray = np.ndarray
BITS = np.finfo(Real).nmant  # 63 where longdouble is x86's; elsewhere only the bounds are of use
EPS = Real(np.finfo(np.float64).eps)
PI = Real("3.14159265358979323846264338327950288")
PAIRS = 20_000  # of one block
ROUNDINGS = Real(8)
LEAST = Real("1e-12")
TINY = Real("1e-300")
SMALLEST = Real(5e-324)
DIGITS = 30  # of the constants
RANGE = mpf(10) ** int(np.log10(np.finfo(Real).max))


class Values(NamedTuple):
    """A kernel at distances |d|: log K_h, and ∂K_h/∂|d| and ∂K_h/∂log h as factors of exp(size).

    Those of a compact kernel are also given as from the inside of its edge, without the jump there.
    """

    log: RealArray
    size: RealArray
    slope: RealArray
    spread: RealArray
    inner_slope: RealArray
    inner_spread: RealArray


Kernel = Callable[[RealArray], Values]


def smooth(log: RealArray, size: RealArray, slope: RealArray, spread: RealArray) -> Values:
    """Return the values of a kernel without an edge."""
    return Values(log, size, slope, spread, slope, spread)


def real(x: mpf) -> Real:
    """Return a number of many digits as a longdouble; 0 or inf beyond its range."""
    if abs(x) > RANGE or (x != 0 and abs(x) < 1 / RANGE):
        return Real(np.inf) * int(mp.sign(x)) if abs(x) > 1 else Real(0)
    return Real(mp.nstr(x, DIGITS))


# --- Kernels ---------------------------------------------------------------------------------------------------------


@cache
def kernel(name: str, bandwidth: float, period: float | None, df: float) -> Kernel:
    """Return |d| → `Values` of a kernel on the line, or on the circle of circumference `period`."""
    with mp.workdps(DIGITS):
        if period is not None and name in oracle.NATIVE:
            return {
                "von-mises": _von_mises,
                "wrapped-gaussian": _wrapped_gaussian,
                "wrapped-laplace": _wrapped_laplace,
                "wrapped-cauchy": _wrapped_cauchy,
            }[name](bandwidth, period)
        return _of_line_shape(name, bandwidth, period, df)


def _of_line_shape(name: str, bandwidth: float, period: float | None, df: float) -> Kernel:
    """Return K(u)/(h c), u = |d|/h; with c the mass within half a turn, ∂log c/∂log h = -2v K(v)/c, v = P/(2h)."""
    h = Real(bandwidth)
    log_hc, log_c_slope = np.log(h), Real(0)
    if period is not None:
        v = mpf(period) / (2 * mpf(bandwidth))
        c = _mass(name, v, df)
        log_hc += real(mp.log(c))
        log_c_slope = real(-2 * v * oracle.line_shape(name, df)(v)[0] / c)
    if name in oracle.COMPACT:
        shape = COMPACT[name]

        def compact(a: RealArray) -> Values:
            inner = np.minimum(a, h)
            u = inner / h
            k, slope = shape(u, (h - inner) / h)
            inner_slope, inner_spread = slope / h, -(k + u * slope) - log_c_slope * k
            half = np.where(a < h, Real(1), np.where(a == h, Real(0.5), Real(0)))  # the mean of both sides at the edge
            k = np.where(a <= h, k, Real(0))
            with np.errstate(divide="ignore"):
                log = np.log(k) - log_hc
            spread = -(k + u * half * slope) - log_c_slope * k
            return Values(log, np.full_like(a, -log_hc), half * inner_slope, spread, inner_slope, inner_spread)

        return compact

    log_shape, log_slope = _unbounded(name, df)

    def unbounded(a: RealArray) -> Values:
        u = a / h
        log, g = log_shape(u) - log_hc, log_slope(u)
        return smooth(log, log, g / h, -(1 + u * g) - log_c_slope)

    return unbounded


Shape = Callable[[RealArray], RealArray]


def _unbounded(name: str, df: float) -> tuple[Shape, Shape]:
    """Return u ≥ 0 → log K(u) and its derivative."""
    if name == "student-t":
        nu = Real(df)
        constant = real(mp.loggamma((mpf(df) + 1) / 2) - mp.loggamma(mpf(df) / 2) - mp.log(mpf(df) * mp.pi) / 2)
        return (
            lambda u: constant - (nu + 1) / 2 * np.log1p(u * u / nu),
            lambda u: -(nu + 1) * u / (nu + u * u),
        )
    log2, logpi = np.log(Real(2)), np.log(PI)
    shapes: dict[str, tuple[Shape, Shape]] = {
        "gaussian": (lambda u: -u * u / 2 - (log2 + logpi) / 2, lambda u: -u),
        "laplace": (lambda u: -u - log2, lambda u: np.full_like(u, -1)),
        "logistic": (lambda u: -u - 2 * np.log1p(np.exp(-u)), lambda u: -np.tanh(u / 2)),
        "sigmoid": (lambda u: log2 - logpi - u - np.log1p(np.exp(-2 * u)), lambda u: -np.tanh(u)),
        "cauchy": (lambda u: -np.log1p(u * u) - logpi, lambda u: -2 * u / (1 + u * u)),
    }
    return shapes[name]


# K(u) and K'(u) for 0 ≤ u ≤ 1, from u and s = 1 - u.
COMPACT: dict[str, Callable[[RealArray, RealArray], tuple[RealArray, RealArray]]] = {
    "epanechnikov": lambda u, s: (Real(3) / 4 * s * (1 + u), -Real(3) / 2 * u),
    "biweight": lambda u, s: (Real(15) / 16 * (s * (1 + u)) ** 2, -Real(15) / 4 * u * s * (1 + u)),
    "triweight": lambda u, s: (Real(35) / 32 * (s * (1 + u)) ** 3, -Real(105) / 16 * u * (s * (1 + u)) ** 2),
    "tricube": lambda u, s: (
        Real(70) / 81 * (s * (1 + u + u * u)) ** 3,
        -Real(70) / 9 * u * u * (s * (1 + u + u * u)) ** 2,
    ),
    "triangular": lambda u, s: (s, np.full_like(s, -1)),
    "cosine": lambda u, s: (PI / 4 * np.sin(PI / 2 * s), -PI * PI / 8 * np.sin(PI / 2 * u)),
    "uniform": lambda u, s: (np.full_like(u, 0.5), np.zeros_like(u)),
}


def _mass(name: str, v: mpf, df: float) -> mpf:
    """Return ∫_{-v}^{v} K(u) du."""
    if name not in oracle.COMPACT:
        return oracle.mass(name, v, df)
    v = min(v, mpf(1))
    return {
        "epanechnikov": lambda: (3 * v - v**3) / 2,
        "biweight": lambda: mpf(15) / 8 * (v - 2 * v**3 / 3 + v**5 / 5),
        "triweight": lambda: mpf(35) / 16 * (v - v**3 + 3 * v**5 / 5 - v**7 / 7),
        "tricube": lambda: mpf(140) / 81 * (v - 3 * v**4 / 4 + 3 * v**7 / 7 - v**10 / 10),
        "triangular": lambda: 2 * v - v * v,
        "cosine": lambda: mp.sin(mp.pi * v / 2),
        "uniform": lambda: v,
    }[name]()


def _von_mises(bandwidth: float, period: float) -> Kernel:
    """Return exp(-2κ sin²(θ/2))/(P e^-κ I0(κ)), θ = 2πd/P, κ = 1/(2πh/P)²."""
    with mp.workdps(oracle.DIGITS):
        k = (mpf(period) / (2 * mp.pi * mpf(bandwidth))) ** 2
        scaled, lag = oracle.bessel(k)
        kappa, log_norm, lag = real(k), real(mp.log(period * scaled)), real(2 * k * lag)
    circumference = Real(period)

    def values(a: RealArray) -> Values:
        half_angle = PI * a / circumference
        sine = np.sin(half_angle)
        log = -2 * kappa * sine * sine - log_norm
        slope = -kappa * np.sin(2 * half_angle) * 2 * PI / circumference
        return smooth(log, log, slope, 4 * kappa * sine * sine - lag)

    return values


def _wrapped_gaussian(bandwidth: float, period: float) -> Kernel:
    """Return Σ_n exp(-(d + nP)²/(2h²))/(h√(2π)) for h ≤ P/4, else (1/P)(1 + 2 Σ_n exp(-(2πh/P)² n²/2) cos nθ)."""
    h, p = Real(bandwidth), Real(period)
    log_norm = np.log(h) + np.log(2 * PI) / 2

    def by_turns(a: RealArray) -> Values:
        total, first, second = np.zeros_like(a), np.zeros_like(a), np.zeros_like(a)
        for n in range(-4, 5):  # (P/h)² n (n - 1)/2 is 96 for n = 4
            share = np.exp(-n * p * (2 * a + n * p) / (2 * h * h))  # of the term n in that of n = 0, the largest
            total += share
            first += share * (a + n * p) / h
            second += share * ((a + n * p) / h) ** 2
        log = -((a / h) ** 2) / 2 + np.log(total) - log_norm
        return smooth(log, log, -first / total / h, second / total - 1)

    def by_cosines(a: RealArray) -> Values:
        turn = 2 * PI / p
        value, slope, spread = np.ones_like(a), np.zeros_like(a), np.zeros_like(a)
        for n in range(1, 9):  # the steps of 2πh/P are at least 1.57: the eighth term is below e^-79
            step = n * turn * h
            with np.errstate(under="ignore"):
                size = 2 * np.exp(-step * step / 2)
            value += size * np.cos(n * turn * a)
            slope -= size * n * turn * np.sin(n * turn * a)
            spread -= size * step * step * np.cos(n * turn * a) if size > 0 else 0
        log = np.log(value) - np.log(p)
        return smooth(log, np.full_like(a, -np.log(p)), slope, spread)

    return by_turns if 4 * bandwidth <= period else by_cosines


def _wrapped_laplace(bandwidth: float, period: float) -> Kernel:
    """Return cosh((P/2 - |d|)/h)/(2h sinh(P/(2h)))."""
    h, p = Real(bandwidth), Real(period)
    y = mpf(period) / mpf(bandwidth)
    log_norm = real(mp.log(-mp.expm1(-y))) + np.log(2 * h)
    coth_term = real(y / mp.expm1(y))  # y/2 (coth(y/2) - 1)

    def values(a: RealArray) -> Values:
        w = (p - 2 * a) / h  # w/2 is the argument of cosh
        log = -a / h + np.log1p(np.exp(-w)) - log_norm
        # ∂log/∂log h = -1 - w/2 tanh(w/2) + y/2 coth(y/2), with both large terms reduced by w/2 and y/2
        tanh = np.tanh(w / 2)
        rest = w / 2 * (2 * np.exp(-w) / (1 + np.exp(-w)))
        return smooth(log, log, -tanh / h, -1 + a / h + rest + coth_term)

    return values


def _wrapped_cauchy(bandwidth: float, period: float) -> Kernel:
    """Return sinh γ/(P (cosh γ - cos θ)) = T/(P (T² cos²(θ/2) + sin²(θ/2))), γ = 2πh/P, T = tanh(γ/2)."""
    p = Real(period)
    g = 2 * mp.pi * mpf(bandwidth) / mpf(period)
    t = real(mp.tanh(g / 2))
    rest = real(1 / mp.cosh(g / 2) ** 2)  # 1 - T²
    gamma = real(g)

    def values(a: RealArray) -> Values:
        sine, cosine = np.sin(PI * a / p), np.cos(PI * a / p)
        below = (t * cosine) ** 2 + sine * sine
        log = np.log(t / p) - np.log(below)
        slope = -2 * PI / p * rest * sine * cosine / below
        return smooth(log, log, slope, gamma * rest / (2 * t) * (sine - t * cosine) * (sine + t * cosine) / below)

    return values


# --- Displacements ---------------------------------------------------------------------------------------------------


class Displacement(NamedTuple):
    """t ⊖ x: its size and sign, whether float64 has it without rounding, and the rounding δ of its coordinates."""

    size: RealArray
    sign: RealArray
    exact: np.ndarray
    rounding: RealArray


def displacement(t: np.ndarray, x: np.ndarray, period: float | None) -> Displacement:
    """Return t ⊖ x over float64 arrays of one shape."""
    if period is None:
        d = t.astype(Real) - x.astype(Real)
        return Displacement(np.abs(d), np.sign(d), exact_difference(t, x), _rounding(_size(t) + _size(x)))
    near, other = centred(t, period), centred(x, period)
    p = Real(period)
    d = near.astype(Real) - other.astype(Real)
    d -= p * np.rint(d / p)
    exact = np.ones(t.shape, dtype=bool)
    for a, b in ((near, other), (np.fmod(t, period), np.fmod(x, period))):  # however it is formed
        exact &= exact_difference(a, b) & exact_difference(a - b, period * np.rint((a - b) / period))
    spans = np.minimum(_size(t), p) + np.minimum(_size(x), p)
    return Displacement(np.abs(d), np.sign(d), exact, _rounding(spans))


def _rounding(spans: RealArray) -> RealArray:
    """Return δ; next to 0 a coordinate is a multiple of the smallest float64."""
    return ROUNDINGS * (EPS * spans + SMALLEST)


def centred(x: np.ndarray, period: float) -> np.ndarray:
    """Return x less whole turns, in [-P/2, P/2]; every step is exact."""
    r = np.fmod(x, period)
    return np.where(2 * r > period, r - period, np.where(2 * r < -period, r + period, r))


def exact_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return where a - b is exact in float64 (Knuth's two-sum)."""
    s = a - b
    back = s - a
    return (a - (s - back)) - (b + back) == 0


def _size(x: np.ndarray) -> RealArray:
    return np.abs(x).astype(Real)


# --- The problem -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """The numbers of a problem, and how large the errors of float64 may be (see above).

    Attributes
    ----------
    loss, lowest_loss, highest_loss
        L, and its range where pairs are within rounding of an edge; inf where a node is uncovered.
    log_weights, responsibilities
        log S_i and R_i.
    logits, lowest_logits, highest_logits
        ∂L/∂z, and its range.
    per_weight, angles, log_bandwidth
        The other gradients.
    loss_bound, logit_bounds, per_weight_bounds, angle_bounds, bandwidth_bound
        What the errors may be.
    sides
        By how much ∂L/∂x_i may differ more, as either side of a kink is right.
    either
        Whether a pair is within rounding of an edge, so that both of its sides are right; then nothing is said about
        the gradients of angles and bandwidth.
    relative
        exp(e_i) - 1.
    farthest
        The largest |t_m ⊖ x_j|.
    """

    loss: Real
    lowest_loss: Real
    highest_loss: Real
    log_weights: RealArray
    responsibilities: RealArray
    logits: RealArray
    lowest_logits: RealArray
    highest_logits: RealArray
    per_weight: RealArray
    angles: RealArray
    log_bandwidth: Real
    loss_bound: Real
    logit_bounds: RealArray
    per_weight_bounds: RealArray
    angle_bounds: RealArray
    bandwidth_bound: Real
    sides: RealArray
    either: bool
    relative: RealArray
    farthest: Real


def log_softmax(logits: np.ndarray) -> RealArray:
    """Return log S."""
    z = logits.astype(Real)
    z -= z.max()
    return z - np.log(np.exp(z).sum())


@np.errstate(under="ignore", over="ignore", invalid="ignore", divide="ignore")
def truth(problem: Problem, rule: Rule) -> Truth:
    """Return the numbers of `problem` for the nodes and weights of `rule`, with their bounds."""
    settings = problem.settings
    h, period, name = Real(settings.bandwidth), settings.circumference, problem.kernel.name
    k = kernel(name, float(settings.bandwidth), period, float(settings.df))
    count = len(problem.angles)
    log_s = log_softmax(problem.logits)
    finite_log_s = np.where(log_s > -np.inf, np.abs(log_s), 0)
    log_share = np.log1p(-Real(settings.background)) + np.log(Real(settings.scale))
    log_floor = Real(-np.inf)
    if settings.background > 0.0:
        low, high = problem.target or (0.0, period)  # beside target points all round the circle
        log_floor = np.log(Real(settings.background)) - np.log(Real(high) - Real(low))

    edge = h if name in oracle.COMPACT and (period is None or 2 * settings.bandwidth <= period) else None
    kinked = name in ("laplace", "triangular", "wrapped-laplace")
    folded = period is not None and name not in oracle.NATIVE  # geodesic: a kink at the antipode
    loss = lowest = highest = farthest = largest = Real(0)
    zeros = [np.zeros(count, Real) for _ in range(12)]
    shares, least, most, ratios, angles, steepness, change, sides, spread, terms, spread_change, sizes = zeros
    either = False
    block = max(1, PAIRS // count)
    for start in range(0, rule.bins, block):
        t, w = rule.nodes[start : start + block, np.newaxis], rule.weights[start : start + block, np.newaxis]
        t, x = np.broadcast_arrays(t, problem.angles)
        w = w.astype(Real)
        d = displacement(t, x, period)
        farthest = max(farthest, d.size.max())
        v = k(d.size)
        logs = log_s + log_share
        log_p = _log_sum(logs + v.log, log_floor)
        r = np.exp(logs + v.log - log_p)
        loss = loss - (w * log_p).sum()
        shares += (w * r).sum(axis=0)
        near = np.zeros(t.shape, dtype=bool)
        if edge is not None:
            near = (np.abs(d.size - edge) <= d.rounding) & ~d.exact
        if near.any():  # the pairs near an edge may be outside of it, or as far inside
            either = True
            inside = logs + np.where(near, k(np.clip(d.size - 2 * d.rounding, 0, edge)).log, v.log)
            log_least = _log_sum(np.where(near, -np.inf, inside), log_floor)
            log_most = _log_sum(inside, log_floor)
            lowest, highest = lowest - (w * log_most).sum(), highest - (w * log_least).sum()
            least += (w * np.where(near, 0, np.exp(inside - log_most))).sum(axis=0)
            others = np.exp(log_least - inside)
            most += np.where(inside > -np.inf, w / np.where(near, 1 + others, others), 0).sum(axis=0)
        else:
            lowest, highest = lowest - (w * log_p).sum(), highest - (w * log_p).sum()
            least += (w * r).sum(axis=0)
            most += (w * r).sum(axis=0)
        log_pull = np.log(w) + log_share - log_p  # log of (1-E) C w/p
        ratios += np.exp(log_pull + v.log).sum(axis=0)

        log_own_pull = log_pull + log_s
        sign = np.where(2 * d.size >= Real(period), 0, d.sign) if folded else d.sign
        slopes, spreads = (scaled(log_own_pull + v.size, factor) for factor in (v.slope, v.spread))
        signed = np.where(sign == 0, 0, sign * slopes)
        angles += signed.sum(axis=0)
        steepness += np.abs(signed).sum(axis=0)
        spread += spreads.sum(axis=0)
        terms += (w * r + np.abs(d.size * slopes) + np.abs(spreads)).sum(axis=0)
        inner_slopes = scaled(log_own_pull + v.size, v.inner_slope)
        inner_spreads = scaled(log_own_pull + v.size, v.inner_spread)
        for other in (k(d.size + d.rounding), k(np.abs(d.size - d.rounding))):
            change += _change(inner_slopes, scaled(log_own_pull + other.size, other.inner_slope))
            spread_change += _change(inner_spreads, scaled(log_own_pull + other.size, other.inner_spread))
        jumping = np.zeros(t.shape, dtype=bool)
        if kinked:
            jumping |= d.size <= d.rounding
        if folded:
            jumping |= 2 * d.size >= Real(period) - 2 * d.rounding
        sides += np.where(jumping & ~d.exact, 2 * np.abs(slopes), 0).sum(axis=0)

        log_slope = np.abs(sign * v.slope) * np.exp(v.size - v.log)
        size = finite_log_s + np.abs(v.log) + log_slope * d.rounding / (ROUNDINGS * EPS)
        size = np.where(v.log > -np.inf, size, 0)
        largest = max(largest, np.where(r > 0, r * size, 0).sum(axis=1).max())
        sizes = np.maximum(sizes, size.max(axis=0))

    s = np.exp(log_s)
    relative = np.expm1(LEAST + ROUNDINGS * EPS * (largest + sizes))
    total, total_least, total_most = shares.sum(), least.sum(), most.sum()
    if settings.background == 0.0:  # a gradient is S_i - R_i wherever the edges are
        total_least = total_most = Real(1)
    per_weight = total - ratios
    return Truth(
        loss=loss,
        lowest_loss=lowest,
        highest_loss=highest,
        log_weights=log_s,
        responsibilities=shares,
        logits=s * total - shares,
        lowest_logits=s * total_least - most,
        highest_logits=s * total_most - least,
        per_weight=per_weight,
        angles=angles,
        log_bandwidth=-spread.sum(),
        loss_bound=LEAST + ROUNDINGS * EPS * largest,
        logit_bounds=product(np.maximum(s, most), relative) + TINY,
        per_weight_bounds=np.maximum(1, ratios) * relative + TINY,
        angle_bounds=product(steepness, relative) + change + TINY,
        bandwidth_bound=(product(terms, relative) + spread_change).sum() + TINY,
        sides=sides,
        either=either,
        relative=relative,
        farthest=farthest,
    )


def _log_sum(logs: RealArray, log_floor: Real) -> RealArray:
    """Return log(Σ_j exp(logs_mj) + exp(log_floor)), shape (M, 1)."""
    top = np.maximum(logs.max(axis=1, keepdims=True), log_floor)
    top = np.where(top > -np.inf, top, 0)
    return np.log(np.exp(logs - top).sum(axis=1, keepdims=True) + np.exp(log_floor - top)) + top


def _change(before: RealArray, after: RealArray) -> RealArray:
    """Return Σ_m |after - before|, infinite where it overflowed on the way."""
    change = np.abs(after - before)
    return np.where(np.isnan(change), np.inf, change).sum(axis=0)


def scaled(log: RealArray, factor: RealArray) -> RealArray:
    """Return factor · exp(log), 0 where the factor is 0 and the exponential may have overflowed."""
    return np.where(factor == 0, 0, np.exp(log) * factor)


def product(size: RealArray, relative: RealArray) -> RealArray:
    """Return size · relative, 0 where the size is 0 and the other may have overflowed."""
    return np.where(size == 0, 0, size * relative)
