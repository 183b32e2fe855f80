"""Points that are a part of all: what they add up to, and their shares in the density of all.

Of a scheme of any kernel the density is one sum, and the shares are another, read at the points: those of all nodes are
known, and the sums of a part take them (`SummedDensity`), by all pairs where |log p| is large (`DenseDensity`).

For an exponential of the distance, f_m is P_m of these points over that of all. What a point has at a node of the
density of all is f_m times what it has of its own part's, r_i(t_m) = f_m r_i^part(t_m). So the shares are formed by the
factors that formed the part's density, as those of one problem are, and add up to 1 over all parts as the f_m do. With
Z the sum of the weights, S_i = S_i^part Z^part/Z, so that what the part has for R_i/S_i is multiplied by Z/Z^part.
"""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.sums.base import Density, KernelSums, Shares
from kdegrad.sums.exponential import LEAST, ExponentialSums, LogDensity, PlainDensity
from kdegrad.sums.pairs import Strongest, strongest_sources
from kdegrad.sums.shares import DenseDensity, SummedDensity, are_far
from kdegrad.sums.totals import Totals, three_numbers
from kdegrad.weights import shifted, sum_of_exponentials

_MOST: Final = 600.0  # size of a logarithm whose exponential is far from the ends of float64, and which has all digits


def totals_of(sums: KernelSums, logits: FloatArray) -> Totals:
    """Return what the points of `sums` add up to, for logits (N,), one of which is finite."""
    if isinstance(sums, ExponentialSums):
        return _totals_of_cells(sums.density(logits))
    shift, total = sum_of_exponentials(logits)
    log_sums = sums.at_nodes(shifted(logits, shift))
    nodes = three_numbers(np.zeros_like(log_sums), log_sums + sums.kernel.log_norm, shift)
    is_far = are_far(log_sums - math.log(total))
    if is_far.any():
        for part, exact in zip(
            nodes, strongest_sources(sums.kernel, sums.nodes[is_far], sums.points, logits), strict=True
        ):
            part[is_far] = exact
    return Totals(shift, total, nodes)


def portion_of(sums: KernelSums, logits: FloatArray, whole: Totals) -> Density:
    """Return the density of all points at the nodes, for the shares in it that the points of `sums` have."""
    if isinstance(sums, ExponentialSums) and (logits > -np.inf).any():  # without a weight there is no density
        return CellPortion(sums.density(logits), whole)
    log_weights, log_density = whole.log_weights(logits), whole.log_density() - sums.kernel.log_norm
    is_far = are_far(log_density)
    if not is_far.any():
        return SummedDensity(sums, log_weights, log_density)
    strongest = Strongest(*(part[is_far] for part in whole.nodes))
    far = DenseDensity(sums.kernel, sums.points, sums.nodes[is_far], logits, strongest, whole.log_total)
    return far if is_far.all() else SummedDensity(sums, log_weights, log_density, (is_far, far))


def _totals_of_cells(density: PlainDensity | LogDensity) -> Totals:
    if isinstance(density, PlainDensity):
        log_kernel, log_sums = np.zeros_like(density.log), density.log + density.owner.kernel.log_norm
    else:
        log_kernel, log_sums = density.strongest.log_kernel, density.strongest.log_rest
    nodes = three_numbers(log_kernel, log_sums + density.log_sum, density.shift)
    return Totals(density.shift, math.exp(density.log_sum), nodes)


@final
class CellPortion(Density):
    """The density of all points, of which those of `own` are a part.

    Parameters
    ----------
    own
        The density of these points alone.
    whole
        What all points add up to.

    Attributes
    ----------
    log_part
        log Z^part/Z.
    log_most, factors
        f_m is exp(log_most) · factors, (B,): the largest of these is 1, where f_m itself may be no float64.
    """

    def __init__(self, own: PlainDensity | LogDensity, whole: Totals) -> None:
        self.own, self.log = own, whole.log_density() - own.owner.kernel.log_norm
        totals = _totals_of_cells(own)
        self.log_part = (totals.shift - whole.shift) + (own.log_sum - math.log(whole.total))
        log_factors = totals.log_share_in(whole)
        self.log_most = float(log_factors.max())
        self.factors = np.exp(log_factors - self.log_most)

    def shares(self, node_shares: FloatArray, log_pulls: FloatArray) -> Shares:
        rise = self.log_most - self.log_part
        shares, ratios = self.own.shares(node_shares * self.factors, log_pulls - rise)
        shares *= np.exp(self.log_most)
        ratios *= np.exp(rise)
        if not min(self.log_most, self.log_part) > -_MOST:  # so light or far that log f_m has lost digits
            anew = np.arange(len(ratios))
        elif node_shares.min() < LEAST:  # beside a background: the ratio of a light point is not that of its share
            anew = np.flatnonzero(self.own.log_weights + self.log_part < -_MOST)
        else:
            return Shares(shares, ratios)
        ratios[anew] = self.own.ratios_at(anew, log_pulls)
        return Shares(shares, ratios)

    def excess(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        weights = np.exp(self.own.log_weights + self.log_part)
        return np.asarray(weights - self.shares(node_shares, log_pulls).shares)

    def slopes(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        return self.own.slopes(node_shares, log_pulls + self.log_part)

    def bandwidth_slope(self, node_shares: FloatArray, log_pulls: FloatArray) -> FloatArray:
        return self.own.bandwidth_slope(node_shares, log_pulls + self.log_part)
