"""Faulty losses in NumPy: each has one fault that occurs in real code, named in its docstring; the rest is right."""

from __future__ import annotations

import math

import numpy as np

from tests.losses.right_numpy import log_sum, midpoints, mixture

LOG_ROOT_2_PI = 0.5 * math.log(2.0 * math.pi)


def log_gaussian(d, h):
    """Return log K_h of the gaussian."""
    return -0.5 * (d / h) ** 2 - LOG_ROOT_2_PI - math.log(h)


def softmax(logits):
    """Return the weights."""
    return np.exp(logits - log_sum(logits))


# --- The logarithm of a density that underflows ----------------------------------------------------------------------


def epsilon_in_log(angles, logits, target, bandwidth, bins):
    """-log(p + 1e-8), against log(0): beyond 6 bandwidths the loss is a constant and the gradient dies."""
    s = softmax(logits)
    terms = s * np.exp(log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))
    p = terms.sum(axis=1, keepdims=True) + 1e-8
    pulled = (terms / p).mean(axis=0)
    return -np.log(p).mean(), s * pulled.sum() - pulled


def clamped_log(angles, logits, target, bandwidth, bins):
    """The log density clamped at -500, against infinite losses: far out the loss is 500 whatever the points do."""
    log_p = log_sum(np.log(softmax(logits)) + log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))
    return -np.maximum(log_p, -500.0).mean()


def plain_density(angles, logits, target, bandwidth, bins):
    """-log of a density that is summed as it stands: the sum underflows to 0 far out, and the loss is inf."""
    s = softmax(logits)
    terms = s * np.exp(log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))
    p = terms.sum(axis=1, keepdims=True)
    return -np.log(p).mean(), s - (terms / p).mean(axis=0)


def cut_exponent(angles, logits, target, bandwidth, bins):
    """Distances are cut at 20 bandwidths, so that exp does not underflow: farther points all look the same."""
    u = np.minimum(np.abs(midpoints(target, bins, angles) - angles) / bandwidth, 20.0)
    return mixture(logits, log_gaussian(u, 1.0) - math.log(bandwidth))[:2]


def dropped_mass(angles, logits, target, bandwidth, bins):
    """Nodes with p = 0 are left out of the sum (Epanechnikov): where all are uncovered, the loss is a perfect 0."""
    u = np.abs(midpoints(target, bins, angles) - angles) / bandwidth
    terms = softmax(logits) * 0.75 * np.maximum(1.0 - u * u, 0.0) / bandwidth
    p = terms.sum(axis=1)
    return -np.log(p[p > 0.0]).sum() / len(p)


def bessel_overflows(angles, logits, target, bandwidth, bins, period):
    """Von Mises with I0(κ) itself, which overflows above κ = 713, a bandwidth below P/168: the loss is inf."""
    kappa = (0.5 * period / math.pi / bandwidth) ** 2
    theta = (midpoints(target, bins, angles) - angles) * (2.0 * math.pi / period)
    peak = np.i0(np.asarray(kappa, angles.dtype))
    return mixture(logits, kappa * np.cos(theta) - np.log(period * peak))[:2]


# --- The weights -----------------------------------------------------------------------------------------------------


def softmax_without_peak(angles, logits, target, bandwidth, bins):
    """exp(z)/Σ exp(z) without taking the largest logit off: inf/inf from z = 710 on (89 in float32)."""
    powers = np.exp(logits)
    log_s = np.log(powers / powers.sum())
    return -log_sum(log_s + log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)).mean()


def unnormalised_weights(angles, logits, target, bandwidth, bins):
    """exp(z)/N for weights, as if the logits were log weights already: more mass everywhere lowers the loss."""
    log_s = logits - math.log(len(logits))
    return -log_sum(log_s + log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)).mean()


def smoothed_weights(angles, logits, target, bandwidth, bins):
    """Label smoothing taken over to the points: each weight is mixed with 1/N, that of a masked point too."""
    s = 0.99 * softmax(logits) + 0.01 / len(logits)
    return -log_sum(np.log(s) + log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)).mean()


