"""Pins down the operator of `kdegrad.torch` as operations on tensors: what a GPU runs, here on tensors of the CPU.

Its kernels are compared with the classes of `kdegrad.kernel`, its numbers with `kdegrad.loss_and_grad`, near and far,
at edges, kinks and antipodes; gradients also with finite differences. That nothing waits for a device, and that devices
are not mixed, is shown by tensors without data, which pretend to be on one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import kdegrad as kg
from kdegrad.domain import Circle, Line
from kdegrad.kernel import make_kernel
from kdegrad.testing import check_loss

torch = pytest.importorskip("torch", reason="torch is not installed: make test-frameworks")
from torch._subclasses import FakeTensorMode  # noqa: E402
from torch._subclasses.fake_tensor import DataDependentOutputException  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from kdegrad.torch import tensors  # noqa: E402
from kdegrad.torch.circle import CIRCLE_KERNELS  # noqa: E402
from kdegrad.torch.layouts import Rows  # noqa: E402
from kdegrad.torch.line import LINE_KERNELS  # noqa: E402
from tests.losses.tensors_torch import on_tensors  # noqa: E402

FLOAT64, FLOAT32 = torch.float64, torch.float32
TOLERANCE = {FLOAT64: 1e-11, FLOAT32: 1e-5}  # relative to the largest of a kind
SUM = {FLOAT64: 1e-12, FLOAT32: 2e-6}  # of |Σ_i ∂L/∂z_i|, which is 0: a few roundings
STEP_ERROR = 1e-7  # of a central difference with steps of 1e-6: its round-off, 1e-10/1e-6 of a loss near 1, and less
TENSOR_KERNELS = {**LINE_KERNELS, **CIRCLE_KERNELS}
KERNELS = [(kernel.name, domain) for kernel in kg.kernels() for domain in kernel.domains]
POSITIVE = [kernel.name for kernel in kg.kernels() if "line" in kernel.domains and kernel.tail != "compact"]
WRT = ("angles", "logits", "bandwidth")
G, N = 4, 7


def computed(angles: Any, logits: Any, target: Any, dtype: Any = FLOAT64, offsets: Any = None, **options: Any) -> Any:
    """Return losses and gradients by operations on tensors; that of the bandwidth is ∂L/∂log h, as in `expected`."""
    given = {"kernel": "laplace", "df": 2.5, "bins": 12, "background": 0.0, "circular": False, "period": None}
    h = options.pop("bandwidth", 1.0)
    given.update(options)
    first, second, is_interval = ends_or_points(target)
    count = len(angles) if offsets is None else len(offsets) - 1
    ends = [torch.tensor(np.broadcast_to(end, count) if is_interval else end, dtype=dtype) for end in (first, second)]
    found = tensors.on_device(
        torch.tensor(angles, dtype=dtype),
        torch.tensor(logits, dtype=dtype),
        torch.tensor(h, dtype=FLOAT64),
        *ends,
        is_interval,
        None if offsets is None else torch.tensor(offsets),
        **given,
        unit="degrees",
        wrt_angles=True,
        wrt_logits=True,
        wrt_bandwidth=True,
    )
    assert {part.dtype for part in found} == {dtype}
    losses, of_angles, of_logits, of_bandwidth = (part.double().numpy() for part in found)
    return {"losses": losses, "angles": of_angles, "logits": of_logits, "bandwidth": h * of_bandwidth}


def ends_or_points(target: Any) -> tuple[Any, Any, bool]:
    if isinstance(target, tuple):
        return *target, True
    if isinstance(target, dict):
        return target["angle"], target["weight"], False
    node = np.reshape(target, (-1, 1))
    return node, np.ones_like(node), False


def rounded(values: Any, dtype: Any) -> Any:
    return np.asarray(values, dtype=str(dtype).removeprefix("torch.")).astype(np.float64)


def expected(angles: Any, logits: Any, target: Any, dtype: Any = FLOAT64, offsets: Any = None, **options: Any) -> Any:
    """Return what `kdegrad.loss_and_grad` finds in the same numbers, which are rounded to the dtype first."""
    first, second, is_interval = ends_or_points(target)
    count = len(angles) if offsets is None else len(offsets) - 1
    first, second, x, z = (rounded(part, dtype) for part in (first, second, angles, logits))
    given = {"kernel": "laplace", "df": 2.5, **options}
    if is_interval:
        goal: Any = first, second
        given.setdefault("bins", 12)
    else:
        first, second = (np.broadcast_to(part, (count, part.shape[-1])) for part in (first, second))
        goal = kg.Points(first.ravel(), second.ravel(), np.arange(count + 1) * first.shape[1])
    losses, gradients = kg.loss_and_grad(x, z, target=goal, offsets=offsets, wrt=WRT, **given)
    return {"losses": losses, **gradients}


def require_equal(found: Any, want: Any, dtype: Any = FLOAT64, tolerance: float | None = None) -> None:
    for name, values in want.items():
        scale = np.abs(values[np.isfinite(values)]).max(initial=0.0)
        scale = max(scale, 1.0) if name == "logits" else scale
        atol = (TOLERANCE[dtype] if tolerance is None else tolerance) * scale
        np.testing.assert_allclose(found[name], values, rtol=0.0, atol=max(atol, 1e-300), err_msg=name)


def drawn(seed: int = 0) -> tuple[Any, Any, Any]:
    """Return angles, logits, one of them of a mask, and a place for each of G problems."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(G, N))
    logits[0, 2] = -np.inf
    return rng.normal(0.0, 40.0, (G, N)), logits, rng.uniform(-60.0, 30.0, G)


