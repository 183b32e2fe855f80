"""Pins down the numbers of `kdegrad.torch` on the CPU: losses and gradients are those of single problems of kdegrad.

Every batch is compared with its problems one by one, by `kdegrad.loss_and_grad`, which sums them in another way;
gradients also with finite differences (gradcheck). `test_torch_calls.py` has what surrounds the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import kdegrad as kg

torch = pytest.importorskip("torch", reason="torch is not installed: make test-frameworks")
import kdegrad.torch as kt  # noqa: E402

FLOAT64, FLOAT32 = torch.float64, torch.float32
TOLERANCE = {FLOAT64: 1e-11, FLOAT32: 1e-5}  # relative; of float32 the result is rounded, and the inputs are the same
STEP_ERROR = 1e-7  # of a central difference with steps of 1e-6: its round-off, 1e-10/1e-6 of a loss near 1, and less
KERNELS = [(kernel.name, domain) for kernel in kg.kernels() for domain in kernel.domains]
LEADING = [(), (4,), (2, 3)]


def points(leading: tuple[int, ...], count: int = 5, seed: int = 0) -> tuple[Any, Any]:
    """Return angles and logits, the third logit of each problem -inf."""
    draw = torch.Generator().manual_seed(seed)
    angles = 40.0 * torch.randn(*leading, count, generator=draw, dtype=FLOAT64)
    logits = torch.randn(*leading, count, generator=draw, dtype=FLOAT64)
    logits[..., 2] = -math.inf
    return angles, logits


def one_by_one(angles: Any, logits: Any, targets: list[Any], bandwidth: float, **options: Any) -> dict[str, Any]:
    """Return the losses and gradients of problems (G, N), or of a list of G, each evaluated on its own."""
    found = [
        kg.loss_and_grad(
            np.asarray(x.detach(), dtype=np.float64),
            np.asarray(z.detach(), dtype=np.float64),
            target=target,
            bandwidth=bandwidth,
            wrt=("angles", "logits", "bandwidth"),
            **options,
        )
        for x, z, target in zip(angles, logits, targets, strict=True)
    ]
    return {
        "losses": np.array([loss for loss, _ in found]),
        "angles": np.concatenate([grads["angles"] for _, grads in found]),
        "logits": np.concatenate([grads["logits"] for _, grads in found]),
        "bandwidth": np.array([grads["bandwidth"] / bandwidth for _, grads in found]),  # ∂L/∂h
    }


def differentiated(angles: Any, logits: Any, target: Any, bandwidth: float, **options: Any) -> dict[str, Any]:
    """Return losses and gradients as `one_by_one` does, by autograd through Σ_g (g+1) L_g, and that sum's parts."""
    x, z = angles.clone().requires_grad_(), logits.clone().requires_grad_()
    h = torch.tensor(bandwidth, dtype=angles.dtype, requires_grad=True)
    losses = kt.kde_cross_entropy(x, z, target, bandwidth=h, reduction="none", **options)
    factors = torch.arange(1.0, losses.numel() + 1.0, dtype=losses.dtype).reshape(losses.shape)
    (losses * factors).sum().backward()
    assert {losses.dtype, x.grad.dtype, z.grad.dtype, h.grad.dtype} == {angles.dtype}
    return {"losses": losses.detach(), "angles": x.grad, "logits": z.grad, "bandwidth": h.grad, "factors": factors}


def require_equal(found: dict[str, Any], expected: dict[str, Any], counts: list[int], dtype: Any) -> None:
    """Compare losses, and gradients with those of the problems, each times its factor."""
    factors = found["factors"].double().numpy().ravel()
    each = np.repeat(factors, counts)
    wanted = {
        "losses": expected["losses"],
        "angles": each * expected["angles"],
        "logits": each * expected["logits"],
        "bandwidth": (factors * expected["bandwidth"]).sum(),
    }
    for name, values in wanted.items():
        given = found[name].double().numpy().ravel()
        scale = np.abs(values).max()
        np.testing.assert_allclose(given, np.ravel(values), rtol=0.0, atol=TOLERANCE[dtype] * scale, err_msg=name)


