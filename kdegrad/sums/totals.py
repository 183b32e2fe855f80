"""What points add up to, and the sum of two such totals, of points that are parts of all.

    Z = Σ_j exp(z_j),    P_m = Σ_j exp(z_j) K_h(t_m ⊖ x_j),    p_m = P_m/Z

Of P_m three numbers are kept (`kdegrad.sums.pairs.Strongest`): two are compared by the differences of log K and of the
logits, before these are added, so that the shares of all parts add up to 1 at any distance.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.sums.pairs import Strongest
from kdegrad.weights import shifted


class Totals(NamedTuple):
    """The sums of some points, one of them of positive weight, at B nodes.

    Attributes
    ----------
    shift, total
        Z is exp(shift) · total.
    nodes
        log P_m, but for the kernel's constant, as three numbers of each node; log_weight is on the scale of the logits.
    """

    shift: float
    total: float
    nodes: Strongest

    @property
    def log_total(self) -> float:
        """Return log Z."""
        return self.shift + math.log(self.total)

    def log_weights(self, logits: FloatArray) -> FloatArray:
        """Return log S = z - log Z of logits."""
        return shifted(logits, self.shift) - math.log(self.total)

    def log_density(self) -> FloatArray:
        """Return log p_m but for the kernel's constant, (B,); -inf where no point reaches."""
        return np.asarray((self.nodes.log_kernel + self.log_weights(self.nodes.log_weight)) + self.nodes.log_rest)

    def __add__(self, other: Totals) -> Totals:  # type: ignore[override]  # the sum of two is no longer tuple
        """Return the totals of both points together."""
        shift = max(self.shift, other.shift)
        total = self.total * math.exp(self.shift - shift) + other.total * math.exp(other.shift - shift)
        return Totals(shift, total, _joined(self.nodes, other.nodes))

    def log_share_in(self, whole: Totals) -> FloatArray:
        """Return log P_m of these points less that of the whole, (B,), for a kernel that is nowhere 0."""
        own, all_ = self.nodes, whole.nodes
        logs = (own.log_kernel - all_.log_kernel) + (own.log_weight - all_.log_weight)
        return logs + (own.log_rest - all_.log_rest)


@np.errstate(invalid="ignore")  # -inf - -inf, where no point reaches
def three_numbers(log_kernel: FloatArray, log_sums: FloatArray, shift: float) -> Strongest:
    """Return log Σ_j exp(l_j) K_h as three numbers of each node, given log Σ_j exp(l_j - shift) K_h/K_*, (B,).

    All of it is taken as the weight of one point, and log_rest is what rounding took from the sum of the logarithms. So
    log_rest stays as small as the number of parts, of which it collects the roundings.
    """
    log_weight = shift + log_sums
    reaches = log_sums > -np.inf
    lost = log_sums - (log_weight - shift)
    return Strongest(np.where(reaches, log_kernel, -np.inf), log_weight, np.where(reaches, lost, -np.inf))


@np.errstate(all="ignore")  # -inf - -inf, where neither reaches
def _joined(a: Strongest, b: Strongest) -> Strongest:
    """Return the sum of two sums at each node, relative to the stronger of their strongest points.

    log(e^A + e^B) - (log K_a + l_a) = log(e^(rest_a) + e^(rest_b - rise)),

    rise = (log K_a - log K_b) + (l_a - l_b) ≥ 0
    """
    rise = (a.log_kernel - b.log_kernel) + (a.log_weight - b.log_weight)
    is_first = rise >= 0.0
    fall = np.where(np.isnan(rise), np.inf, np.abs(rise))
    log_kernel, log_weight = (np.where(is_first, one, other) for one, other in zip(a[:2], b[:2], strict=True))
    stronger, weaker = np.where(is_first, a.log_rest, b.log_rest), np.where(is_first, b.log_rest, a.log_rest)
    return Strongest(log_kernel, log_weight, np.logaddexp(stronger, weaker - fall))
