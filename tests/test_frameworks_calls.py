"""Pins down how losses in PyTorch and JAX are called: gradients by autograd, precision, and each message.

The expected gradients are written out by hand. tests/test_judged_calls.py has what does not depend on the library.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kdegrad.errors import SettingError
from kdegrad.properties.losses import Loss, LossError, imported

ANGLES, LOGITS, TARGET = np.array([1.0, 2.0, 4.0]), np.array([0.5, -0.25, 0.0]), (-1.0, 1.0)
OPTIONS = {"kernel": "gaussian", "bandwidth": 2.5, "bins": 7}
ALL = ("logits", "angles", "bandwidth")
LIBRARIES = {"torch": "torch", "jax": "jax.numpy"}


@pytest.fixture(params=["torch", "jax"])
def library(request: pytest.FixtureRequest) -> SimpleNamespace:
    """Give the name of a backend and the module of its functions, which have the same names in both."""
    module = pytest.importorskip(LIBRARIES[request.param], reason=f"{request.param} is not installed")
    return SimpleNamespace(name=request.param, numpy=module)


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def jax() -> Any:
    return pytest.importorskip("jax", reason="jax is not installed")


def called(function: Any, *, gradient: bool = True, **options: Any) -> Any:
    return Loss(function, name="m:f", **options)(ANGLES, LOGITS, TARGET, OPTIONS, gradient=gradient)


def refused(function: Any, **options: Any) -> str:
    with pytest.raises(LossError) as error:
        called(function, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def product(angles: Any, logits: Any, target: Any, *, bandwidth: Any = 1.0) -> Any:
    """L = h Σ x z: the gradients are h x, h z and Σ x z."""
    return bandwidth * (angles * logits).sum()


def test_a_loss_of_one_angle_is_told_what_the_target_is(library: SimpleNamespace) -> None:
    message = refused(lambda angles, logits, target: (target - angles).sum(), backend=library.name)
    assert message.startswith("raises TypeError: unsupported operand type(s) for -: 'tuple' and ")
    assert "; the target is a tuple (low, high), two floats: of a loss of one angle judge the mean over " in message


def test_gradients_are_those_of_autograd(library: SimpleNamespace) -> None:
    given = called(product, backend=library.name, wrt=ALL)
    assert given.loss == 0.0  # 2.5 · (0.5 - 0.5 + 0)
    assert given.logits.tolist() == [2.5, 5.0, 10.0]
    assert given.angles.tolist() == [1.25, -0.625, 0.0]
    assert given.bandwidth == 0.0
    assert given.logits.dtype == given.angles.dtype == np.float64
    assert type(given.loss) is type(given.bandwidth) is float


def test_only_what_is_asked_for_is_differentiated(library: SimpleNamespace) -> None:
    given = called(product, backend=library.name)
    assert given.bandwidth is None
    given = called(product, backend=library.name, wrt=("angles",))
    assert (given.logits, given.angles.tolist()) == (None, [1.25, -0.625, 0.0])
    given = called(product, backend=library.name, gradient=False)
    assert (given.loss, given.logits, given.angles, given.bandwidth) == (0.0, None, None, None)
    given = called(lambda angles, logits, target: (angles * logits).sum(), backend=library.name, wrt=ALL)
    assert given.bandwidth is None  # the loss has no such option


def test_what_the_loss_does_not_depend_on_has_gradient_0(library: SimpleNamespace) -> None:
    given = called(lambda angles, logits, target: logits.sum(), backend=library.name, wrt=ALL)
    assert given.logits.tolist() == [1.0, 1.0, 1.0]
    assert given.angles.tolist() == [0.0, 0.0, 0.0]
    given = called(lambda angles, logits, target, bandwidth: logits.sum(), backend=library.name, wrt=ALL)
    assert given.bandwidth == 0.0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_arrays_and_what_the_loss_makes_have_the_dtype(library: SimpleNamespace, dtype: str) -> None:
    seen: list[Any] = []

    def loss(angles: Any, logits: Any, target: Any, *, bandwidth: Any, bins: Any) -> Any:
        low, high = target
        nodes = library.numpy.linspace(low, high, bins)  # in the default dtype
        seen.extend([angles, logits, nodes, bandwidth])
        assert type(low) is float
        assert type(bins) is int
        return (nodes.sum() + angles.sum() + logits.sum()) / bandwidth

    called(loss, backend=library.name, dtype=dtype, wrt=ALL)
    assert [str(array.dtype).removeprefix("torch.") for array in seen] == [dtype] * 4
    assert seen[3].shape == ()
    called(loss, backend=library.name, dtype=dtype)
    assert type(seen[-1]) is float  # nobody asks for its gradient


def test_the_default_dtype_is_restored(torch: Any) -> None:
    called(product, backend="torch")
    assert torch.get_default_dtype() == torch.float32
    refused(lambda angles, logits, target: None, backend="torch")
    assert torch.get_default_dtype() == torch.float32


def test_x64_is_restored(jax: Any) -> None:
    called(product, backend="jax")
    refused(lambda angles, logits, target: None, backend="jax")
    assert jax.numpy.ones(1).dtype == np.float32


def test_an_array_of_size_1_is_a_loss(library: SimpleNamespace) -> None:
    given = called(lambda angles, logits, target: logits.sum().reshape(1, 1), backend=library.name)
    assert (given.loss, given.logits.tolist()) == (0.25, [1.0, 1.0, 1.0])


def test_nan_is_passed_on(library: SimpleNamespace) -> None:
    given = called(lambda angles, logits, target: math.nan * logits.sum(), backend=library.name)
    assert math.isnan(given.loss)
    assert np.isnan(given.logits).all()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda z: None, "returns None, not one number"),
        (lambda z: 2.0 * z, "returns an array of shape (3,), not one number"),
        (lambda z: (z.sum(), z), "returns a tuple of 2, not one number"),
        (lambda z: 1j * z.sum(), "returns a value of dtype complex128, not a real number"),
        (lambda z: "12", "returns a str, not one number"),
    ],
)
@pytest.mark.parametrize("gradient", [True, False])
def test_what_is_no_loss_is_named(library: SimpleNamespace, returned: Any, message: str, gradient: bool) -> None:
    assert refused(lambda angles, logits, target: returned(logits), backend=library.name, gradient=gradient) == message


def test_an_exception_is_told_with_the_users_own_line(library: SimpleNamespace) -> None:
    def loss(angles: Any, logits: Any, target: Any) -> Any:
        return logits @ library.numpy.ones((4, 5))

    message = refused(loss, backend=library.name)
    assert message.startswith("raises ")
    assert message.endswith(f"test_frameworks_calls.py, line {loss.__code__.co_firstlineno + 1}, in loss)")


def test_autograd_is_on_where_the_caller_has_disabled_it(torch: Any) -> None:
    with torch.no_grad():
        assert called(product, backend="torch").logits.tolist() == [2.5, 5.0, 10.0]


def test_a_torch_loss_may_write_into_its_arrays(torch: Any) -> None:
    def loss(angles: Any, logits: Any, target: Any) -> Any:
        logits -= 1.0
        angles *= 2.0
        return (angles * logits).sum()

    given = called(loss, backend="torch")
    assert given.logits.tolist() == [2.0, 4.0, 8.0]
    assert given.angles.tolist() == [-1.0, -2.5, -2.0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("detached", "returns a tensor that requires no gradient: it is detached, computed under no_grad"),
        ("under_no_grad", "returns a tensor that requires no gradient"),
        ("constant", "returns a tensor that requires no gradient"),
        ("item", "returns a float, which autograd cannot follow: return a tensor (no .item(), float()"),
        ("numpy", "returns a float64 scalar, which autograd cannot follow"),
        ("breaking", "raises RuntimeError: one of the variables needed for gradient computation has been modified"),
    ],
)
def test_a_torch_loss_without_a_gradient_is_named(torch: Any, name: str, message: str) -> None:
    def under_no_grad(logits: Any) -> Any:
        with torch.no_grad():
            return logits.sum()

    def breaking(logits: Any) -> Any:
        weights = torch.exp(logits)
        loss = weights.sum()
        weights *= 0.0  # autograd needs it
        return loss

    losses = {
        "detached": lambda logits: logits.sum().detach(),
        "under_no_grad": under_no_grad,
        "constant": lambda logits: torch.zeros(()),
        "item": lambda logits: logits.sum().item(),
        "numpy": lambda logits: logits.detach().numpy().sum(),
        "breaking": breaking,
    }
    function = lambda angles, logits, target: losses[name](logits)  # noqa: E731
    assert refused(function, backend="torch").startswith(message)
    if name != "breaking":
        assert isinstance(called(function, backend="torch", gradient=False).loss, float)


@pytest.mark.parametrize("name", ["float", "math", "numpy", "asarray", "if under jit"])
def test_a_jax_loss_that_leaves_jax_is_told_how_to_stay(jax: Any, name: str) -> None:
    losses = {
        "float": lambda logits: float(logits.sum()),
        "math": lambda logits: math.exp(logits.sum()),
        "numpy": lambda logits: np.exp(logits).sum(),
        "asarray": lambda logits: np.asarray(logits).sum(),
        "if under jit": jax.jit(lambda logits: logits.sum() if logits[0] > 0 else logits.max()),
    }
    message = refused(lambda angles, logits, target: losses[name](logits), backend="jax")
    assert "Error: the loss leaves JAX with an array that is being differentiated: compute with jax.numpy" in message
    assert "test_frameworks_calls.py, line " in message


@pytest.mark.parametrize("name", ["item", "stopped", "constant"])
def test_a_jax_loss_without_a_gradient_is_named(jax: Any, name: str) -> None:
    losses = {
        "item": lambda logits: logits.sum().item(),
        "stopped": lambda logits: jax.lax.stop_gradient(logits).sum(),
        "constant": lambda logits: jax.numpy.zeros(()),
    }
    message = refused(lambda angles, logits, target: losses[name](logits), backend="jax")
    kind = "a float" if name == "item" else "a float64 scalar"
    assert message.startswith(f"returns {kind} that JAX cannot differentiate: it is computed outside of JAX")


def test_a_jitted_loss_is_called_with_what_it_names(jax: Any) -> None:
    given = called(jax.jit(product), backend="jax", wrt=ALL)
    assert given.logits.tolist() == [2.5, 5.0, 10.0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_module_is_moved_to_the_dtype_and_left_as_it_was(torch: Any, dtype: str) -> None:
    class Scaled(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(1.0 / 3.0))

        def forward(self, angles: Any, logits: Any, target: Any, *, bins: int) -> Any:
            assert str(self.factor.dtype) == f"torch.{dtype}"
            return self.factor * bins * logits.sum()

    module = Scaled()
    for judged in (module, Scaled):
        loss = Loss(judged, name="m:f", dtype=dtype)
        assert (loss.backend, loss.accepts("bins"), loss.accepts("bandwidth")) == ("torch", True, False)
        given = loss(ANGLES, LOGITS, TARGET, OPTIONS)
        assert given.logits.tolist() == [7.0 * float(np.float32(1.0 / 3.0))] * 3 or dtype == "float32"
        told = "its tensors were float32, and may be rounded: --dtype float32 judges it as it is"
        assert loss.doubts == (told if dtype == "float64" else "")
    assert module.factor.dtype == torch.float32


def test_the_signature_of_a_compiled_module_is_read(torch: Any) -> None:
    class Summed(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, angles: Any, logits: Any, target: Any, *, bins: int) -> Any:
            return bins * logits.sum()

    assert called(torch.compile(Summed(), backend="eager")).logits.tolist() == [7.0, 7.0, 7.0]


def test_a_module_that_cannot_be_copied_is_told(torch: Any) -> None:
    class Derived(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(3))
            self.twice = 2.0 * self.factor

    with pytest.raises(SettingError, match="loss: m:f cannot be had in float64: Only Tensors created explicitly by"):
        Loss(Derived(), name="m:f")
    Loss(Derived(), name="m:f", dtype="float32")


def test_a_loss_that_is_judged_as_one_in_numpy_is_told_its_backend(library: SimpleNamespace) -> None:
    """Also where it can be called with arrays of NumPy: its gradients would not be seen."""
    question = f"(is it written in {library.name}? --backend {library.name})"
    made = library.numpy.asarray(1.5)
    assert refused(lambda angles, logits, target: made) == f"returns a float32 scalar of {library.name} {question}"
    code = "import torch.nn.functional as f\ndef loss(angles, logits, target): return f.log_softmax(logits, 0).sum()\n"
    if library.name == "torch":
        exec(code, names := {"__name__": "mine"})
        assert f"'numpy.ndarray' object has no attribute 'log_softmax' {question}" in refused(names["loss"])
    given = called(lambda angles, logits, target: (made, logits), backend="numpy")  # who gives gradients is in NumPy
    assert (given.loss, given.logits.tolist()) == (1.5, LOGITS.tolist())


def test_a_module_without_forward_is_told(torch: Any) -> None:
    message = refused(torch.nn.Module)
    assert message.startswith("raises NotImplementedError: Module [Module] is missing the required")


def test_only_the_named_library_is_imported() -> None:
    code = (
        "import sys; from kdegrad.properties.losses import Loss; Loss(min, name='m:f'); "
        "print([name for name in ('torch', 'jax') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_broken_library_is_told(library: SimpleNamespace, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / f"{library.name}.py").write_text("raise ImportError('libcuda.so.12: not found')\n")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, library.name)
    with pytest.raises(SettingError) as error:
        Loss(product, name="m:f", backend=library.name)
    assert error.value.problem == f"{library.name} cannot be imported: libcuda.so.12: not found"


# Batches.


MANY, TARGETS = np.array([ANGLES, 10.0 * ANGLES]), (np.array([-1.0, 0.0]), np.array([1.0, 4.0]))


def products(angles: Any, logits: Any, target: Any, *, bandwidth: Any = 1.0) -> Any:
    """L_g = h (b - a)_g Σ x z: the gradients are h (b - a) x, h (b - a) z and (b - a) Σ x z of each problem."""
    width = target[1] - target[0] if isinstance(target, tuple) else target
    return bandwidth * width * (angles * logits).sum(-1)


def together(function: Any, *, target: Any = TARGETS, gradient: bool = True, **options: Any) -> Any:
    loss = Loss(function, name="m:f", batched=True, **options)
    return loss.together(MANY, np.array([LOGITS, LOGITS]), target, OPTIONS, gradient=gradient)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("wrt", [ALL, ("angles",), ("bandwidth",), ("logits", "angles")])
def test_each_problem_of_a_batch_has_its_own_gradients(
    library: SimpleNamespace, dtype: str, wrt: tuple[str, ...]
) -> None:
    first, second = together(products, backend=library.name, dtype=dtype, wrt=wrt)
    assert (first.loss, second.loss) == (2.5 * 2.0 * -0.0, 0.0)
    by_logits, by_angles = (5.0 * ANGLES).tolist(), (5.0 * LOGITS).tolist()
    assert (first.logits.tolist() if "logits" in wrt else first.logits) == (by_logits if "logits" in wrt else None)
    assert (first.angles.tolist() if "angles" in wrt else first.angles) == (by_angles if "angles" in wrt else None)
    if "logits" in wrt:
        assert second.logits.tolist() == (100.0 * ANGLES).tolist()
    moved = together(
        lambda x, z, t, *, bandwidth: products(x + 1.0, z, t, bandwidth=bandwidth), backend=library.name, wrt=wrt
    )
    if "bandwidth" in wrt:
        assert [given.bandwidth for given in moved] == [2.0 * 0.25, 4.0 * 0.25]
    assert [given.loss for given in moved] == [5.0 * 0.25, 10.0 * 0.25]
    alone = together(products, backend=library.name, gradient=False)
    assert [(given.logits, given.angles, given.bandwidth) for given in alone] == [(None, None, None)] * 2


def test_the_targets_of_a_batch_are_arrays_of_the_dtype(library: SimpleNamespace) -> None:
    seen: list[Any] = []

    def loss(angles: Any, logits: Any, target: Any) -> Any:
        seen.extend(target if isinstance(target, tuple) else [target])
        return (angles * logits).sum(-1)

    together(loss, backend=library.name, dtype="float32")
    together(loss, backend=library.name, dtype="float64", target=np.array([0.5, 1.5]))
    kinds = [str(array.dtype).removeprefix("torch.") for array in seen]
    assert kinds == ["float32", "float32", "float64"]
    assert [array.tolist() for array in seen] == [[-1.0, 0.0], [1.0, 4.0], [0.5, 1.5]]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda z: z.sum(), "returns a float64 scalar, not 2 losses of shape (2,): return that of each problem"),
        (lambda z: z, "returns an array of shape (2, 3), not 2 losses of shape (2,)"),
        (lambda z: 1j * z.sum(-1), "returns values of dtype complex128, not real numbers"),
        (lambda z: None, "returns None, not 2 losses of shape (2,)"),
        (lambda z: 0.0 * z.sum(-1).tolist()[0], "returns a float, not 2 losses"),
    ],
)
@pytest.mark.parametrize("gradient", [True, False])
def test_what_is_no_batch_of_losses_is_named(
    library: SimpleNamespace, returned: Any, message: str, gradient: bool
) -> None:
    if "tolist" in returned.__code__.co_names and library.name == "jax" and gradient:
        pytest.skip("JAX has an error of its own")
    with pytest.raises(LossError) as error:
        together(lambda angles, logits, target: returned(logits), backend=library.name, gradient=gradient)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("wrt", [ALL, ("angles",), ()])
def test_the_lines_to_paste_print_losses_and_gradients_of_a_batch(
    library: SimpleNamespace, folder: Path, wrt: tuple[str, ...]
) -> None:
    (folder / "pasted.py").write_text(
        "def loss(angles, logits, target, *, bandwidth):\n"
        "    return bandwidth * (target[1] - target[0]) * (angles * logits + 0.25).sum(-1)\n"
    )
    function, name = imported("pasted:loss")
    loss = Loss(function, name=name, backend=library.name, wrt=wrt, batched=True)
    text = loss.example(MANY, np.array([LOGITS, LOGITS]), TARGETS, OPTIONS, "[1, 2]")
    assert len(text.split("\n")) == 3
    shown = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    assert "3.75" in shown
    assert "7.5" in shown
    assert shown.count("[[") == len({"logits", "angles"} & set(wrt))


PASTED = """
def loss(angles, logits, target, *, bandwidth=1.0):
    return (angles * logits).sum() * bandwidth + 1.0 / 3.0
