"""The primitive that everything else stands on: kernel sums on logarithms.

`base.py` says what a scheme offers, `dense.py` is the reference; here one is chosen.
"""

from __future__ import annotations

from kdegrad.domain import FloatArray
from kdegrad.errors import SettingError
from kdegrad.kernels import Kernel
from kdegrad.sums.base import KernelSums
from kdegrad.sums.cellsums import CellSums
from kdegrad.sums.dense import DenseSums, log_kernel_sum
from kdegrad.sums.scan import ScanSums


def make_sums(choice: str, kernel: Kernel, points: FloatArray, nodes: FloatArray) -> KernelSums:
    """Return the sums between points (N,) and nodes (B,) by the scheme of `choice`: ``auto``, ``dense`` or ``fast``.

    Raises
    ------
    SettingError
        For ``fast``, where no fast scheme serves the kernel.
    """
    if choice != "dense" and ScanSums.serves(kernel):
        return ScanSums(kernel, points, nodes)
    if choice == "fast" and CellSums.serves(kernel):
        return CellSums(kernel, points, nodes)
    if choice == "fast":
        raise SettingError("sums", f"no fast sum serves {kernel.name} in this version: use auto or dense")
    return DenseSums(kernel, points, nodes)


__all__ = ["DenseSums", "KernelSums", "log_kernel_sum", "make_sums"]
