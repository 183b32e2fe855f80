"""The loss in training: a function and a module of PyTorch, differentiable in angles, logits and bandwidth.

    import torch, kdegrad.torch as kt

    loss = kt.kde_cross_entropy(angles, logits, (low, high), kernel="laplace", bandwidth=10.0)
    loss.backward()

The numbers are those of `kdegrad.loss`: exact far out, and at masked points (a logit of -inf). On the CPU losses and
gradients are one pass of kdegrad's own sums, in float64 whatever the dtype; on other devices they are operations on
tensors in the dtype that is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

try:
    import torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError("kdegrad.torch needs PyTorch: pip install 'kdegrad[torch]'", name="torch") from None

import numpy as np

from kdegrad.arrays import numbers
from kdegrad.errors import InputError, KdegradError, SettingError
from kdegrad.objective import REDUCTIONS
from kdegrad.option import choice, require_no_gradient, requires_gradient, truth
from kdegrad.problem import domain_and_kernel
from kdegrad.settings import Settings
from kdegrad.targets import Points, parts_of
from kdegrad.text import shortened
from kdegrad.torch.operator import KDECrossEntropy

__all__ = ["KDECrossEntropyLoss", "kde_cross_entropy"]

_OPTIONS: Final = ("kernel", "df", "bins", "background", "circular", "period", "unit")  # of `Settings`
_ENDS: Final = ("low", "high")

Number: TypeAlias = float | torch.Tensor
# an interval; observed angles; weighted angles
Target: TypeAlias = tuple[Number, Number] | Number | Points | Mapping[str, Any]


def kde_cross_entropy(
    angles: torch.Tensor,
    logits: torch.Tensor,
    target: Target,
    *,
    kernel: str = "laplace",
    bandwidth: Number = 1.0,
    df: float = 3.0,
    bins: int = 360,
    background: float = 0.0,
    circular: bool = False,
    period: float | None = None,
    unit: str = "degrees",
    offsets: torch.Tensor | None = None,
    reduction: str = "mean",
) -> torch.Tensor:
    """Return the cross-entropy L of targets and the densities that points with logits make, in nats.

    Differentiable once in angles, logits and bandwidth. inf where the density is 0 at a node, as compact kernels have
    it: such a problem has gradients of NaN, or 0 where its loss takes no part, as in ``loss[loss.isfinite()].mean()``.

    Parameters
    ----------
    angles, logits
        Shape (..., N) for problems of N points each, broadcast against each other; with `offsets` (M,). A logit is
        finite, or -inf for a point that takes no part, as where problems are padded to one length. On one device, of
        float32 or float64; of others, as under autocast, the loss is float32.
    target
        An interval: low and high as a tuple, each a number or a tensor that broadcasts to the leading shape. Observed
        angles: a number, or a tensor of the leading shape. Weighted angles: `kdegrad.Points`, or a mapping of
        ``angle`` and ``weight``, tensors of shape (K,), or (..., K) for each problem.
    kernel, df, bins, background, circular, period, unit
        The options; see `kdegrad.Settings`. The rule is ``midpoint``.
    bandwidth
        h > 0, in the unit of the angles: a number, or a tensor of one element.
    offsets
        Shape (G+1,), as in CSR: the points of problem g are those from ``offsets[g]`` to ``offsets[g+1]``. On the
        device of the angles, or on the CPU.
    reduction
        ``mean`` (unweighted) or ``sum`` over the problems, or ``none``: the losses in the leading shape, or (G,).

    Raises
    ------
    KdegradError
        For what cannot be used; problems are numbered in flat order, along the last dimension of the leading shape
        first. On other devices than the CPU values are not looked at, as nothing waits for them: the loss is NaN where
        a value is refused on the CPU.
    NotImplementedError
        Where the gradient is differentiated again, or in forward mode.

    Notes
    -----
    ``torch.compile`` takes the loss without a break of the graph, but for a target of `kdegrad.Points`: give a mapping.
    ``torch.func.grad``, ``jacrev`` and ``vmap`` work, but ``vmap`` computes one call after the other: a leading
    dimension is faster.
    """
    options: tuple[Any, ...] = (kernel, df, bins, background, circular, period, unit)
    if not torch.compiler.is_compiling():  # while it is traced, the operator checks them at each run
        known: dict[str, Any] = {} if isinstance(bandwidth, torch.Tensor) else {"bandwidth": bandwidth}
        settings = Settings(**known, **dict(zip(_OPTIONS, options, strict=True)))
        options = tuple(getattr(settings, name) for name in _OPTIONS)
    reduction = choice("reduction", reduction, REDUCTIONS)
    angles, logits = _points(angles, logits)
    leading = angles.shape[:-1]
    if offsets is not None:
        offsets = _offsets(offsets, angles)
        leading = (offsets.shape[0] - 1,)
    h = _bandwidth(bandwidth, angles)
    is_differentiated = torch.is_grad_enabled()
    inputs = (
        *(values if offsets is not None else values.reshape(-1, values.shape[-1]) for values in (angles, logits)),
        h,
        *_target(target, leading, angles),
        offsets,
        *options,
        *(is_differentiated and values.requires_grad for values in (angles, logits, h)),
    )
    try:
        losses: torch.Tensor = KDECrossEntropy.apply(*inputs)[0]
    except KdegradError as error:
        if len(leading) > 1:
            error.add_note(f"The problems of the shape {tuple(leading)} are numbered in flat order.")
        raise
    if reduction == "none":
        return losses.reshape(leading)
    return losses.mean() if reduction == "mean" else losses.sum()


class KDECrossEntropyLoss(torch.nn.Module):
    """The loss as a module: `kde_cross_entropy` with its options.

    Parameters
    ----------
    learn_bandwidth
        Whether h is trained, as its logarithm: the parameter ``log_bandwidth``, which starts at log h, in the default
        dtype as other parameters.
    kernel, bandwidth, df, bins, background, circular, period, unit, reduction
        As for `kde_cross_entropy`; the bandwidth is a number.

    Attributes
    ----------
    bandwidth
        h, a number, or exp(log_bandwidth) where it is trained. It can be set, as by a schedule.
    """

    def __init__(
        self,
        kernel: str = "laplace",
        bandwidth: float = 1.0,
        learn_bandwidth: bool = False,
        *,
        df: float = 3.0,
        bins: int = 360,
        background: float = 0.0,
        circular: bool = False,
        period: float | None = None,
        unit: str = "degrees",
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        given = {key: value for key, value in locals().items() if key in _OPTIONS}
        if requires_gradient(bandwidth):
            raise SettingError("bandwidth", "a tensor that requires a gradient: give a number and learn_bandwidth=True")
        settings = Settings(bandwidth=bandwidth, **given)
        domain_and_kernel(settings)  # refuses a kernel that is not there, or not on the line
        self.settings = settings
        self.reduction = choice("reduction", reduction, REDUCTIONS)
        if truth("learn_bandwidth", learn_bandwidth):
            self.log_bandwidth = torch.nn.Parameter(torch.tensor(math.log(settings.bandwidth)))

    @property
    def bandwidth(self) -> Number:
        """h: exp(log_bandwidth) where it is trained, else a number."""
        return self.log_bandwidth.exp() if self._is_learned else self.settings.bandwidth

    @bandwidth.setter
    def bandwidth(self, value: Number) -> None:
        self.settings = replace(self.settings, bandwidth=value)  # which checks it
        if self._is_learned:
            with torch.no_grad():
                self.log_bandwidth.fill_(math.log(self.settings.bandwidth))

    @property
    def _is_learned(self) -> bool:
        return "log_bandwidth" in self._parameters

    def forward(
        self, angles: torch.Tensor, logits: torch.Tensor, target: Target, offsets: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss; parameters as for `kde_cross_entropy`."""
        options = {name: getattr(self.settings, name) for name in _OPTIONS}
        return kde_cross_entropy(
            angles, logits, target, bandwidth=self.bandwidth, offsets=offsets, reduction=self.reduction, **options
        )

    def extra_repr(self) -> str:
        """Return what the repr says between its brackets: what makes the module, but for what is the default."""
        always = ("kernel", "bandwidth")
        options = [(row.name, getattr(self.settings, row.name), row.default) for row in Settings.rows]
        said = [f"{name}={value!r}" for name, value, default in options if name in always or value != default]
        learned = ["learn_bandwidth=True"] if self._is_learned else []
        return ", ".join([*said, *learned, f"reduction={self.reduction!r}"])