"""


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("wrt", [ALL, ("angles",), ()])
def test_the_lines_to_paste_print_loss_and_gradients(
    library: SimpleNamespace, folder: Path, dtype: str, wrt: tuple[str, ...]
) -> None:
    (folder / "pasted.py").write_text(PASTED)
    function, name = imported("pasted:loss")
    loss = Loss(function, name=name, backend=library.name, dtype=dtype, wrt=wrt)
    text = loss.example(ANGLES, LOGITS, TARGET, OPTIONS, "1.5")
    assert len(text.split("\n")) == 3
    assert text.endswith("  # right: 1.5")
    shown = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    given = loss(ANGLES, LOGITS, TARGET, OPTIONS)
    assert f"{given.loss:.4f}" in shown
    assert shown.count("[") == sum(part is not None for part in (given.logits, given.angles))
    if wrt == ALL:
        assert shown.index("2.5") < shown.index("1.25")  # h x before h z: in the order of wrt


def test_a_module_in_the_lines_to_paste(torch: Any, folder: Path) -> None:
    (folder / "pasted.py").write_text(
        "import torch\n"
        "class Kind(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.factor = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float32))\n"
        "    def forward(self, angles, logits, target):\n"
        "        return torch.dot(self.factor.expand(3), logits)\n"
    )
    function, name = imported("pasted:Kind")
    first, second, third = Loss(function, name=name).example(ANGLES, LOGITS, TARGET, OPTIONS, "0").split("\n")
    assert first == "import torch; from pasted import Kind; torch.set_default_dtype(torch.float64)"
    assert second == (
        "angles, logits = torch.tensor([1.0, 2.0, 4.0], requires_grad=True), "
        "torch.tensor([0.5, -0.25, 0.0], requires_grad=True)"
    )
    assert third == (
        "loss = Kind().double()(angles, logits, (-1.0, 1.0)); "
        "print(loss.item(), torch.autograd.grad(loss, [logits, angles], allow_unused=True))  # right: 0"
    )
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            exec("\n".join([first, second, third]), {})
    finally:
        torch.set_default_dtype(torch.float32)
    assert output.getvalue().startswith("0.5 (")
