"""Faulty losses in JAX: each has one fault that occurs in real code, named in its docstring; the rest is right."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.nn import log_softmax, softmax
from jax.scipy.special import logsumexp

from tests.losses.right_jax import midpoints, mixture, shorter_way


def log_gaussian(d, h):
    """Return log K_h of the gaussian."""
    return -0.5 * (d / h) ** 2 - jnp.log(h * math.sqrt(2.0 * math.pi))


def epsilon_in_log(angles, logits, target, bandwidth, bins):
    """-log(p + 1e-8), against log(0): beyond 6 bandwidths the loss is a constant and the gradient dies."""
    k = jnp.exp(log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))
    return -jnp.log(k @ softmax(logits) + 1e-8).mean()


def clipped_log(angles, logits, target, bandwidth, bins):
    """log p clipped at -500: the loss stops growing there, and its gradient is 0."""
    log_k = log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)
    return -jnp.clip(logsumexp(log_softmax(logits) + log_k, axis=-1), -500.0).mean()


def sum_of_exponentials(angles, logits, target, bandwidth, bins):
    """log(Σ exp(...)) without the largest term taken off: the sum underflows beyond 39 bandwidths, the loss is inf."""
    log_k = log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)
    return -jnp.log(jnp.exp(log_softmax(logits) + log_k).sum(axis=-1)).mean()


def log_of_softmax(angles, logits, target, bandwidth, bins):
    """log(softmax(z)) in place of log_softmax(z): at a logit of -inf the gradient is 0/0, NaN for all points."""
    log_k = log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)
    return -logsumexp(jnp.log(softmax(logits)) + log_k, axis=-1).mean()


def log_of_maximum(angles, logits, target, bandwidth, bins):
    """log(max(1 - |u|, 0)) for a triangular kernel: right as a number, and its gradient is 0·∞ = NaN for far points."""
    u = jnp.abs(midpoints(target, bins, angles) - angles) / bandwidth
    return mixture(logits, jnp.log(jnp.maximum(1.0 - u, 0.0) / bandwidth))


def stopped_distance(angles, logits, target, bandwidth, bins):
    """Half of u² behind stop_gradient, as for the fixed half of a pair: the angles learn at half the rate."""
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    return mixture(logits, -0.5 * u * jax.lax.stop_gradient(u) - jnp.log(bandwidth * math.sqrt(2.0 * math.pi)))


def fixed_bins(angles, logits, target, bandwidth, bins):
    """A hundred bins compiled in, whatever `bins` says."""
    return mixture(logits, log_gaussian(midpoints(target, 100, angles) - angles, bandwidth))


def mass_of_line(angles, logits, target, bandwidth, bins, period):
    """Laplace of the shorter way round with the constant of the line: its mass on the circle is below 1."""
    d = shorter_way(midpoints(target, bins, angles) - angles, period)
    return mixture(logits, -d / bandwidth - jnp.log(2.0 * bandwidth))
