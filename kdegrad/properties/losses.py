"""A loss of the user's: called with fresh arrays, and shown as lines of Python that can be pasted.

    my_loss(angles, logits, target, **options)

`angles` and `logits` are arrays (N,), `target` is (low, high) or one node, and `options` are those that it names. A
batched loss takes G problems at once: arrays (G, N), and arrays (G,) in the target; it returns the G losses.
"""

from __future__ import annotations

import inspect
import re
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from operator import attrgetter
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike

from kdegrad.arrays import FloatArray
from kdegrad.errors import InputError, SettingError
from kdegrad.properties.backends import BACKENDS, Backend, Given, LossError, Returned
from kdegrad.properties.user_code import described, imported, library_of, one_line, place, quiet, source_of
from kdegrad.settings import WRT, Settings
from kdegrad.text import nearest

__all__ = ["OPTIONS", "Given", "Loss", "LossError", "imported"]

OPTIONS: Final = ("kernel", "bandwidth", "bins", "df", "scale", "background", "circular", "period", "unit")
_PASSED: Final = (*OPTIONS, "reduction")
_NOT_ANGLES: Final = ("logit", "weight", "score", "target")  # of the first parameter, in the singular
_ARRAYS: Final = {"numpy": "np.array", "torch": "torch.tensor", "jax": "jnp.array"}
_BESIDE: Final = 2  # problems of a batch with which it is tried what a batched loss takes
_IMPORTS: Final = {"numpy": "import numpy as np", "torch": "import torch", "jax": "import jax, jax.numpy as jnp"}


