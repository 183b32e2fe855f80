"""Pins down what surrounds the numbers of `kdegrad.torch`: refusals, the module, and what PyTorch does with a function.

Compiled functions run by ``aot_eager``: the whole graph is traced with its gradient, and no C++ is compiled for it.
"""

from __future__ import annotations

import copy
import io
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import kdegrad as kg
from kdegrad.blockwise import computed

torch = pytest.importorskip("torch", reason="torch is not installed: make test-frameworks")
import kdegrad.torch as kt  # noqa: E402
import kdegrad.torch.batches  # noqa: E402
from kdegrad.torch.operator import losses_and_gradients  # noqa: E402

FLOAT64 = torch.float64
ROUNDING = 1e-13  # relative, of sums that are taken in another order


def normal(*shape: int, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=FLOAT64)


X, Z = 40.0 * normal(4, 5), normal(4, 5, seed=1)
LOW = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=FLOAT64)
OF_THREE = 40.0 * normal(2, 3, 5)
ON_META = torch.zeros(4, device="meta")
LOSES = torch.zeros(4, requires_grad=True)  # as a target


def changed(values: Any, place: tuple[int, ...], value: float) -> Any:
    copied = values.clone()
    copied[place] = value
    return copied


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"angles": [1.0, 2.0]}, "angles: [1.0, 2.0] is not a tensor: torch.as_tensor makes one of numbers"),
    ({"logits": None}, "logits: None is not a tensor: torch.as_tensor makes one of numbers"),
    ({"angles": X.to(torch.complex64)}, "angles: a tensor of torch.complex64 holds no real numbers: convert it"),
    ({"logits": Z > 0.0}, "logits: a tensor of torch.bool holds no real numbers: convert it"),
    ({"angles": X.to_sparse()}, "angles: a sparse or nested tensor: give a dense one"),
    ({"logits": Z[:, :3]}, "angles of shape (4, 5) but logits of shape (4, 3): give (..., N) twice, of"),
    ({"logits": Z[:, :1]}, "angles of shape (4, 5) but logits of shape (4, 1): give (..., N) twice, of one N"),
    ({"angles": X[:, :0], "logits": Z[:, :0]}, "shape (4, 0): each problem needs one point or more"),
    ({"angles": X[:0], "logits": Z[:0]}, "shape (0, 5): there is no problem: leave an empty batch out"),
    ({"angles": X[0, 0], "logits": Z[0, 0]}, "shape (): each problem needs one point or more"),
    ({"angles": X[0, :0], "logits": Z[0, :0], "offsets": torch.tensor([0, 0])}, "shape (0,): each problem needs one"),
    ({"logits": Z.to("meta")}, "angles on cpu, logits on meta: move them to one device"),
    ({"angles": changed(X, (2, 3), math.nan)}, "problem 2: point 3: angle nan: give a finite number"),
    ({"angles": changed(X, (0, 1), math.inf)}, "problem 0: point 1: angle inf: give a finite number"),
    ({"logits": changed(Z, (1, 4), math.inf)}, "problem 1: point 4: logit inf: give a finite number, or -inf"),
    (
        {"logits": changed(Z, (3,), -math.inf)},
        "problem 3: no point has a positive weight: all its logits are -inf: leave",
    ),
    ({"target": (ON_META, 9.0)}, "target: low: a tensor on meta, but the angles are on cpu: move it there"),
    ({"target": ON_META}, "target: a tensor on meta, but the angles are on cpu: move it there"),
    ({"target": {"angle": ON_META}}, "target: angle: a tensor on meta, but the angles are on cpu: move it there"),
    ({"target": (0.0, LOSES)}, "target: high: a tensor that requires a gradient: call .detach() first"),
    ({"target": {"angle": LOW, "weight": LOSES}}, "target: weight: a tensor that requires a gradient: call .detach()"),
    (
        {"target": torch.stack([LOW, LOW + 9.0], dim=-1)},
        "target: shape (4, 2), but the problems have the shape (4,): low and high? give target.unbind(-1), a tuple",
    ),
    ({"target": torch.stack([LOW, LOW + 9.0])}, "have the shape (4,): low and high? give target.unbind(0), a tuple"),
    ({"target": LOW[:, None]}, "the problems have the shape (4,): give it without the last dimension, as squeeze(-1)"),
    (
        {"target": (LOW[:3], 9.0)},
        "target: low: shape (3,), but the problems have the shape (4,): give one number, or one for each problem",
    ),
    ({"target": (LOW, changed(LOW + 9.0, (2,), -3.0))}, "problem 2: target: low 2 is not below high -3: give low < hi"),
    ({"target": (LOW, math.nan)}, "problem 0: target: [0.0, nan] is not finite: give two finite angles"),
    ({"target": (0.0, 400.0), "circular": True}, "[0, 400] is 400 wide, wider than the circle (360): make it narrower"),
    ({"target": (1.0, 2.0, 3.0)}, "target: (1.0, 2.0, 3.0) is not an interval: give (low, high); observed angles as a"),
    ({"target": None}, "target: None is no target: give (low, high), observed angles as a tensor, or target points"),
    ({"target": "0 30"}, "target: '0 30' is no target: give (low, high), observed angles as a tensor, or target"),
    ({"target": (0, 10**400)}, "target: high: 1000"),
    ({"target": (True, 3.0)}, "target: low: booleans (bool) are not numbers"),
    ({"target": LOW > 1.0}, "target: a tensor of torch.bool holds no real numbers: convert it"),
    ({"target": changed(LOW, (1,), math.nan)}, "problem 1: target nan: give a finite angle"),
    ({"target": {"angle": LOW, 3: 1}}, "target: a mapping of 'angle', '3': give 'angle', and 'weight' or nothing"),
    ({"target": {"angle": 3.0}}, "target: angle of shape () and weight of shape (), but the problems have the shape"),
    ({"target": {"angle": X[:, :0]}}, "(4,): give (K,), or (..., K) with K ≥ 1 target points for each problem"),
    ({"target": {"angle": X[:3]}}, "target: angle of shape (3, 5) and weight of shape (3, 5), but the problems have"),
    ({"target": {"angle": LOW, "weight": LOW[:3]}}, "target: angle of shape (4,) and weight of shape (3,), but the"),
    ({"target": {"angle": LOW, "weight": -LOW}}, "target point 1: weight -1.0: give a finite number of at least 0"),
    ({"target": {"angle": X, "weight": 0.0 * X}}, "no target point of problem 0 has a positive weight: give one above"),
    ({"target": kg.Points([1.0, 2.0, 3.0], offsets=[0, 1, 3])}, "target: points of 2 problems, but there are 4"),
    ({"target": 3.0, "background": 0.1}, "background: spreads over the target's width, and points on a line have none"),
    ({"bandwidth": torch.ones(2)}, "bandwidth: a tensor of shape (2,): give one number"),
    ({"bandwidth": torch.tensor(-2.0)}, "bandwidth: -2.0 is out of range: give a finite number above 0"),
    ({"bandwidth": torch.tensor(math.nan)}, "bandwidth: nan is not a number: give a finite number above 0"),
    ({"bandwidth": torch.tensor(1.0, device="meta")}, "bandwidth: a tensor on meta, but the angles are on cpu"),
    ({"bandwidth": 0}, "bandwidth: 0 is out of range: give a finite number above 0"),
    ({"bandwidth": None}, "bandwidth: None is not a number: give a finite number above 0"),
    ({"bins": 3.5}, "bins: 3.5 is not an integer: give an integer from 1 to 10000000"),
    ({"df": -1.0}, "df: -1.0 is out of range: give a finite number above 0"),
    ({"background": 1}, "background: 1 is out of range: give a finite number from 0 to below 1"),
    ({"circular": "yes"}, "circular: 'yes' is neither true nor false"),
    ({"period": 0}, "period: 0 is out of range: give a finite number above 0"),
    ({"period": 360, "unit": "radians"}, "period: 360 contradicts the unit radians"),
    ({"unit": "grad"}, "unit: unknown 'grad': choose degrees, radians, turns"),
    ({"kernel": "gausian"}, "kernel: unknown kernel 'gausian'; did you mean 'gaussian'?"),
    ({"kernel": "von-mises"}, "kernel: von-mises is defined on a circle only: add circular=True or period=P"),
    ({"reduction": "avg"}, "reduction: unknown 'avg': choose none, mean, sum"),
    ({"offsets": torch.tensor([0, 20])}, "angles of shape (4, 5): with offsets give one row of all points, (M,)"),
]
OFFSETS: list[tuple[Any, str]] = [
    (torch.tensor([0.0, 20.0]), "offsets: tensor([ 0., 20.]) are not G+1 whole numbers: give 0, and where each prob"),
    (torch.tensor([False, True]), "offsets: tensor([False, True]) are not G+1 whole numbers: give 0, and where each"),
    (torch.tensor([0]), "offsets: tensor([0]) are not G+1 whole numbers: give 0, and where each problem ends"),
    ("0 20", "offsets: '0 20' are not G+1 whole numbers: give 0, and where each problem ends"),
    (torch.tensor([0, 20], device="meta"), "offsets: a tensor on meta, but the angles are on cpu: move it there"),
    (
        torch.tensor([-1, 20]),
        "offsets of the points: they go from -1 to 20, and there are 20: give offsets from 0 to 20",
    ),
    (torch.tensor([0, 19]), "offsets of the points: they go from 0 to 19, and there are 20: give offsets from 0 to 20"),
    (torch.tensor([0, 9, 5, 20]), "problem 1: offsets of the points fall from 9 to 5: give offsets that rise"),
    (torch.tensor([0, 9, 9, 20]), "problem 1: it has none of the points (offsets 9, 9): each needs one or more"),
]


