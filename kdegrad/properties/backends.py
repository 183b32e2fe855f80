"""The libraries that a judged loss may compute with: its arrays, the call, and the gradients of what it returns.

torch and jax are imported where their class is made, that is where a user names them.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import FloatArray
from kdegrad.errors import SettingError
from kdegrad.properties.user_code import one_line
from kdegrad.settings import WRT
from kdegrad.text import enumerated, nearest, shown


class LossError(Exception):
    """What is wrong with a judged loss, in one line that continues its name: "returns None, not one number"."""


@final
@dataclass(frozen=True, eq=False)
class Given:
    """What a judged loss gave for one problem, in float64; None is a gradient that it does not give."""

    loss: float
    logits: FloatArray | None = None  # ∂L/∂z_i
    angles: FloatArray | None = None  # ∂L/∂x_i
    bandwidth: float | None = None  # ∂L/∂h


@final
@dataclass(frozen=True, eq=False)
class Returned:
    """The same with the shape of what was called: () for one problem, (G,) for a batch, whose angles are (G, N)."""

    losses: FloatArray
    gradients: Mapping[str, FloatArray]  # by the names of `wrt`, those that there are


# What is called takes its arrays by their names: "angles", "logits", those of a batch's target, and "bandwidth" where
# it is differentiated.
Function = Callable[[Mapping[str, Any]], Any]


class Backend(ABC):
    """A library of arrays: how a loss is called with them, and how its gradients are obtained.

    Attributes
    ----------
    changed
        The arrays that were changed in place by what was called.
    """

    name: ClassVar[str]

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.changed: set[str] = set()

    @abstractmethod
    def returned(
        self, function: Function, inputs: Mapping[str, ArrayLike], wrt: tuple[str, ...], shape: tuple[int, ...] = ()
    ) -> Returned:
        """Return the losses of `inputs` in new arrays of the dtype, of a shape, and the gradients of each.

        The gradients of logits and angles are those of the sum of the losses: each loss depends on its own alone. The
        bandwidth is common to all, so that its gradient is taken of each loss.

        Raises
        ------
        LossError
            If what the function returns is not a loss; whatever the function itself raises is passed on.
        """

    def explained(self, error: BaseException) -> str:
        """Return the message of an error that the function raised, on one line."""
        return one_line(error)

    def module_in_dtype(self, module: Any) -> Any:
        """Return an nn.Module whose parameters and buffers have the dtype; the module itself is left as it is."""
        return module


@final
class Numpy(Backend):
    """NumPy has no automatic differentiation: the function returns its gradients beside the loss, or none."""

    name = "numpy"

    def returned(
        self, function: Function, inputs: Mapping[str, ArrayLike], wrt: tuple[str, ...], shape: tuple[int, ...] = ()
    ) -> Returned:
        arrays = {name: np.array(value, dtype=self.dtype) for name, value in inputs.items()}
        # A 0-d array is the bandwidth: without autograd it is the number that it always is.
        returned = function({name: array if array.ndim else float(array) for name, array in arrays.items()})
        self.changed |= {n for n in arrays if not np.array_equal(arrays[n], np.asarray(inputs[n], self.dtype))}
        if not isinstance(returned, tuple):
            library = type(returned).__module__.partition(".")[0].removesuffix("lib")  # jaxlib has JAX's arrays
            if library in BACKENDS and library != self.name:
                raise LossError(
                    f"returns {_kind(returned)} of {library} (is it written in {library}? --backend {library})"
                )
            return Returned(_numbers(returned, shape), {})
        if len(returned) != 2:
            raise LossError(
                f"returns a tuple of {len(returned)}, not (loss, gradient of the logits) "
                'or (loss, {"logits": ..., "angles": ...})'
            )
        loss, gradients = returned
        if not wrt:
            return Returned(_numbers(loss, shape), {})
        if not isinstance(gradients, Mapping):
            gradients = {"logits": gradients}
        for key in gradients:
            if key not in WRT:
                name = key if isinstance(key, str) else repr(key)
                raise LossError(
                    f"returns a gradient named {shown(name)}: the names are {enumerated(WRT)}{nearest(name, WRT)}"
                )
        shapes = {name: array.shape for name, array in arrays.items()} | {"bandwidth": shape}
        given = {name: _gradient(name, value, shapes[name]) for name, value in gradients.items() if value is not None}
        return Returned(_numbers(loss, shape), given)


@final
class Torch(Backend):
    """PyTorch: the gradients are those of `torch.autograd.grad`."""

    name = "torch"

    def __init__(self, dtype: str) -> None:
        super().__init__(dtype)
        try:
            with warnings.catch_warnings(action="ignore"):
                import torch
        except ImportError as error:
            raise _missing("torch", error) from None
        self._torch = torch
        self._dtype = getattr(torch, dtype)

    def returned(
        self, function: Function, inputs: Mapping[str, ArrayLike], wrt: tuple[str, ...], shape: tuple[int, ...] = ()
    ) -> Returned:
        torch = self._torch
        before = torch.get_default_dtype()
        torch.set_default_dtype(self._dtype)
        try:
            with torch.enable_grad():  # also where the caller has disabled it
                tensors = {
                    name: torch.tensor(value, dtype=self._dtype, requires_grad=name in wrt)
                    for name, value in inputs.items()
                }
                # torch lets nobody write into a leaf, but in training the logits are a network's output and no leaves.
                passed = {name: tensor.clone() for name, tensor in tensors.items()}
                loss = function(dict(passed))
                self.changed |= {name for name in passed if not torch.equal(passed[name], tensors[name])}
                values = self._losses(loss, bool(wrt), shape)
                if not wrt:
                    return Returned(values, {})
                found = self._gradients(loss, {name: tensors[name] for name in wrt}, shape)
        finally:
            torch.set_default_dtype(before)
        return Returned(values, {name: gradient.detach().cpu().double().numpy() for name, gradient in found.items()})

    def _gradients(self, loss: Any, inputs: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
        """Return the gradients of a loss, or of a batch of them; 0 where it does not depend on an input."""
        is_each = "bandwidth" in inputs and bool(shape)

        def slopes(of: Any, names: list[str]) -> list[Any]:
            varied = [inputs[name] for name in names]
            found = self._torch.autograd.grad(of, varied, allow_unused=True, retain_graph=is_each)
            return [self._torch.zeros_like(v) if f is None else f for v, f in zip(varied, found, strict=True)]

        names = [name for name in inputs if not (is_each and name == "bandwidth")]
        gradients = dict(zip(names, slopes(loss.sum(), names), strict=True)) if names else {}
        if is_each:
            gradients["bandwidth"] = self._torch.stack([slopes(one, ["bandwidth"])[0] for one in loss])
        return gradients

    def _losses(self, loss: Any, is_differentiated: bool, shape: tuple[int, ...]) -> FloatArray:
        """Return the numbers that the function returned, which must have a gradient where it `is_differentiated`."""
        if not isinstance(loss, self._torch.Tensor):
            if is_differentiated and not isinstance(loss, tuple):
                _numbers(loss, shape)  # None or a text is no loss at all
                raise LossError(
                    f"returns {_kind(loss)}, which autograd cannot follow: return a tensor (no .item(), float() or "
                    ".numpy(); --backend numpy is for losses in NumPy)"
                )
            return _numbers(loss, shape)
        _require_numbers(loss, shape)
        values = _numbers(loss.detach().cpu().double(), shape)
        if is_differentiated and not loss.requires_grad:
            raise LossError(
                "returns a tensor that requires no gradient: it is detached, computed under no_grad or by way of "
                "NumPy, or does not depend on the inputs"
            )
        return values

    def module_in_dtype(self, module: Any) -> Any:
        import copy

        tensors = [*module.parameters(), *module.buffers()]
        if all(tensor.dtype == self._dtype for tensor in tensors if tensor.is_floating_point()):
            return module
        return copy.deepcopy(module).to(self._dtype)


@final
class Jax(Backend):
    """JAX: the gradients are those of `jax.value_and_grad`, without jit, which is the loss's own affair."""

    name = "jax"

    def __init__(self, dtype: str) -> None:
        super().__init__(dtype)
        try:
            with warnings.catch_warnings(action="ignore"):
                import jax
                import jax.experimental
        except ImportError as error:
            raise _missing("jax", error) from None
        self._jax = jax
        # `jax.enable_x64` is the context manager of jax 0.8 and later.
        self._x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64

    def returned(
        self, function: Function, inputs: Mapping[str, ArrayLike], wrt: tuple[str, ...], shape: tuple[int, ...] = ()
    ) -> Returned:
        jax = self._jax
        with self._x64(self.dtype == "float64"):
            arrays = {name: jax.numpy.array(value, dtype=self.dtype) for name, value in inputs.items()}
            if not wrt:
                return Returned(_numbers(function(arrays), shape), {})

            def loss_of(varied: Mapping[str, Any]) -> Any:
                returned = function({**arrays, **varied})
                _require_numbers(returned, shape)
                if not isinstance(returned, jax.core.Tracer):
                    raise LossError(
                        f"returns {_kind(returned)} that JAX cannot differentiate: it is computed outside of JAX (by "
                        "float(), .item(), NumPy or math), its gradient is stopped, or it does not depend on the inputs"
                    )
                return returned.reshape(shape)

            losses, pulled_back = jax.vjp(loss_of, {name: arrays[name] for name in wrt})
            (of_sum,) = pulled_back(jax.numpy.ones_like(losses))
            found = {name: np.array(gradient, dtype=np.float64) for name, gradient in of_sum.items()}
            if shape and "bandwidth" in wrt:
                ways = jax.numpy.eye(*shape, dtype=losses.dtype)
                found["bandwidth"] = np.array([pulled_back(way)[0]["bandwidth"] for way in ways], dtype=np.float64)
            return Returned(np.array(losses, dtype=np.float64), found)

    def explained(self, error: BaseException) -> str:
        if isinstance(error, self._jax.errors.JAXTypeError | self._jax.errors.JAXIndexError):
            return (
                "the loss leaves JAX with an array that is being differentiated: compute with jax.numpy throughout, "
                "without float(), int(), .item(), np.asarray or functions of NumPy and math, and under jit without if"
            )
        return one_line(error)