@final
class Loss:
    """A judged loss; nothing of it changes but `seconds`.

    Parameters
    ----------
    function
        A function, a class that is called without arguments, or an object that can be called.
    name
        As it is shown: ``MODULE:NAME``.
    backend
        ``numpy``, ``torch`` or ``jax``; None: torch for an nn.Module, else numpy.
    dtype
        ``float64`` or ``float32``: of the arrays it is called with.
    wrt
        What automatic differentiation is asked for: of ``logits``, ``angles``, ``bandwidth``. A loss in NumPy gives
        the gradients that it returns.
    declared
        The options for `takes_one_node`, where they differ from the defaults.

    Raises
    ------
    SettingError
        If the backend is not installed, or the class cannot be called.
    """

    def __init__(
        self,
        function: Any,
        *,
        name: str,
        backend: str | None = None,
        dtype: str = "float64",
        wrt: tuple[str, ...] = ("logits", "angles"),
        batched: bool = False,
        declared: Mapping[str, Any] | None = None,
    ) -> None:
        self._given = function
        self._is_class = isinstance(function, type)
        if self._is_class:
            function = _instance(function, name)
        if not callable(function):
            raise SettingError("loss", f"{name} is of type {type(function).__name__}, not a function")
        is_module, given = _is_module(function), function
        self._backend: Backend = BACKENDS[backend or ("torch" if is_module else "numpy")](dtype)
        if is_module:
            try:
                function = self._backend.module_in_dtype(function)
            except Exception as error:  # a module may hold what cannot be copied
                raise SettingError("loss", f"{name} cannot be had in {dtype}: {one_line(error)}") from error
        self._function = function
        self._is_module = is_module
        self._is_widened = function is not given and dtype == "float64"
        plain = getattr(function, "_orig_mod", function)  # `torch.compile` hides the signature of forward
        self._signature = _signature(plain.forward if is_module else function)
        self._accepted = _accepted(self._signature, function)
        self._declared = dict(declared or {})
        self.name = name
        self.backend = self._backend.name
        self.dtype = dtype
        self.wrt = wrt
        self.batched = batched
        self.seconds = 0.0  # that the last call took

    @property
    def changed(self) -> list[str]:
        """What it changed in place of the arrays that it was given, so far: in training these are the caller's."""
        return sorted({name if name in WRT else "target" for name in self._backend.changed})

    def accepts(self, option: str) -> bool:
        """Return whether the signature names an option, or takes all; what a `functools.partial` binds is its own."""
        return option in self._accepted

    @cached_property
    def takes_one_node(self) -> bool:
        """Whether the target may be one number, a single node: it is tried with two points near it."""
        options = {row.name: row.default for row in Settings.rows if row.name in OPTIONS} | self._declared
        angles, logits = np.array([0.0, 0.5 * float(options["bandwidth"])]), np.zeros(2)
        try:
            if self.batched:
                many = np.tile(angles, (_BESIDE, 1))
                self.together(many, np.zeros_like(many), np.zeros(_BESIDE), options, gradient=False)
            else:
                self(angles, logits, 0.0, options, gradient=False)
        except LossError:
            return False
        return True

    @property
    def source(self) -> tuple[str, int] | None:
        """The file, as seen from the current folder, and the line where it is written; None if not below that."""
        return source_of(self._function)

    @property
    def doubts(self) -> str:
        """What may make a loss seem wrong that is called or converted otherwise than it is meant; empty if nothing."""
        first = next(iter(self._signature.parameters), "") if self._signature else ""
        if first.lower().rstrip("s") in _NOT_ANGLES:
            return f"its first parameter is {first!r}, and it is called with the angles first, then the logits"
        if self._is_widened:
            return "its tensors were float32, and may be rounded: --dtype float32 judges it as it is"
        return ""

    def __call__(
        self,
        angles: FloatArray,
        logits: FloatArray,
        target: tuple[float, float] | float,
        options: Mapping[str, Any],
        *,
        gradient: bool = True,
    ) -> Given:
        """Return the loss and, where `gradient`, its gradients; of the options it passes those that are accepted.

        Raises
        ------
        LossError
            If the function raises, or returns what is not a loss; also if its gradient cannot be obtained.
        """
        returned = self._returned({"angles": angles, "logits": logits}, _plain(target), options, gradient)
        found = returned.gradients
        bandwidth = float(found["bandwidth"]) if "bandwidth" in found else None
        return Given(float(returned.losses), found.get("logits"), found.get("angles"), bandwidth)

    def together(
        self,
        angles: FloatArray,
        logits: FloatArray,
        target: tuple[FloatArray, FloatArray] | FloatArray,
        options: Mapping[str, Any],
        *,
        gradient: bool = True,
    ) -> list[Given]:
        """Return the same of each problem of a batch: angles and logits (G, N), ends of targets or nodes (G,)."""
        places = dict(zip(("low", "high"), target, strict=True)) if isinstance(target, tuple) else {"at": target}
        returned = self._returned({"angles": angles, "logits": logits, **places}, None, options, gradient)
        found = returned.gradients
        missing = [None] * len(returned.losses)
        parts = (found.get(name, missing) for name in ("logits", "angles"))
        bandwidths = found["bandwidth"].tolist() if "bandwidth" in found else missing
        return [Given(*of_one) for of_one in zip(returned.losses.tolist(), *parts, bandwidths, strict=True)]

    def _returned(
        self, inputs: Mapping[str, Any], target: Any, options: Mapping[str, Any], is_differentiated: bool
    ) -> Returned:
        """Call the function; the target of a batch is among the arrays of `inputs`."""
        passed = self._passed(options)
        wrt = tuple(name for name in self.wrt if name != "bandwidth" or name in passed) if is_differentiated else ()
        if "bandwidth" in wrt:
            inputs = {**inputs, "bandwidth": passed.pop("bandwidth")}

        def function(values: Mapping[str, Any]) -> Any:
            varied = {"bandwidth": values["bandwidth"]} if "bandwidth" in values else {}
            ends = (values["low"], values["high"]) if "low" in values else values.get("at", target)
            returned = self._function(values["angles"], values["logits"], ends, **passed, **varied)
            if inspect.iscoroutine(returned):
                returned.close()  # else Python warns that nobody waits for it
                raise LossError("returns a coroutine: an async function cannot be judged")
            return returned

        began = time.monotonic()
        try:
            with quiet():
                shape = np.shape(inputs["angles"])[:-1]
                return self._backend.returned(function, inputs, wrt, shape)
        except (LossError, KeyboardInterrupt):
            raise
        except MemoryError as error:
            error.add_note(f"in {self.name}{place(error, self._function)}")
            raise
        except BaseException as error:
            text = self._backend.explained(error)
            if isinstance(error, TypeError):
                text += self._misfit(passed, text)
            if isinstance(target, tuple) or "low" in inputs:
                text += self._of_one_angle(error, text)
            if isinstance(error, TypeError | AttributeError | InputError) and self.backend == "numpy":
                library = library_of(self._function)
                text += f" (is it written in {library}? --backend {library})" if library else ""
            raise LossError(f"raises {described(error, self._function, text)}") from error
        finally:
            self.seconds = time.monotonic() - began

    def _misfit(self, passed: Mapping[str, Any], message: str) -> str:
        """Return what to do about a TypeError of a call that the signature does not fit; empty if it does."""
        if self._signature is None:
            return ""
        parameters = list(self._signature.parameters.values())
        try:
            self._signature.bind(None, None, None, **passed)
        except TypeError:
            rest = [*_by_place(parameters)[3:], *(p for p in parameters if p.kind is p.KEYWORD_ONLY)]
            lacking = [p.name for p in rest if p.default is p.empty and p.name not in passed]
            if not lacking:
                return "; it is called as my_loss(angles, logits, target, **options)"
            remedy = f"give {' and '.join(lacking)} a default, or bind by functools.partial"
            return f"; the options that it may name are {', '.join(_PASSED)}: {remedy}{nearest(lacking[0], _PASSED)}"
        if "unexpected keyword" in message and any(p.kind is p.VAR_KEYWORD for p in parameters):
            return "; what has **kwargs is passed all options: name those that it takes in their place"
        return ""

    def _of_one_angle(self, error: BaseException, message: str) -> str:
        """Return what to do about an error of a loss that takes the target for one angle; empty for another error."""
        is_of_tuple = isinstance(error, TypeError | AttributeError) and re.search(r"\btuple\b", message)
        as_array = r"broadcast.*\(2,2\)" if self.batched else r"broadcast.*\(2,\)"  # which NumPy makes of the tuple
        if not is_of_tuple and not (isinstance(error, ValueError) and re.search(as_array, message)):
            return ""
        ends = "two arrays (G,)" if self.batched else "two floats"
        return (
            f"; the target is a tuple (low, high), {ends}: of a loss of one angle judge the mean over the nodes "
            "low + (high - low)·(k + 1/2)/bins, k < bins"
        )

    def example(
        self,
        angles: FloatArray,
        logits: FloatArray,
        target: tuple[ArrayLike, ArrayLike] | ArrayLike,
        options: Mapping[str, Any],
        right: str,
    ) -> str:
        """Return three lines of Python that print the loss, with autograd its gradients too, and what is `right`.

        Of a batch the arrays are those of `together`, and the gradients printed are those of the sum of its losses.
        """
        statement, called = self._written()
        imports = [_IMPORTS[self.backend], *([statement] if statement else [])]
        if self.dtype == "float64" and self.backend != "numpy":
            precision = {
                "torch": "torch.set_default_dtype(torch.float64)",
                "jax": 'jax.config.update("jax_enable_x64", True)',
            }
            imports.append(precision[self.backend])
        passed = self._passed(options)
        inputs: dict[str, Any] = {"angles": angles, "logits": logits}
        if "bandwidth" in self.wrt and "bandwidth" in passed and self.backend != "numpy":
            inputs["bandwidth"] = passed["bandwidth"]
        wrt = [name for name in self.wrt if name in inputs]
        arrays = ", ".join(self._array(value, name in wrt) for name, value in inputs.items())
        keywords = [f"{key}={key if key in inputs else repr(value)}" for key, value in passed.items()]
        call = f"{called}({', '.join(['angles', 'logits', self._target(target), *keywords])})"
        varied, places = ", ".join(wrt), tuple(range(len(wrt)))
        value, summed = ("tolist", "loss.sum()") if self.batched else ("item", "loss")
        if self.backend == "torch" and wrt:
            gradients = f"torch.autograd.grad({summed}, [{varied}], allow_unused=True)"
            call = f"loss = {call}; print(loss.{value}(), {gradients})"
        elif self.backend == "jax" and wrt and self.batched:
            call = f"print({call}, jax.grad(lambda {varied}: {call}.sum(), {places})({varied}))"
        elif self.backend == "jax" and wrt:
            call = f"print(jax.value_and_grad(lambda {varied}: {call}, {places})({varied}))"
        else:
            call = f"print({call})"
        return "\n".join(["; ".join(imports), f"{', '.join(inputs)} = {arrays}", f"{call}  # right: {right}"])

    def _passed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that the function is called with."""
        every = {**options, "reduction": "none"}
        return {name: _plain(value) for name, value in every.items() if self.accepts(name)}

    def _array(self, values: Any, is_differentiated: bool = False) -> str:
        """Return an array as Python, in the fewest digits that read back to the same numbers of the dtype."""
        library = {"numpy": "np", "torch": "torch", "jax": "jnp"}[self.backend]

        def written(part: FloatArray) -> str:
            if part.ndim:
                return f"[{', '.join(map(written, part))}]"
            return _digits(float(part), self.dtype, library)

        text = written(np.asarray(values))
        dtype = ", dtype=np.float32" if self.backend == "numpy" and self.dtype == "float32" else ""
        leaf = ", requires_grad=True" if self.backend == "torch" and is_differentiated else ""
        return f"{_ARRAYS[self.backend]}({text}{dtype}{leaf})"

    def _target(self, target: tuple[ArrayLike, ArrayLike] | ArrayLike) -> str:
        """Return a target as Python."""
        if not self.batched:
            return repr(_plain(target))
        if isinstance(target, tuple):
            return f"({', '.join(self._array(ends) for ends in target)})"
        return self._array(target)

    def _written(self) -> tuple[str, str]:
        """Return the statement that imports the loss, if there is one, and the expression that is called."""
        module, _, name = self.name.partition(":")
        if not name:
            module = getattr(self._given, "__module__", None) or ""
            name = getattr(self._given, "__qualname__", None) or ""
            try:
                importable = attrgetter(name)(sys.modules[module]) is self._given and module != "__main__"
            except (AttributeError, KeyError):
                importable = False
            if not importable:
                module = ""
                name = getattr(self._given, "__name__", type(self._given).__name__)
                name = name if name.isidentifier() else "my_loss"  # <lambda>
        statement = f"from {module} import {name.split('.')[0]}" if module else ""
        called = f"{name}()" if self._is_class else name
        if self._is_module and self.dtype == "float64":
            called += ".double()"
        return statement, called


def _is_module(function: Any) -> bool:
    """Return whether an object is an nn.Module; torch is not imported for that."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(function, torch.nn.Module)