@pytest.mark.parametrize(("wrong", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_cannot_be_used_is_refused_with_its_name_and_the_remedy(wrong: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"angles": X, "logits": Z, "target": (0.0, 30.0)} | wrong
    with pytest.raises(kg.KdegradError) as caught:
        kt.kde_cross_entropy(**given)
    assert said in str(caught.value)


@pytest.mark.parametrize(("offsets", "said"), OFFSETS, ids=[said[:40] for _, said in OFFSETS])
def test_offsets_that_cannot_be_used_are_refused(offsets: Any, said: str) -> None:
    with pytest.raises(kg.KdegradError) as caught:
        kt.kde_cross_entropy(X.ravel(), Z.ravel(), (0.0, 30.0), offsets=offsets)
    assert said in str(caught.value)


def test_offsets_are_checked_before_targets_are_counted_by_them() -> None:
    """So that lengths in place of offsets are not a fault of the target."""
    with pytest.raises(kg.InputError, match="offsets of the points: they go from 5 to 5, and there are 20"):
        kt.kde_cross_entropy(X.ravel(), Z.ravel(), LOW, offsets=torch.tensor([5, 5, 5, 5]))


@pytest.mark.parametrize("runs_on_tensors", [False, True])
def test_a_whole_turn_in_float32_is_a_target(runs_on_tensors: bool) -> None:
    """From -π to π in float32 it is 1.7e-7 wider than the circle; what is wider by more than rounding is refused."""
    half = torch.tensor(math.pi, dtype=torch.float32)
    angles, logits = torch.tensor([[0.5, 2.0]]), torch.zeros(1, 2)
    options: dict[str, Any] = {"bandwidth": 0.5, "circular": True, "unit": "radians", "bins": 40}
    expected = kg.loss([0.5, 2.0], target=(-math.pi, math.pi), **options)
    with losses_and_gradients.set_kernel_enabled("cpu", False) if runs_on_tensors else nullcontext():
        assert kt.kde_cross_entropy(angles, logits, (-half, half), **options).item() == pytest.approx(
            expected, rel=1e-6
        )
        if runs_on_tensors:
            assert kt.kde_cross_entropy(angles, logits, (-half, half + 1e-5), **options).isnan()
        else:
            with pytest.raises(kg.InputError, match="wider than the circle"):
                kt.kde_cross_entropy(angles, logits, (-half, half + 1e-5), **options)


def test_blocks_are_shared_by_as_many_threads_as_pytorch_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def spied(batch: kg.Batch, wanted: Any, threads: int) -> Any:
        asked.append(threads)
        return computed(batch, wanted)

    before = torch.get_num_threads()
    monkeypatch.setattr(kdegrad.torch.batches, "computed", spied)
    try:
        torch.set_num_threads(3)
        kt.kde_cross_entropy(X, Z, 3.0)
    finally:
        torch.set_num_threads(before)
    assert asked == [3]


def test_an_error_says_how_problems_of_several_dimensions_are_numbered() -> None:
    logits = changed(OF_THREE, (1, 2), -math.inf)
    with pytest.raises(kg.InputError, match="problem 5: no point has a positive weight") as caught:
        kt.kde_cross_entropy(OF_THREE, logits, 3.0)
    assert caught.value.__notes__ == ["The problems of the shape (2, 3) are numbered in flat order."]


def test_tensors_without_data_give_a_loss_without_data() -> None:
    """On the device ``meta``, by which models are laid out."""
    logits = Z.to("meta").requires_grad_()
    losses = kt.kde_cross_entropy(X.to("meta"), logits, (0.0, 30.0), reduction="none")
    losses.sum().backward()
    assert (losses.device.type, losses.shape, logits.grad.shape) == ("meta", (4,), (4, 5))


# the module


def test_the_module_has_the_numbers_of_the_function() -> None:
    options: dict[str, Any] = {"df": 2.5, "bins": 9, "background": 0.1, "period": 180.0}
    module = kt.KDECrossEntropyLoss("student-t", 15.0, reduction="none", **options)
    expected = kt.kde_cross_entropy(X, Z, (0.0, 30.0), kernel="student-t", bandwidth=15.0, reduction="none", **options)
    assert torch.equal(module(X, Z, (0.0, 30.0)), expected)
    offsets = torch.tensor([0, 5, 10, 15, 20])
    ragged = module(X.ravel(), Z.ravel(), (0.0, 30.0), offsets)
    torch.testing.assert_close(ragged, expected, rtol=ROUNDING, atol=0.0)


def test_a_learned_bandwidth_is_trained_as_its_logarithm() -> None:
    """∂L/∂log h = h ∂L/∂h; steps of an optimizer lower the loss and keep h positive."""
    module = kt.KDECrossEntropyLoss("gaussian", 300.0, learn_bandwidth=True).double()
    assert [name for name, _ in module.named_parameters()] == ["log_bandwidth"]
    assert module.log_bandwidth.item() == pytest.approx(math.log(300.0), rel=1e-7)
    first = module(X, Z, (0.0, 30.0))
    first.backward()
    _, expected = kg.loss_and_grad(
        X.numpy(),
        Z.numpy(),
        target=(0.0, 30.0),
        kernel="gaussian",
        bandwidth=module.bandwidth.item(),
        reduction="mean",
        wrt="bandwidth",
    )
    assert module.log_bandwidth.grad.item() == pytest.approx(expected, rel=1e-12)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.3)
    for _ in range(5):
        optimizer.zero_grad()
        module(X, Z, (0.0, 30.0)).backward()
        optimizer.step()
    assert module(X, Z, (0.0, 30.0)) < first
    assert 0.0 < module.bandwidth < 300.0


@pytest.mark.parametrize("learned", [False, True])
def test_a_bandwidth_can_be_set(learned: bool) -> None:
    """As by a schedule; a learned one goes on being learned, as the same parameter."""
    module = kt.KDECrossEntropyLoss("gaussian", 10.0, learned)
    before = list(module.parameters())
    module.bandwidth = torch.tensor(4.0, requires_grad=True)
    assert float(torch.as_tensor(module.bandwidth).detach()) == pytest.approx(4.0, rel=1e-6)
    assert all(old is new for old, new in zip(before, module.parameters(), strict=True))
    assert "bandwidth=4.0" in repr(module)
    with pytest.raises(kg.SettingError, match="bandwidth: -1 is out of range"):
        module.bandwidth = -1


def test_a_module_survives_copies_and_files() -> None:
    learned = kt.KDECrossEntropyLoss("gaussian", 10.0, True, bins=9, reduction="sum")
    with torch.no_grad():
        learned.log_bandwidth += 0.25
    for module in (learned, kt.KDECrossEntropyLoss("gaussian", 12.0, background=0.1)):
        file = io.BytesIO()
        torch.save(module, file)
        file.seek(0)
        copies = [copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(file, weights_only=False)]
        for copied in copies:
            assert torch.equal(copied(X, Z, (0.0, 30.0)), module(X, Z, (0.0, 30.0)))
            assert repr(copied) == repr(module)
    other = kt.KDECrossEntropyLoss("gaussian", 3.0, True, bins=9, reduction="sum")
    other.load_state_dict(learned.state_dict())
    assert torch.equal(other.log_bandwidth, learned.log_bandwidth)
    fixed = kt.KDECrossEntropyLoss("gaussian", 3.0)
    assert list(fixed.state_dict()) == []
    with pytest.raises(RuntimeError, match="Unexpected key"):
        fixed.load_state_dict(learned.state_dict())
    with pytest.raises(RuntimeError, match="Missing key"):
        learned.load_state_dict(fixed.state_dict())


def test_a_module_says_what_makes_it() -> None:
    assert repr(kt.KDECrossEntropyLoss()) == "KDECrossEntropyLoss(kernel='laplace', bandwidth=1.0, reduction='mean')"
    module = kt.KDECrossEntropyLoss("von-mises", 10, True, period=180, background=0.1, reduction="none")
    assert repr(module) == (
        "KDECrossEntropyLoss(kernel='von-mises', bandwidth=10.0, background=0.1, period=180.0, learn_bandwidth=True, "
        "reduction='none')"
    )
    namespace = {"KDECrossEntropyLoss": kt.KDECrossEntropyLoss}
    assert repr(eval(repr(module), namespace)) == repr(module)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_a_module_is_converted(dtype: Any) -> None:
    """The bandwidth has the dtype of the model; that of the loss is the points' own."""
    module = kt.KDECrossEntropyLoss("gaussian", 10.0, True).to(dtype)
    assert module.bandwidth.dtype == dtype
    loss = module(X.float(), Z.float(), 3.0)
    loss.backward()
    assert (loss.dtype, module.log_bandwidth.grad.dtype) == (torch.float32, dtype)
    expected = kt.kde_cross_entropy(X, Z, 3.0, kernel="gaussian", bandwidth=10.0)
    assert loss.item() == pytest.approx(expected.item(), rel=0.01)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kernel": "gausian"}, "kernel: unknown kernel 'gausian'; did you mean 'gaussian'?"),
        ({"kernel": "von-mises"}, "kernel: von-mises is defined on a circle only"),
        ({"bandwidth": -1}, "bandwidth: -1 is out of range: give a finite number above 0"),
        (
            {"bandwidth": LOSES[0]},
            "bandwidth: a tensor that requires a gradient: give a number and learn_bandwidth=True",
        ),
        ({"learn_bandwidth": "yes"}, "learn_bandwidth: 'yes' is neither true nor false"),
        ({"reduction": "avg"}, "reduction: unknown 'avg': choose none, mean, sum"),
    ],
    ids=str,
)
def test_a_module_refuses_its_options_when_it_is_made(options: dict[str, Any], said: str) -> None:
    with pytest.raises(kg.SettingError) as caught:
        kt.KDECrossEntropyLoss(**options)
    assert said in str(caught.value)


