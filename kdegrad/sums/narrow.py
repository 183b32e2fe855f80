"""Running sums on the line in plain numbers, for nodes that lie within 150 bandwidths of each other.

With u_k = exp((s_k - s_0)/h) at the nodes and r_c = exp((c - s_0)/h) at the references of the cells, which hold the
sums A_c = Σ S_j e^(v_j) and D_c = Σ S_j e^(-v_j) of their points,

    at a node    p_k = Σ_{c≤k} A_c r_c / u_k + u_k Σ_{c>k} D_c / r_c,
    in a cell    F_c = Σ_{k<c} q_k u_k / r_c,    G_c = r_c Σ_{k≥c} q_k / u_k,   for weights q_k of the nodes,

for ρ = F_c e^(-v) + G_c e^v. That is `reach.py` without its logarithms, a tenth of the work a node; it holds where all
numbers that are not 0 are `moderate`, so that no product under- or overflows.
"""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np

from kdegrad.domain import FloatArray
from kdegrad.sums.decay import running_total

_WIDEST: Final = 150.0  # bandwidths: e^150 = 1e65
_MOST: Final = 1e50  # of a number, and the inverse of the least: with e^±150 beside it, it stays within 1e±150
_NONE: Final = (0.0,)


@final
class NarrowLine:
    """Nodes (n,) in ascending order and the references of their cells (n+1,), close to each other in bandwidths."""

    def __init__(self, nodes: FloatArray, references: FloatArray, bandwidth: float) -> None:
        self.at_nodes, self.at_references = (_grown(places, nodes[0], bandwidth) for places in (nodes, references))

    @staticmethod
    def holds(nodes: FloatArray, bandwidth: float) -> bool:
        """Return whether the nodes lie close enough."""
        return bool(nodes[-1] - nodes[0] <= _WIDEST * bandwidth)

    def density(self, to_left: FloatArray, to_right: FloatArray) -> FloatArray:
        """Return p (n,) from the cells' D and A, each (n+1,)."""
        left = running_total(to_right[:-1] * self.at_references[:-1])
        left /= self.at_nodes
        right = running_total((to_left[1:] / self.at_references[1:])[::-1])[::-1]
        right *= self.at_nodes
        left += right
        return left

    def tables(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return F and G, each (n+1,), from the weights of the nodes, (n,)."""
        from_left = np.concatenate([_NONE, running_total(weights * self.at_nodes)])
        from_left /= self.at_references
        from_right = np.concatenate([running_total((weights / self.at_nodes)[::-1])[::-1], _NONE])
        from_right *= self.at_references
        return from_left, from_right


def _grown(places: FloatArray, origin: float, bandwidth: float) -> FloatArray:
    """Return exp((s - origin)/h)."""
    exponents = places - origin
    exponents /= bandwidth
    return np.exp(exponents, out=exponents)


def are_moderate(numbers: FloatArray) -> bool:
    """Return whether all numbers ≥ 0 that are not 0 are far inside the range of a float64."""
    return bool(numbers.max() < _MOST and np.where(numbers == 0.0, 1.0, numbers).min() > 1.0 / _MOST)


def are_moderate_logs(logs: FloatArray) -> bool:
    """Return the same for numbers known by their logarithms, none of them 0."""
    most = math.log(_MOST)
    return bool(logs.max() < most and logs.min() > -most)