def options_of(kernel: str, domain: str, **more: Any) -> dict[str, Any]:
    return {"kernel": kernel, "circular": domain == "circle", **more}


# --- The kernels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host_knows", [True, False], ids=["h known", "h of the device"])
@pytest.mark.parametrize(("name", "domain"), KERNELS)
def test_a_kernel_is_that_of_the_same_name(name: str, domain: str, host_knows: bool) -> None:
    """Its logarithm and its derivatives, with h from 1e-8 to 1e9 on a circle of 360: far out, at edges and at d = 0."""
    rng, period = np.random.default_rng(0), 360.0 if domain == "circle" else None
    for h in (1e-8, 1e-3, 0.5, 47.0, 143.0, 145.0, 180.0, 200.0, 1e4, 1e9):
        near = h * np.array([0.0, 1.0, -1.0, 1e-12, -0.3, 0.999999])
        far = h * 10.0 ** rng.uniform(-3, 12, 200) * rng.choice([-1.0, 1.0], 200)
        d = np.concatenate([near, far, rng.uniform(-180.0, 180.0, 200)])
        d = d if period is None else d[np.abs(d) < 180.0]
        want = make_kernel(name, h, Line() if period is None else Circle(period), 2.5)
        kernel = TENSOR_KERNELS[name](torch.tensor(h, dtype=FLOAT64), 2.5, period, h if host_knows else None)
        there = torch.from_numpy(d)
        log_shape, slope, edge = kernel.log_shape(there), kernel.log_slope(there), kernel.edge_slope
        bandwidth_slope = kernel.log_bandwidth_slope(there, slope)
        assert float(kernel.log_norm) == pytest.approx(want.log_norm, abs=1e-14)
        np.testing.assert_allclose(log_shape, want.log_shape(d), rtol=1e-14, atol=1e-14)
        # of a kernel that is 0 somewhere the derivatives of K itself, else those of log K
        factor = torch.ones_like(there) if want.is_positive else log_shape.exp()
        at_edge = (there.abs() == h) * there.sign() * (0.0 if edge is None else edge)
        with np.errstate(over="ignore"):
            wants = [
                values.factor * (1.0 if want.is_positive else np.exp(values.log))
                for values in (want.slope(d), want.bandwidth_slope(d))
            ]
        np.testing.assert_allclose((factor * slope + at_edge) * h, wants[0] * h, rtol=1e-13, atol=5e-13)
        np.testing.assert_allclose(factor * bandwidth_slope - there * at_edge, wants[1], rtol=1e-13, atol=5e-13)