# derivatives of derivatives, and the transforms of torch.func


def loss_of(logits: Any, angles: Any = X, bandwidth: Any = 20.0) -> Any:
    return kt.kde_cross_entropy(angles, logits, (0.0, 30.0), bandwidth=bandwidth, bins=9)


def gradient_of(logits: Any) -> Any:
    leaf = logits.clone().requires_grad_()
    return torch.autograd.grad(loss_of(leaf), leaf)[0]


SECOND = [
    lambda: torch.autograd.functional.hessian(loss_of, Z),
    lambda: torch.func.jacrev(torch.func.jacrev(loss_of))(Z),
    lambda: torch.func.grad(lambda z: torch.func.grad(loss_of)(z).square().sum())(Z),
]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_second_derivative_is_refused(place: int) -> None:
    """Of angles, logits and bandwidth, where the gradient is differentiated; a gradient with a graph is right."""
    leaves = [X.clone(), Z.clone(), torch.tensor(20.0, dtype=FLOAT64)]
    leaf = leaves[place].requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(leaves[1], leaves[0], leaves[2]), leaf, create_graph=True)
    (without,) = torch.autograd.grad(loss_of(leaves[1], leaves[0], leaves[2]), leaf)
    assert torch.equal(gradient, without)
    with pytest.raises(NotImplementedError, match="kde_cross_entropy has no second derivative"):
        gradient.sum().backward()