def _points(angles: Any, logits: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return angles and logits of one shape (..., N) and one dtype, float32 or float64."""
    for name, values in (("angles", angles), ("logits", logits)):
        if not isinstance(values, torch.Tensor):
            raise InputError(f"{name}: {shortened(values)} is not a tensor: torch.as_tensor makes one of numbers")
        _require_numbers(name, values)
    if angles.device != logits.device:
        raise InputError(f"angles on {angles.device}, logits on {logits.device}: move them to one device")
    try:
        angles, logits = torch.broadcast_tensors(angles, logits)
    except RuntimeError:
        raise InputError(
            f"angles of shape {tuple(angles.shape)} but logits of shape {tuple(logits.shape)}: give shapes that "
            "broadcast"
        ) from None
    if angles.ndim == 0 or angles.numel() == 0:
        raise InputError(f"angles and logits of shape {tuple(angles.shape)}: each problem needs one point or more")
    dtype = torch.float64 if torch.float64 in (angles.dtype, logits.dtype) else torch.float32
    return angles.to(dtype), logits.to(dtype)


def _offsets(offsets: Any, angles: torch.Tensor) -> torch.Tensor:
    """Return the offsets as a tensor; its values are checked where they are read."""
    if angles.ndim != 1:
        raise InputError(f"angles of shape {tuple(angles.shape)}: with offsets give one row of all points, (M,)")
    try:
        bounds = offsets if isinstance(offsets, torch.Tensor) else torch.as_tensor(offsets, device="cpu")
        is_good = bounds.ndim == 1 and len(bounds) > 1 and not bounds.is_floating_point() and not bounds.is_complex()
    except (TypeError, ValueError, RuntimeError):
        is_good = False
    if not is_good or bounds.dtype == torch.bool:
        raise InputError(
            f"offsets: {shortened(offsets)} are not G+1 whole numbers: give 0, and where each problem ends"
        )
    if bounds.device.type != "cpu":
        _require_device("offsets", bounds, angles)
    return bounds.long()


def _bandwidth(bandwidth: Number, angles: torch.Tensor) -> torch.Tensor:
    """Return h as a tensor without dimensions; a number stays on the host, where no device is asked for it."""
    if not isinstance(bandwidth, torch.Tensor):
        return torch.tensor(bandwidth, dtype=torch.float64, device="cpu")
    _require_numbers("bandwidth", bandwidth)
    if bandwidth.numel() != 1:
        raise InputError(f"bandwidth: a tensor of shape {tuple(bandwidth.shape)}: give one number")
    _require_device("bandwidth", bandwidth, angles)
    return bandwidth.reshape(())


def _target(target: Target, leading: tuple[int, ...], like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
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
    try:
        return values.broadcast_to(leading).reshape(-1)
    except RuntimeError:
        remedy = "give one number, or one for each problem"
        if values.shape[-1:] == (2,):
            remedy = "low and high? give target.unbind(-1), a tuple"
        raise InputError(
            f"{name}: shape {tuple(values.shape)}, but the problems have the shape {tuple(leading)}: {remedy}"
        ) from None


def _weighted(
    target: Mapping[Any, Any], leading: tuple[int, ...], like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return nodes and weights of a mapping of ``angle`` and ``weight``: (K,), or (G, K)."""
    angle, weight = parts_of(target)
    nodes = _tensor("target: angle", angle, like)
    weights = torch.ones_like(nodes) if weight is None else _tensor("target: weight", weight, like)
    try:
        nodes, weights = torch.broadcast_tensors(nodes, weights)
        if nodes.ndim > 1 and nodes.numel() > 0:
            nodes, weights = (
                values.broadcast_to((*leading, values.shape[-1])).reshape(-1, values.shape[-1])
                for values in (nodes, weights)
            )
    except RuntimeError:
        raise InputError(
            f"target: angle of shape {tuple(nodes.shape)} and weight of shape {tuple(weights.shape)}, but the problems "
            f"have the shape {tuple(leading)}: give (K,), or (..., K) with K target points for each problem"
        ) from None
    if nodes.ndim == 0 or nodes.numel() == 0:
        raise InputError(
            f"target: angle of shape {tuple(nodes.shape)}: give (K,), or (..., K) with K ≥ 1 target points for each "
            "problem"
        )
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
        return torch.full((), value, dtype=_dtype(like), device=like.device)  # nothing is copied to the device
    return torch.tensor(numbers(name, value, copy=True), dtype=_dtype(like), device=like.device)


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
