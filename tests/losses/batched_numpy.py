"""Batched losses in NumPy, right ones and faulty ones: G problems at once, arrays (G, N) in and G losses out.

A target is two arrays (G,), its ends, or one, the single nodes. The last axis is that of the points: arrays of pairs
have the shape (G, B, N). Each faulty one has one fault that occurs in real code, named in its docstring.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from tests.losses.right_numpy import log_sum


def midpoints(target, bins, like):
    """Return the centres of equal parts of the targets, or the single nodes, in the shape (G, B, 1)."""
    if isinstance(target, tuple):
        low, high = (ends[:, None] for ends in target)
        nodes = low + (high - low) * (np.arange(bins, dtype=like.dtype) + 0.5) / bins
    else:
        nodes = target[:, None]
    return nodes[:, :, None].astype(like.dtype)


def mixture(logits, log_k):
    """Return L (G,), ∂L/∂z (G, N) and r (G, B, N), all on logarithms."""
    log_s = logits - log_sum(logits)
    log_p = log_sum(log_s[:, None] + log_k)
    with np.errstate(invalid="ignore"):
        shares = np.exp(log_s[:, None] + log_k - log_p)
    return -log_p.mean(axis=(1, 2)), np.exp(log_s) - shares.mean(axis=1), shares


def log_gaussian(target, bins, angles, h):
    """Return log K_h of the gaussian, (G, B, N)."""
    u = (midpoints(target, bins, angles) - angles[:, None]) / h
    return -0.5 * u * u - math.log(h * math.sqrt(2.0 * math.pi))


def gaussian(angles, logits, target, bandwidth, bins):
    """Return the losses alone."""
    return mixture(logits, log_gaussian(target, bins, angles, bandwidth))[0]


def laplace(angles, logits, target, bandwidth=10.0, bins=36):
    """Return the losses and ∂L/∂z."""
    u = np.abs(midpoints(target, bins, angles) - angles[:, None]) / bandwidth
    return mixture(logits, -u - math.log(2.0 * bandwidth))[:2]


def cauchy(angles, logits, target, *, bandwidth=10.0, bins=36):
    """Return the losses and all gradients; that of the bandwidth, which all problems have in common, is each loss's."""
    u = (midpoints(target, bins, angles) - angles[:, None]) / bandwidth
    loss, by_logits, r = mixture(logits, -np.log1p(u * u) - math.log(math.pi * bandwidth))
    fall = 2.0 * u / (1.0 + u * u)
    by_angles = -(r * fall).mean(axis=1) / bandwidth
    by_bandwidth = -(r * (fall * u - 1.0)).sum(axis=2).mean(axis=1) / bandwidth
    return loss, {"logits": by_logits, "angles": by_angles, "bandwidth": by_bandwidth}


def epanechnikov(angles, logits, target):
    """Return the losses and ∂L/∂z for a compact kernel, always with h = 10 and 24 bins."""
    h = 10.0
    d = np.abs(midpoints(target, 24, angles) - angles[:, None])
    with np.errstate(divide="ignore"):
        log_k = np.log(0.75 * np.maximum(h - d, 0.0) * (h + d) / h**3)
    return mixture(logits, log_k)[:2]


def von_mises(angles, logits, target, bandwidth, bins=36, period=360.0):
    """Return the losses and the gradients of logits and angles, on the circle."""
    kappa = (0.5 * period / math.pi / bandwidth) ** 2
    turns = midpoints(target, bins, angles) - angles[:, None]
    theta = (turns - period * np.round(turns / period)) * (2.0 * math.pi / period)
    log_k = -2.0 * kappa * np.sin(0.5 * theta) ** 2 - math.log(period * special.i0e(kappa))
    loss, by_logits, r = mixture(logits, log_k)
    by_angles = -(r * np.sin(theta)).mean(axis=1) * (kappa * 2.0 * math.pi / period)
    return loss, {"logits": by_logits, "angles": by_angles}


