"""Batched losses in PyTorch, right ones and faulty ones: G problems at once, as `batched_numpy` has them."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import log_softmax, softmax

from tests.losses.right_torch import shorter_way


def midpoints(target, bins, like):
    """Return the centres of equal parts of the targets, or the single nodes, in the shape (G, B, 1)."""
    if isinstance(target, tuple):
        low, high = (ends[:, None] for ends in target)
        return (low + (high - low) * (torch.arange(bins, dtype=like.dtype) + 0.5) / bins)[:, :, None]
    return target[:, None, None]


def mixture(logits, log_k):
    """Return L = -mean_m log Σ_j S_j K_mj of each problem."""
    return -torch.logsumexp(log_softmax(logits, dim=-1)[:, None] + log_k, dim=-1).mean(dim=-1)


def log_gaussian(target, bins, angles, bandwidth):
    """Return log K_h of the gaussian, (G, B, N)."""
    h = torch.as_tensor(bandwidth, dtype=angles.dtype)
    u = (midpoints(target, bins, angles) - angles[:, None]) / h
    return -0.5 * u.square() - torch.log(h * math.sqrt(2.0 * math.pi))


def gaussian(angles, logits, target, bandwidth, bins=36):
    """Return the losses; h may be a tensor that is learned."""
    return mixture(logits, log_gaussian(target, bins, angles, bandwidth))


class Laplace(nn.Module):
    """A module, always with h = 10 and 24 bins."""

    def forward(self, angles, logits, target):
        """Return the losses."""
        u = (midpoints(target, 24, angles) - angles[:, None]).abs() / 10.0
        return mixture(logits, -u - math.log(20.0))


def geodesic_laplace(angles, logits, target, bandwidth, bins=36, period=360.0):
    """Return the losses for exp(-d/h), d the shorter way round, divided by its mass on the circle."""
    d = shorter_way(midpoints(target, bins, angles) - angles[:, None], period)
    return mixture(logits, -d / bandwidth - math.log(-2.0 * bandwidth * math.expm1(-0.5 * period / bandwidth)))


# --- Faults ----------------------------------------------------------------------------------------------------------


def softmax_over_problems(angles, logits, target, bandwidth, bins):
    """log_softmax over dim=0, which was that of the points before there was a batch."""
    log_s = log_softmax(logits, dim=0)
    return -torch.logsumexp(log_s[:, None] + log_gaussian(target, bins, angles, bandwidth), dim=-1).mean(dim=-1)


def mean_of_batch(angles, logits, target, bandwidth, bins):
    """The mean over the batch in place of its losses."""
    return gaussian(angles, logits, target, bandwidth, bins).mean()


def batch_normalised(angles, logits, target, bandwidth, bins):
    """The mean of each point's logit over the batch is taken off it, as batch normalisation in training mode does."""
    is_masked = torch.isneginf(logits)
    mean = logits.masked_fill(is_masked, 0.0).mean(dim=0)
    return gaussian(angles, torch.where(is_masked, logits, logits - mean), target, bandwidth, bins)


def mask_times_logarithm(angles, logits, target, bandwidth, bins):
    """The padding is masked by a product with S = 0 after the logarithm: 0·(-inf) is NaN, here in the gradient."""
    s = softmax(logits, dim=-1)
    terms = torch.where(s > 0.0, s.log(), -math.inf)[:, None] + log_gaussian(target, bins, angles, bandwidth)
    return -torch.logsumexp(terms, dim=-1).mean(dim=-1)


def detached_others(angles, logits, target, bandwidth, bins):
    """Only the first problem has its gradient, as where a loss is written into a buffer for the others."""
    loss = gaussian(angles, logits, target, bandwidth, bins)
    return torch.cat([loss[:1], loss[1:].detach()])
