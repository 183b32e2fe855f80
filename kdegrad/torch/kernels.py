"""The kernels as operations on tensors, for devices on which NumPy does not compute.

The formulas are those of `kdegrad.kernel`, whose classes say more about each. Here a kernel is its logarithm and two
derivatives of that, with the bandwidth h as a tensor without dimensions, on the device of the displacements:

    log K_h(d) = log_shape(d) - log_norm,    k' = ∂ log K_h/∂d,    ∂ log K_h/∂log h

Where a compact kernel ends with a slope that is not 0, k' is infinite and K is 0: `edge_slope` is ∂K there. On a circle
k' is asked for short of the antipode: at it, where the two ways round meet, it is 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch


class TensorKernel(ABC):
    """A density K_h of the displacement d.

    Parameters
    ----------
    h
        The bandwidth, shape (), in the unit of the angles.
    df
        Degrees of freedom, for the kernel that takes them.
    period
        The circumference P; None on the line.
    host_h
        h as a number, where the host knows it, else None: of sums that serve different h (the wrapped Gaussian's) only
        one is then formed. It is not read from the device, which would wait for it.

    Attributes
    ----------
    h
        The bandwidth.
    log_norm
        What is subtracted from the logarithm of the shape, shape ().
    """

    h: torch.Tensor
    log_norm: torch.Tensor

    @abstractmethod
    def __init__(self, h: torch.Tensor, df: float, period: float | None, host_h: float | None = None) -> None: ...

    @abstractmethod
    def log_shape(self, d: torch.Tensor) -> torch.Tensor:
        """Return log K_h(d) + log_norm; -inf where K_h is 0."""

    @abstractmethod
    def log_slope(self, d: torch.Tensor) -> torch.Tensor:
        """Return k'(d), at a kink the mean of the one-sided values; 0 where K_h is 0."""

    @abstractmethod
    def log_bandwidth_slope(self, d: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        """Return ∂ log K_h/∂log h at fixed d, given `slope`, the k'(d) of `log_slope`."""

    @property
    def edge_slope(self) -> torch.Tensor | None:
        """Half of the slope ∂shape/∂d from within at d = h, shape (); None if it is 0."""
        return None
