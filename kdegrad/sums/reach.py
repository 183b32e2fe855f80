"""How far e^(-|d|/h) reaches on the line, round a circle's shorter way, and round all its turns.

All three cut their domain at breakpoints s_0 < … < s_{n-1} such that no point of a cell sees a node change sides, and
offer the same two running sums of charges a_j on the breakpoints:

    left_k = Σ a_j exp(-(s_k ⊖ s_j)/h) over the j that lie to the left of s_k, itself included,
    right_k the same to the right.

- Line: the breakpoints are the nodes.
- All turns (wrapped Laplace): the same on one turn, and the turns before it are a geometric series of the last sum:
  left_{n-1} = E_{n-1}/(1 - e^(-P/h)).
- The shorter way (geodesic Laplace): a node changes sides at its antipode, so antipodes are breakpoints too: s_{k+n/2}
  is the antipode of s_k. The left of s_k is the half turn (s_k - P/2, s_k], a difference of two running sums over a
  turn and a half: left_k = E_k - e^(-P/2h) E_{k-n/2}. What cancels is what lies beyond the antipode, and the other side
  holds the same charges nearer, hence larger: to their sum the difference is accurate.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import final

import numpy as np

from kdegrad.arrays import FloatArray, IntArray
from kdegrad.domain import Circle
from kdegrad.kernel.base import Kernel
from kdegrad.logs import log_difference, log_or_minus_infinity
from kdegrad.sums.decay import DecayingSums
from kdegrad.sums.locate import Breakpoints
from kdegrad.sums.narrow import NarrowLine


class Reach(ABC):
    """Breakpoints and running sums; `index` (B,) says at which breakpoint each node lies.

    `log_norm` and `shift` complete the kernel:
    K_h = exp(-|d|/h - log_norm) summed over what is in reach, and ∂K_h/∂log h = (|d|/h - shift) K_h.
    """

    def __init__(self, kernel: Kernel, positions: FloatArray, index: IntArray | slice) -> None:
        self.bandwidth = kernel.bandwidth
        self.log_norm, self.shift = kernel.log_norm, 1.0
        self.breakpoints = Breakpoints(positions)
        self.index = index

    @property
    def cells(self) -> int:
        """The number of cells, n + 1."""
        return len(self.breakpoints.positions) + 1

    @cached_property
    def left_ends(self) -> FloatArray:
        """The left ends of the cells, (n+1,)."""
        positions = self.breakpoints.positions
        return np.concatenate([[self.beyond(positions)[0]], positions])

    @cached_property
    def right_ends(self) -> FloatArray:
        """The right ends of the cells, (n+1,)."""
        positions = self.breakpoints.positions
        return np.concatenate([positions, [self.beyond(positions)[1]]])

    @cached_property
    def from_left_end(self) -> FloatArray:
        """λ, how far each cell's reference is from its left end in bandwidths, (n+1,)."""
        distance: FloatArray = self.breakpoints.references - self.left_ends
        distance /= self.bandwidth
        return distance

    @cached_property
    def to_right_end(self) -> FloatArray:
        """μ, how far it is from its right end."""
        distance: FloatArray = self.right_ends - self.breakpoints.references
        distance /= self.bandwidth
        return distance

    @cached_property
    def narrow(self) -> NarrowLine | None:
        """The running sums in plain numbers, where they may be."""
        return None

    @abstractmethod
    def beyond(self, positions: FloatArray) -> tuple[float, float]:
        """Return the breakpoint before the first and the one after the last."""

    @abstractmethod
    def coordinates(self, x: FloatArray) -> FloatArray:
        """Return the place of x among the breakpoints."""

    @abstractmethod
    def running(self, from_left: FloatArray, from_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log left and log right, each (n,), from log charges for either side, each (n,)."""

    @abstractmethod
    def moments(self, log_charges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the logarithms of the running sums with a factor |d|/h beside each exponential, each (n,)."""

    @abstractmethod
    def in_cells(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return `left` at the left end and `right` at the right end of each cell, each (n+1,)."""

    @abstractmethod
    def of_cells(self, to_left: FloatArray, to_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the sums of cells to their right ends as charges from the left, and the others from the right."""

    def beside(self, left: FloatArray, right: FloatArray, log_charges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the running sums at each breakpoint without its own charge, each (n,)."""
        before, after = self.in_cells(left, right)
        gaps = self.right_ends - self.left_ends
        return before[:-1] - gaps[:-1] / self.bandwidth, after[1:] - gaps[1:] / self.bandwidth

    def charges(self, at_nodes: FloatArray) -> FloatArray:
        """Return log charges on the breakpoints, (n,), from those on the nodes, (B,)."""
        charges = np.full(len(self.breakpoints.positions), -np.inf)
        if isinstance(self.index, slice) or len(np.unique(self.index)) == len(self.index):
            charges[self.index] = at_nodes
        else:
            np.logaddexp.at(charges, self.index, at_nodes)
        return charges


class _OneStretch(Reach):
    """What the line and all turns share: one stretch of breakpoints, each of which is a node."""

    def moments(self, log_charges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the running sums of (gap/h) e^(-gap/h) · (the sum at the breakpoint before).

        For M_k = Σ a_j u_jk e^(-u_jk), u in bandwidths, M_k = e^(-gap/h) (M_{k-1} + (gap/h) E_{k-1}).
        """
        left, right = self.beside(*self.running(log_charges, log_charges), log_charges)
        log_gaps = log_or_minus_infinity((self.right_ends - self.left_ends) / self.bandwidth)
        with np.errstate(invalid="ignore"):  # beyond the ends of the line: inf - inf
            charges = [
                np.where(np.isneginf(side), side, side + gap)
                for side, gap in ((left, log_gaps[:-1]), (right, log_gaps[1:]))
            ]
        return self.running(*charges)


@final
class LineReach(_OneStretch):
    """The line."""

    def __init__(self, kernel: Kernel, nodes: FloatArray) -> None:
        positions, index = _distinct(nodes)
        super().__init__(kernel, positions, index)

    @cached_property
    def narrow(self) -> NarrowLine | None:
        """The running sums in plain numbers, if the nodes are in order and close enough in bandwidths."""
        positions = self.breakpoints.positions
        if not isinstance(self.index, slice) or not NarrowLine.holds(positions, self.bandwidth):
            return None
        return NarrowLine(positions, self.breakpoints.references, self.bandwidth)

    @cached_property
    def running_sums(self) -> DecayingSums:
        """The running sums over the breakpoints."""
        return DecayingSums(self.breakpoints.positions, self.bandwidth)

    def beyond(self, positions: FloatArray) -> tuple[float, float]:
        """Return nothing: minus and plus infinity."""
        return -math.inf, math.inf

    def coordinates(self, x: FloatArray) -> FloatArray:
        """Return x itself."""
        return x

    def running(self, from_left: FloatArray, from_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the running sums."""
        return self.running_sums(from_left, from_right)

    def in_cells(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return them with nothing beyond the ends."""
        return np.concatenate([[-np.inf], left]), np.concatenate([right, [-np.inf]])

    def of_cells(self, to_left: FloatArray, to_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return them without the side that the outer cells do not have."""
        return to_right[:-1], to_left[1:]


class _CircleReach(Reach):
    """What the circles share: coordinates round the first node, in [-P/2, P/2], and cells 0 and n that are one."""

    def beyond(self, positions: FloatArray) -> tuple[float, float]:
        """Return the last breakpoint a turn before, and the first a turn later."""
        return positions[-1] - self.circle.period, positions[0] + self.circle.period

    def coordinates(self, x: FloatArray) -> FloatArray:
        """Return x ⊖ origin."""
        return self.circle.difference(x, self.origin)

    def in_cells(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return them with the turn's first and last."""
        return np.concatenate([left[-1:], left]), np.concatenate([right, right[:1]])

    def of_cells(self, to_left: FloatArray, to_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return them with cell n, which is cell 0 seen a turn later, added to it."""
        to_right, to_left = to_right.copy(), to_left.copy()
        to_right[0] = np.logaddexp(to_right[0], to_right[-1])
        to_left[-1] = np.logaddexp(to_left[-1], to_left[0])
        return to_right[:-1], to_left[1:]

    def _place(self, kernel: Kernel, nodes: FloatArray) -> FloatArray:
        assert isinstance(kernel.domain, Circle)
        self.circle, self.origin = kernel.domain, nodes[0]
        return self.coordinates(nodes)


@final
class AllTurnsReach(_CircleReach, _OneStretch):
    """All turns of a circle."""

    def __init__(self, kernel: Kernel, nodes: FloatArray) -> None:
        positions, index = _distinct(self._place(kernel, nodes))
        super().__init__(kernel, positions, index)
        self.running_sums = DecayingSums(positions, kernel.bandwidth)
        turn = self.circle.period / kernel.bandwidth
        self.log_turns = -math.log(-math.expm1(-turn))
        self.log_norm = math.log(2.0) + math.log(kernel.bandwidth)

    def running(self, from_left: FloatArray, from_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the running sums of this turn and what all turns before it hand on."""
        left, right = self.running_sums(from_left, from_right)
        from_start = (self.breakpoints.positions - self.left_ends[0]) / self.bandwidth
        from_end = (self.right_ends[-1] - self.breakpoints.positions) / self.bandwidth
        return (
            np.logaddexp(left, left[-1] + self.log_turns - from_start),
            np.logaddexp(right, right[0] + self.log_turns - from_end),
        )


@final
class ShorterWayReach(_CircleReach):
    """The shorter way round a circle."""

    def __init__(self, kernel: Kernel, nodes: FloatArray) -> None:
        places = self._place(kernel, nodes)
        half_turn = 0.5 * self.circle.period
        folded = np.where(places < 0.0, places + half_turn, np.where(places < half_turn, places, places - half_turn))
        half, found = _distinct(folded)
        self.half = len(half)
        index = np.arange(self.half)[found]
        positions = np.concatenate([half - half_turn, half])
        super().__init__(
            kernel, positions, np.where(places < 0.0, index, np.where(places < half_turn, index + self.half, index))
        )
        self.decay = half_turn / kernel.bandwidth
        self.shift = 1.0 - (self.decay / math.expm1(self.decay) if self.decay < 700.0 else 0.0)
        # three half turns: the left of a turn reaches into the one before it, the right into the one after
        self.places = np.concatenate([positions, half + half_turn])
        self.three_halves = DecayingSums(self.places, kernel.bandwidth)

    def running(self, from_left: FloatArray, from_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return left_k = E_k - e^(-P/2h) E_{k-n/2} and its mirror image."""
        left, right = self.three_halves(*self._unrolled(from_left, from_right))
        far_left, far_right = self._faded(left, right)
        return log_difference(left[self.half :], far_left), log_difference(right[: -self.half], far_right)

    def moments(self, log_charges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return M_k - e^(-P/2h) (M_{k-n/2} + (P/2h) E_{k-n/2}) and its mirror image, M as on the line."""
        sums = self.three_halves(*self._unrolled(log_charges, log_charges))
        gaps = np.diff(self.places) / self.bandwidth
        log_gaps = log_or_minus_infinity(gaps) - gaps
        moments = self.three_halves(
            np.concatenate([[-np.inf], sums[0][:-1] + log_gaps]), np.concatenate([sums[1][1:] + log_gaps, [-np.inf]])
        )
        far_left, far_right = (
            np.logaddexp(moment, math.log(self.decay) + total)
            for moment, total in zip(self._faded(*moments), self._faded(*sums), strict=True)
        )
        return log_difference(moments[0][self.half :], far_left), log_difference(moments[1][: -self.half], far_right)

    def beside(self, left: FloatArray, right: FloatArray, log_charges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the running sums without the own charge and without that of the antipode."""
        before, after = super().beside(left, right, log_charges)
        antipode = np.roll(log_charges, self.half) - self.decay
        return log_difference(before, antipode), log_difference(after, antipode)

    def _unrolled(self, from_left: FloatArray, from_right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the charges on three half turns, those from the left beginning half a turn before."""
        return np.concatenate([from_left[self.half :], from_left]), np.concatenate(
            [from_right, from_right[: self.half]]
        )

    def _faded(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the sums half a turn away from each breakpoint, faded to where they are subtracted."""
        return left[: -self.half] - self.decay, right[self.half :] - self.decay


def _distinct(places: FloatArray) -> tuple[FloatArray, IntArray | slice]:
    """Return the distinct places in order, and what finds each place given among them."""
    if (places[1:] > places[:-1]).all():
        return places, slice(None)
    positions, index = np.unique(places, return_inverse=True)
    return positions, index
