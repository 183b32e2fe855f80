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
from dataclasses import replace
from typing import Any, Final

try:
    import torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError("kdegrad.torch needs PyTorch: pip install 'kdegrad[torch]'", name="torch") from None

from kdegrad.errors import KdegradError, SettingError, warn
from kdegrad.objective import REDUCTIONS
from kdegrad.option import choice, requires_gradient, truth
from kdegrad.problem import domain_and_kernel
from kdegrad.settings import Settings
from kdegrad.torch.inputs import Number, Target, bandwidth_of, offsets_of, points_of, target_of
from kdegrad.torch.operator import KDECrossEntropy, losses_and_gradients

__all__ = ["KDECrossEntropyLoss", "kde_cross_entropy"]

_OPTIONS: Final = ("kernel", "df", "bins", "background", "circular", "period", "unit")  # of `Settings`


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
        Shape (..., N) for problems of N points each, with leading shapes that broadcast; with `offsets` (M,). A logit
        is finite, or -inf for a point that takes no part, as where problems are padded to one length; its angle is
        finite too. On one device, of float32 or float64; of others, as under autocast, the loss is float32.
    target
        An interval: low and high as a tuple, each a number or a tensor that broadcasts to the leading shape. Observed
        angles: a number, or a tensor of the leading shape. Weighted angles: `kdegrad.Points`, or a mapping of
        ``angle`` and ``weight``, tensors of shape (K,), or (..., K) for each problem; weights are normalised.
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
    ``torch.compile`` takes the loss without a break of the graph where the target is of tensors and Python numbers.
    ``torch.func.grad``, ``jacrev`` and ``vmap`` work, but ``vmap`` computes one call after the other: a leading
    dimension is faster.
    """
    options: tuple[Any, ...] = (kernel, df, bins, background, circular, period, unit)
    if not torch.compiler.is_compiling():  # while it is traced, the operator checks them at each run
        known: dict[str, Any] = {} if isinstance(bandwidth, torch.Tensor) else {"bandwidth": bandwidth}
        settings = Settings(**known, **dict(zip(_OPTIONS, options, strict=True)))
        options = tuple(getattr(settings, name) for name in _OPTIONS)
        if note := settings.note_on_unit:
            warn(note)
    return _cross_entropy(angles, logits, target, bandwidth, options, offsets, reduction)


def _cross_entropy(
    angles: torch.Tensor,
    logits: torch.Tensor,
    target: Target,
    bandwidth: Number,
    options: tuple[Any, ...],
    offsets: torch.Tensor | None,
    reduction: str,
) -> torch.Tensor:
    """Return what `kde_cross_entropy` does, with the values of `_OPTIONS`."""
    reduction = choice("reduction", reduction, REDUCTIONS)
    angles, logits = points_of(angles, logits)
    leading = angles.shape[:-1]
    if offsets is not None:
        offsets = offsets_of(offsets, angles)
        leading = (offsets.shape[0] - 1,)
    h = bandwidth_of(bandwidth, angles)
    is_differentiated = torch.is_grad_enabled()
    wanted = [is_differentiated and values.requires_grad for values in (angles, logits, h)]
    # Where nothing is differentiated, `torch.compile` cannot trace a Function whose setup_context stands apart.
    traced_alone = torch.compiler.is_compiling() and not any(wanted)
    inputs = (
        *(values if offsets is not None else values.reshape(-1, values.shape[-1]) for values in (angles, logits)),
        h,
        *target_of(target, leading, angles),
        offsets,
        *options,
        *wanted,
    )
    try:
        losses: torch.Tensor = (losses_and_gradients if traced_alone else KDECrossEntropy.apply)(*inputs)[0]
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
        if note := settings.note_on_unit:
            warn(note)
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
        given = value.detach() if isinstance(value, torch.Tensor) else value
        self.settings = replace(self.settings, bandwidth=given)  # which checks it
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
        options = tuple(getattr(self.settings, name) for name in _OPTIONS)
        return _cross_entropy(angles, logits, target, self.bandwidth, options, offsets, self.reduction)

    def extra_repr(self) -> str:
        """Return what the repr says between its brackets: what makes the module, but for what is the default."""
        always = ("kernel", "bandwidth")
        options = [(row.name, getattr(self.settings, row.name), row.default) for row in Settings.rows]
        said = [f"{name}={value!r}" for name, value, default in options if name in always or value != default]
        learned = ["learn_bandwidth=True"] if self._is_learned else []
        return ", ".join([*said, *learned, f"reduction={self.reduction!r}"])