@pytest.mark.parametrize("derivative", SECOND, ids=["hessian", "jacrev", "grad"])
def test_no_transform_gives_a_second_derivative(derivative: Any) -> None:
    with pytest.raises(NotImplementedError, match="kde_cross_entropy has no second derivative"):
        derivative()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # of PyTorch's own decompositions
def test_forward_mode_is_refused() -> None:
    """It would otherwise be a derivative of 0, without a word."""
    with pytest.raises(NotImplementedError, match="forward mode"):
        torch.func.jvp(loss_of, (Z,), (Z,))
    with torch.autograd.forward_ad.dual_level(), pytest.raises(NotImplementedError, match="forward mode"):
        loss_of(torch.autograd.forward_ad.make_dual(Z, Z))


def test_transforms_of_functions() -> None:
    """Gradients, Jacobians and gradients of each sample are those of autograd."""
    expected = gradient_of(Z)
    assert torch.equal(torch.func.grad(loss_of)(Z), expected)
    jacobian = torch.func.jacrev(
        lambda z: kt.kde_cross_entropy(X, z, (0.0, 30.0), bandwidth=20.0, bins=9, reduction="none")
    )
    torch.testing.assert_close(jacobian(Z).sum(dim=0) / 4.0, expected, rtol=ROUNDING, atol=1e-17)
    each = torch.vmap(torch.func.grad(loss_of), in_dims=(0, 0))(Z, X)
    torch.testing.assert_close(each / 4.0, expected, rtol=ROUNDING, atol=1e-17)
    module = kt.KDECrossEntropyLoss("laplace", 20.0, True, bins=9).double()
    losses = torch.vmap(module)(X, Z, (torch.zeros(4), torch.full((4,), 30.0)))
    torch.testing.assert_close(losses.mean(), module(X, Z, (0.0, 30.0)), rtol=ROUNDING, atol=0.0)
    functional = torch.func.grad(lambda p: torch.func.functional_call(module, p, (X, Z, (0.0, 30.0))))
    found = functional({"log_bandwidth": module.log_bandwidth.detach()})["log_bandwidth"]
    module(X, Z, (0.0, 30.0)).backward()
    assert torch.equal(found, module.log_bandwidth.grad)


