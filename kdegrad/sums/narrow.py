"""Running sums on the line in plain numbers, for nodes that lie within 150 bandwidths of each other.

With u_k = exp((s_k - s_0)/h) at the nodes and r_c = exp((c - s_0)/h) at the references of the cells, which hold the
sums A_c = Σ S_j e^(v_j) and D_c = Σ S_j e^(-v_j) of their points,

    at a node    p_k = Σ_{c≤k} A_c r_c / u_k + u_k Σ_{c>k} D_c / r_c,
    in a cell    F_c = Σ_{k<c} q_k u_k / r_c,    G_c = r_c Σ_{k≥c} q_k / u_k,   for weights q_k of the nodes,

for ρ = F_c e^(-v) + G_c e^v. That is `reach.py` without its logarithms, a tenth of the work a node. Nothing under- or
overflows, as e^±150 = 1e±65 meets sums of ordinary points (`scan.py`: from 1e-100 e^-300 = 1e-230 to N e^300 = N 1e130)
or weights q between 1e-50 and its inverse.
"""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np

from kdegrad.arrays import ComplexArray, FloatArray
from kdegrad.sums.decay import running_total

_WIDEST: Final = 150.0  # bandwidths: e^150 = 1e65
_MOST: Final = 1e50  # of a weight, and the inverse of the least


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
        terms = np.empty(len(self.at_nodes), dtype=np.complex128)  # both sides in one run
        np.multiply(to_right[:-1], self.at_references[:-1], out=terms.real)
        np.divide(to_left[:0:-1], self.at_references[:0:-1], out=terms.imag)
        totals = running_total(terms)
        density: FloatArray = totals.real / self.at_nodes
        density += totals.imag[::-1] * self.at_nodes
        return density

    def tables(self, weights: FloatArray) -> ComplexArray:
        """Return F + iG, (n+1,), from the weights of the nodes, (n,)."""
        terms = np.empty(len(weights), dtype=np.complex128)
        np.multiply(weights, self.at_nodes, out=terms.real)
        np.divide(weights[::-1], self.at_nodes[::-1], out=terms.imag)
        totals = running_total(terms)
        tables = np.zeros(len(weights) + 1, dtype=np.complex128)
        np.divide(totals.real, self.at_references[1:], out=tables.real[1:])
        np.multiply(totals.imag[::-1], self.at_references[:-1], out=tables.imag[:-1])
        return tables


def _grown(places: FloatArray, origin: float, bandwidth: float) -> FloatArray:
    """Return exp((s - origin)/h)."""
    exponents = places - origin
    exponents /= bandwidth
    return np.exp(exponents, out=exponents)


def are_moderate(logs: FloatArray) -> bool:
    """Return whether weights of nodes, by their logarithms, are far inside the range of a float64."""
    most = math.log(_MOST)
    return bool(logs.max() < most and logs.min() > -most)
