"""The kernels: which there are, by which names, and how to make one or add one (`register`)."""

from __future__ import annotations

from kdegrad.kernel import circle, line
from kdegrad.kernel.base import CompactKernel, Kernel, LineKernel, NativeCircleKernel, Smoothness, UnboundedKernel
from kdegrad.kernel.registry import BY_NAME, KERNELS, KernelClass, make_kernel, register

__all__ = [
    "BY_NAME",
    "KERNELS",
    "CompactKernel",
    "Kernel",
    "KernelClass",
    "LineKernel",
    "NativeCircleKernel",
    "Smoothness",
    "UnboundedKernel",
    "circle",
    "line",
    "make_kernel",
    "register",
]
