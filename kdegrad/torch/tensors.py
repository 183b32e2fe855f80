"""The operator on any device, as operations on tensors in the dtype of the angles.

The formulas are those of `kdegrad.crossentropy`. Of a node t the strongest point *, of the largest log S_j + log K_j,
sets the common part log K_*, and with

    D_j = (log K_j - log K_*) + log S_j,    m = max_j D_j,    E_j = exp(D_j - m),    s = Σ_j E_j

log p = log K_* + m + log s, and the responsibilities are E_j/s: they sum to 1 at any distance, as the common part is
gone before the weights come in. At a node that no point reaches E and s are 0.

Pairs of points and nodes are formed in blocks of at most `MOST_PAIRS`, which keeps memory below 1 GiB, and nothing of a
block is kept. (A block has one node at least, of all points of a problem, or of all ragged problems: more points make a
larger block.) No step waits for the device: no number is read from it, none is copied to it (a bandwidth that the host
knows is what a tensor there is filled with), and no shape depends on one. What cannot be used can then not be refused
as on the CPU: the loss of such a problem is NaN.

What belongs to a point, to a node or to h is formed in float64, and what belongs to pairs in the dtype of the angles;
on Apple's devices, which have no float64, all of it in float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import torch

from kdegrad.arrays import checked_offsets
from kdegrad.errors import SettingError
from kdegrad.problem import check_quadrature, domain_and_kernel
from kdegrad.settings import Settings
from kdegrad.text import shown
from kdegrad.torch.circle import CIRCLE_KERNELS
from kdegrad.torch.kernels import TensorKernel
from kdegrad.torch.layouts import Layout, Ragged, Rows, is_csr, problems_of
from kdegrad.torch.line import LINE_KERNELS
from kdegrad.torch.targets import Intervals, Targets, WeightedPoints

MOST_PAIRS: Final = 1 << 23  # six to eleven arrays of them are alive at once, by the kernel: 400 to 700 MB in float64


@final
@dataclass(frozen=True, eq=False)
class Sums:
    """What is added up over the blocks: -Σ_m q_m log p̃ (G,), and R_i, ∂L/∂x_i (of the angles) and ∂L/∂log h (G,).

    None is what is not wanted. Frozen are the fields, not the tensors: each block adds to these in place.
    """

    losses: torch.Tensor
    responsibilities: torch.Tensor | None
    slopes: torch.Tensor | None
    log_bandwidth: torch.Tensor | None


def on_device(
    angles: torch.Tensor,
    logits: torch.Tensor,
    bandwidth: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    is_interval: bool,
    offsets: torch.Tensor | None,
    kernel: str,
    df: float,
    bins: int,
    background: float,
    circular: bool,
    period: float | None,
    unit: str,
    wrt_angles: bool,
    wrt_logits: bool,
    wrt_bandwidth: bool,
) -> tuple[torch.Tensor, ...]:
    """Return the losses (G,) and their gradients ∂L/∂x, ∂L/∂z, of the shape of the angles, and ∂L/∂h, (G,).

    A gradient that is not wanted is an empty tensor. A loss is infinite where the density is 0 at a node, and NaN for
    points or a target that cannot be used; the gradients of both are NaN. The parameters are those of the operator,
    which takes only tensors, numbers and texts.

    Parameters
    ----------
    angles, logits
        Shape (G, N), or (M,) with offsets; of one dtype.
    bandwidth
        h, shape ().
    first, second
        The ends of the intervals, each (G,); or angles and weights of target points, each (G, K), or (K,) for all.
    offsets
        Shape (G+1,), as in CSR, or None.

    Raises
    ------
    KdegradError
        For options that cannot be used, and a bandwidth or offsets that the host knows.
    """
    host_h = bandwidth.item() if bandwidth.device.type == "cpu" else None
    settings = Settings(
        kernel=kernel,
        bandwidth=1.0 if host_h is None else host_h,
        df=df,
        bins=bins,
        background=background,
        circular=circular,
        period=period,
        unit=unit,
    )
    check_quadrature(settings, has_interval=is_interval, has_points=not is_interval)
    if offsets is not None and offsets.device != angles.device:
        offsets = torch.from_numpy(checked_offsets(offsets.numpy(), len(angles), "points")).to(angles.device)
    wide = torch.float32 if angles.device.type == "mps" else torch.float64
    h = bandwidth.to(wide) if host_h is None else angles.new_full((), host_h, dtype=wide)
    target = (first.to(wide), second.to(wide), is_interval)
    return summed(angles, logits, h, host_h, target, offsets, settings, (wrt_angles, wrt_logits, wrt_bandwidth))


def summed(
    angles: torch.Tensor,
    logits: torch.Tensor,
    h: torch.Tensor,
    host_h: float | None,
    target: tuple[torch.Tensor, torch.Tensor, bool],
    offsets: torch.Tensor | None,
    settings: Settings,
    wrt: tuple[bool, bool, bool],
) -> tuple[torch.Tensor, ...]:
    """Return the result of `on_device` for tensors that are all on one device; h and the target are in float64.

    `host_h` is h as a number where the host knows it, else None: `TensorKernel` says what it saves.
    """
    circumference, count = settings.circumference, angles.shape[0] if offsets is None else offsets.shape[0] - 1
    wrt_angles, wrt_logits, wrt_bandwidth = wrt
    h = torch.where((h > 0.0) & h.isfinite(), h, math.nan)
    kernel = _kernel(domain_and_kernel(settings)[1].name)(h, settings.df, circumference, host_h)
    layout: Layout = Rows() if offsets is None else Ragged(problems_of(offsets, len(angles)), count)
    first, second, is_interval = target
    targets: Targets
    if is_interval:
        targets = Intervals(first, second, settings.bins, angles.dtype, circumference)
    else:
        targets = WeightedPoints(first, second, count, angles.dtype, circumference)
    log_weights = layout.log_softmax(logits)
    pairs = Pairs(layout, kernel, targets, targets.points(layout, angles), log_weights, settings.background)
    sums = Sums(
        angles.new_zeros(count),
        torch.zeros_like(angles) if any(wrt) else None,
        torch.zeros_like(angles) if wrt_angles else None,
        angles.new_zeros(count) if wrt_bandwidth else None,
    )
    for problems, nodes in _blocks(angles.shape, offsets is not None, count, targets.count):
        _add(sums, pairs, problems, nodes)

    # log S is inf - inf, so NaN, of a problem with a logit of +inf, and of one whose logits are all -inf
    is_unusable = layout.any_of_points(~angles.isfinite() | log_weights.isnan()) | targets.is_wrong | h.isnan()
    if offsets is not None:
        is_unusable |= ~is_csr(offsets, len(angles))
    losses = torch.where(is_unusable, math.nan, sums.losses)
    undefined = ~losses.isfinite()
    of_angles, of_logits, of_bandwidth = (angles.new_empty(0) for _ in range(3))  # an operator returns none twice
    if sums.slopes is not None:
        of_angles = torch.where(layout.of_problems(undefined), math.nan, sums.slopes)
    if wrt_logits and sums.responsibilities is not None:
        weights, responsibilities = log_weights.exp(), sums.responsibilities
        if settings.background > 0.0:  # else Σ_j R_j = 1
            weights = weights * layout.of_problems(layout.total(layout.of_points(responsibilities))[:, 0])
        of_logits = torch.where(layout.of_problems(undefined), math.nan, weights - responsibilities)
    if sums.log_bandwidth is not None:
        of_bandwidth = torch.where(undefined, math.nan, sums.log_bandwidth / h)  # ∂L/∂h = ∂L/∂log h / h
    return losses, of_angles, of_logits, of_bandwidth


@final
@dataclass(frozen=True, eq=False)
class Pairs:
    """What pairs of points and nodes are made of; `points` are the places of all points, `log_weights` their log S."""

    layout: Layout
    kernel: TensorKernel
    targets: Targets
    points: torch.Tensor
    log_weights: torch.Tensor
    background: float

    def terms(self, d: torch.Tensor, log_s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return E of the pairs, s of the nodes, and log p + log_norm."""
        layout = self.layout
        log_shape = self.kernel.log_shape(d)
        strength = log_shape + log_s
        # Any one of several strongest would do for *; the largest of their log K is one that a reduction finds.
        is_strongest = strength >= layout.of_nodes(layout.largest(strength))
        common = _or_zero(layout.largest(torch.where(is_strongest, log_shape, -math.inf)))
        # From here on in place, where `strength` was: an array of pairs takes up to 64 MB.
        relative = torch.sub(log_shape, layout.of_nodes(common), out=strength)
        relative += log_s  # D
        # m is not just D_* = log S_*: far out log S is lost in the rounding of the strength, and another D is larger.
        largest = _or_zero(layout.largest(relative))
        e = relative.sub_(layout.of_nodes(largest)).exp_()
        total = layout.total(e)
        return e, total, common + largest + torch.log(total)


