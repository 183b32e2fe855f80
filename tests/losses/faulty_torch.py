"""Faulty losses in PyTorch: each has one fault that occurs in real code, named in its docstring; the rest is right."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import log_softmax, softmax

from tests.losses.right_torch import midpoints, mixture, shorter_way

LOG_ROOT_2_PI = 0.5 * math.log(2.0 * math.pi)


def log_gaussian(d, h):
    """Return log K_h of the gaussian."""
    return -0.5 * (d / h).square() - LOG_ROOT_2_PI - math.log(h)


# --- The logarithm of a density that underflows ----------------------------------------------------------------------


def epsilon_in_log(angles, logits, target, bandwidth, bins):
    """-log(p + 1e-8), against log(0): beyond 6 bandwidths the loss is a constant and the gradient dies."""
    k = log_gaussian(midpoints(target, bins, angles) - angles, bandwidth).exp()
    return -torch.log((softmax(logits, dim=-1) * k).sum(dim=-1) + 1e-8).mean()


def tiny_epsilon_in_log(angles, logits, target, bandwidth, bins):
    """-log(p + 1e-16): the same, beyond 8 bandwidths."""
    k = log_gaussian(midpoints(target, bins, angles) - angles, bandwidth).exp()
    return -torch.log((softmax(logits, dim=-1) * k).sum(dim=-1) + 1e-16).mean()


def clamped_log(angles, logits, target, bandwidth, bins):
    """log p clamped at -500: the loss stops growing there, and autograd makes its gradient 0."""
    log_k = log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)
    return -torch.logsumexp(log_softmax(logits, dim=-1) + log_k, dim=-1).clamp(min=-500.0).mean()


class StraightThroughClamp(torch.autograd.Function):
    """A clamp that passes the gradient on as if it were none."""

    @staticmethod
    def forward(context, value, least):
        """Return the clamped value."""
        return value.clamp(min=least)

    @staticmethod
    def backward(context, gradient):
        """Return the gradient unchanged."""
        return gradient, None


def straight_through_clamp(angles, logits, target, bandwidth, bins):
    """log p clamped at -500 with a gradient that passes through: the loss is flat where its gradient is not 0."""
    log_k = log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)
    log_p = torch.logsumexp(log_softmax(logits, dim=-1) + log_k, dim=-1)
    return -StraightThroughClamp.apply(log_p, -500.0).mean()


def truncated_kernel(angles, logits, target, bandwidth, bins):
    """Pairs beyond 5 bandwidths left out, to save time: where all are, the loss is inf."""
    d = midpoints(target, bins, angles) - angles
    log_k = log_gaussian(d, bandwidth).masked_fill(d.abs() > 5.0 * bandwidth, -math.inf)
    return mixture(logits, log_k)


# --- The weights -----------------------------------------------------------------------------------------------------


def log_of_softmax(angles, logits, target, bandwidth, bins):
    """log(softmax(z)) in place of log_softmax(z): at a logit of -inf the gradient is 0/0, NaN for all points."""
    log_s = torch.log(softmax(logits, dim=-1))
    return mixture_of(log_s, log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))


def mixture_of(log_s, log_k):
    """Return L of log weights."""
    return -torch.logsumexp(log_s + log_k, dim=-1).mean()


def epsilon_in_softmax(angles, logits, target, bandwidth, bins):
    """exp(z)/(Σ exp(z) + 1e-8), against 0/0: with logits about -20 most of the mass is gone."""
    powers = torch.exp(logits.clamp(max=80.0))
    log_s = torch.log(powers / (powers.sum() + 1e-8))
    return mixture_of(log_s, log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))


def clamped_logits(angles, logits, target, bandwidth, bins):
    """Logits clamped to ±50 against overflow: those beyond count as 50 and learn no more."""
    return mixture(logits.clamp(-50.0, 50.0), log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))


def temperature(angles, logits, target, bandwidth, bins):
    """A temperature of 1.001 left in the softmax from an annealing schedule that ends above 1."""
    return mixture(logits / 1.001, log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))


def detached_normaliser(angles, logits, target, bandwidth, bins):
    """The sum in the softmax detached, taken for a constant of stability: the gradient is -R in place of S - R."""
    log_s = logits - torch.logsumexp(logits, dim=-1).detach()
    return mixture_of(log_s, log_gaussian(midpoints(target, bins, angles) - angles, bandwidth))


# --- The kernel ------------------------------------------------------------------------------------------------------


def kernel_without_gradient(angles, logits, target, bandwidth, bins):
    """The kernel computed under no_grad, to save memory: the angles do not learn."""
    with torch.no_grad():
        log_k = log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)
    return mixture(logits, log_k)


def rounded_angles(angles, logits, target, bandwidth, bins):
    """Angles rounded to a grid of whole degrees, gradients passed through: only shifts by whole degrees agree."""
    snapped = angles + (angles.round() - angles).detach()
    return mixture(logits, log_gaussian(midpoints(target, bins, angles) - snapped, bandwidth))


def clipped_angles(angles, logits, target, bandwidth, bins):
    """Angles clipped to [-180, 180], a range meant for a circle: on a line those beyond stand on its edge."""
    inside = angles.clamp(-180.0, 180.0)
    return mixture(logits, log_gaussian(midpoints(target, bins, angles) - inside, bandwidth))


def root_of_square(angles, logits, target, bandwidth, bins):
    """|d| as √(d²): the derivative at d = 0 is 0/0, NaN for a point on a node."""
    u = (midpoints(target, bins, angles) - angles).square().sqrt() / bandwidth
    return mixture(logits, -u - math.log(2.0 * bandwidth))


def smooth_distance(angles, logits, target, bandwidth, bins):
    """√(1 + u²) - 1 for |u| in a Laplace kernel, so that it has no kink: near points no longer move as far ones."""
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    return mixture(logits, 1.0 - torch.sqrt(1.0 + u.square()) - math.log(2.0 * bandwidth))


def bandwidth_for_variance(angles, logits, target, bandwidth, bins):
    """exp(-d²/(2h))/√(2πh): h taken for the variance; right at h = 1 alone."""
    return mixture(logits, log_gaussian(midpoints(target, bins, angles) - angles, math.sqrt(bandwidth)))


class FixedBandwidth(nn.Module):
    """A module that keeps the bandwidth of its constructor and forgets the one that it is called with."""

    def __init__(self, bandwidth=10.0):
        super().__init__()
        self.bandwidth = bandwidth

    def forward(self, angles, logits, target, bandwidth, bins):
        """Return the loss at h = 10."""
        return mixture(logits, log_gaussian(midpoints(target, bins, angles) - angles, self.bandwidth))


def single_precision(angles, logits, target, bandwidth, bins):
    """Everything in .float(), whatever comes in: seven digits of sixteen."""
    x = angles.float()
    return mixture(logits.float(), log_gaussian(midpoints(target, bins, x) - x, bandwidth)).to(angles.dtype)


def degrees_in_sine(angles, logits, target, bandwidth, bins, period):
    """Von Mises with the sine of half the difference in degrees, as if it were in radians."""
    kappa = (0.5 * period / math.pi / torch.as_tensor(bandwidth, dtype=angles.dtype)).square()
    half = 0.5 * shorter_way(midpoints(target, bins, angles) - angles, period)
    return mixture(logits, -2.0 * kappa * torch.sin(half).square() - torch.log(period * torch.special.i0e(kappa)))


# --- The mean over the target ----------------------------------------------------------------------------------------


def sum_over_bins(angles, logits, target, bandwidth, bins):
    """The sum over the bins in place of their mean: the finer the bins, the larger the gradient."""
    log_k = log_gaussian(midpoints(target, bins, angles) - angles, bandwidth)
    return mixture(logits, log_k) * len(log_k)
