"""The primitive that everything else stands on: kernel sums on logarithms.

`base.py` says what a scheme offers, and `dense.py` is the reference: every pair. The fast schemes, each bound to it by
tests, are `exponential.py` (with `decays.py`) for exponentials of the distance and `chebyshev.py` for smooth and
compact kernels. `shares.py` forms the density and the shares of the points in it. Here a scheme is chosen. Blocks of
small problems have two schemes of their own, `blocks.py` for all pairs and `windows.py` for exponentials.
"""

from __future__ import annotations

from typing import Final

from kdegrad.arrays import FloatArray
from kdegrad.kernel import Kernel
from kdegrad.sums.base import Density, KernelSums, Shares, weighted
from kdegrad.sums.dense import DenseSums
from kdegrad.sums.pairs import log_kernel_sum
from kdegrad.sums.shares import DenseDensity

# What a fast scheme costs, in pairs of the dense sums (4 to 12 ns a pair and pass): to set up, and for each point and
# node. Measured for loss and gradient on one core. Cells may fall back on pairs, but on no more of them than there are.
_EXPONENTIAL_SET_UP: Final = 10_000
_EXPONENTIAL_EACH: Final = 1
_CELLS_SET_UP: Final = 800_000
_CELLS_EACH: Final = 15

_WIDEST: Final = 1e300  # that places may be apart for cells


def make_sums(choice: str, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> KernelSums:
    """Return the sums between points (N,) and nodes (B,) by the scheme of `choice`: ``auto``, ``dense`` or ``fast``.

    Every kernel of kdegrad has a fast scheme. None is taken, for ``fast`` either, where a kernel does not say how
    smooth it is, and where lengths that a scheme works with come to the ends of the range of a float64.
    """
    pairs, each = len(points) * len(nodes), len(points) + len(nodes)
    if choice == "dense" or (choice == "auto" and pairs <= _EXPONENTIAL_SET_UP):
        return DenseSums(kernel, points, nodes)
    from kdegrad.sums.chebyshev import ChebyshevSums  # a small problem does not wait for them
    from kdegrad.sums.exponential import ExponentialSums

    scheme: type[ExponentialSums] | type[ChebyshevSums] | None = None
    if ExponentialSums.serves(kernel):
        scheme, cost = ExponentialSums, _EXPONENTIAL_SET_UP + _EXPONENTIAL_EACH * each
    elif ChebyshevSums.serves(kernel):
        scheme, cost = ChebyshevSums, _CELLS_SET_UP + _CELLS_EACH * each
    if scheme is None or (choice == "auto" and cost >= pairs):
        return DenseSums(kernel, points, nodes)
    if scheme is ChebyshevSums and _spread(points, nodes) > _WIDEST:
        return DenseSums(kernel, points, nodes)
    return scheme(kernel, points, nodes)


def _spread(points: FloatArray, nodes: FloatArray) -> float:
    """Return how far apart the farthest of all places are."""
    return max(float(points.max()), float(nodes.max())) - min(float(points.min()), float(nodes.min()))


__all__ = ["DenseDensity", "DenseSums", "Density", "KernelSums", "Shares", "log_kernel_sum", "make_sums", "weighted"]