def displacements(layout: Layout, t: torch.Tensor, x: torch.Tensor, circumference: float | None) -> torch.Tensor:
    """Return t ⊖ x of the pairs; on a circle of places within half a turn of 0, whose difference is up to a turn."""
    d = layout.of_nodes(t) - layout.of_points(x)
    if circumference is None:
        return d
    turns = (d * (1.0 / circumference)).round_()  # as CUDA computes d / circumference: the CPU then rounds alike
    d -= turns.mul_(circumference)
    return d.clamp_(-0.5 * circumference, 0.5 * circumference)  # rounding may pass the antipode


def _add(sums: Sums, pairs: Pairs, problems: slice, nodes: slice) -> None:
    """Add what some nodes of some of the problems contribute."""
    layout, kernel, targets, background = pairs.layout, pairs.kernel, pairs.targets, pairs.background
    points = problems if isinstance(layout, Rows) else slice(None)
    q = targets.weights(problems, nodes)
    d = displacements(layout, targets.nodes(problems, nodes), pairs.points[points], targets.circumference)
    log_s = layout.of_points(pairs.log_weights[points])
    e, total, log_sum = pairs.terms(d, log_s)
    log_factor = math.log1p(-background) - kernel.log_norm
    log_density = log_mixture = log_sum + log_factor
    if background > 0.0:
        log_uniform = math.log(background) - torch.log(targets.widths[problems])
        log_mixture = torch.logaddexp(log_density, log_uniform.to(log_density.dtype))
    sums.losses[problems] -= torch.where(q > 0.0, q * log_mixture, 0.0).sum(dim=1)
    if sums.responsibilities is None:
        return
    node_shares = q if background == 0.0 else q * torch.exp(log_density - log_mixture)
    shares = e.mul_(layout.of_nodes(torch.where(total > 0.0, node_shares / total, 0.0)))  # q_m r_i(t_m), in place of E
    sums.responsibilities[points] += shares.sum(dim=-1)
    if sums.slopes is None and sums.log_bandwidth is None:
        return
    slope, edge = kernel.log_slope(d), None
    if kernel.edge_slope is not None:  # where K is 0 and its slope is not: q_m S_i ∂K/∂d / p̃_m
        log_pulls = torch.where(q > 0.0, torch.log(q) - log_mixture + log_factor, -math.inf)
        # It may overflow: the point has no part in p̃, which may be far smaller than S_i.
        pulls = torch.copysign(torch.exp(log_s + layout.of_nodes(log_pulls)), d) * kernel.edge_slope
        edge = torch.where(d.abs() == kernel.h, pulls, 0.0)
    if sums.log_bandwidth is not None:
        falls = _product(shares, kernel.log_bandwidth_slope(d, slope))
        falls = falls if edge is None else falls - d * edge
        sums.log_bandwidth[problems] -= layout.total(falls).sum(dim=1)
    if sums.slopes is not None:
        pulled = _product(shares, slope)
        pulled = pulled if edge is None else pulled + edge
        if targets.circumference is not None:
            pulled = torch.where(d.abs() < 0.5 * targets.circumference, pulled, 0.0)  # else at the antipode's kink
        sums.slopes[points] += pulled.sum(dim=-1)


