"""What a caller of the loss gives, as the tensors that the operator takes; what cannot be used is refused.

Values are looked at where they are on the host. On other devices nothing waits for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import torch

from kdegrad.arrays import checked_offsets, numbers
from kdegrad.errors import InputError, SettingError
from kdegrad.option import require_no_gradient
from kdegrad.targets import Points, parts_of
from kdegrad.text import shortened

_ENDS: Final = ("low", "high")

Number: TypeAlias = float | torch.Tensor
# an interval; observed angles; weighted angles
Target: TypeAlias = tuple[Number, Number] | Number | Points | Mapping[str, Any]


def points_of(angles: Any, logits: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return angles and logits of one shape (..., N) and one dtype, float32 or float64."""
    for name, values in (("angles", angles), ("logits", logits)):
        if not isinstance(values, torch.Tensor):
            raise InputError(f"{name}: {shortened(values)} is not a tensor: torch.as_tensor makes one of numbers")
        _require_numbers(name, values)
    if angles.device != logits.device:
        raise InputError(f"angles on {angles.device}, logits on {logits.device}: move them to one device")
    leading = zip(reversed(angles.shape[:-1]), reversed(logits.shape[:-1]), strict=False)
    if angles.shape[-1:] != logits.shape[-1:] or not all(a == b or 1 in (a, b) for a, b in leading):
        raise InputError(
            f"angles of shape {tuple(angles.shape)} but logits of shape {tuple(logits.shape)}: give (..., N) twice, of "
            "one N, with leading shapes that broadcast"
        )
    angles, logits = torch.broadcast_tensors(angles, logits)
    if angles.shape[-1:] in ((), (0,)):
        raise InputError(f"angles and logits of shape {tuple(angles.shape)}: each problem needs one point or more")
    if angles.numel() == 0:
        raise InputError(
            f"angles and logits of shape {tuple(angles.shape)}: there is no problem: leave an empty batch out"
        )
    dtype = torch.float64 if torch.float64 in (angles.dtype, logits.dtype) else torch.float32
    return angles.to(dtype), logits.to(dtype)


def offsets_of(offsets: Any, angles: torch.Tensor) -> torch.Tensor:
    """Return the offsets as a tensor; those on the host are checked, before targets are counted by them."""
    if angles.ndim != 1:
        raise InputError(f"angles of shape {tuple(angles.shape)}: with offsets give one row of all points, (M,)")
    try:
        bounds = offsets if isinstance(offsets, torch.Tensor) else torch.tensor(offsets, device="cpu")
        is_good = bounds.ndim == 1 and len(bounds) > 1 and not bounds.is_floating_point() and not bounds.is_complex()
    except (TypeError, ValueError, RuntimeError):
        is_good = False
    if not is_good or bounds.dtype == torch.bool:
        raise InputError(
            f"offsets: {shortened(offsets)} are not G+1 whole numbers: give 0, and where each problem ends"
        )
    if bounds.device.type != "cpu":
        _require_device("offsets", bounds, angles)
    elif not torch.compiler.is_compiling():  # while it is traced, there are no values
        checked_offsets(bounds.detach().numpy(), len(angles), "points")
    return bounds.long()


def bandwidth_of(bandwidth: Number, angles: torch.Tensor) -> torch.Tensor:
    """Return h as a tensor without dimensions; a number stays on the host, where no device is asked for it."""
    if not isinstance(bandwidth, torch.Tensor):
        return torch.tensor(bandwidth, dtype=torch.float64, device="cpu")
    _require_numbers("bandwidth", bandwidth)
    if bandwidth.numel() != 1:
        raise InputError(f"bandwidth: a tensor of shape {tuple(bandwidth.shape)}: give one number")
    _require_device("bandwidth", bandwidth, angles)
    return bandwidth.reshape(())