BACKENDS: Final[Mapping[str, type[Backend]]] = {kind.name: kind for kind in (Numpy, Torch, Jax)}


def _missing(library: str, error: ImportError) -> SettingError:
    """Return the error for a backend that cannot be imported."""
    if isinstance(error, ModuleNotFoundError) and error.name == library:
        return SettingError("backend", f"{library} is not installed: pip install {library}, where kdegrad is installed")
    return SettingError("backend", f"{library} cannot be imported: {one_line(error)}")


def _kind(value: Any) -> str:
    """Return what a value is, with its article, for messages."""
    if value is None:
        return "None"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"an array of shape {tuple(shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    name = type(value).__name__ if shape is None else f"{value.dtype}".removeprefix("torch.") + " scalar"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _require_numbers(value: Any, shape: tuple[int, ...]) -> None:
    """Raise `LossError` unless a value is real numbers of a shape; for () one of Python, or in an array of size 1."""
    is_array = hasattr(value, "dtype") and isinstance(getattr(value, "shape", None), tuple)
    if is_array:
        is_shaped = tuple(value.shape) == shape if shape else math.prod(value.shape) == 1
        dtype = f"{value.dtype}".removeprefix("torch.")
        right = is_shaped and dtype.startswith(("float", "int", "uint", "bfloat"))
        if is_shaped and not right:
            wrong = (
                f"values of dtype {dtype}, not real numbers"
                if shape
                else f"a value of dtype {dtype}, not a real number"
            )
            raise LossError(f"returns {wrong}")
    else:
        right = not shape and isinstance(value, int | float) and not isinstance(value, bool)
    if not right and shape:
        raise LossError(
            f"returns {_kind(value)}, not {shape[0]} losses of shape {shape}: return that of each problem in the "
            "batch, and no mean or sum of them"
        )
    if not right:
        raise LossError(f"returns {_kind(value)}, not one number")


def _numbers(value: Any, shape: tuple[int, ...]) -> FloatArray:
    """Return losses as numbers; NaN and infinity are numbers here, and the judge decides about them."""
    _require_numbers(value, shape)
    number = float(value.reshape(()) if hasattr(value, "reshape") else value) if not shape else value
    return np.array(number, dtype=np.float64)


def _gradient(name: str, value: Any, shape: tuple[int, ...]) -> FloatArray:
    """Return a gradient that a NumPy loss returned, copied, of the shape of what it belongs to."""
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise LossError(f"returns a gradient of the {name} that is not an array of real numbers: {_kind(value)}")
    if array.shape != shape and not (shape == () and array.size == 1):
        raise LossError(f"returns a gradient of the {name} of shape {array.shape}, not {shape}")
    return np.array(array.reshape(shape), dtype=np.float64)