# --- Numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize(("kernel", "domain"), KERNELS)
def test_losses_and_gradients_are_those_of_kdegrad(kernel: str, domain: str, dtype: Any) -> None:
    """Of intervals, observed angles and weighted angles, with a background, and of ragged problems; one of a point."""
    angles, logits, low = drawn()
    weights = np.array([[0.2, 0.0, 3.0]])
    nodes = np.stack([low, low + 1e6, low + 40.0], axis=1)  # the second takes no part
    options = options_of(kernel, domain, bandwidth=60.0)
    ragged = [0, 1, 4, 15, G * N]
    for target, more in [
        ((low, low + 30.0), {"background": 0.0}),
        ((low, low + 30.0), {"background": 0.1}),
        (low, {}),
        ({"angle": nodes, "weight": weights}, {}),
        ((low, low + 30.0), {"offsets": ragged}),
        ((-10.0, 20.0), {"offsets": ragged, "background": 0.1}),
        ({"angle": nodes[0], "weight": weights[0]}, {"offsets": ragged}),
    ]:
        x, z = (angles.ravel(), logits.ravel()) if "offsets" in more else (angles, logits)
        found = computed(x, z, target, dtype, **options, **more)
        require_equal(found, expected(x, z, target, dtype, **options, **more), dtype)


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize("bandwidth", [1e-8, 1.0])
@pytest.mark.parametrize("kernel", POSITIVE)
def test_far_points_share_as_near_ones(kernel: str, bandwidth: float, dtype: Any) -> None:
    """Up to 10^12 bandwidths away, beside logits of ±10^4: what is asked of float32 is exact in it."""
    _, logits, _ = drawn()
    steps = np.random.default_rng(1).integers(-40, 40, (G, N)) / 8.0
    h = bandwidth = float(np.float32(bandwidth))
    sides = np.where(steps > 0.0, 1.0, -1.0)
    for distance in (2.0**7, 2.0**14, 2.0**20, 2.0**40):
        for logs in (logits, 4096.0 * np.round(logits)):
            equal = computed(h * distance * sides, logs, np.zeros(G), dtype, kernel=kernel, bandwidth=bandwidth)
            assert np.abs(equal["logits"]).max() <= SUM[dtype]  # points at one distance share as their weights do
            if distance > 2.0**20:
                continue
            exact = distance < 2.0**15 or dtype == FLOAT64  # whether the places are float32
            places = h * (distance + steps) if exact else h * distance * sides
            found = computed(places, logs, np.zeros(G), dtype, kernel=kernel, bandwidth=bandwidth)
            assert np.abs(found["logits"].sum(axis=1)).max() <= SUM[dtype]
            want = expected(places, logs, np.zeros(G), dtype, kernel=kernel, bandwidth=bandwidth)
            require_equal(found, want, dtype, tolerance=1e-10 if dtype == FLOAT64 else 3e-4)


@given(
    angles=arrays(np.float64, (2, 4), elements=st.floats(-1e6, 1e6)),
    logits=arrays(np.float64, (2, 4), elements=st.floats(-1e4, 1e4)),
    node=st.floats(-1e6, 1e6),
    kernel=st.sampled_from([*POSITIVE, *CIRCLE_KERNELS]),
    bandwidth=st.sampled_from([1e-6, 1.0, 50.0, 1e6]),
)
@settings(max_examples=100, deadline=None)
def test_responsibilities_sum_to_one(angles: Any, logits: Any, node: float, kernel: str, bandwidth: float) -> None:
    """Σ_i ∂L/∂z_i = 0 and |∂L/∂z_i| ≤ 1, wherever the points are."""
    options: Any = {"kernel": kernel, "circular": kernel in CIRCLE_KERNELS, "bandwidth": bandwidth}
    found = computed(angles, logits, (node, node + 1.0), **options)
    assert np.abs(found["logits"].sum(axis=1)).max() <= 1e-12
    assert np.abs(found["logits"]).max() <= 1.0 + 1e-12
    assert all(np.isfinite(values).all() for values in found.values())


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize("kernel", ["gaussian", "laplace"])
def test_a_point_of_almost_no_weight_on_the_node_sets_no_scale(kernel: str, dtype: Any) -> None:
    """A mask by a logit of -10^9: its K is the largest by e^(5·10^5) or more, and it has no part in p."""
    angles, logits = np.array([[0.0, 1000.0, -1000.0, 1001.0]]), np.array([[-1e9, 0.3, -0.47, 1.1]])
    found = computed(angles, logits, np.zeros(1), dtype, kernel=kernel)
    require_equal(found, expected(angles, logits, np.zeros(1), dtype, kernel=kernel), dtype)