# --- Faults ----------------------------------------------------------------------------------------------------------


def softmax_over_problems(angles, logits, target, bandwidth, bins):
    """The softmax is over axis 0, which was that of the points before there was a batch."""
    log_s = logits - log_sum(logits.T).T
    return -log_sum(log_s[:, None] + log_gaussian(target, bins, angles, bandwidth)).mean(axis=(1, 2))


def softmax_over_all(angles, logits, target, bandwidth, bins):
    """The weights of all problems together sum to 1."""
    log_s = logits - log_sum(logits.ravel())
    return -log_sum(log_s[:, None] + log_gaussian(target, bins, angles, bandwidth)).mean(axis=(1, 2))


def mean_of_batch(angles, logits, target, bandwidth, bins):
    """The mean over the batch in place of its losses."""
    return gaussian(angles, logits, target, bandwidth, bins).mean()


def mean_for_each(angles, logits, target, bandwidth, bins):
    """The mean over the batch stands for every problem."""
    loss, gradient = mixture(logits, log_gaussian(target, bins, angles, bandwidth))[:2]
    return np.full_like(loss, loss.mean()), gradient


def gradient_of_mean(angles, logits, target, bandwidth, bins):
    """The losses are those of the problems, and the gradient is that of their mean."""
    loss, gradient = mixture(logits, log_gaussian(target, bins, angles, bandwidth))[:2]
    return loss, gradient / len(loss)


def mask_times_logarithm(angles, logits, target, bandwidth, bins):
    """The padding is masked by a product with 0 after the logarithm: 0·(-inf) is NaN."""
    mask = np.isfinite(logits).astype(logits.dtype)
    log_s = (logits - log_sum(logits)) * mask
    terms = np.exp(log_s[:, None] + log_gaussian(target, bins, angles, bandwidth)) * mask[:, None]
    return -np.log(terms.sum(axis=2)).mean(axis=1)


def padded_length(angles, logits, target, bandwidth, bins):
    """The density is a mean over the points with weights N·S: N counts the points, and the mean the padding too."""
    count = np.isfinite(logits).sum(axis=1, keepdims=True)
    log_s = logits - log_sum(logits) + np.log(count.astype(logits.dtype))
    log_p = log_sum(log_s[:, None] + log_gaussian(target, bins, angles, bandwidth)) - math.log(logits.shape[1])
    return -log_p.mean(axis=(1, 2))


def peak_of_batch(angles, logits, target, bandwidth, bins):
    """The largest exponent of the whole batch is taken off: where another problem is far out, its density is 0."""
    log_s = logits - log_sum(logits)
    logs = log_s[:, None] + log_gaussian(target, bins, angles, bandwidth)
    peak = logs.max()
    return -(peak + np.log(np.exp(logs - peak).sum(axis=2))).mean(axis=1)


def one_target(angles, logits, target, bandwidth, bins):
    """The target of the first problem is taken for all."""
    first = (
        tuple(np.full_like(ends, ends[0]) for ends in target) if isinstance(target, tuple) else target * 0 + target[0]
    )
    return mixture(logits, log_gaussian(first, bins, angles, bandwidth))[:2]


def one_bandwidth_gradient(angles, logits, target, bandwidth, bins=36):
    """The gradient of the bandwidth is summed over the batch, as for an update, in place of each loss's own."""
    loss, gradients = cauchy(angles, logits, target, bandwidth=bandwidth, bins=bins)
    return loss, {**gradients, "bandwidth": np.full_like(loss, gradients["bandwidth"].sum())}


def longest_as_first(angles, logits, target, bandwidth, bins):
    """Problems are sorted by their number of points, as for packed sequences, and their losses not sorted back."""
    order = np.argsort(-np.isfinite(logits).sum(axis=1), kind="stable")
    ends = tuple(e[order] for e in target) if isinstance(target, tuple) else target[order]
    return mixture(logits[order], log_gaussian(ends, bins, angles[order], bandwidth))[0]
