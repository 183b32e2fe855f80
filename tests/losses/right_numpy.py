"""Right losses in NumPy, as a user might write them: kernels by their formulas, gradients by hand, all on logarithms.

L = -(1/B) Σ_m log p(t_m), p(t) = Σ_j S_j K_h(t ⊖ x_j), S = softmax(z), r_mj = S_j K_h(t_m ⊖ x_j)/p(t_m):
∂L/∂z_i = S_i - mean_m r_mi, ∂L/∂x_i = mean_m r_mi k'(t_m ⊖ x_i), ∂L/∂h = -mean_m Σ_j r_mj ∂k/∂h, k = log K_h.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special


def midpoints(target, bins, like):
    """Return the centres of equal parts of (low, high), or the single node, as a column of the dtype of `like`."""
    if isinstance(target, tuple):
        low, high = target
        target = low + (high - low) * (np.arange(bins) + 0.5) / bins
    return np.reshape(target, (-1, 1)).astype(like.dtype)


def log_sum(logs):
    """Return log Σ_j exp(l_j) along the rows, -inf for a row of -inf."""
    peak = np.max(logs, axis=-1, keepdims=True)
    peak = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore"):
        return peak + np.log(np.sum(np.exp(logs - peak), axis=-1, keepdims=True))


def mixture(logits, log_k):
    """Return L, ∂L/∂z and r, shape (B, N). Where a node is uncovered L is inf and the gradient undefined (NaN)."""
    log_s = logits - log_sum(logits)
    log_p = log_sum(log_s + log_k)
    with np.errstate(invalid="ignore"):
        shares = np.exp(log_s + log_k - log_p)
    return -np.mean(log_p), np.exp(log_s) - shares.mean(axis=0), shares


def gaussian(angles, logits, target, bandwidth, bins):
    """Return the loss alone, for K = exp(-u²/2)/√(2π)."""
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    return mixture(logits, -0.5 * u * u - math.log(bandwidth * math.sqrt(2.0 * math.pi)))[0]


def laplace(angles, logits, target, bandwidth=10.0, bins=36):
    """Return the loss and ∂L/∂z, for K = exp(-|u|)/2."""
    u = np.abs(midpoints(target, bins, angles) - angles) / bandwidth
    return mixture(logits, -u - math.log(2.0 * bandwidth))[:2]


def cauchy(angles, logits, target, *, bandwidth=10.0, bins=36):
    """Return the loss and all gradients, for K = 1/(π(1 + u²))."""
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    loss, by_logits, r = mixture(logits, -np.log1p(u * u) - math.log(math.pi * bandwidth))
    fall = 2.0 * u / (1.0 + u * u)  # -∂ log K/∂u
    by_angles = -(r * fall).mean(axis=0) / bandwidth
    by_bandwidth = -(r * (fall * u - 1.0)).sum(axis=1).mean() / bandwidth
    return loss, {"logits": by_logits, "angles": by_angles, "bandwidth": by_bandwidth}


class StudentT:
    """A loss with settings of its own: K = Γ((ν+1)/2)/(Γ(ν/2) √(νπ)) (1 + u²/ν)^(-(ν+1)/2)."""

    def __init__(self, bins=36):
        self.bins = bins

    def __call__(self, angles, logits, target, bandwidth, df=3.0):
        """Return the loss, and the gradients of logits and angles."""
        u = (midpoints(target, self.bins, angles) - angles) / bandwidth
        log_peak = math.lgamma(0.5 * (df + 1.0)) - math.lgamma(0.5 * df) - 0.5 * math.log(df * math.pi)
        loss, by_logits, r = mixture(logits, log_peak - math.log(bandwidth) - 0.5 * (df + 1.0) * np.log1p(u * u / df))
        by_angles = -(r * (df + 1.0) * u / (df + u * u)).mean(axis=0) / bandwidth
        return loss, {"logits": by_logits, "angles": by_angles}


def epanechnikov(angles, logits, target):
    """Return the loss and ∂L/∂z, for K = 3/4 (1 - u²) on |u| < 1, always with h = 10 and 24 bins.

    A node beyond h of all points has p = 0: the loss is inf.
    """
    h = 10.0
    d = np.abs(midpoints(target, 24, angles) - angles)
    with np.errstate(divide="ignore"):
        log_k = np.log(0.75 * np.maximum(h - d, 0.0) * (h + d) / h**3)
    return mixture(logits, log_k)[:2]


def geodesic_laplace(angles, logits, target, bandwidth, bins=36, period=360.0):
    """Return the loss and all gradients, for exp(-|d|/h), d the shorter way round, over its mass on the circle."""
    turns = midpoints(target, bins, angles) - angles
    d = turns - period * np.round(turns / period)  # in [-P/2, P/2]
    fall = math.exp(-0.5 * period / bandwidth)
    loss, by_logits, r = mixture(logits, -np.abs(d) / bandwidth - math.log(2.0 * bandwidth * (1.0 - fall)))
    slope = (
        np.where(2.0 * np.abs(d) < period, -np.sign(d), 0.0) / bandwidth
    )  # 0 at the antipode: the mean of both sides
    of_mass = 1.0 - 0.5 * period / bandwidth * fall / (1.0 - fall)
    by_bandwidth = -(r * (np.abs(d) / bandwidth - of_mass)).sum(axis=1).mean() / bandwidth
    return loss, {"logits": by_logits, "angles": (r * slope).mean(axis=0), "bandwidth": by_bandwidth}


def von_mises(angles, logits, target, bandwidth, bins=36, period=360.0):
    """Return the loss and all gradients, for exp(κ cos θ)/(P I0(κ)), κ = (P/(2πh))², θ = 2πd/P.

    cos θ = 1 - 2 sin²(θ/2), and I0(κ) = e^κ i0e(κ), so that e^κ cancels.
    """
    kappa = (0.5 * period / math.pi / bandwidth) ** 2
    turns = midpoints(target, bins, angles) - angles
    theta = (turns - period * np.round(turns / period)) * (2.0 * math.pi / period)
    fall = 2.0 * np.sin(0.5 * theta) ** 2
    loss, by_logits, r = mixture(logits, -kappa * fall - math.log(period * special.i0e(kappa)))
    by_angles = -(r * np.sin(theta)).mean(axis=0) * (kappa * 2.0 * math.pi / period)
    lag = 1.0 - special.i1e(kappa) / special.i0e(kappa)
    by_bandwidth = -(r * (fall - lag)).sum(axis=1).mean() * (2.0 * kappa / bandwidth)
    return loss, {"logits": by_logits, "angles": by_angles, "bandwidth": by_bandwidth}


def wrapped_cauchy(angles, logits, target, bandwidth, bins=36, circular=True, unit="degrees"):
    """Return the loss and the gradients of logits and angles, for sinh γ/(P (cosh γ - cos θ)), γ = 2πh/P.

    cosh γ - cos θ = 2 sinh²(γ/2) + 2 sin²(θ/2), without cancellation.
    """
    assert circular, "this kernel lives on a circle"
    period = {"degrees": 360.0, "radians": 2.0 * math.pi, "turns": 1.0}[unit]
    gamma = 2.0 * math.pi * bandwidth / period
    turns = midpoints(target, bins, angles) - angles
    theta = (turns - period * np.round(turns / period)) * (2.0 * math.pi / period)
    below = 2.0 * (math.sinh(0.5 * gamma) ** 2 + np.sin(0.5 * theta) ** 2)
    loss, by_logits, r = mixture(logits, math.log(math.sinh(gamma) / period) - np.log(below))
    by_angles = -(r * np.sin(theta) / below).mean(axis=0) * (2.0 * math.pi / period)
    return loss, {"logits": by_logits, "angles": by_angles}


SHAPES = {  # log K(u) of u ≥ 0, and the mass within v of 0
    "gaussian": (lambda u: -0.5 * u * u - 0.5 * math.log(2.0 * math.pi), lambda v: math.erf(v / math.sqrt(2.0))),
    "laplace": (lambda u: -u - math.log(2.0), lambda v: -math.expm1(-v)),
    "logistic": (lambda u: -u - 2.0 * np.log1p(np.exp(-u)), lambda v: math.tanh(0.5 * v)),
    "sigmoid": (
        lambda u: -u - np.log1p(np.exp(-2.0 * u)) - math.log(0.5 * math.pi),
        lambda v: 4.0 / math.pi * math.atan(math.tanh(0.5 * v)),
    ),
    "cauchy": (lambda u: -np.log1p(u * u) - math.log(math.pi), lambda v: 2.0 / math.pi * math.atan(v)),
}


def any_kernel(angles, logits, target, kernel, bandwidth, bins):
    """Return the loss and ∂L/∂z for a kernel by its name."""
    log_shape, _ = SHAPES[kernel]
    u = np.abs(midpoints(target, bins, angles) - angles) / bandwidth
    return mixture(logits, log_shape(u) - math.log(bandwidth))[:2]


def everything(angles, logits, target, **options):
    """Return the loss and ∂L/∂z; takes every option, line or circle, and p̃ = (1-E) C p + E/(b-a)."""
    h, background = options["bandwidth"], options["background"]
    log_shape, mass = SHAPES[options["kernel"]]
    d = np.abs(midpoints(target, options["bins"], angles) - angles)
    log_mass = 0.0
    if options["circular"]:
        period = options["period"] or {"degrees": 360.0, "radians": 2.0 * math.pi, "turns": 1.0}[options["unit"]]
        d = np.mod(d, period)
        d = np.minimum(d, period - d)
        log_mass = math.log(mass(0.5 * period / h))
    log_k = log_shape(d / h) - math.log(h) - log_mass + math.log1p(-background) + math.log(options["scale"])
    if background == 0.0:
        return mixture(logits, log_k)[:2]
    log_s = logits - log_sum(logits)
    log_p = np.logaddexp(log_sum(log_s + log_k), math.log(background / (target[1] - target[0])))
    pulled = np.exp(log_s + log_k - log_p).mean(axis=0)  # R; Σ_j R_j is the points' share of p̃
    return -np.mean(log_p), np.exp(log_s) * pulled.sum() - pulled