@pytest.mark.parametrize(("dtype", "far"), [(FLOAT64, 1e170), (FLOAT32, 1e25)], ids=str)
@pytest.mark.parametrize("kernel", [name for name, domain in KERNELS if domain == "line"])
def test_a_square_beyond_the_range_of_a_dtype_spoils_nothing(kernel: str, dtype: Any, far: float) -> None:
    """A point so far out, with or without a mask, beside near ones is as one at 10^12."""
    logits = np.array([[0.3, -0.4, 9.0], [0.3, -0.4, -np.inf]])
    places = [np.array([[0.5, -0.5, distance]] * 2) for distance in (far, 1e12)]
    found, want = (computed(x, logits, np.zeros(2), dtype, kernel=kernel, bandwidth=1.5) for x in places)
    require_equal(found, want, dtype)


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize(("kernel", "domain"), KERNELS)
def test_edges_kinks_and_antipodes(kernel: str, domain: str, dtype: Any) -> None:
    """|d| = h, d = 0, and on a circle of 16 half turns, also with h of half a turn, where the edge is the antipode."""
    _, logits, _ = drawn()
    angles = np.random.default_rng(2).integers(-20, 20, (G, N)).astype(float)
    options = {"kernel": kernel, "period": 16.0 if domain == "circle" else None}
    circle = {"circular": True} if domain == "circle" else {}
    for h, background in ((5.0, 0.0), (5.0, 0.25), (8.0, 0.25), (11.0, 0.0)):
        more = {**options, **circle, "bandwidth": h, "background": background, "bins": 2}
        for target in ((-2.0, 2.0), (-160002.0, -159998.0)) if domain == "circle" else ((-2.0, 2.0),):
            found = computed(angles, logits, target, dtype, **more)
            require_equal(found, expected(angles, logits, target, dtype, **more), dtype)
    on_edge = np.array([[4.0, 9.0, -20.0]] * G)  # |d| = 5 from a node that no point covers, beside a background
    more = {**options, **circle, "bandwidth": 5.0, "background": 0.2, "bins": 2}
    require_equal(
        computed(on_edge, logits[:, :3], (-2.0, 2.0), dtype, **more),
        expected(on_edge, logits[:, :3], (-2.0, 2.0), dtype, **more),
        dtype,
    )


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize("turns", [0, 3, -1000])
@pytest.mark.parametrize("kernel", ["laplace", "triweight", *CIRCLE_KERNELS])
def test_places_on_a_circle_may_be_many_turns_away(kernel: str, turns: int, dtype: Any) -> None:
    """The target lies across the wrap; of 1000 turns the angles are whole numbers, which both dtypes have."""
    angles, logits, _ = drawn()
    angles, low = np.round(angles) * 3.0 + 360.0 * turns, 360.0 * turns - 12.0 + np.arange(G)
    options = {"kernel": kernel, "circular": True, "bandwidth": 140.0, "bins": 16}
    for target in ((low, low + 16.0), low):
        found = computed(angles, logits, target, dtype, **options)
        require_equal(found, expected(angles, logits, target, dtype, **options), dtype)


@pytest.mark.parametrize("period", [50.0, 100.0, 360.0, 2.0 * np.pi])
def test_rounding_takes_no_point_beyond_the_antipode(period: float) -> None:
    """In float32 the number after P/2 may be P/2 in units of P: at h = 1e-8 it is 100 bandwidths and more beyond."""
    half = torch.tensor([[0.5 * period]], dtype=FLOAT32)
    for name, kind in CIRCLE_KERNELS.items():
        for h in (1e-8, 1e-8 * period):
            kernel = kind(torch.tensor(h, dtype=FLOAT64), 3.0, period)
            for node in (torch.nextafter(half, 2.0 * half), torch.nextafter(-half, -2.0 * half)):
                d = tensors.displacements(Rows(), node, torch.zeros_like(node), period)
                assert d.abs() <= half
                assert kernel.log_shape(d).isfinite(), name