def last_point_dropped(angles, logits, target, bandwidth, bins):
    """A slice [:-1] left over from differences of edges: the last point never counts."""
    loss, by_logits, _ = mixture(logits[:-1], log_gaussian(midpoints(target, bins, angles) - angles[:-1], bandwidth))
    return loss, np.append(by_logits, 0.0)


def unique_angles(angles, logits, target, bandwidth, bins):
    """Equal angles are made one by np.unique, with the logit of the first: the weights of the others are lost."""
    places, first = np.unique(angles, return_index=True)
    return mixture(logits[first], log_gaussian(midpoints(target, bins, angles) - places, bandwidth))[0]


# --- The mean over the target ----------------------------------------------------------------------------------------


def log_of_mean(angles, logits, target, bandwidth, bins):
    """-log of the mean density over the target, in place of the mean of -log: gaps between points cost nothing."""
    log_terms = np.log(softmax(logits)) + log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)
    return math.log(len(log_terms)) - log_sum(log_terms.ravel())[0]


def nodes_at_ends(angles, logits, target, bandwidth, bins):
    """np.linspace(low, high, B) for nodes: the first and last stand on the edges, not in the middle of their bins."""
    nodes = np.linspace(*target, bins) if isinstance(target, tuple) else np.array([target])
    nodes = nodes.astype(angles.dtype)[:, np.newaxis]
    return mixture(logits, log_gaussian(nodes - angles, bandwidth))[:2]


def left_edges(angles, logits, target, bandwidth, bins):
    """np.linspace(..., endpoint=False) for nodes: each is the left edge of its bin, so that mirrored data differ."""
    nodes = np.linspace(*target, bins, endpoint=False) if isinstance(target, tuple) else np.array([target])
    nodes = nodes.astype(angles.dtype)[:, np.newaxis]
    return mixture(logits, log_gaussian(nodes - angles, bandwidth))[:2]


def trapezoid_over_midpoints(angles, logits, target, bandwidth, bins):
    """The trapezoidal rule over midpoints, divided by the width: it spans B - 1 of B bins, and nothing of one node."""
    nodes = midpoints(target, bins, angles)
    values = -log_sum(np.log(softmax(logits)) + log_gaussian(nodes - angles, bandwidth))[:, 0]
    width = target[1] - target[0] if isinstance(target, tuple) else 1.0
    return np.sum(0.5 * (values[1:] + values[:-1]) * np.diff(nodes[:, 0])) / width


def renormalised_bins(angles, logits, target, bandwidth, bins):
    """The density divided by its sum over the target's bins, as for a histogram: mass elsewhere costs nothing."""
    log_p = log_sum(np.log(softmax(logits)) + log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))
    return -(log_p - log_sum(log_p[:, 0])).mean()


def strongest_point_alone(angles, logits, target, bandwidth, bins):
    """max_j in place of log Σ_j exp, as an approximation: halves of a point at one place do not add up."""
    log_terms = np.log(softmax(logits)) + log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)
    return -log_terms.max(axis=1).mean()


def bits(angles, logits, target, bandwidth, bins):
    """log2 in place of the natural logarithm: loss and gradients are 1.44 times as large."""
    loss, by_logits, _ = mixture(logits, log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))
    return loss / math.log(2.0), by_logits / math.log(2.0)


# --- The kernel ------------------------------------------------------------------------------------------------------


def lopsided_window(angles, logits, target, bandwidth, bins):
    """A window sampled from -16 to 15 sixteenths, as by arange(-n, n): its centre lies half a sample off 0."""
    d = midpoints(target, bins, angles) - angles
    return mixture(logits, log_gaussian(d + bandwidth / 32.0, bandwidth))[:2]


def normaliser_of_two_dimensions(angles, logits, target, bandwidth, bins):
    """1/(2π h²), the gaussian's constant in two dimensions, on one: right in shape, off by a power of h."""
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    return mixture(logits, -0.5 * u * u - 2.0 * (LOG_ROOT_2_PI + math.log(bandwidth)))[:2]


def deviation_for_scale(angles, logits, target, bandwidth, bins):
    """The bandwidth read as a standard deviation, √2 times the scale of a Laplace kernel."""
    h = bandwidth / math.sqrt(2.0)
    return mixture(logits, -np.abs(midpoints(target, bins, angles) - angles) / h - math.log(2.0 * h))[:2]


