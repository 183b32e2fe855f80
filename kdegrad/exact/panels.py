"""Gauss-Legendre quadrature on one panel, and how well a function is known from its values there.

A function with n values f_m at the Gauss nodes ξ_m of [-1, 1] has the interpolant Σ_{k<n} a_k P_k with
a_k = (2k+1)/2 Σ_m ω_m f_m P_k(ξ_m), exact for degree 2n - 1. Two things are measured:

- the tail τ: by how much the interpolant misses f at the two ends. There P_k = (±1)^k, so that the first terms that
  were left out show in full; and an end is where a feature hides that lies between the last node and a breakpoint.
- the middle μ = max(a_k), k = n/2 and the next.

If the coefficients fall geometrically, (τ/μ)² is the fall from order n to 2n, and since the Gauss rule integrates
P_k exactly for k < 2n, its error is about

    e = τ q²,    q = τ/μ within [q₀, 1]

which is far below τ for a smooth function, and τ itself where the coefficients do not fall: a kink that is missed
and a spike narrower than the panel are not taken for convergence. A fall steeper than q₀ is not believed: a large
part may have ended between the middle and the tail (log p of a far gaussian is a parabola), and left a small one that
falls more slowly. The fewer the orders, the likelier: q₀ is 1/10 for n = 4 and 1/1000 from n = 8 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.quadrature import legendre, legendre_values

_STEEPEST_FALL: Final = {4: 1e-1, 8: 1e-3, 16: 1e-3}  # q₀ by n


@final
@dataclass(frozen=True, eq=False)
class PanelRule:
    """The n-point rule of [-1, 1] and the linear forms in n values that judge it.

    Attributes
    ----------
    nodes, weights
        Shape (n,); the weights sum to 1.
    places
        The nodes with the two ends around them, shape (n + 2,): where a function is asked for.
    ends
        Values → the interpolant at -1 and 1, shape (n, 2).
    middle
        Values → a_k for k = n/2 and the next, shape (n, 2).
    """

    nodes: FloatArray
    weights: FloatArray
    places: FloatArray
    ends: FloatArray
    middle: FloatArray

    def judge(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return e and τ, each of shape (M,), of M functions by their values at the `places`, shape (M, n + 2).

        A value of -inf at an end or among the nodes makes both infinite.
        """
        with np.errstate(invalid="ignore"):
            values = values - values[:, [len(self.nodes) // 2]]  # a constant has no tail, and makes no rounding then
            inner = values[:, 1:-1]
            tail = np.abs(values[:, [0, -1]] - inner @ self.ends).max(axis=1)
            middle = np.abs(inner @ self.middle).max(axis=1)
        known = np.isfinite(tail)
        tail = np.where(known, tail, np.inf)
        ratio = np.ones_like(tail)
        np.divide(tail, middle, out=ratio, where=known & (middle > tail))
        return tail * np.maximum(ratio, _STEEPEST_FALL[len(self.nodes)]) ** 2, tail


@cache
def panel_rule(order: int) -> PanelRule:
    """Return the rule of `order` nodes."""
    nodes, weights = legendre(order)
    k = np.arange(order)
    basis = np.stack([legendre_values(degree, nodes) for degree in range(order)], axis=1)
    coefficients = weights[:, np.newaxis] * basis * (k + 0.5)  # values @ this = a
    ends = np.stack([(-1.0) ** k, np.ones(order)], axis=1)
    return PanelRule(
        nodes=nodes,
        weights=0.5 * weights,
        places=np.concatenate([[-1.0], nodes, [1.0]]),
        ends=coefficients @ ends,
        middle=coefficients[:, order // 2 : order // 2 + 2],
    )