def test_few_digits_of_a_large_origin_are_not_lost_in_float32() -> None:
    """Near 10^6 float32 has steps of 1/16: the points are on them, the 12 nodes of an interval of 1 are not."""
    steps = np.array([[-1.0, 0.25, 0.5, 2.0], [0.0, 0.25, 1.0, 1.5]])
    logits, low = np.zeros((2, 4)), 1e6 + np.array([0.0, 0.5])
    found = computed(1e6 + steps, logits, (low, low + 1.0), FLOAT32, kernel="gaussian", bandwidth=0.125)
    want = expected(1e6 + steps, logits, (low, low + 1.0), FLOAT32, kernel="gaussian", bandwidth=0.125)
    require_equal(found, want, FLOAT32)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_weightless_target_point_far_away_takes_no_digits(place: int) -> None:
    """As where soft labels are padded."""
    nodes, weights = np.insert([11.0, 13.5], place, 1e9), np.insert([1.0, 1.0], place, 0.0)
    logits, options = np.zeros((1, 3)), {"kernel": "gaussian", "bandwidth": 1.0}
    target = {"angle": nodes[np.newaxis], "weight": weights[np.newaxis]}
    points = np.array([[10.0, 12.0, 15.0]])
    found = computed(points, logits, target, FLOAT32, **options)
    require_equal(found, expected(points, logits, target, FLOAT32, **options), FLOAT32)