def one_degree_less(angles, logits, target, bandwidth, bins, df):
    """Student's t with ν - 1 in the exponent, as if of N - 1: the tail falls too slowly, with the peak of ν."""
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    log_peak = math.lgamma(0.5 * (df + 1.0)) - math.lgamma(0.5 * df) - 0.5 * math.log(df * math.pi)
    return mixture(logits, log_peak - math.log(bandwidth) - 0.5 * df * np.log1p(u * u / df))[:2]


def single_precision(angles, logits, target, bandwidth, bins):
    """Everything computed in float32, as for a GPU, whatever comes in: seven digits of sixteen."""
    x, z = angles.astype(np.float32), logits.astype(np.float32)
    loss, by_logits, _ = mixture(z, log_gaussian(midpoints(target, bins, x) - x, bandwidth))
    return np.float64(loss), by_logits.astype(np.float64)


# --- The circle ------------------------------------------------------------------------------------------------------


def no_wrap(angles, logits, target, bandwidth, bins, period):
    """The difference of two angles as it stands, without the shorter way round: 359 and 1 are 358 apart."""
    d = np.abs(midpoints(target, bins, angles) - angles)
    return mixture(logits, -d / bandwidth - math.log(-2.0 * bandwidth * math.expm1(-0.5 * period / bandwidth)))[:2]


def folded_at_half_turn(angles, logits, target, bandwidth, bins, period):
    """The distance of undirected axes, with P/2 in place of P: the antipode is as near as the place itself."""
    way = np.mod(np.abs(midpoints(target, bins, angles) - angles), 0.5 * period)
    d = np.minimum(way, 0.5 * period - way)
    return mixture(logits, -d / bandwidth - math.log(-2.0 * bandwidth * math.expm1(-0.5 * period / bandwidth)))[:2]


def target_ends_wrapped(angles, logits, target, bandwidth, bins, period):
    """Both ends of the target reduced to [0, P): one that crosses the wrap, 350 to 370, becomes 350 to 10."""
    ends = tuple(end % period for end in target) if isinstance(target, tuple) else target
    way = np.mod(np.abs(midpoints(ends, bins, angles) - angles), period)
    d = np.minimum(way, period - way)
    return mixture(logits, -d / bandwidth - math.log(-2.0 * bandwidth * math.expm1(-0.5 * period / bandwidth)))[:2]


# --- Gradients by hand -----------------------------------------------------------------------------------------------


def ascent(angles, logits, target, bandwidth, bins):
    """R - S for the gradient, that of the likelihood, in place of S - R, that of the loss."""
    loss, by_logits, _ = mixture(logits, log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))
    return loss, -by_logits


def clipped_gradient(angles, logits, target, bandwidth, bins):
    """The gradient clipped to ±0.1 within the loss, so that no optimizer sees the real one."""
    loss, by_logits, _ = mixture(logits, log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))
    return loss, np.clip(by_logits, -0.1, 0.1)


def sorted_gradient(angles, logits, target, bandwidth, bins):
    """Angles sorted for speed, and the gradient returned in sorted order: each point gets that of another."""
    order = np.argsort(angles)
    d = midpoints(target, bins, angles) - angles[order]
    return mixture(logits[order], log_gaussian(d, bandwidth))[:2]


def slope_without_scale(angles, logits, target, bandwidth, bins):
    """∂L/∂x by ∂k/∂u, without the 1/h of u = d/h."""
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    loss, by_logits, r = mixture(logits, log_gaussian(u, 1.0) - math.log(bandwidth))
    return loss, {"logits": by_logits, "angles": -(r * u).mean(axis=0)}


def slope_of_log_bandwidth(angles, logits, target, bandwidth, bins):
    """∂L/∂log h returned for ∂L/∂h: h times too large."""
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    loss, by_logits, r = mixture(logits, log_gaussian(u, 1.0) - math.log(bandwidth))
    return loss, {"logits": by_logits, "bandwidth": -(r * (u * u - 1.0)).sum(axis=1).mean()}
