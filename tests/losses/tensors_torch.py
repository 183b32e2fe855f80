"""The tensor path of `kdegrad.torch`, which serves GPUs, on tensors of the CPU."""

from __future__ import annotations

from typing import Any

import torch

from kdegrad.torch import kde_cross_entropy
from kdegrad.torch.operator import losses_and_gradients


def on_tensors(
    angles: torch.Tensor,
    logits: torch.Tensor,
    target: Any,
    *,
    kernel: str = "laplace",
    bandwidth: float | torch.Tensor = 1.0,
    df: float = 3.0,
    bins: int = 360,
    background: float = 0.0,
    circular: bool = False,
    period: float | None = None,
    unit: str = "degrees",
    offsets: torch.Tensor | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    """Return what `kdegrad.torch.kde_cross_entropy` returns on a device, by the same operations on the CPU."""
    options = {key: value for key, value in locals().items() if key not in ("angles", "logits", "target")}
    with losses_and_gradients.set_kernel_enabled("cpu", enabled=False):
        return kde_cross_entropy(angles, logits, target, **options)