# compiling


OF_DYNAMO = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")


def compiled(function: Any) -> Any:
    return torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")


@pytest.fixture(autouse=True)
def _forget_compiled_functions() -> Any:
    yield
    torch.compiler.reset()


@OF_DYNAMO
def test_a_compiled_function_refuses_shapes_as_it_does_without_compiling() -> None:
    function = torch.compile(lambda low: kt.kde_cross_entropy(X, Z, low, bins=9), backend="eager")
    with pytest.raises(kg.InputError, match="have the shape \\(4,\\): give it without the last dimension"):
        function(LOW[:, None])


@OF_DYNAMO
def test_a_compiled_function_takes_other_shapes_and_numbers() -> None:
    def function(angles: Any, logits: Any, low: Any, high: float, bandwidth: float) -> Any:
        return kt.kde_cross_entropy(angles, logits, (low, high), bandwidth=bandwidth, bins=9)

    traced = compiled(function)
    for shape, bandwidth, high in [((4, 5), 20.0, 30.0), ((3, 7), 25.0, 31.5)]:
        angles, logits = 40.0 * normal(*shape), normal(*shape, seed=1).requires_grad_()
        given = (angles, logits, angles[:, 0] - 100.0, high + 100.0, bandwidth)
        found, expected = traced(*given), function(*given)
        assert torch.equal(found, expected)
        assert torch.equal(*(torch.autograd.grad(loss, logits)[0] for loss in (found, expected)))
    with pytest.raises(kg.KdegradError, match="problem 0: target"):
        traced(*given[:3], -1e3, bandwidth)
    with pytest.raises(kg.SettingError, match="bandwidth"):
        traced(*given[:4], -1.0)


