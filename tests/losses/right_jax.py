"""Right losses in JAX, as a user might write them: -logsumexp(log_softmax(z) + log K), gradients by jax.grad."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.nn import log_softmax
from jax.scipy.special import i0e, logsumexp


def midpoints(target, bins, like):
    """Return the centres of equal parts of (low, high), or the single node, as a column of the dtype of `like`."""
    if isinstance(target, tuple):
        low, high = target
        target = low + (high - low) * (jnp.arange(bins, dtype=like.dtype) + 0.5) / bins
    return jnp.reshape(jnp.asarray(target, like.dtype), (-1, 1))


def mixture(logits, log_k):
    """Return L = -mean_m log Σ_j S_j K_mj."""
    return -jnp.mean(logsumexp(log_softmax(logits) + log_k, axis=-1))


def shorter_way(difference, period):
    """Return the distance on a circle; `minimum` shares the gradient at the antipode, where it is then 0."""
    way = jnp.mod(jnp.abs(difference), period)
    return jnp.minimum(way, period - way)


def gaussian(angles, logits, target, bandwidth, bins=36):
    """Return the loss for K = exp(-u²/2)/√(2π); h may be an array that is learned."""
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    return mixture(logits, -0.5 * u * u - jnp.log(bandwidth * math.sqrt(2.0 * math.pi)))


@partial(jax.jit, static_argnames="bins")
def student_t(angles, logits, target, bandwidth=10.0, df=3.0, bins=36):
    """Return the loss for Student's t, compiled."""
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    log_peak = jax.scipy.special.gammaln(0.5 * (df + 1.0)) - jax.scipy.special.gammaln(0.5 * df)
    log_peak -= 0.5 * jnp.log(df * math.pi) + jnp.log(bandwidth)
    return mixture(logits, log_peak - 0.5 * (df + 1.0) * jnp.log1p(u * u / df))


def triangular(angles, logits, target, bandwidth, bins=36):
    """Return the loss for K = 1 - |u| on |u| < 1; inf where a node is farther than h from all points.

    `where` stands twice: jax.grad would make NaN of the log of 0 even where it is not chosen.
    """
    d = jnp.abs(midpoints(target, bins, angles) - angles)
    inside = d < bandwidth
    log_k = jnp.log((bandwidth - jnp.where(inside, d, 0.0)) / bandwidth**2)
    return mixture(logits, jnp.where(inside, log_k, -jnp.inf))


def geodesic_laplace(angles, logits, target):
    """Return the loss for exp(-d/h), d the shorter way round, always with P = 360, h = 10 and 24 bins."""
    d = shorter_way(midpoints(target, 24, angles) - angles, 360.0)
    return mixture(logits, -d / 10.0 - math.log(-20.0 * math.expm1(-18.0)))


def von_mises(angles, logits, target, bandwidth, bins=36, period=360.0):
    """Return the loss for exp(κ cos θ)/(P I0(κ)), κ = (P/(2πh))², with the scaled Bessel function i0e = e^-κ I0."""
    kappa = (0.5 * period / math.pi / jnp.asarray(bandwidth, angles.dtype)) ** 2
    half = shorter_way(midpoints(target, bins, angles) - angles, period) * (math.pi / period)
    return mixture(logits, -2.0 * kappa * jnp.sin(half) ** 2 - jnp.log(period * i0e(kappa)))
