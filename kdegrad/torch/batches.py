"""The operator on the CPU: a batch of kdegrad's, by its sums in NumPy.

Tensors of float64 are shared with NumPy and not copied; all sums are in float64, whatever the dtype. Blocks of problems
are shared by as many threads as PyTorch may use (`torch.set_num_threads`), where that saves time.
"""

from __future__ import annotations

import numpy as np
import torch

from kdegrad.arrays import FloatArray
from kdegrad.batch import Batch
from kdegrad.blockwise import computed
from kdegrad.settings import Settings
from kdegrad.targets import Points, TargetLike


def on_cpu(
    angles: torch.Tensor,
    logits: torch.Tensor,
    bandwidth: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    is_interval: bool,
    offsets: torch.Tensor | None,
    kernel: str,
    df: float,
    bins: int,
    background: float,
    circular: bool,
    period: float | None,
    unit: str,
    wrt_angles: bool,
    wrt_logits: bool,
    wrt_bandwidth: bool,
) -> tuple[torch.Tensor, ...]:
    """Return the losses and their gradients; parameters, result and errors as for `tensors.on_device`."""
    h = float(bandwidth)
    angles, logits, first, second = (values.detach() for values in (angles, logits, first, second))
    target: TargetLike
    if is_interval:
        low, high = first.numpy(), second.numpy()
        if angles.dtype == torch.float32:
            high = _within_a_turn(low, high, Settings(circular=circular, period=period, unit=unit).circumference)
        target = low, high
    elif first.ndim == 2 and first.shape[1] == 1 and bool((second == 1.0).all()):
        target = first[:, 0].numpy()  # observed angles, of which messages say which problem's
    else:
        target = Points(first.numpy(), second.numpy())
    batch = Batch(
        angles.numpy(),
        logits.numpy(),
        offsets=None if offsets is None else offsets.numpy(),
        copy=False,
        target=target,
        kernel=kernel,
        bandwidth=h,
        df=df,
        bins=bins,
        background=background,
        circular=circular,
        period=period,
        unit=unit,
    )
    wanted = {"angles": wrt_angles, "logits": wrt_logits, "log_bandwidth": wrt_bandwidth}
    names = ["losses", *(name for name in wanted if wanted[name])]
    found, _ = computed(batch, names, threads=torch.get_num_threads())
    if wrt_bandwidth:
        found["log_bandwidth"] /= h  # ∂L/∂h = ∂L/∂log h / h
    losses, *gradients = (
        torch.from_numpy(found[name]).to(angles.dtype) if name in found else angles.new_empty(0)
        for name in ("losses", *wanted)
    )
    of_angles, of_logits = (g.reshape(angles.shape) if len(g) else g for g in gradients[:2])
    return losses, of_angles, of_logits, gradients[2]


def _within_a_turn(low: FloatArray, high: FloatArray, circumference: float | None) -> FloatArray:
    """Return the high ends; one that float32 has rounded beyond a whole turn, as from -π to π, at the whole turn."""
    if circumference is None:
        return high
    rounding = 2.0 * np.finfo(np.float32).eps * np.maximum(np.abs(low), np.abs(high))
    width = high - low
    return np.where((width > circumference) & (width <= circumference + rounding), low + circumference, high)