@OF_DYNAMO
def test_a_compiled_module_is_trained() -> None:
    """With its bandwidth, for three steps, as without compiling."""
    low, trained = LOW.clone(), []
    for wrap in (compiled, lambda module: module):
        module = kt.KDECrossEntropyLoss("gaussian", 20.0, True, bins=9)
        logits = torch.nn.Parameter(Z.clone())
        loss, optimizer = wrap(module), torch.optim.SGD([logits, *module.parameters()], lr=0.5)
        for _ in range(3):
            optimizer.zero_grad()
            loss(X, logits, (low, low + 30.0)).backward()
            optimizer.step()
        trained.append([logits.detach(), module.log_bandwidth.detach()])
    torch.testing.assert_close(*trained, rtol=1e-6, atol=0.0)
    assert trained[0][1] != math.log(20.0)


def test_a_unit_without_a_circle_is_a_warning_at_the_line_of_the_user() -> None:
    """Once: neither a step of the module nor a compiled function warns, and a warning is an error here."""
    with pytest.warns(kg.InputWarning) as of_function:
        expected = kt.kde_cross_entropy(X, Z, (0.0, 0.5), unit="radians")
    with pytest.warns(kg.InputWarning) as of_module:
        module = kt.KDECrossEntropyLoss(unit="radians")
    for caught in (of_function, of_module):
        (warning,) = caught
        assert str(warning.message).startswith("unit='radians' changes no number on a line: circular=True or period=P")
        assert warning.filename == __file__
    traced = compiled(lambda z: kt.kde_cross_entropy(X, z, (0.0, 0.5), unit="radians"))
    assert torch.equal(module(X, Z, (0.0, 0.5)), expected)
    assert torch.equal(traced(Z), expected)


