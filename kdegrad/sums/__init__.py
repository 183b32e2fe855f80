"""The primitive that everything else stands on: kernel sums on logarithms.

`base.py` says what a scheme offers, and `dense.py` is the reference: every pair. The fast schemes, each bound to it by
tests, are `scan.py` for exponentials of the distance and `chebyshev.py` for smooth and compact kernels.
Here one is chosen.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kdegrad.arrays import FloatArray
from kdegrad.domain import Circle
from kdegrad.kernel import Kernel
from kdegrad.sums.base import KernelSums, Shares
from kdegrad.sums.dense import DenseSums, log_kernel_sum

# What a fast scheme costs, in pairs of the dense sums (4 to 12 ns a pair and pass): to set up, and for each point and
# node. Measured for loss and gradient on one core. Cells may fall back on pairs, but on no more of them than there are.
_SCAN_SET_UP: Final = {False: 12_000, True: 30_000}  # on the line, on a circle
_SCAN_EACH: Final = 3
_CELLS_SET_UP: Final = 800_000
_CELLS_EACH: Final = 15

_WIDEST: Final = 1e300  # that places may be apart for cells

# glibc's malloc keeps freed memory for the next array up to the size of the largest block that was freed, 32 MiB at the
# most. What it does not keep goes back to the system and comes again page by page, which can take longer than the sums.
# So one such block is freed here; it is never touched.
np.empty((32 << 20) - (64 << 10), dtype=np.uint8)


def make_sums(choice: str, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> KernelSums:
    """Return the sums between points (N,) and nodes (B,) by the scheme of `choice`: ``auto``, ``dense`` or ``fast``.

    Every kernel has a fast scheme. It is not taken, for ``fast`` either, where its rounding would show, or lengths that
    it works with come to the ends of the range of a float64.
    """
    pairs, each = len(points) * len(nodes), len(points) + len(nodes)
    if choice == "dense" or (choice == "auto" and pairs <= min(_SCAN_SET_UP.values())):
        return DenseSums(kernel, points, nodes)
    from kdegrad.sums.chebyshev import ChebyshevSums  # a small problem does not wait for them
    from kdegrad.sums.scan import ScanSums

    scheme: type[ScanSums] | type[ChebyshevSums] | None = None
    if ScanSums.serves(kernel):
        scheme, cost = ScanSums, _SCAN_SET_UP[isinstance(kernel.domain, Circle)] + _SCAN_EACH * each
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


__all__ = ["DenseSums", "KernelSums", "Shares", "log_kernel_sum", "make_sums"]
