"""The operator on any device, as operations on tensors in the dtype of the angles.

The formulas are those of `kdegrad.crossentropy`. Of a node t the nearest point with a weight sets the common part,
log K_* = max_j log K_j, and with

    D_j = (log K_j - log K_*) + log S_j,    m = max_j D_j,    E_j = exp(D_j - m),    s = Σ_j E_j

log p = log K_* + m + log s, and the responsibilities are E_j/s: they sum to 1 at any distance, as the common part is
gone before the weights come in. At a node that no point reaches E and s are 0.

Pairs of points and nodes are formed in blocks of at most `MOST_PAIRS`, which keeps memory below 1 GiB, and nothing of a
block is kept. No step waits for the device: no number is read from it, and no shape depends on one. What cannot be used
can then not be refused as on the CPU: the loss of such a problem is NaN.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
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
from kdegrad.torch.line import LINE_KERNELS

MOST_PAIRS: Final = 1 << 23  # some twelve arrays of them are alive at once: 800 MB in float64


class Layout(ABC):
    """How the points of G problems stand in a tensor, and so how pairs of points and nodes do."""

    @abstractmethod
    def of_points(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the points as a tensor that pairs are combined with."""

    @abstractmethod
    def of_nodes(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the nodes (g, b) as a tensor that pairs are combined with."""

    @abstractmethod
    def largest(self, pairs: torch.Tensor) -> torch.Tensor:
        """Return the largest over the points of each problem, for pairs (g, b)."""

    @abstractmethod
    def total(self, pairs: torch.Tensor) -> torch.Tensor:
        """Return the sum over the points of each problem, for pairs (g, b)."""


@final
class Rows(Layout):
    """Points (g, N), pairs (g, N, b)."""

    def of_points(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, :, None]

    def of_nodes(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, None, :]

    def largest(self, pairs: torch.Tensor) -> torch.Tensor:
        return pairs.amax(dim=1)

    def total(self, pairs: torch.Tensor) -> torch.Tensor:
        return pairs.sum(dim=1)


@final
class Ragged(Layout):
    """Points (M,), pairs (M, b); `problem` is that of each point, (M,), and `count` is G."""

    def __init__(self, problem: torch.Tensor, count: int) -> None:
        self.problem, self.count = problem, count

    def of_points(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, None]

    def of_nodes(self, values: torch.Tensor) -> torch.Tensor:
        return values.expand(self.count, -1)[self.problem]

    def largest(self, pairs: torch.Tensor) -> torch.Tensor:
        lowest = pairs.new_full((self.count, pairs.shape[1]), -math.inf)
        return lowest.scatter_reduce(0, self.problem[:, None].expand_as(pairs), pairs, "amax")

    def total(self, pairs: torch.Tensor) -> torch.Tensor:
        return pairs.new_zeros(self.count, pairs.shape[1]).index_add(0, self.problem, pairs)


@final
@dataclass(frozen=True, eq=False)
class Sums:
    """What is added up over the blocks: -Σ_m q_m log p̃ (G,), and R_i, ∂L/∂x_i (of the angles) and ∂L/∂log h (G,).

    None is what is not wanted.
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
    points or a target that cannot be used; the gradients of both are NaN.

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
    is_known = bandwidth.device.type == "cpu"
    settings = Settings(
        kernel=kernel,
        bandwidth=float(bandwidth) if is_known else 1.0,
        df=df,
        bins=bins,
        background=background,
        circular=circular,
        period=period,
        unit=unit,
    )
    circumference = settings.circumference
    check_quadrature(settings, has_interval=is_interval, has_points=not is_interval)
    layout: Layout = Rows() if offsets is None else _ragged(offsets, angles)
    count = angles.shape[0] if offsets is None else offsets.shape[0] - 1
    targets = _targets(first, second, is_interval, bins, count, circumference, angles.dtype)
    log_weights = _log_softmax(layout, logits)
    wanted = wrt_angles or wrt_logits or wrt_bandwidth
    sums = Sums(
        angles.new_zeros(count),
        torch.zeros_like(angles) if wanted else None,
        torch.zeros_like(angles) if wrt_angles else None,
        angles.new_zeros(count) if wrt_bandwidth else None,
    )
    h = bandwidth if bandwidth.device.type == "mps" else bandwidth.double()  # which has no float64
    h = torch.where(h > 0.0, h, math.nan)
    pairs = Pairs(layout, _kernel(domain_and_kernel(settings)[1].name, h, df, circumference), circumference)
    reduced = angles if circumference is None else _reduced(angles, circumference)
    for problems, some in _blocks(offsets is not None, angles.shape, targets.nodes.shape):
        _add(sums, pairs, settings.background, problems, reduced, log_weights, targets.part(problems, some))

    is_wrong = ~angles.isfinite() | log_weights.isnan()
    is_wrong_somewhere = layout.largest(layout.of_points(is_wrong.to(angles.dtype)))[:, 0] > 0.0
    losses = torch.where(targets.is_wrong | is_wrong_somewhere, math.nan, sums.losses)
    undefined = ~losses.isfinite()
    nothing = angles.new_empty(0)
    of_angles = of_logits = of_bandwidth = nothing
    if sums.slopes is not None:
        of_angles = torch.where(_of_each(layout, undefined), math.nan, sums.slopes)
    if wrt_logits and sums.responsibilities is not None:
        weights, shares = log_weights.exp(), sums.responsibilities
        if background > 0.0:  # else Σ_j R_j = 1
            weights = weights * _of_each(layout, layout.total(layout.of_points(shares))[:, 0])
        of_logits = torch.where(_of_each(layout, undefined), math.nan, weights - shares)
    if sums.log_bandwidth is not None:
        of_bandwidth = torch.where(undefined, math.nan, sums.log_bandwidth / h)  # ∂L/∂h = ∂L/∂log h / h
    return losses, of_angles, of_logits, of_bandwidth


@final
@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of G problems.

    Attributes
    ----------
    nodes, weights
        t_m and q_m, each (G, B).
    widths
        What a background is spread over, (G, 1).
    is_wrong
        Which of them are no targets, (G,).
    """

    nodes: torch.Tensor
    weights: torch.Tensor
    widths: torch.Tensor
    is_wrong: torch.Tensor

    def part(self, problems: slice, some: slice) -> Targets:
        """Return some nodes of some of the problems."""
        return Targets(
            self.nodes[problems, some], self.weights[problems, some], self.widths[problems], self.is_wrong[problems]
        )


@final
@dataclass(frozen=True, eq=False)
class Pairs:
    """What pairs of points and nodes are made with."""

    layout: Layout
    kernel: TensorKernel
    circumference: float | None

    def displacements(self, nodes: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Return t ⊖ x, for places that are reduced on a circle."""
        d = self.layout.of_nodes(nodes) - self.layout.of_points(points)
        return d if self.circumference is None else d - self.circumference * torch.round(d / self.circumference)


def _add(
    sums: Sums,
    pairs: Pairs,
    background: float,
    problems: slice,
    angles: torch.Tensor,
    log_weights: torch.Tensor,
    targets: Targets,
) -> None:
    """Add what some nodes of some of the problems contribute."""
    layout, kernel, q = pairs.layout, pairs.kernel, targets.weights
    of_points = problems if isinstance(layout, Rows) else slice(None)
    d = pairs.displacements(targets.nodes, angles[of_points])
    log_s, log_shape = layout.of_points(log_weights[of_points]), kernel.log_shape(d)
    nearest = _or_zero(layout.largest(torch.where(log_s.isneginf(), -math.inf, log_shape)))
    excess = log_shape - layout.of_nodes(nearest) + log_s  # D
    peak = _or_zero(layout.largest(excess))
    terms = torch.exp(excess - layout.of_nodes(peak))  # E
    total = layout.total(terms)
    log_density = nearest + peak + torch.log(total) - kernel.log_norm + math.log1p(-background)
    log_mixture = log_density
    if background > 0.0:
        log_mixture = torch.logaddexp(log_density, math.log(background) - torch.log(targets.widths))
    sums.losses[problems] -= torch.where(q > 0.0, q * log_mixture, 0.0).sum(dim=1)
    if sums.responsibilities is None:
        return
    shares = q if background == 0.0 else q * torch.exp(log_density - log_mixture)
    pulls = torch.where(total > 0.0, shares / total, 0.0)  # log(q/s)
    terms = terms * layout.of_nodes(pulls)  # q_m r_i(t_m)
    sums.responsibilities[of_points] += terms.sum(dim=-1)
    if sums.slopes is None and sums.log_bandwidth is None:
        return
    slope, edge = kernel.log_slope(d), kernel.edge_slope(d)
    pulled = terms * slope  # q_m S_i ∂K/∂d / p_m
    if edge is not None:  # where K is 0 and its slope is not
        edge = edge * torch.exp(log_s - layout.of_nodes(nearest + peak)) * layout.of_nodes(pulls)
        pulled = pulled + edge
    if sums.slopes is not None:
        sums.slopes[of_points] += pulled.sum(dim=-1)
    if sums.log_bandwidth is not None:
        falls = terms * kernel.log_bandwidth_slope(d)
        falls = falls if edge is None else falls - d * edge
        sums.log_bandwidth[problems] -= layout.total(falls).sum(dim=1)


def _blocks(is_ragged: bool, points: tuple[int, ...], nodes: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yield which problems and which of their nodes to take at a time; ragged problems are taken together."""
    count, width = nodes
    together = count if is_ragged else max(1, min(count, MOST_PAIRS // (points[-1] * width)))
    some = max(1, MOST_PAIRS // (points[0] if is_ragged else together * points[-1]))
    for first in range(0, count, together):
        for node in range(0, width, some):
            yield slice(first, first + together), slice(node, node + some)


def _targets(
    first: torch.Tensor,
    second: torch.Tensor,
    is_interval: bool,
    bins: int,
    count: int,
    circumference: float | None,
    dtype: torch.dtype,
) -> Targets:
    """Return the nodes and weights: of intervals those of the midpoint rule."""
    first, second = first.to(dtype), second.to(dtype)
    if is_interval:
        width = second - first
        good = (first < second) & width.isfinite()
        if circumference is not None:
            rounding = 2.0 * torch.finfo(dtype).eps * torch.maximum(first.abs(), second.abs())
            good &= width <= circumference + rounding
            first = torch.fmod(first, circumference)
        steps = torch.arange(0.5, bins, dtype=dtype, device=first.device)
        nodes = steps * (width / bins)[:, None] + first[:, None]
        weights, widths = torch.full_like(nodes[:1], 1.0 / bins), width[:, None]
    else:
        nodes, weights = torch.atleast_2d(first), torch.atleast_2d(second)
        good = (nodes.isfinite() & (weights >= 0.0) & weights.isfinite()).all(dim=1) & (weights > 0.0).any(dim=1)
        weights = weights / weights.amax(dim=1, keepdim=True)
        weights = weights / weights.sum(dim=1, keepdim=True)
        widths = torch.full_like(nodes[:, :1], circumference or math.nan)  # on a line there is no background
    if circumference is not None:
        nodes = _reduced(nodes, circumference)
    nodes, weights, widths = (part.expand(count, -1) for part in (nodes, weights, widths))
    return Targets(nodes, weights, widths, ~good.expand(count))


def _kernel(name: str, h: torch.Tensor, df: float, circumference: float | None) -> TensorKernel:
    """Return the kernel of a name as operations on tensors."""
    kind = {**LINE_KERNELS, **CIRCLE_KERNELS}.get(name)
    if kind is None:  # one that was registered from outside
        raise SettingError("kernel", f"{shown(name)} is not written as operations on tensors: compute on the CPU")
    return kind(h, df, circumference)


def _ragged(offsets: torch.Tensor, angles: torch.Tensor) -> Ragged:
    """Return the layout of (M,) points; offsets that the host knows are checked, others are taken as they are."""
    count, size = offsets.shape[0] - 1, angles.shape[0]
    if offsets.device.type == "cpu" and angles.device.type != "cpu":
        checked_offsets(offsets.numpy(), size, "points")
    offsets = offsets.to(angles.device)
    problems = torch.arange(count, device=angles.device)
    return Ragged(problems.repeat_interleave(offsets.diff(), output_size=size), count)


def _log_softmax(layout: Layout, logits: torch.Tensor) -> torch.Tensor:
    """Return log S."""
    logits = logits - _of_each(layout, layout.largest(layout.of_points(logits))[:, 0])
    return logits - _of_each(layout, layout.total(layout.of_points(logits.exp()))[:, 0].log())


def _of_each(layout: Layout, values: torch.Tensor) -> torch.Tensor:
    """Return values of the problems (G,) as a tensor that values of the points are combined with."""
    return layout.of_nodes(values[:, None])[..., 0]


def _or_zero(logs: torch.Tensor) -> torch.Tensor:
    """Return 0 for -inf, where no point reaches a node."""
    return torch.where(logs.isneginf(), 0.0, logs)


def _reduced(places: torch.Tensor, circumference: float) -> torch.Tensor:
    """Return places on a circle within half a turn of 0, without rounding: fmod and the difference are exact."""
    places = torch.fmod(places, circumference)
    return places - circumference * torch.round(places / circumference)