def test_a_compiled_function_is_evaluated_without_gradients() -> None:
    """As in validation: under no_grad, and where no input requires a gradient."""
    traced, expected = (
        compiled(lambda z: kt.kde_cross_entropy(X, z, (0.0, 30.0))),
        kt.kde_cross_entropy(X, Z, (0.0, 30.0)),
    )
    assert torch.equal(traced(Z), expected)
    with torch.no_grad():
        assert torch.equal(traced(Z.clone().requires_grad_()), expected)


@OF_DYNAMO
def test_a_compiled_function_of_ragged_points_leaves_infinite_losses_out() -> None:
    def function(angles: Any, logits: Any, offsets: Any, nodes: Any) -> Any:
        target = {"angle": nodes, "weight": nodes.exp()}
        losses = kt.kde_cross_entropy(
            angles, logits, target, kernel="triangular", bandwidth=300.0, offsets=offsets, reduction="none"
        )
        return torch.where(losses.isfinite(), losses, 0.0).sum()

    angles = X.ravel().clone()
    angles[:5] += 1e4
    logits, offsets = Z.ravel().clone().requires_grad_(), torch.tensor([0, 5, 8, 20])
    nodes = torch.tensor([0.5, 1.5], dtype=FLOAT64)
    found, expected = (make(function)(angles, logits, offsets, nodes) for make in (compiled, lambda made: made))
    assert torch.equal(found, expected)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (found, expected)]
    assert torch.equal(*gradients)
    assert gradients[0].isfinite().all()