def rows(values: Any) -> Any:
    """Return (G, ...) of (..., N) without changing the last dimension."""
    return values.reshape(-1, values.shape[-1])


def number(leading: tuple[int, ...]) -> tuple[Any, list[Any]]:
    return (-10.0, 20), [(-10.0, 20.0)] * math.prod(leading)


def interval(leading: tuple[int, ...]) -> tuple[Any, list[Any]]:
    low = torch.linspace(-30.0, 10.0, math.prod(leading), dtype=FLOAT64).reshape(leading)
    return (low, low + 30.0), [(float(end), float(end) + 30.0) for end in low.ravel()]


def partly(leading: tuple[int, ...]) -> tuple[Any, list[Any]]:
    """Return ends that broadcast, of whole numbers."""
    high = torch.arange(1, 1 + (leading[-1] if leading else 1))
    high = high if leading else high[0]
    return [torch.tensor(-7), high], [(-7.0, float(end)) for end in high.expand(leading).ravel()]


def observed(leading: tuple[int, ...]) -> tuple[Any, list[Any]]:
    node = torch.linspace(-20.0, 40.0, math.prod(leading), dtype=FLOAT64).reshape(leading)
    return node, node.ravel().tolist()


def one_observed(leading: tuple[int, ...]) -> tuple[Any, list[Any]]:
    return 12.5, [12.5] * math.prod(leading)


def shared_points(leading: tuple[int, ...]) -> tuple[Any, list[Any]]:
    angle, weight = torch.tensor([3.0, -8.0, 20.0]), torch.tensor([1.0, 0.0, 2.5])
    of_one = {"angle": [3.0, -8.0, 20.0], "weight": [1.0, 0.0, 2.5]}
    return {"angle": angle, "weight": weight}, [of_one] * math.prod(leading)


def own_points(leading: tuple[int, ...]) -> tuple[Any, list[Any]]:
    """Return angles of each problem, and weights for all of them."""
    angle = torch.linspace(-20.0, 40.0, 3 * math.prod(leading), dtype=FLOAT64).reshape(*leading, 3)
    weight = [2, 1, 4]
    given = {"angle": angle, "weight": torch.tensor(weight)}
    return given, [{"angle": row.numpy(), "weight": weight} for row in rows(angle)]


def kg_points(leading: tuple[int, ...]) -> tuple[Any, list[Any]]:
    given = kg.Points([1.0, 30.0], [0.2, 0.3])
    return given, [given] * math.prod(leading)


def kg_points_of_each(leading: tuple[int, ...]) -> tuple[Any, list[Any]]:
    """Return points of different numbers, the last of the second problem without weight."""
    count = math.prod(leading)
    lengths = 1 + np.arange(count) % 3
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    angles = np.linspace(-20.0, 40.0, offsets[-1])
    weights = np.where(np.arange(len(angles)) == 2, 0.0, 1.0 + angles**2)
    given = kg.Points(angles, weights, offsets)
    return given, [given.part(g) for g in range(count)]


TARGETS: list[Callable[[tuple[int, ...]], tuple[Any, list[Any]]]] = [
    number,
    interval,
    partly,
    observed,
    one_observed,
    shared_points,
    own_points,
    kg_points,
    kg_points_of_each,
]


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize("leading", LEADING, ids=str)
@pytest.mark.parametrize("form", TARGETS)
def test_each_form_of_target_has_the_numbers_of_single_problems(form: Any, leading: Any, dtype: Any) -> None:
    angles, logits = (values.to(dtype) for values in points(leading))
    target, each = form(leading)
    options: dict[str, Any] = {"kernel": "gaussian", "bins": 20}
    found = differentiated(angles, logits, target, 25.0, **options)
    assert found["losses"].shape == leading
    expected = one_by_one(rows(angles), rows(logits), each, 25.0, **options)
    require_equal(found, expected, [5] * math.prod(leading), dtype)