def target_of(target: Target, leading: tuple[int, ...], like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Return the ends of intervals, each (G,), and True; or nodes and weights, (G, K) or (K,), and False."""
    if isinstance(target, (tuple, list)):
        if len(target) != 2:
            raise SettingError(
                "target",
                f"{shortened(target)} is not an interval: give (low, high); observed angles as a tensor",
            )
        low, high = (_of_each(f"target: {name}", end, leading, like) for name, end in zip(_ENDS, target, strict=True))
        return low, high, True
    if isinstance(target, Points):
        return *_rows_of(target, leading, like), False
    if isinstance(target, Mapping):
        return *_weighted(target, leading, like), False
    if target is None or isinstance(target, str):
        raise SettingError(
            "target",
            f"{shortened(target)} is no target: give (low, high), observed angles as a tensor, or target points",
        )
    node = _of_each("target", target, leading, like).unsqueeze(-1)
    return node, torch.ones_like(node), False


def _of_each(name: str, value: Any, leading: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """Return one number for each problem, shape (G,)."""
    values = _tensor(name, value, like)
    if not _broadcasts(values.shape, leading):
        remedy = "give one number, or one for each problem"
        if values.shape in ((*leading, 2), (2, *leading)):
            remedy = f"low and high? give target.unbind({-1 if values.shape[-1] == 2 else 0}), a tuple"
        elif values.shape == (*leading, 1):
            remedy = "give it without the last dimension, as squeeze(-1) does"
        raise InputError(
            f"{name}: shape {tuple(values.shape)}, but the problems have the shape {tuple(leading)}: {remedy}"
        )
    return values.broadcast_to(leading).reshape(-1)


def _weighted(
    target: Mapping[Any, Any], leading: tuple[int, ...], like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return nodes and weights of a mapping of ``angle`` and ``weight``: (K,), or (G, K)."""
    angle, weight = parts_of(target)
    nodes = _tensor("target: angle", angle, like)
    weights = torch.ones_like(nodes) if weight is None else _tensor("target: weight", weight, like)
    each = (*leading, *nodes.shape[-1:])
    is_good = nodes.numel() > 0 and nodes.shape[-1:] == weights.shape[-1:] != ()
    if not is_good or not _broadcasts(nodes.shape, each) or not _broadcasts(weights.shape, each):
        raise InputError(
            f"target: angle of shape {tuple(nodes.shape)} and weight of shape {tuple(weights.shape)}, but the problems "
            f"have the shape {tuple(leading)}: give (K,), or (..., K) with K ≥ 1 target points for each problem"
        )
    if max(nodes.ndim, weights.ndim) == 1:
        return nodes, weights
    nodes, weights = (values.broadcast_to(each).reshape(-1, each[-1]) for values in (nodes, weights))
    return nodes, weights


@torch.compiler.disable  # it has arrays of NumPy, of which `torch.compile` traces few
def _rows_of(points: Points, leading: tuple[int, ...], like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return nodes and weights of `kdegrad.Points`: (K,), or (G, K) with rows filled up by nodes of weight 0."""
    angles, weights = (
        torch.tensor(values, dtype=_dtype(like), device=like.device) for values in (points.angles, points.weights)
    )
    if points.offsets is None:
        return angles, weights
    count = math.prod(leading)
    if len(points.offsets) - 1 != count:
        raise InputError(f"target: points of {len(points.offsets) - 1} problems, but there are {count}")
    counts = np.diff(points.offsets)
    column = np.arange(counts.max())
    places = torch.from_numpy(points.offsets[:-1, np.newaxis] + np.minimum(column, counts[:, np.newaxis] - 1))
    is_point = torch.from_numpy(column < counts[:, np.newaxis])
    places, is_point = places.to(like.device), is_point.to(like.device)
    return angles[places], torch.where(is_point, weights[places], 0.0)


def _tensor(name: str, value: Any, like: torch.Tensor) -> torch.Tensor:
    """Return a number, an array or a tensor as a tensor on the device of the points."""
    if isinstance(value, torch.Tensor):
        _require_numbers(name, value)
        require_no_gradient(name, value)
        _require_device(name, value, like)
        return value.to(_dtype(like))
    if isinstance(value, (float, int)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            raise InputError(f"{name}: {shortened(value)} is beyond the range of float64") from None
        return torch.full((), number, dtype=_dtype(like), device=like.device)  # nothing is copied to the device
    return torch.tensor(numbers(name, value, copy=True), dtype=_dtype(like), device=like.device)


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Return whether a tensor of a shape broadcasts to another: asked, and not tried, `torch.compile` can follow it."""
    sizes = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(size in (1, other) for size, other in sizes)


def _dtype(like: torch.Tensor) -> torch.dtype:
    """Return the dtype of a target: float64 on the CPU, where the sums are in float64, else that of the points."""
    return torch.float64 if like.device.type == "cpu" else like.dtype


def _require_numbers(name: str, values: torch.Tensor) -> None:
    """Refuse a tensor that holds no real numbers, or not one for each place."""
    if values.is_complex() or values.dtype == torch.bool:
        raise InputError(f"{name}: a tensor of {values.dtype} holds no real numbers: convert it")
    if values.layout != torch.strided or values.is_nested:
        raise InputError(
            f"{name}: a sparse or nested tensor: give a dense one; of a nested one its .values(), with .offsets()"
        )


def _require_device(name: str, value: torch.Tensor, like: torch.Tensor) -> None:
    if value.device != like.device:
        raise InputError(f"{name}: a tensor on {value.device}, but the angles are on {like.device}: move it there")