def test_a_module_is_exported() -> None:
    module = kt.KDECrossEntropyLoss("gaussian", 20.0, bins=9)
    file = io.BytesIO()
    torch.export.save(torch.export.export(module, (X, Z, (LOW, LOW + 30.0))), file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    assert torch.equal(loaded(X - 1.0, Z, (LOW, LOW + 9.0)), module(X - 1.0, Z, (LOW, LOW + 9.0)))


OPTIONS = ("gaussian", 3.0, 5, 0.0, False, None, "degrees")
H = torch.tensor(20.0, dtype=FLOAT64)


@pytest.mark.parametrize("wanted", [(True, True, True), (False, False, False)], ids=["gradients", "losses"])
@pytest.mark.parametrize(
    "inputs",
    [
        (X, Z, H, LOW, LOW + 9.0, True, None),
        (X, Z, H, X[:, :2], X[:, :2].exp(), False, None),
        (X.float().ravel(), Z.float().ravel(), H, LOW[:2], LOW[2:], False, torch.tensor([0, 5, 20])),
    ],
    ids=["interval", "points", "ragged"],
)
def test_the_operator_is_what_it_is_declared_as(inputs: tuple[Any, ...], wanted: tuple[bool, ...]) -> None:
    torch.library.opcheck(losses_and_gradients, (*inputs, *OPTIONS, *wanted))


# where it runs


def test_threads_do_not_disturb_each_other() -> None:
    """Problems of several sizes at once, with their gradients."""

    def train(size: int) -> Any:
        angles, logits = 40.0 * normal(size, 6, seed=size), normal(size, 6).requires_grad_()
        loss = kt.kde_cross_entropy(angles, logits, (0.0, 30.0), bandwidth=20.0)
        return loss.detach(), *torch.autograd.grad(loss, logits)

    sizes = [1, 30, 2, 20, 3, 40] * 4
    with ThreadPoolExecutor(4) as pool:
        for size, found in zip(sizes, pool.map(train, sizes), strict=True):
            assert all(torch.equal(*both) for both in zip(found, train(size), strict=True))


class Losses(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """The losses of single problems, as a worker computes them."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, problem: int) -> Any:
        if problem >= len(X):
            raise IndexError
        return kt.kde_cross_entropy(X[problem], Z[problem], (0.0, 30.0), bandwidth=20.0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*os.fork\\(\\) was called:RuntimeWarning")  # of JAX, which another test imported
def test_a_forked_worker_of_a_data_loader_computes_it() -> None:
    loader = torch.utils.data.DataLoader(Losses(), batch_size=4, num_workers=1, multiprocessing_context="fork")
    (found,) = loader
    assert torch.equal(found, torch.stack(list(Losses())))


def test_defaults_of_the_session_change_nothing() -> None:
    """Neither the default device nor the default dtype, and no generator is drawn from."""
    state = torch.get_rng_state()
    targets: list[Any] = [(0.0, 30.0), [0, 30], 3.0, {"angle": [0.0, 9.0]}, kg.Points([1.0, 2.0]), (LOW, 30)]
    expected = [kt.kde_cross_entropy(X, Z, target, bandwidth=20.0) for target in targets]
    ragged = kt.kde_cross_entropy(X.ravel(), Z.ravel(), 3.0, offsets=[0, 5, 20])
    with torch.device("meta"):
        found = [kt.kde_cross_entropy(X, Z, target, bandwidth=20.0) for target in targets]
        found_ragged = kt.kde_cross_entropy(X.ravel(), Z.ravel(), 3.0, offsets=np.array([0, 5, 20]))
    assert all(torch.equal(*both) for both in zip([*found, found_ragged], [*expected, ragged], strict=True))
    try:
        torch.set_default_dtype(FLOAT64)
        assert kt.kde_cross_entropy(X.float(), Z.bfloat16(), 3.0).dtype == torch.float32
        assert kt.KDECrossEntropyLoss(learn_bandwidth=True).log_bandwidth.dtype == FLOAT64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
def test_anomaly_detection_finds_nan_where_a_loss_is_infinite() -> None:
    leaf = Z.clone().requires_grad_()
    with torch.autograd.set_detect_anomaly(True):
        loss_of(leaf).backward()
        assert torch.equal(leaf.grad, gradient_of(Z))
        with pytest.raises(RuntimeError, match="nan values"), pytest.warns(UserWarning, match="Error detected"):
            kt.kde_cross_entropy(X, leaf, 1e4, kernel="triangular", bandwidth=3.0).backward()


def test_a_checkpointed_loss_is_computed_again() -> None:
    leaf = Z.clone().requires_grad_()
    torch.utils.checkpoint.checkpoint(loss_of, leaf, use_reentrant=False).backward()
    assert torch.equal(leaf.grad, gradient_of(Z))