@pytest.mark.parametrize("form", TARGETS)
def test_ragged_points_take_each_form_of_target(form: Any) -> None:
    angles, logits = points((), 10)
    lengths, (target, each) = [3, 1, 6], form((3,))
    options: dict[str, Any] = {"kernel": "gaussian", "bins": 20}
    found = differentiated(angles, logits, target, 25.0, offsets=torch.tensor([0, 3, 4, 10]), **options)
    expected = one_by_one(angles.split(lengths), logits.split(lengths), each, 25.0, **options)
    require_equal(found, expected, lengths, FLOAT64)


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"kernel": "laplace", "bins": 7, "background": 0.1},
        {"kernel": "student-t", "df": 2.5, "circular": True},
        {"kernel": "von-mises", "period": 180, "background": 0.05},
        {"kernel": "laplace", "period": 360.0, "unit": "degrees"},
        {"kernel": "cauchy", "circular": True, "unit": "radians"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_options_and_offsets_have_the_numbers_of_single_problems(options: Any, dtype: Any) -> None:
    """Ragged problems of 3, 1 and 6 points, with every option of the loss."""
    angles, logits = (values.to(dtype) for values in points((), 10))
    bandwidth = 20.0
    if options.get("unit") == "radians":
        angles, bandwidth = torch.deg2rad(angles), 0.5
    lengths = [3, 1, 6]
    low = torch.tensor([-1.0, 0.0, 0.5], dtype=FLOAT64)
    found = differentiated(angles, logits, (low, low + 2.0), bandwidth, offsets=torch.tensor([0, 3, 4, 10]), **options)
    assert found["losses"].shape == (3,)
    each = [(float(end), float(end) + 2.0) for end in low]
    expected = one_by_one(angles.split(lengths), logits.split(lengths), each, bandwidth, **options)
    require_equal(found, expected, lengths, dtype)


@pytest.mark.parametrize(("kernel", "domain"), KERNELS)
def test_gradients_are_finite_differences(kernel: str, domain: str) -> None:
    """Of angles, logits and bandwidth together, away from kinks and jumps: each K is smooth within h = 100."""
    angles, logits = points((2,), 3)
    logits[:, 2] = 0.5
    angles, logits = (0.5 * angles).requires_grad_(), logits.requires_grad_()
    bandwidth = torch.tensor(100.0, dtype=FLOAT64, requires_grad=True)

    def losses(x: Any, z: Any, h: Any) -> Any:
        options: Any = {"kernel": kernel, "bins": 3, "circular": domain == "circle", "background": 0.1, "df": 2.5}
        return kt.kde_cross_entropy(x, z, (-11.0, torch.tensor([20.0, 25.0])), bandwidth=h, reduction="none", **options)

    assert torch.autograd.gradcheck(losses, (angles, logits, bandwidth), atol=STEP_ERROR, rtol=STEP_ERROR)
    assert kernel != "uniform" or not torch.autograd.grad(losses(angles, logits, bandwidth).sum(), angles)[0].any()


@pytest.mark.parametrize("kernel", ["laplace", "cosine"])
def test_gradients_of_ragged_points_and_points_as_targets_are_finite_differences(kernel: str) -> None:
    angles, logits = points((), 6)
    logits[2] = 1.0
    target = {"angle": torch.tensor([-3.5, 22.0]), "weight": torch.tensor([1.0, 3.0])}
    inputs = (angles, logits, torch.tensor(150.0, dtype=FLOAT64))

    def losses(x: Any, z: Any, h: Any) -> Any:
        offsets = torch.tensor([0, 2, 6])
        return kt.kde_cross_entropy(x, z, target, kernel=kernel, bandwidth=h, offsets=offsets, reduction="none")

    wanted = tuple(values.requires_grad_() for values in inputs)
    assert torch.autograd.gradcheck(losses, wanted, atol=STEP_ERROR, rtol=STEP_ERROR)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_a_bandwidth_is_a_tensor_of_one_element_of_any_shape(shape: tuple[int, ...]) -> None:
    angles, logits = points((4,))
    bandwidth = torch.full(shape, 20.0, requires_grad=True)
    loss = kt.kde_cross_entropy(angles, logits, 3.0, bandwidth=bandwidth)
    assert torch.equal(loss.detach(), kt.kde_cross_entropy(angles, logits, 3.0, bandwidth=20))
    loss.backward()
    assert bandwidth.grad.shape == shape


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_reductions(reduction: str) -> None:
    """The mean is unweighted, and gradients are those of what is returned."""
    angles, logits = points((2, 3))
    logits.requires_grad_()
    losses = kt.kde_cross_entropy(angles, logits, (0.0, 30.0), bandwidth=9.0, reduction="none")
    of_torch = {"none": lambda v: v, "mean": torch.mean, "sum": torch.sum}[reduction]
    reduced = kt.kde_cross_entropy(angles, logits, (0.0, 30.0), bandwidth=9.0, reduction=reduction)
    torch.testing.assert_close(reduced, of_torch(losses), rtol=1e-15, atol=0.0)
    (gradient,) = torch.autograd.grad(reduced.sum(), logits)
    (expected,) = torch.autograd.grad(of_torch(losses).sum(), logits)
    torch.testing.assert_close(gradient, expected, rtol=1e-15, atol=0.0)


def test_the_mean_is_the_default() -> None:
    angles, logits = points((4,))
    losses = kg.loss(angles.numpy(), logits.numpy(), target=(0.0, 30.0))
    assert kt.kde_cross_entropy(angles, logits, (0.0, 30.0)).item() == pytest.approx(losses.mean(), rel=1e-14)


def test_angles_and_logits_are_broadcast() -> None:
    """Angles (N,) with logits (2, 3, N), and logits (3, 1, N) with angles (2, 1, 4, N), as their copies are."""
    for angles, logits in [
        (points(())[0], points((2, 3))[1]),
        (points((2, 1, 4))[0], points((3, 1))[1]),
        (points((1,))[0].expand(6, 5), points((6,))[1]),
    ]:
        x, z = angles.clone().requires_grad_(), logits.clone().requires_grad_()
        full = [values.contiguous() for values in torch.broadcast_tensors(x, z)]
        loss, expected = (kt.kde_cross_entropy(*both, (0.0, 30.0), bandwidth=30.0) for both in ((x, z), full))
        assert torch.equal(loss, expected)
        found = torch.autograd.grad(loss, (x, z))
        torch.testing.assert_close(found, torch.autograd.grad(expected, (x, z)), rtol=1e-13, atol=1e-16)
        assert [values.shape for values in found] == [angles.shape, logits.shape]


def test_padding_by_masks_equals_ragged_points() -> None:
    """Rows filled up with angles of any size and logits of -inf, whose gradients are 0."""
    lengths, dtype = [3, 1, 6], FLOAT64
    angles, logits = points((), 10)
    logits[2] = 0.3
    padded_x = torch.full((3, 6), 1e6, dtype=dtype)
    padded_z = torch.full((3, 6), -math.inf, dtype=dtype)
    for row, x, z in zip(range(3), angles.split(lengths), logits.split(lengths), strict=True):
        padded_x[row, : len(x)], padded_z[row, : len(z)] = x, z
    target, options = (torch.tensor([0.0, 5.0, 9.0]), 30.0), {"kernel": "logistic", "bins": 9}
    ragged = differentiated(angles, logits, target, 20.0, offsets=torch.tensor([0, 3, 4, 10]), **options)
    padded = differentiated(padded_x, padded_z, target, 20.0, **options)
    is_point = torch.arange(6) < torch.tensor(lengths)[:, None]
    for name in ("losses", "bandwidth"):
        torch.testing.assert_close(padded[name], ragged[name], rtol=1e-13, atol=0.0)
    for name in ("angles", "logits"):
        torch.testing.assert_close(padded[name][is_point], ragged[name], rtol=1e-12, atol=1e-15)
        assert not padded[name][~is_point].any()


@pytest.mark.parametrize("is_ragged", [False, True], ids=["rows", "ragged"])
def test_an_infinite_loss_spoils_the_gradients_of_its_own_problem_alone(is_ragged: bool) -> None:
    """A compact kernel far from its target: inf and NaN, but 0 where that loss takes no part."""
    angles, logits = points((3,))
    angles[1] += 1e4
    offsets = None
    if is_ragged:
        angles, logits, offsets = angles.ravel(), logits.ravel(), torch.tensor([0, 5, 10, 15])
    x, z = angles.requires_grad_(), logits.requires_grad_()
    h = torch.tensor(200.0, requires_grad=True)

    def losses(**changes: Any) -> Any:
        options: Any = {"kernel": "triangular", "bandwidth": h, "offsets": offsets, "reduction": "none"} | changes
        return kt.kde_cross_entropy(x, z, (0.0, 30.0), **options)

    each = losses()
    assert each.isposinf().tolist() == [False, True, False]
    assert losses(reduction="mean").isposinf()
    gradients = torch.autograd.grad(each.sum(), (x, z, h))
    for values in gradients[:2]:
        assert values.reshape(3, 5).isnan().all(dim=1).tolist() == [False, True, False]
        assert values.reshape(3, 5)[[0, 2]].isfinite().all()
    assert gradients[2].isnan()
    each = losses()
    finite = torch.autograd.grad(each[each.isfinite()].mean(), (x, z, h))
    for values in finite:
        assert values.isfinite().all()
    torch.testing.assert_close(finite[0].reshape(3, 5)[0], 0.5 * gradients[0].reshape(3, 5)[0], rtol=1e-14, atol=0.0)
    assert not finite[0].reshape(3, 5)[1].any()


@pytest.mark.parametrize(
    ("mode", "needs"), list(product(["grad", "no_grad", "inference"], product([False, True], repeat=3)))
)
def test_gradients_are_computed_of_what_requires_them(mode: str, needs: tuple[bool, ...]) -> None:
    """The loss is the same in all combinations, and what does not require a gradient gets none."""
    angles, logits = points((4,))
    inputs = [angles, logits, torch.tensor(30.0, dtype=FLOAT64)]
    everything = torch.autograd.grad(
        kt.kde_cross_entropy(*(v.requires_grad_() for v in inputs[:2]), 7.0, bandwidth=inputs[2].requires_grad_()),
        inputs,
    )
    leaves = [values.detach().clone().requires_grad_(need) for values, need in zip(inputs, needs, strict=True)]
    context = {"grad": torch.enable_grad, "no_grad": torch.no_grad, "inference": torch.inference_mode}[mode]
    with context():
        loss = kt.kde_cross_entropy(*leaves[:2], 7.0, bandwidth=leaves[2])
    expected = kg.loss(angles.detach().numpy(), logits.detach().numpy(), target=7.0, bandwidth=30.0)
    assert loss.item() == pytest.approx(expected.mean(), rel=1e-13)
    assert loss.requires_grad == (mode == "grad" and any(needs))
    if loss.requires_grad:
        loss.backward()
        for leaf, need, gradient in zip(leaves, needs, everything, strict=True):
            if need:
                torch.testing.assert_close(leaf.grad, gradient, rtol=1e-13, atol=0.0)
            else:
                assert leaf.grad is None


def test_strides_do_not_matter_and_inputs_are_not_changed() -> None:
    """Transposed, strided and reversed inputs, and what they looked like before."""
    angles, logits = points((4,))
    low = torch.linspace(-10.0, 5.0, 4, dtype=FLOAT64)
    expected = differentiated(angles, logits, (low, 30.0), 20.0)
    wide = torch.stack([angles, logits], dim=-1)
    for x, z in [
        (angles.T.contiguous().T, logits.T.contiguous().T),
        (wide[..., 0], wide[..., 1]),
        (torch.cat([angles, angles], dim=1)[:, ::1][:, :5], torch.cat([logits, logits])[:4]),
    ]:
        before = [values.clone() for values in (x, z, low)]
        x, z = x.detach().requires_grad_(), z.detach().requires_grad_()
        losses = kt.kde_cross_entropy(x, z, (low, 30.0), bandwidth=20.0, reduction="none")
        assert torch.equal(losses, expected["losses"])
        (losses * expected["factors"]).sum().backward()
        assert torch.equal(x.grad, expected["angles"])
        assert torch.equal(z.grad, expected["logits"])
        assert all(torch.equal(*both) for both in zip((x.detach(), z.detach(), low), before, strict=True))


@pytest.mark.parametrize(
    ("of_angles", "of_logits", "of_loss"),
    [
        (FLOAT32, FLOAT32, FLOAT32),
        (FLOAT64, FLOAT32, FLOAT64),
        (FLOAT32, FLOAT64, FLOAT64),
        (torch.bfloat16, torch.bfloat16, FLOAT32),
        (torch.float16, FLOAT32, FLOAT32),
        (torch.int64, FLOAT64, FLOAT64),
        (torch.int16, torch.bfloat16, FLOAT32),
        (torch.int64, torch.int64, FLOAT32),
    ],
    ids=str,
)
def test_dtypes(of_angles: Any, of_logits: Any, of_loss: Any) -> None:
    """The loss has the wider dtype, float32 at least; a gradient has that of its input."""
    angles, logits = points((4,))
    logits[:, 2] = 1.0
    angles, logits = angles.round().to(of_angles), logits.to(of_logits)
    inputs = [values.requires_grad_() for values in (angles, logits) if values.is_floating_point()]
    loss = kt.kde_cross_entropy(angles, logits, torch.tensor([1, 2, 3, 4]), bandwidth=torch.tensor(20))
    assert loss.dtype == of_loss
    problems = (values.detach().double().numpy() for values in (angles, logits))
    expected = kg.loss(*problems, target=np.arange(1.0, 5.0), bandwidth=20.0, reduction="mean")
    assert loss.item() == pytest.approx(expected, rel=TOLERANCE[of_loss])
    if inputs:
        loss.backward()
        assert [values.grad.dtype for values in inputs] == [values.dtype for values in inputs]


def test_float32_is_summed_in_float64() -> None:
    """The loss is the float64 one, rounded once, and so are the gradients."""
    angles, logits = (values.float() for values in points((50,), 40))
    narrow, wide = (
        differentiated(values, other, (-5.0, 5.0), 3.0)
        for values, other in ((angles, logits), (angles.double(), logits.double()))
    )
    assert torch.equal(narrow["losses"], wide["losses"].float())


def test_autocast_leaves_the_loss_in_float32() -> None:
    """As torch's own losses: of the bfloat16 that a layer returns under autocast, without another rounding."""
    layer = torch.nn.Linear(3, 5)
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        logits = layer(features)
        assert logits.dtype == torch.bfloat16
        loss = kt.kde_cross_entropy(points((4,))[0].float(), logits, (0.0, 30.0), bandwidth=20.0)
    assert loss.dtype == FLOAT32
    expected = kg.loss(
        points((4,))[0].float().numpy(),
        logits.detach().float().numpy(),
        target=(0.0, 30.0),
        bandwidth=20.0,
        reduction="mean",
    )
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert layer.weight.grad.isfinite().all()
    assert layer.weight.grad.any()


def test_gradients_accumulate_and_graphs_can_be_kept() -> None:
    """Two backward passes through one graph, with a hook, and one through another: three times the gradient."""
    angles, logits = points((4,))
    logits.requires_grad_()
    seen = []
    logits.register_hook(lambda gradient: seen.append(gradient.clone()))
    loss = kt.kde_cross_entropy(angles, logits, 3.0, bandwidth=30.0)
    loss.backward(retain_graph=True)
    once = logits.grad.clone()
    loss.backward()
    kt.kde_cross_entropy(angles, logits, 3.0, bandwidth=30.0).backward()
    torch.testing.assert_close(logits.grad, 3.0 * once, rtol=1e-14, atol=0.0)
    assert len(seen) == 3
    assert torch.equal(seen[0], once)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
