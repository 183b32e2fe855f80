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
        log P_m, but for the kernel's constant, as three numbers of each node; the log weight is a logit.
    """

    shift: float
    total: float
    nodes: Strongest

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

    @np.errstate(over="ignore", invalid="ignore")
    def share_in(self, whole: Totals) -> FloatArray:
        """Return P_m of these points over P_m of the whole, (B,); 0 where neither reaches."""
        own, all_ = self.nodes, whole.nodes
        logs = (own.log_kernel - all_.log_kernel) + (own.log_weight - all_.log_weight)
        logs += own.log_rest - all_.log_rest
        return np.where(np.isneginf(own.log_rest), 0.0, np.exp(logs))


def relative_to(log_sums: FloatArray, log_weight: float) -> Strongest:
    """Return log Σ_j exp(l_j) K_h as three numbers of each node, for sums (B,) of moderate size of exp(l_j - l_*)."""
    nothing = np.isneginf(log_sums)
    return Strongest(np.where(nothing, -np.inf, 0.0), np.where(nothing, -np.inf, log_weight), log_sums)


@np.errstate(invalid="ignore", over="ignore")  # -inf - -inf, where one or both do not reach
def _joined(a: Strongest, b: Strongest) -> Strongest:
    """Return the sum of two sums at each node, relative to the stronger of their strongest points.

    log(e^A + e^B) - (log K_a + l_a) = log(e^(rest_a) + e^(rest_b - rise)),

    rise = (log K_a - log K_b) + (l_a - l_b) ≥ 0
    """
    rise = (a.log_kernel - b.log_kernel) + (a.log_weight - b.log_weight)
    is_first = (rise >= 0.0) | np.isneginf(b.log_kernel)
    fall = np.where(np.isnan(rise), np.inf, np.abs(rise))
    log_kernel, log_weight = (np.where(is_first, one, other) for one, other in zip(a[:2], b[:2], strict=True))
    stronger, weaker = np.where(is_first, a.log_rest, b.log_rest), np.where(is_first, b.log_rest, a.log_rest)
    return Strongest(log_kernel, log_weight, np.logaddexp(stronger, weaker - fall))