def _instance(kind: Any, name: str) -> Any:
    """Return an instance of a class that is called without arguments."""
    try:
        with quiet():
            instance = kind()
    except (MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise SettingError("loss", f"{name}() raises {described(error, kind.__init__)}") from error
    if not callable(instance):
        raise SettingError("loss", f"{name} is a class whose instances cannot be called: it has no __call__")
    return instance


def _signature(function: Any) -> inspect.Signature | None:
    """Return the signature of a function, if it has one."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # a builtin
        return None


def _accepted(signature: inspect.Signature | None, function: Any) -> frozenset[str]:
    """Return the options that a function takes by keyword, beside its first three parameters and what is bound."""
    parameters = list(signature.parameters.values()) if signature else []
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    bound = function.keywords if isinstance(function, partial) else {}
    taken = set(_PASSED) if takes_all else by_name.intersection(_PASSED)
    return frozenset(taken - {p.name for p in _by_place(parameters)[:3]} - set(bound))


def _by_place(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _plain(value: Any) -> Any:
    """Return numbers of NumPy, alone or in a tuple, as Python's, which leave float32 arrays float32."""
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


def _digits(value: float, dtype: str, library: str) -> str:
    """Return a number in the fewest digits that read back to it in the dtype."""
    if not np.isfinite(value):
        return f"{'-' if value < 0 else ''}{library}.{'nan' if np.isnan(value) else 'inf'}"
    kind = np.dtype(dtype).type
    text = str(kind(value))
    return text if kind(float(text)) == kind(value) else repr(float(value))  # rounded twice, it may be the neighbour
