"""Batched losses in JAX, right ones and faulty ones: G problems at once, as `batched_numpy` has them."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax.nn import log_softmax
from jax.scipy.special import logsumexp

from tests.losses import right_jax


def gaussian(angles, logits, target, bandwidth, bins=36):
    """Return the losses of a function of one problem, by vmap; h may be an array that is learned."""
    of_one = partial(right_jax.gaussian, bandwidth=bandwidth, bins=bins)
    return jax.vmap(of_one)(angles, logits, target)


def midpoints(target, bins, like):
    """Return the centres of equal parts of the targets, or the single nodes, in the shape (G, B, 1)."""
    if isinstance(target, tuple):
        low, high = (ends[:, None] for ends in target)
        return (low + (high - low) * (jnp.arange(bins, dtype=like.dtype) + 0.5) / bins)[:, :, None]
    return target[:, None, None]


def log_triangular(target, bins, angles):
    """Return log K_h of the triangular kernel, always with h = 10; `where` keeps NaN out of its gradient."""
    d = jnp.abs(midpoints(target, bins, angles) - angles[:, None])
    inside = d < 10.0
    return jnp.where(inside, jnp.log((10.0 - jnp.where(inside, d, 0.0)) / 100.0), -jnp.inf)


def triangular(angles, logits, target):
    """Return the losses for a compact kernel."""
    return -logsumexp(log_softmax(logits, axis=-1)[:, None] + log_triangular(target, 24, angles), axis=-1).mean(axis=-1)


# --- Faults ----------------------------------------------------------------------------------------------------------


def softmax_over_problems(angles, logits, target):
    """log_softmax over axis 0, which was that of the points before there was a batch."""
    return -logsumexp(log_softmax(logits, axis=0)[:, None] + log_triangular(target, 24, angles), axis=-1).mean(axis=-1)


def mean_of_batch(angles, logits, target, bandwidth, bins):
    """The mean over the batch in place of its losses."""
    return gaussian(angles, logits, target, bandwidth, bins).mean()


def visible_padding(angles, logits, target, bandwidth, bins):
    """The padding's logit of -inf is made a finite -10, lest something be NaN: e^-10 of the weight is the padding's."""
    return gaussian(angles, jnp.nan_to_num(logits, neginf=-10.0), target, bandwidth, bins)
