"""Right losses in PyTorch, as a user might write them: -logsumexp(log_softmax(z) + log K), gradients by autograd."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import log_softmax, softplus


def midpoints(target, bins, like):
    """Return the centres of equal parts of (low, high), or the single node, as a column like `like`."""
    if isinstance(target, tuple):
        low, high = target
        parts = torch.arange(bins, dtype=like.dtype, device=like.device)
        return (low + (high - low) * (parts + 0.5) / bins)[:, None]
    return torch.full((1, 1), target, dtype=like.dtype, device=like.device)


def mixture(logits, log_k):
    """Return L = -mean_m log Σ_j S_j K_mj."""
    return -torch.logsumexp(log_softmax(logits, dim=-1) + log_k, dim=-1).mean()


def shorter_way(difference, period):
    """Return the distance on a circle; `minimum` shares the gradient at the antipode, where it is then 0."""
    way = torch.remainder(difference.abs(), period)
    return torch.minimum(way, period - way)


def gaussian(angles, logits, target, bandwidth, bins=36):
    """Return the loss for K = exp(-u²/2)/√(2π); h may be a tensor that is learned."""
    h = torch.as_tensor(bandwidth, dtype=angles.dtype)
    u = (midpoints(target, bins, angles) - angles) / h
    return mixture(logits, -0.5 * u.square() - torch.log(h * math.sqrt(2.0 * math.pi)))


def laplace(angles, logits, target):
    """Return the loss for K = exp(-|u|)/2, always with h = 10 and 24 bins."""
    u = (midpoints(target, 24, angles) - angles).abs() / 10.0
    return mixture(logits, -u - math.log(20.0))


class Cauchy(nn.Module):
    """A module: K = 1/(π(1 + u²))."""

    def __init__(self, bins=36):
        super().__init__()
        self.bins = bins

    def forward(self, angles, logits, target, bandwidth):
        """Return the loss."""
        u = (midpoints(target, self.bins, angles) - angles) / bandwidth
        return mixture(logits, -torch.log1p(u.square()) - math.log(math.pi * bandwidth))


cauchy = Cauchy(bins=24)


def student_t(angles, logits, target, *, bandwidth=10.0, df=3.0, bins=36):
    """Return the loss for Student's t with df degrees of freedom, by the formula of torch.distributions."""
    kernel = torch.distributions.StudentT(torch.tensor(df, dtype=angles.dtype), validate_args=False)
    u = (midpoints(target, bins, angles) - angles) / bandwidth
    return mixture(logits, kernel.log_prob(u) - math.log(bandwidth))


def logistic(angles, logits, target, bandwidth, bins, scale=1.0, background=0.0):
    """Return the loss for K = 1/(e^u + 2 + e^-u), in p̃ = (1-E) C p + E/(b-a)."""
    u = (midpoints(target, bins, angles) - angles).abs() / bandwidth
    log_k = -u - 2.0 * softplus(-u) - math.log(bandwidth) + math.log(scale) + math.log1p(-background)
    if background == 0.0:
        return mixture(logits, log_k)
    flat = torch.tensor(math.log(background / (target[1] - target[0])), dtype=angles.dtype)
    return -torch.logaddexp(torch.logsumexp(log_softmax(logits, dim=-1) + log_k, dim=-1), flat).mean()


def epanechnikov(angles, logits, target, bandwidth, bins=36):
    """Return the loss for K = 3/4 (1 - u²) on |u| < 1; inf where a node is farther than h from all points.

    `where` stands twice: autograd would make NaN of the log of 0 even where it is not chosen.
    """
    d = (midpoints(target, bins, angles) - angles).abs()
    inside = d < bandwidth
    d = torch.where(inside, d, 0.0)
    log_k = torch.log(0.75 * ((bandwidth - d) / bandwidth) * ((bandwidth + d) / bandwidth)) - math.log(bandwidth)
    return mixture(logits, torch.where(inside, log_k, -math.inf))


def geodesic_laplace(angles, logits, target, bandwidth, bins=36, period=360.0):
    """Return the loss for exp(-d/h), d the shorter way round, divided by its mass on the circle."""
    d = shorter_way(midpoints(target, bins, angles) - angles, period)
    log_mass = math.log(-2.0 * bandwidth * math.expm1(-0.5 * period / bandwidth))
    return mixture(logits, -d / bandwidth - log_mass)


def von_mises(angles, logits, target, bandwidth, bins=36, period=360.0):
    """Return the loss for exp(κ cos θ)/(P I0(κ)), κ = (P/(2πh))², with the scaled Bessel function i0e = e^-κ I0."""
    kappa = (0.5 * period / math.pi / torch.as_tensor(bandwidth, dtype=angles.dtype)).square()
    half = shorter_way(midpoints(target, bins, angles) - angles, period) * (math.pi / period)
    return mixture(logits, -2.0 * kappa * torch.sin(half).square() - torch.log(period * torch.special.i0e(kappa)))


def any_kernel(angles, logits, target, kernel, bandwidth, bins):
    """Return the loss for a kernel by its name."""
    u = (midpoints(target, bins, angles) - angles).abs() / bandwidth
    log_k = {
        "gaussian": lambda: -0.5 * u.square() - 0.5 * math.log(2.0 * math.pi),
        "laplace": lambda: -u - math.log(2.0),
        "cauchy": lambda: -torch.log1p(u.square()) - math.log(math.pi),
    }[kernel]()
    return mixture(logits, log_k - math.log(bandwidth))


def everything(angles, logits, target, **options):
    """Return the loss for a Laplace kernel; takes every option, line or circle, and p̃ = (1-E) C p + E/(b-a)."""
    assert options["kernel"] == "laplace"
    background = options["background"]
    d, h = (midpoints(target, options["bins"], angles) - angles).abs(), options["bandwidth"]
    mass = 2.0 * h
    if options["circular"]:
        period = options["period"] or {"degrees": 360.0, "radians": 2.0 * math.pi, "turns": 1.0}[options["unit"]]
        d, mass = shorter_way(d, period), mass * -math.expm1(-0.5 * period / h)
    log_k = -d / h - math.log(mass) + math.log(options["scale"]) + math.log1p(-background)
    if background == 0.0:
        return mixture(logits, log_k)
    flat = torch.tensor(math.log(background / (target[1] - target[0])), dtype=angles.dtype)
    return -torch.logaddexp(torch.logsumexp(log_softmax(logits, dim=-1) + log_k, dim=-1), flat).mean()