@pytest.mark.parametrize(("count", "points", "bins"), [(4096, 64, 360), (3, 10**6, 50), (10**6, 1, 360), (2, 1, 10**7)])
def test_blocks_are_small_enough_for_a_gibibyte(
    count: int, points: int, bins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eleven arrays of a block in float64 at most are alive at once, as was measured; here none has data."""
    sizes = []

    def spied(*given: Any, whole: Callable[..., Any] = tensors.displacements) -> Any:
        d = whole(*given)
        sizes.append(d.numel())
        return d

    monkeypatch.setattr(tensors, "displacements", spied)
    x, low = torch.empty(count, points, device="meta"), torch.empty(count, device="meta")
    options = ("laplace", 3.0, bins, 0.0, False, None, "degrees", True, True, True)
    tensors.on_device(x, x, torch.tensor(1.0), low, low, True, None, *options)
    assert sum(sizes) == count * points * bins
    assert max(sizes) * 11 * 8 < 2**30
    assert len(sizes) <= 2 * sum(sizes) / 2**22 + 1  # nor so small that a device is idle


@pytest.mark.parametrize("is_ragged", [False, True], ids=["rows", "ragged"])
@pytest.mark.parametrize("most", [1, 10, 100])
def test_blocks_of_pairs_add_up(most: int, is_ragged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a single node, of some nodes of one problem, and of some problems."""
    angles, logits, low = drawn()
    options: dict[str, Any] = {"kernel": "cosine", "bandwidth": 60.0, "background": 0.1, "bins": 13}
    if is_ragged:
        angles, logits, options["offsets"] = angles.ravel(), logits.ravel(), [0, 1, 4, 15, G * N]
    whole = computed(angles, logits, (low, low + 20.0), **options)
    monkeypatch.setattr(tensors, "MOST_PAIRS", most)
    require_equal(computed(angles, logits, (low, low + 20.0), **options), whole, tolerance=1e-14)


@pytest.mark.parametrize(("kernel", "domain"), KERNELS)
def test_gradients_are_finite_differences(kernel: str, domain: str) -> None:
    """Of angles, logits and bandwidth together, away from kinks and jumps: each K is smooth within h = 100."""
    angles = torch.tensor([[-31.0, 4.0, 17.0], [13.0, -9.0, 40.0]], dtype=FLOAT64)
    inputs = (angles, torch.linspace(-1.0, 1.5, 6, dtype=FLOAT64).reshape(2, 3), torch.tensor(100.0, dtype=FLOAT64))

    def losses(x: Any, z: Any, h: Any) -> Any:
        options: Any = {"kernel": kernel, "bins": 3, "circular": domain == "circle", "background": 0.1, "df": 2.5}
        return on_tensors(x, z, (-11.0, torch.tensor([20.0, 25.0])), bandwidth=h, reduction="none", **options)

    wanted = tuple(values.requires_grad_() for values in inputs)
    assert torch.autograd.gradcheck(losses, wanted, atol=STEP_ERROR, rtol=STEP_ERROR)


def test_it_has_the_properties() -> None:
    """Of every kernel in both dtypes `make check` says the same."""
    check_loss(on_tensors, backend="torch", batched=True, kernel="laplace", bandwidth=20.0, wrt=WRT, cases=2)


# --- What cannot be used, and what has no finite loss ----------------------------------------------------------------


def spoiled(place: str) -> Iterator[tuple[Any, Any, Any]]:
    """Yield angles, logits and targets of which those of the second problem cannot be used."""
    for value in {"angles": (np.nan, np.inf), "logits": (np.nan, np.inf)}.get(place, ()):
        angles, logits, low = drawn()
        {"angles": angles, "logits": logits}[place][1, 3] = value
        yield angles, logits, (low, low + 30.0)
    angles, logits, low = drawn()
    if place == "masked angles":
        angles[1, 3], logits[1, 3] = np.nan, -np.inf
        yield angles, logits, (low, low + 30.0)
    if place == "masks":
        logits[1] = -np.inf
        yield angles, logits, (low, low + 30.0)
    if place == "interval":
        for end in (-np.inf, np.nan, float(low[1]), float(low[1]) - 1.0, float(low[1]) + 360.5):
            yield angles, logits, (low, np.where(np.arange(G) == 1, end, low + 30.0))
    if place == "points":
        for node, weight in ((np.nan, 1.0), (0.0, -1.0), (0.0, np.inf), (0.0, np.nan), (np.inf, 0.0)):
            nodes, weights = np.zeros((G, 3)), np.ones((G, 3))
            nodes[1, 1], weights[1, 1] = node, weight
            yield angles, logits, {"angle": nodes, "weight": weights}
        yield angles, logits, {"angle": np.zeros((G, 3)), "weight": np.repeat([[1.0], [0.0], [1.0], [1.0]], 3, axis=1)}


@pytest.mark.parametrize("is_ragged", [False, True], ids=["rows", "ragged"])
@pytest.mark.parametrize("place", ["angles", "masked angles", "logits", "masks", "interval", "points"])
def test_what_cannot_be_used_makes_the_loss_of_its_problem_nan(place: str, is_ragged: bool) -> None:
    for angles, logits, target in spoiled(place):
        more = {"offsets": np.arange(G + 1) * N} if is_ragged else {}
        x, z = (angles.ravel(), logits.ravel()) if is_ragged else (angles, logits)
        for circular in (True, False):
            found = computed(x, z, target, kernel="gaussian", circular=circular, bandwidth=30.0, **more)
            is_too_wide = place == "interval" and 360.0 < target[1][1] - target[0][1] < np.inf
            for name, values in found.items():
                is_nan = np.isnan(values.reshape(G, -1))
                assert is_nan[1].all() == (circular or not is_too_wide), name
                assert not np.delete(is_nan, 1, axis=0).any(), name


@pytest.mark.parametrize(("kernel", "domain"), KERNELS)
def test_a_bandwidth_of_the_device_that_cannot_be_used_makes_every_loss_nan(kernel: str, domain: str) -> None:
    angles, logits, low = map(torch.from_numpy, drawn())
    settings = kg.Settings(kernel=kernel, circular=domain == "circle", background=0.1)
    for h in (20.0, 0.0, -1.0, np.nan, np.inf):
        of_device = torch.tensor(h, dtype=FLOAT64)
        target = (low, low + 30.0, True)
        found = tensors.summed(angles, logits, of_device, None, target, None, settings, (True, True, True))
        assert all(bool(values.isnan().all()) == (h != 20.0) for values in found)


@pytest.mark.parametrize("offsets", [[0, 3, 3, 28], [0, 5, 3, 28], [1, 5, 28], [0, 5, 27], [0, 5, 29], [0, 900, 28]])
def test_offsets_of_the_device_that_cannot_be_used_make_every_loss_nan(offsets: list[int]) -> None:
    angles, logits, _ = drawn()
    found = computed(angles.ravel(), logits.ravel(), (0.0, 30.0), offsets=offsets)
    assert all(np.isnan(values).all() for values in found.values())


@pytest.mark.parametrize("is_ragged", [False, True], ids=["rows", "ragged"])
def test_a_node_that_no_point_reaches_makes_the_loss_infinite(is_ragged: bool) -> None:
    angles, logits = np.array([[0.0, 1.0], [0.0, 9.0], [0.0, 5.0]]), np.array([[0.0, 0.0], [0.0, 0.0], [-np.inf, 0.0]])
    more = {"offsets": [0, 2, 4, 6]} if is_ragged else {}
    x, z = (angles.ravel(), logits.ravel()) if is_ragged else (angles, logits)
    found = computed(x, z, np.array([0.5, 20.0, 0.5]), kernel="biweight", bandwidth=2.0, **more)
    assert np.isinf(found["losses"]).tolist() == [False, True, True]
    for name in WRT:
        is_nan = np.isnan(found[name].reshape(3, -1))
        assert not is_nan[0].any(), name
        assert is_nan[1:].all(), name


# --- Devices ---------------------------------------------------------------------------------------------------------


class Indexing(TorchFunctionMode):
    """Indexing and ~ by other operations: written so, they ask for a device's driver also for tensors without data."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.Tensor.__invert__:
            return torch.logical_not(*args)
        if function is torch.Tensor.__getitem__:
            return self.part(*args)
        if function is torch.Tensor.__setitem__:  # by `x[i] += y`, which has changed the view already
            return None
        return function(*args, **(kwargs or {}))

    def part(self, values: Any, index: Any) -> Any:
        index = index if isinstance(index, tuple) else (index,)
        if Ellipsis in index:
            place = index.index(Ellipsis)
            rest = values.ndim - sum(part is not None and part is not Ellipsis for part in index)
            index = index[:place] + (slice(None),) * rest + index[place + 1 :]
        dim = 0
        for part in index:
            if isinstance(part, int):
                values = values.select(dim, part)
                continue
            if part is None:
                values = values.unsqueeze(dim)
            else:
                begin, end, _ = part.indices(values.shape[dim])
                values = values.narrow(dim, begin, end - begin)
            dim += 1
        return values


class Made(TorchDispatchMode):
    """Keeps the device and the dtype of every tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[tuple[str, Any]] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for part in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(part, torch.Tensor):
                self.kinds.add((part.device.type, part.dtype))
        return made


def without_data(device: str, dtype: Any, kernel: str, form: str, options: Any, host_h: float | None) -> Made:
    """Run the operator on tensors without data, of two blocks, and return what was made."""
    with FakeTensorMode():
        h = torch.tensor(host_h or 1.0, dtype=FLOAT64) if host_h else torch.empty((), dtype=dtype, device=device)
        with Made() as made, Indexing():
            empty = lambda *shape, dtype=dtype: torch.empty(shape, dtype=dtype, device=device)  # noqa: E731
            points, ends = ((5, 7), (5,)) if form != "points" else ((5, 7), (5, 3))
            offsets = empty(6, dtype=torch.int64) if form == "ragged" else None
            angles, logits = (empty(35) if form == "ragged" else empty(*points) for _ in range(2))
            target = (empty(*ends), empty(*ends), form != "points")
            more = (kernel, 3.0, 4, *options, "degrees", True, True, True)
            found = tensors.on_device(angles, logits, h, *target, offsets, *more)
    assert {(part.device.type, part.dtype) for part in found} == {(device, dtype)}
    assert [tuple(part.shape) for part in found] == [(5,), angles.shape, angles.shape, (5,)]
    return made


@pytest.mark.parametrize(("kernel", "domain"), [("laplace", "line"), *((name, "circle") for name in TENSOR_KERNELS)])
def test_nothing_waits_for_a_device_or_leaves_it(kernel: str, domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bandwidth that the host knows stays there; on `mps`, which has no float64, none is made."""
    monkeypatch.setattr(tensors, "MOST_PAIRS", 100)
    for device, dtype, form, host_h in (
        ("cuda", FLOAT32, "interval", 10.0),
        ("cuda", FLOAT64, "points", None),
        ("mps", FLOAT32, "ragged", None),
    ):
        background = 0.0 if (domain, form) == ("line", "points") else 0.1
        made = without_data(device, dtype, kernel, form, (background, domain == "circle", None), host_h)
        assert {place for place, _ in made.kinds} == {device}
        assert device != "mps" or FLOAT64 not in {kind for _, kind in made.kinds}


def test_a_number_that_is_read_from_a_device_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_read(layout: Any, logits: Any, whole: Callable[..., Any] = tensors.problems_of) -> Any:
        return whole(layout, logits + layout.sum().item())

    monkeypatch.setattr(tensors, "problems_of", with_a_read)
    with pytest.raises(DataDependentOutputException):
        without_data("cuda", FLOAT32, "laplace", "ragged", (0.0, False, None), None)


def test_offsets_that_the_host_knows_are_checked_there() -> None:
    angles = torch.empty(5, device="meta")
    options = ("laplace", 3.0, 4, 0.0, False, None, "degrees", True, True, True)
    low = torch.empty(2, device="meta")
    with pytest.raises(kg.InputError, match="offsets of the points: they go from 0 to 6, and there are 5"):
        tensors.on_device(angles, angles, torch.tensor(1.0), low, low, True, torch.tensor([0, 2, 6]), *options)
