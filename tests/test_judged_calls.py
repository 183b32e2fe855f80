"""Pins down how a loss of the user's is called: what reaches it, what may come back, and each message.

Here the losses are in NumPy; tests/test_frameworks_calls.py has PyTorch and JAX.
"""

from __future__ import annotations

import functools
import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kdegrad.errors import InputError, SettingError
from kdegrad.properties.losses import OPTIONS, Loss, LossError, imported

ANGLES, LOGITS, TARGET = np.array([1.0, 2.0, 4.0]), np.array([0.5, -0.25, 0.0]), (-1.0, 1.0)
EVERYTHING = {
    "kernel": "gaussian",
    "bandwidth": 2.5,
    "bins": 7,
    "df": 3.0,
    "scale": 1.5,
    "background": 0.25,
    "circular": True,
    "period": 12.0,
    "unit": "turns",
}


def called(function: Any, *, gradient: bool = True, **options: Any) -> Any:
    return Loss(function, name="m:f", **options)(ANGLES, LOGITS, TARGET, EVERYTHING, gradient=gradient)


def refused(function: Any, **options: Any) -> str:
    with pytest.raises(LossError) as error:
        called(function, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# What reaches the loss.


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_arrays_target_and_all_options_reach_a_loss_that_takes_any(dtype: str) -> None:
    seen: list[Any] = []

    def loss(angles: Any, logits: Any, target: Any, **options: Any) -> float:
        seen.extend([angles, logits, target, options])
        return 1.5

    assert called(loss, dtype=dtype).loss == 1.5
    angles, logits, target, options = seen
    assert angles.dtype == logits.dtype == np.dtype(dtype)
    assert angles.tolist() == ANGLES.tolist()
    assert logits.tolist() == LOGITS.tolist()
    assert target == TARGET
    assert options == {**EVERYTHING, "reduction": "none"}
    assert set(EVERYTHING) == set(OPTIONS)


def test_numbers_of_numpy_reach_it_as_pythons() -> None:
    """A float64 scalar would make float64 of float32 arrays."""

    def loss(angles: Any, logits: Any, target: Any, bandwidth: Any) -> Any:
        assert [type(number) for number in (*np.atleast_1d(target).tolist(), bandwidth)] == [float] * 2
        return (angles[0] * bandwidth + (target if isinstance(target, float) else 0.0)).dtype.itemsize

    judged = Loss(loss, name="m:f", dtype="float32")
    assert judged(ANGLES, LOGITS, np.float64(0.5), {"bandwidth": np.float64(2.0)}).loss == 4.0
    seen: list[Any] = []
    judged = Loss(lambda angles, logits, target: seen.extend(target) or 0.0, name="m:f")
    judged(ANGLES, LOGITS, (np.float64(0.5), np.float64(1.0)), {})
    assert [type(end) for end in seen] == [float, float]


def test_only_what_the_signature_names_is_passed() -> None:
    def by_name(angles: Any, logits: Any, target: Any, bandwidth: float, *, bins: int = 0) -> float:
        return 100.0 * bandwidth + bins

    def by_place(unit: Any, scale: Any, period: Any, /, df: float = 0.0) -> float:
        return df

    def first_three(unit: Any, scale: Any, period: Any, bins: int = 0) -> float:  # the names of options, but arrays
        assert isinstance(unit, np.ndarray)
        return bins

    def reduced(angles: Any, logits: Any, target: Any, reduction: str = "mean") -> float:
        return {"none": 1.0, "mean": 0.0}[reduction]

    assert called(by_name).loss == 257.0
    assert called(by_place).loss == 3.0
    assert called(first_three).loss == 7.0
    assert called(reduced).loss == 1.0
    loss = Loss(by_name, name="m:f")
    assert [option for option in OPTIONS if loss.accepts(option)] == ["bandwidth", "bins"]


def test_what_a_partial_binds_is_no_option() -> None:
    def loss(angles: Any, logits: Any, target: Any, bandwidth: float, bins: int = 0) -> float:
        return 100.0 * bandwidth + bins

    def of_any(angles: Any, logits: Any, target: Any, **options: Any) -> float:
        return 100.0 * options["bandwidth"] + options["bins"]

    for function in (loss, of_any):
        bound = functools.partial(function, bandwidth=5.0)
        assert called(bound).loss == 507.0
        assert not Loss(bound, name="m:f").accepts("bandwidth")
        assert Loss(bound, name="m:f").accepts("bins")
        assert called(functools.partial(bound, bins=3)).loss == 503.0


def test_a_function_without_a_signature_takes_no_option() -> None:
    loss = Loss(min, name="m:f")
    assert not any(map(loss.accepts, OPTIONS))


def test_a_loss_may_write_into_its_arrays() -> None:
    """The next call has new ones; as in training they are the caller's, it is known what was changed."""

    def loss(angles: Any, logits: Any, target: Any) -> float:
        logits -= logits.max()
        angles[:] = 0.0
        return float(logits.sum())

    angles, logits = ANGLES.copy(), LOGITS.copy()
    angles.flags.writeable = logits.flags.writeable = False
    judged = Loss(loss, name="m:f")
    assert [judged(angles, logits, TARGET, {}).loss for _ in range(2)] == [-1.25, -1.25]
    assert judged.changed == ["angles", "logits"]
    assert logits.tolist() == LOGITS.tolist()


def test_classes_instances_and_methods_are_called() -> None:
    class Squared:
        def __init__(self, factor: float = 2.0) -> None:
            self.factor = factor

        def __call__(self, angles: Any, logits: Any, target: Any, *, bandwidth: float) -> float:
            return self.factor * bandwidth

        def method(self, angles: Any, logits: Any, target: Any, *, bins: int) -> float:
            return self.factor * bins

    assert called(Squared).loss == 5.0
    assert called(Squared(4.0)).loss == 10.0
    assert called(Squared().method).loss == 14.0
    assert not Loss(Squared, name="m:f").accepts("bins")


def test_classes_that_cannot_be_called_are_refused() -> None:
    class Needy:
        def __init__(self, factor: float) -> None:
            self.factor = factor

    class Mute:
        pass

    with pytest.raises(SettingError, match=r"loss: m:f\(\) raises TypeError: .*'factor' \(.*, in __init__\)"):
        Loss(Needy, name="m:f")
    with pytest.raises(SettingError, match="m:f is a class whose instances cannot be called"):
        Loss(Mute, name="m:f")


# What comes back.


@pytest.mark.parametrize(
    "returned",
    [1.5, np.float32(1.5), np.array(1.5), np.array([[1.5]]), np.array(1.5, dtype=np.float16)],
    ids=lambda returned: f"{type(returned).__name__}{getattr(returned, 'shape', '')}",
)
def test_numbers_are_losses(returned: Any) -> None:
    given = called(lambda angles, logits, target: returned)
    assert (given.loss, given.logits, given.angles, given.bandwidth) == (1.5, None, None, None)
    assert type(given.loss) is float


def test_nan_and_infinity_are_passed_on() -> None:
    assert math.isnan(called(lambda angles, logits, target: np.nan).loss)
    assert called(lambda angles, logits, target: math.inf).loss == math.inf
    assert called(lambda angles, logits, target: 3).loss == 3.0


def test_gradients_are_returned_as_an_array_or_by_name() -> None:
    buffer = np.array([1, 2, 3], dtype=np.float32)
    given = called(lambda angles, logits, target: (1.0, buffer))
    buffer[:] = 0.0  # it is the loss's own
    assert given.logits is not None
    assert given.logits.dtype == np.float64
    assert given.logits.tolist() == [1.0, 2.0, 3.0]
    assert given.angles is None

    named = {"logits": [1, 2, 3], "angles": np.arange(3.0), "bandwidth": np.array([2.5])}
    given = called(lambda angles, logits, target: (1.0, named), wrt=("logits",))
    assert given.logits is not None
    assert given.angles is not None
    assert (given.logits.tolist(), given.angles.tolist(), given.bandwidth) == ([1.0, 2.0, 3.0], [0.0, 1.0, 2.0], 2.5)

    given = called(lambda angles, logits, target: (1.0, {"logits": None, "angles": None}))
    assert (given.logits, given.angles, given.bandwidth) == (None, None, None)
    given = called(lambda angles, logits, target: (1.0, named), gradient=False)
    assert (given.loss, given.logits, given.angles, given.bandwidth) == (1.0, None, None, None)


def test_without_autograd_the_bandwidth_is_a_number() -> None:
    def loss(angles: Any, logits: Any, target: Any, bandwidth: float) -> tuple[float, dict[str, Any]]:
        assert type(bandwidth) is float
        return bandwidth, {"bandwidth": 1.0}

    given = called(loss, wrt=("logits", "angles", "bandwidth"))
    assert (given.loss, given.bandwidth) == (2.5, 1.0)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returns None, not one number"),
        ("12", "returns a str, not one number"),
        (True, "returns a bool, not one number"),
        (2j, "returns a complex, not one number"),
        ([1.0, 2.0], "returns a list of 2, not one number"),
        ({}, "returns a dict, not one number"),
        (np.array([1.0, 2.0, 3.0]), "returns an array of shape (3,), not one number"),
        (np.zeros((0, 2)), "returns an array of shape (0, 2), not one number"),
        (np.complex64(2j), "returns a value of dtype complex64, not a real number"),
        (np.array(["1"]), "returns a value of dtype <U1, not a real number"),
        (np.array(None), "returns a value of dtype object, not a real number"),
        ((1.0,), "returns a tuple of 1, not (loss, gradient of the logits)"),
        ((1.0, LOGITS, ANGLES), "returns a tuple of 3, not (loss, gradient of the logits)"),
        ((LOGITS, 1.0), "returns a gradient of the logits of shape (), not (3,)"),
        ((LOGITS, LOGITS), "returns an array of shape (3,), not one number"),
        ((1.0, LOGITS[:2]), "returns a gradient of the logits of shape (2,), not (3,)"),
        ((1.0, 1j * LOGITS), "returns a gradient of the logits that is not an array of real numbers: an array of"),
        ((1.0, "abc"), "returns a gradient of the logits that is not an array of real numbers: a str"),
        ((1.0, [[1.0], 2.0, 3.0]), "returns a gradient of the logits that is not an array of real numbers: a list"),
        ((1.0, {"angles": [1.0]}), "returns a gradient of the angles of shape (1,), not (3,)"),
        ((1.0, {"bandwidth": LOGITS}), "returns a gradient of the bandwidth of shape (3,), not ()"),
        (
            (1.0, {"logit": LOGITS}),
            "returns a gradient named 'logit': the names are 'logits', 'angles', 'bandwidth'; did you mean 'logits'?",
        ),
        ((1.0, {0: LOGITS}), "returns a gradient named '0': the names are"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_loss_is_named(returned: Any, message: str) -> None:
    assert refused(lambda angles, logits, target: returned).startswith(message)


# What it raises.


def test_an_exception_is_told_with_the_users_own_line() -> None:
    def helper(values: Any) -> Any:
        return np.linalg.inv(np.zeros((2, 2)))  # raises inside of NumPy

    def loss(angles: Any, logits: Any, target: Any) -> Any:
        return helper(logits)

    line = helper.__code__.co_firstlineno + 1
    message = refused(loss)
    assert message.startswith("raises LinAlgError: Singular matrix (")
    assert message.endswith(f"test_judged_calls.py, line {line}, in helper)")


def test_an_installed_loss_is_told_with_its_own_line(folder: Path) -> None:
    installed = folder / "site-packages" / "theirs.py"
    installed.parent.mkdir()
    installed.write_text("import json\n\ndef loss(angles, logits, target):\n    return json.loads('x')\n")
    sys.path.insert(0, str(installed.parent))
    loss, name = imported("theirs:loss")
    with pytest.raises(LossError, match=r"raises JSONDecodeError: .* \(site-packages/theirs.py, line 4, in loss\)"):
        Loss(loss, name=name)(ANGLES, LOGITS, TARGET, {})


def test_a_wrong_signature_is_told_with_the_functions_first_line() -> None:
    def loss(angles: Any, logits: Any, target: Any, sharpness: float) -> float:
        return 0.0

    message = refused(loss)
    assert message.startswith("raises TypeError: ")
    assert "missing 1 required positional argument: 'sharpness'; the options that it may name are kernel, " in message
    assert "period, unit, reduction: give sharpness a default, or bind by functools.partial (" in message
    assert message.endswith(f"line {loss.__code__.co_firstlineno}, in loss)")


def test_a_misspelt_option_is_answered_with_the_nearest() -> None:
    def positional(angles: Any, logits: Any, target: Any, bandwith: float) -> float:
        return bandwith

    def by_name(angles: Any, logits: Any, target: Any, *, bandwith: float, sigma: float) -> float:
        return bandwith * sigma

    bound = "or bind by functools.partial; did you mean 'bandwidth'? ("
    assert f": give bandwith a default, {bound}" in refused(positional)
    assert f": give bandwith and sigma a default, {bound}" in refused(by_name)


def test_another_signature_is_told_how_it_is_called() -> None:
    def of_two(angles: Any, logits: Any) -> float:
        return 0.0

    def wrapped(*arrays: Any, **options: Any) -> float:
        return of_three(*arrays, **options)

    def of_three(angles: Any, logits: Any, target: Any) -> float:
        return float([target])  # type: ignore[arg-type]  # a TypeError of its own

    how = "but 3 were given; it is called as my_loss(angles, logits, target, **options) ("
    assert how in refused(of_two)
    assert "; what has **kwargs is passed all options: name those that it takes in their place (" in refused(wrapped)
    message = refused(of_three)
    assert message.startswith("raises TypeError: float() argument must be")
    assert ";" not in message


@pytest.mark.parametrize(
    "angle_of",
    [
        lambda target: target - ANGLES,  # of which NumPy makes an array of two
        lambda target: target[:, None],
        lambda target: target.reshape(-1, 1),
        lambda target: math.cos(target),
    ],
)
def test_a_loss_of_one_angle_is_told_what_the_target_is(angle_of: Any) -> None:
    def loss(angles: Any, logits: Any, target: Any) -> Any:
        return angle_of(target)

    remedy = "of a loss of one angle judge the mean over the nodes low + (high - low)·(k + 1/2)/bins, k < bins ("
    assert f"; the target is a tuple (low, high), two floats: {remedy}" in refused(loss)
    many = np.tile(ANGLES, (2, 1))
    with pytest.raises(LossError) as error:
        Loss(loss, name="m:f", batched=True).together(many, many, (np.zeros(2), np.ones(2)), {})
    assert f"; the target is a tuple (low, high), two arrays (G,): {remedy}" in str(error.value)


def test_other_errors_of_shapes_are_not_taken_for_one_of_the_target() -> None:
    assert "tuple" not in refused(lambda angles, logits, target: (angles + np.zeros(5)).sum())
    low, many = np.zeros(2), np.tile(ANGLES, (2, 1))
    with pytest.raises(LossError, match=r"broadcast together with shapes \(2,\) \(2,3\)") as error:
        Loss(lambda x, z, target: target[0] - x, name="m:f", batched=True).together(many, many, (low, low + 1.0), {})
    assert "tuple" not in str(error.value)


def test_doubts_about_the_order_of_the_arrays_are_told() -> None:
    assert Loss(lambda angles, logits, target: 0.0, name="m:f").doubts == ""
    assert Loss(min, name="m:f").doubts == ""
    for function in (
        lambda logits, angles, target: 0.0,
        functools.partial(lambda logits, x, target, bins: 0.0, bins=3),
    ):
        doubts = Loss(function, name="m:f").doubts
        assert doubts == "its first parameter is 'logits', and it is called with the angles first, then the logits"
    assert "'Weight'" in Loss(lambda Weight, x, target: 0.0, name="m:f").doubts


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_a_loss_of_another_library_is_told_its_backend(library: str) -> None:
    """As far as its module has names of the library: a function of it, a class, or a module below it."""
    question = f" (is it written in {library}? --backend {library})"
    code = "def loss(angles, logits, target):\n    return logits.logsumexp()\n"
    inner = ModuleType(f"{library}.numpy")
    function, kind = eval("lambda x: x", {"__name__": f"{library}.nn"}), type("Kind", (), {"__module__": library})
    for value in (ModuleType(library), inner, function, kind):
        names = {"something": value, "__name__": "mine"}
        exec(code, names)
        assert f"'numpy.ndarray' object has no attribute 'logsumexp'{question} (" in refused(names["loss"])
        assert f"has no attribute 'logsumexp'{question} (" in refused(functools.partial(names["loss"]))
    exec(code, plain := {"np": np, "pytest": pytest, "like": ModuleType(f"{library}less"), "three": 3})
    assert "is it written in" not in refused(plain["loss"])
    exec(code.replace("logits.logsumexp()", "1 / 0"), names)
    assert "is it written in" not in refused(names["loss"])
    names["InputError"] = InputError  # as of kdegrad.torch, which refuses arrays of NumPy
    exec("def loss(angles, logits, target): raise InputError('no tensor')", names)
    assert f"InputError: no tensor{question} (" in refused(names["loss"])
    tensor = type("Tensor", (), {"__module__": f"{library}lib" if library == "jax" else library})()
    assert refused(lambda angles, logits, target: tensor) == f"returns a Tensor of {library}{question}"


def test_an_async_function_cannot_be_judged() -> None:
    async def later(angles: Any, logits: Any, target: Any) -> float:
        return 0.0

    def of_many(angles: Any, logits: Any, target: Any) -> Any:
        yield 0.0

    assert refused(later) == "returns a coroutine: an async function cannot be judged"  # and no warning: an error here
    assert refused(of_many) == "returns a generator, not one number"


def test_a_loss_that_takes_too_much_memory_is_named() -> None:
    def loss(angles: Any, logits: Any, target: Any) -> Any:
        return np.zeros((10**9, 10**9))

    with pytest.raises(MemoryError) as error:
        called(loss)
    (note,) = error.value.__notes__
    assert note.startswith("in m:f (")
    assert note.endswith(f"line {loss.__code__.co_firstlineno + 1}, in loss)")


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(SettingError, match="loss: m:f is of type float, not a function"):
        Loss(3.0, name="m:f")


def test_long_and_unfit_messages_are_shortened_and_escaped() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def raising(error: BaseException) -> Callable[..., Any]:
        def loss(angles: Any, logits: Any, target: Any) -> Any:
            raise error

        return loss

    assert refused(raising(ValueError("two\nlines\x1b[31m"))).startswith("raises ValueError: two lines\\x1b[31m (")
    assert len(refused(raising(ValueError("x" * 10_000)))) < 500
    assert refused(raising(Rude())).startswith("raises Rude (")
    assert refused(raising(SystemExit(3))).startswith("raises SystemExit: 3 (")
    assert refused(raising(RecursionError("too deep"))).startswith("raises RecursionError: too deep (")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_what_is_not_the_losss_fault_passes_through(kind: type[BaseException]) -> None:
    def loss(angles: Any, logits: Any, target: Any) -> Any:
        raise kind

    with pytest.raises(kind):
        called(loss)


def test_warnings_are_silenced_and_prints_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    def loss(angles: Any, logits: Any, target: Any) -> Any:
        print("step 1")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        return np.log(np.zeros(())) + np.exp(1000.0)

    assert math.isnan(called(loss).loss)  # -inf + inf; the tests make errors of warnings
    streams = capsys.readouterr()
    assert (streams.out, streams.err) == ("", "step 1\n")


# A single node.


def test_a_single_node_is_tried_once() -> None:
    seen = []

    def takes_both(angles: Any, logits: Any, target: Any, bandwidth: float) -> float:
        seen.append((target, bandwidth, angles.tolist()))
        return math.nan

    loss = Loss(takes_both, name="m:f", declared={"bandwidth": 4.0})
    assert seen == []
    assert loss.takes_one_node
    assert loss.takes_one_node
    assert seen == [(0.0, 4.0, [0.0, 2.0])]


@pytest.mark.parametrize(
    "function",
    [
        lambda angles, logits, target: target[1] - target[0],
        lambda angles, logits, target: target + angles,
        lambda angles, logits, target: None,
        lambda angles, logits, target, tail: tail,
    ],
)
def test_a_loss_that_fails_on_a_single_node_takes_none(function: Any) -> None:
    assert not Loss(function, name="m:f").takes_one_node


# Backends.


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_backend_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setitem(sys.modules, backend, None)  # as if it were not there
    with pytest.raises(SettingError) as error:
        Loss(min, name="m:f", backend=backend)
    assert error.value.name == "backend"
    assert backend in error.value.problem


def test_the_backend_is_numpy_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = Loss(min, name="m:f")
    assert (loss.name, loss.backend, loss.dtype, loss.wrt) == ("m:f", "numpy", "float64", ("logits", "angles"))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(nn=SimpleNamespace(Module=int)))
    assert Loss(min, name="m:f").backend == "numpy"
