"""The one operator of PyTorch behind the loss, ``kdegrad::kde_cross_entropy``, and how it is differentiated.

The operator returns the losses L_g of G problems and, in the same pass, the gradients that are wanted, each of its own
problem's loss. With v_g the derivative of what is trained by L_g, the backward pass is a product, which needs no kernel
sum:

    v_g ∂L_g/∂z_i,    v_g ∂L_g/∂x_i,    Σ_g v_g ∂L_g/∂h

On the CPU the operator is a batch of kdegrad's, in NumPy (`kdegrad.torch.batches`), on other devices it is operations
on tensors (`kdegrad.torch.tensors`). `torch.compile` takes it as it is, as one node of its graph.
"""

from __future__ import annotations

import inspect
from typing import Any, Final, final

import torch

from kdegrad.torch.batches import on_cpu
from kdegrad.torch.layouts import problems_of
from kdegrad.torch.tensors import on_device

_OPTIONS: Final = "str kernel, float df, int bins, float background, bool circular, float? period, str unit"
_WANTED: Final = "bool wrt_angles, bool wrt_logits, bool wrt_bandwidth"
_INPUTS: Final = (
    "Tensor angles, Tensor logits, Tensor bandwidth, Tensor first, Tensor second, bool is_interval, Tensor? offsets"
)
_ARGUMENTS: Final = f"{_INPUTS}, {_OPTIONS}, {_WANTED}"
_NAMES: Final = [argument.split()[-1] for argument in _ARGUMENTS.split(", ")]

losses_and_gradients = torch.library.custom_op(
    "kdegrad::kde_cross_entropy",
    on_device,
    mutates_args=(),
    schema=f"({_ARGUMENTS}) -> (Tensor, Tensor, Tensor, Tensor)",
)
losses_and_gradients.register_kernel("cpu")(on_cpu)


@losses_and_gradients.register_fake
def _shapes(
    angles: torch.Tensor,
    logits: torch.Tensor,
    bandwidth: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    is_interval: bool,
    offsets: torch.Tensor | None,
    *options: Any,
) -> tuple[torch.Tensor, ...]:
    """Return tensors like those of the result, for who traces the operator and does not run it."""
    count = angles.shape[0] if offsets is None else offsets.shape[0] - 1
    of_angles, of_logits, of_bandwidth = options[-3:]
    return (
        angles.new_empty(count),
        angles.new_empty(angles.shape if of_angles else 0),
        angles.new_empty(angles.shape if of_logits else 0),
        angles.new_empty(count if of_bandwidth else 0),
    )


@losses_and_gradients.register_vmap
def _one_by_one(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, tuple[int, ...]]:
    """Return the results of a batch of calls, stacked, and where that dimension is: in front."""
    results = [
        losses_and_gradients(
            *(given if dim is None else given.select(dim, k) for given, dim in zip(inputs, in_dims, strict=True))
        )
        for k in range(info.batch_size)
    ]
    return tuple(torch.stack(parts) for parts in zip(*results, strict=True)), (0, 0, 0, 0)


@final
class ScaledGradient(torch.autograd.Function):
    """v ∂L, which is 0 where v is 0: also for a problem whose loss is infinite and its gradient NaN."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: torch.Tensor, upstream: torch.Tensor) -> torch.Tensor:
        return (upstream * gradient).masked_fill_(upstream == 0.0, 0.0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> Any:
        raise NotImplementedError(
            "kde_cross_entropy has no second derivative: its gradient is not differentiated again (create_graph=True, "
            "hessian, gradient penalties)"
        )


@final
class KDECrossEntropy(torch.autograd.Function):
    """The losses (G,) as a function of angles, logits and bandwidth; parameters as for `tensors.on_device`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*inputs: Any) -> tuple[torch.Tensor, ...]:
        outputs: tuple[torch.Tensor, ...] = losses_and_gradients(*inputs)
        return outputs

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        ctx.save_for_backward(inputs[_NAMES.index("offsets")], *output[1:])
        ctx.set_materialize_grads(False)  # no zeros for the outputs that are gradients

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor | None, *_: None) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of angles, logits and bandwidth, and None for all other inputs."""
        found: list[torch.Tensor | None] = [None] * len(_NAMES)
        if upstream is None:  # undefined, which stands for 0
            return tuple(found)
        offsets, *gradients = ctx.saved_tensors
        for place in (0, 1):
            if ctx.needs_input_grad[place]:
                found[place] = ScaledGradient.apply(gradients[place], _of_points(upstream, gradients[place], offsets))
        if ctx.needs_input_grad[2]:
            found[2] = ScaledGradient.apply(gradients[2], upstream).sum()
        return tuple(found)


for function in (KDECrossEntropy, ScaledGradient):
    forward: Any = function.forward
    forward.__signature__ = inspect.signature(forward)  # PyTorch asks for it in each call; to make it takes long


def _of_points(values: torch.Tensor, like: torch.Tensor, offsets: torch.Tensor | None) -> torch.Tensor:
    """Return values of the problems (G,) for each of their points: (G, 1), or (M,) by offsets."""
    if offsets is None:
        return values[:, None]
    return values.index_select(0, problems_of(offsets.to(values.device), len(like)))