def _product(shares: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Return the product, 0 where a share is 0: the slope may be infinite there, far out. A share is at most 1."""
    return torch.where(shares == 0.0, 0.0, shares * slopes)


def _blocks(shape: tuple[int, ...], is_ragged: bool, problems: int, nodes: int) -> Iterator[tuple[slice, slice]]:
    """Yield which problems, and which nodes of them, to take at a time; ragged problems are taken together.

    `shape` is that of the points, (G, N) or (M,); `problems` is G, and `nodes` how many nodes each has.
    """
    some_problems = problems if is_ragged else max(1, min(problems, MOST_PAIRS // (shape[1] * nodes)))
    some_nodes = max(1, MOST_PAIRS // (shape[0] if is_ragged else some_problems * shape[1]))
    for problem in range(0, problems, some_problems):
        for node in range(0, nodes, some_nodes):
            yield slice(problem, problem + some_problems), slice(node, node + some_nodes)


def _kernel(name: str) -> type[TensorKernel]:
    """Return the kernel of a name as operations on tensors."""
    kind = {**LINE_KERNELS, **CIRCLE_KERNELS}.get(name)
    if kind is None:  # one that was registered from outside
        raise SettingError("kernel", f"{shown(name)} is not written as operations on tensors: compute on the CPU")
    return kind


def _or_zero(logs: torch.Tensor) -> torch.Tensor:
    """Return 0 for -inf, where no point reaches a node."""
    return torch.where(logs.isneginf(), 0.0, logs)
