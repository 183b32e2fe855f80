"""Pins down that the returned gradients are the derivatives of the returned loss.

They are compared with Richardson differences of the loss itself, for logits, angles and log bandwidth, so that neither
the derivatives of the kernels nor those of the oracle are relied on. Also: problems with a closed form, masked points,
uncovered nodes, the functions of the library, and laws that hold for every input (drawn by hypothesis).
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdegrad as kg
from kdegrad import Problem, SettingError, evaluate
from kdegrad.kernel import KERNELS
from kdegrad.objective import responsibilities_by_bin
from tests import problems
from tests.problems import Case

ALL = ("logits", "angles", "bandwidth")
# Two Richardson steps from step s (in bandwidths for the angles) leave a truncation error of order s⁶ and a rounding
# error of ε·L/s, 1e-11 for an L of some units. Steps and points are chosen so that no kink or edge is crossed.
STEP = 3e-3
DIFFERENCE = 1e-9
WIDER = 10 * DIFFERENCE  # for log h, which changes every displacement at once
EXACT = 1e-14  # a few roundings of a closed form
LAW = 1e-11  # some tens of roundings of log weights and log kernels up to a few 10², for N ≤ 8 points
MIRRORED = 1e-9  # relative, of two slopes that cancel to a small number

POINTS = np.array([-41.3, -17.9, 3.3, 24.3, 61.7])
LOGITS = np.array([0.3, -1.2, 1.1, 0.0, -0.7])
PLAIN = {"target": (-30.0, 31.0), "bandwidth": 83.0, "bins": 9}
MODES = {
    "midpoint": {},
    "gauss": {"rule": "gauss", "bins": 5},
    "at": {"at": 7.7},
    "background": {"background": 0.3},
    "scale": {"scale": 1e7},
    "background and scale": {"background": 0.01, "scale": 5.0},
}
EVERY = [
    pytest.param({**PLAIN, **kernel, **where, **mode}, id=f"{domain}-{label}-{name}")
    for domain, where, kernels in (
        ("line", {}, problems.ON_LINE),
        ("circle", {"circular": True, "bandwidth": 91.0}, problems.ON_CIRCLE),
    )
    for label, kernel in kernels.items()
    for name, mode in MODES.items()
]


def derivative(function, step):
    """Return f'(0): central differences at s, s/2, s/4, twice extrapolated."""
    slopes = [(function(s) - function(-s)) / (2 * s) for s in (step, step / 2, step / 4)]
    once = [(4 * fine - coarse) / 3 for coarse, fine in pairwise(slopes)]
    return (16 * once[1] - once[0]) / 15


def unit(index):
    return np.eye(len(POINTS))[index]


# --- Derivatives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", EVERY)
def test_gradients_are_the_derivatives_of_the_loss(options):
    problem = Problem(POINTS, LOGITS, **options)
    found = evaluate(problem, wrt=ALL).gradients
    h = options["bandwidth"]
    for i in range(len(POINTS)):
        by_logit = derivative(lambda s, i=i: loss_of(problem, logits=LOGITS + s * unit(i)), STEP)
        assert found.logits[i] == pytest.approx(by_logit, abs=DIFFERENCE)
        by_angle = derivative(lambda s, i=i: loss_of(problem, angles=POINTS + s * h * unit(i)), STEP) / h
        assert found.angles[i] == pytest.approx(by_angle, abs=DIFFERENCE)
    by_bandwidth = derivative(lambda s: loss_of(problem, bandwidth=h * math.exp(s)), STEP)
    assert found.log_bandwidth == pytest.approx(by_bandwidth, abs=WIDER)


def loss_of(problem, **changes):
    return evaluate(problem.replace(**changes), wrt=()).loss


@pytest.mark.parametrize("options", EVERY)
def test_responsibilities_by_bin_average_to_the_mean_ones(options):
    evaluation = evaluate(Problem(POINTS, LOGITS, **options))
    by_bin = list(responsibilities_by_bin(evaluation))
    rule = evaluation.rule
    assert len(by_bin) == rule.bins
    shares, gradients = (np.array(part) for part in zip(*by_bin, strict=True))
    np.testing.assert_allclose(rule.weights @ shares, evaluation.responsibilities, rtol=LAW)
    np.testing.assert_allclose(rule.weights @ gradients, evaluation.gradients.logits, atol=LAW)
    total = 1.0
    if evaluation.problem.settings.background:
        density = np.exp(evaluation.diagnostics.log_density)
        total = 1.0 - evaluation.problem.settings.background / evaluation.problem.background_width / density
    np.testing.assert_allclose(shares.sum(axis=1), total, rtol=LAW)
    np.testing.assert_allclose(gradients.sum(axis=1), 0.0, atol=LAW)


# --- Closed forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", problems.ON_LINE.values(), ids=problems.ON_LINE)
def test_one_point_has_gradient_zero(kernel):
    """S = R = 1: the gradient is 0 and L is the mean of -log K."""
    problem = Case([5.0], [7.0], {"target": (-3.0, 4.0), "bandwidth": 21.0, "bins": 6}).problem(**kernel)
    found = evaluate(problem)
    assert found.gradients.logits[0] == pytest.approx(0.0, abs=EXACT)
    assert found.loss == pytest.approx(-np.mean(problem.kernel.log_density(problem.rule.nodes - 5.0)), rel=EXACT)


@pytest.mark.parametrize("kernel", problems.ON_CIRCLE.values(), ids=problems.ON_CIRCLE)
def test_two_points_mirrored_about_the_target_have_equal_responsibilities(kernel):
    found = evaluate(
        Case([-20.0, 20.0], [2.0, 2.0], {"target": (-30, 30), "bandwidth": 71.0, "circular": True}).problem(**kernel),
        wrt=ALL,
    )
    np.testing.assert_allclose(found.responsibilities, 0.5, rtol=LAW)
    np.testing.assert_allclose(found.gradients.logits, 0.0, atol=LAW)
    assert found.gradients.angles[0] == pytest.approx(-found.gradients.angles[1], rel=MIRRORED, abs=LAW)


def test_the_notes_formula_at_one_bin():
    """∂/∂z_i(-log p(x)) = S_i - r_i with laplace: S and r are softmaxes, of z and of z - |x - x_j|/h."""
    z, x = np.array([0.4, -0.2, 1.0]), np.array([-75.0, 50.0, 3.0])
    weights = np.exp(z) / np.exp(z).sum()
    shares = np.exp(z - np.abs(10.0 - x) / 20.0)
    loss, gradient = kg.loss_and_grad(x, z, at=10.0, kernel="laplace", bandwidth=20.0)
    np.testing.assert_allclose(gradient, weights - shares / shares.sum(), atol=EXACT)
    assert loss == pytest.approx(-math.log(shares.sum() / np.exp(z).sum() / 40.0), rel=EXACT)
    at = evaluate(Problem(x, z, at=10.0))
    assert at.kl is None
    assert evaluate(Problem(x, z, at=10.0, target=(0, 20))).kl == pytest.approx(at.loss - math.log(20.0))


def test_one_bin_with_a_background_by_hand():
    """Uniform kernel of h = 1: K = 1/2 at 0 for the first point only; S = (1/4, 3/4), E = 1/5, b - a = 2.

    p̃ = 4/5·1/4·1/2 + 1/10 = 1/5, r = (1/2, 0), ∂L/∂z = S/2 - r = (-3/8, 3/8); divided by S: -3/2 and 1/2.
    """
    found = evaluate(
        Problem([0.5, 9.0], np.log([1.0, 3.0]), target=(-1, 1), bins=1, kernel="uniform", bandwidth=1, background=0.2)
    )
    assert found.loss == pytest.approx(math.log(5.0), rel=EXACT)
    assert found.kl == pytest.approx(math.log(2.5), rel=EXACT)
    np.testing.assert_allclose(found.responsibilities, [0.5, 0.0], rtol=EXACT)
    np.testing.assert_allclose(found.gradients.logits, [-0.375, 0.375], rtol=EXACT)
    np.testing.assert_allclose(found.gradients.per_weight, [-1.5, 0.5], rtol=EXACT)


def test_the_slope_of_a_point_on_a_kink_is_the_mean_of_its_sides():
    """Laplace at u = 0: the slopes from the left and the right cancel."""
    found = evaluate(Problem([0.0, 2.0], at=0.0, kernel="laplace"), wrt=ALL)
    assert found.gradients.angles[0] == 0.0
    assert found.gradients.angles[1] > 0.0


# --- Masks, and nodes that no point reaches --------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", problems.ON_CIRCLE.values(), ids=problems.ON_CIRCLE)
def test_a_masked_point_has_no_effect_but_a_gradient_per_weight(kernel):
    case = Case(POINTS, [0.3, -np.inf, 1.1, 0.0, -np.inf], {**PLAIN, "circular": True})
    masked = evaluate(case.problem(**kernel), wrt=ALL)
    bare = evaluate(Case(POINTS[[0, 2, 3]], [0.3, 1.1, 0.0], case.options).problem(**kernel), wrt=ALL)
    assert masked.loss == pytest.approx(bare.loss, rel=EXACT)
    np.testing.assert_allclose(masked.gradients.logits[[0, 2, 3]], bare.gradients.logits, rtol=LAW)
    for numbers in (masked.weights, masked.responsibilities, masked.gradients.logits, masked.gradients.angles):
        np.testing.assert_array_equal(numbers[[1, 4]], 0.0)
    assert masked.gradients.log_bandwidth == pytest.approx(bare.gradients.log_bandwidth, rel=LAW, abs=LAW)
    # its gradient per weight is the limit for small weights
    nearly = case.problem(**kernel).replace(logits=[0.3, -60.0, 1.1, 0.0, -60.0])
    np.testing.assert_allclose(masked.gradients.per_weight, evaluate(nearly).gradients.per_weight, rtol=LAW, atol=LAW)


def test_gradient_per_weight_overflows_to_infinity_without_a_warning():
    found = evaluate(Problem([0.0, 1e3], [-np.inf, 0.0], at=0.0, kernel="laplace"))
    assert found.gradients.per_weight[0] == -np.inf
    np.testing.assert_allclose(found.gradients.logits, 0.0, atol=1e3 * EXACT)  # logarithms of size 10³


@pytest.mark.parametrize("kind", [kind for kind in KERNELS if kind.tail == "compact"], ids=lambda kind: kind.name)
@pytest.mark.parametrize("where", [{}, {"circular": True}], ids=["line", "circle"])
def test_uncovered_nodes_make_the_loss_infinite_and_are_listed(kind, where):
    options = {"target": (-10, 10), "bins": 4, "kernel": kind.name, "bandwidth": 4.0, **where}
    problem = Problem([-8.0, 3.0], **options)
    found = evaluate(problem, wrt=ALL)  # nodes -7.5, -2.5, 2.5, 7.5: the points reach [-12, -4] and [-1, 7]
    assert found.loss == math.inf
    assert found.kl == math.inf
    assert not found.is_finite
    np.testing.assert_array_equal(found.diagnostics.uncovered, [-2.5, 7.5])
    for numbers in (found.gradients.logits, found.gradients.per_weight, found.gradients.angles, found.responsibilities):
        assert np.isnan(numbers).all()
    assert math.isnan(found.gradients.log_bandwidth)
    assert kg.loss([-8.0, 3.0], **options) == math.inf
    assert np.isnan(kg.grad([-8.0, 3.0], **options)).all()
    remedied = evaluate(problem.replace(background=1e-9), wrt=ALL)
    assert remedied.is_finite
    assert len(remedied.diagnostics.uncovered) == 0


# --- The library's functions -----------------------------------------------------------------------------------------


def test_evaluate_loss_grad_and_loss_and_grad_agree():
    options = {**PLAIN, "kernel": "von-mises", "circular": True}
    problem = Problem(POINTS, LOGITS, **options)
    found = evaluate(problem)
    loss, gradient = kg.loss_and_grad(POINTS, LOGITS, **options)
    assert loss == found.loss == kg.loss(POINTS, LOGITS, **options)
    assert type(loss) is float
    np.testing.assert_array_equal(gradient, found.gradients.logits)
    np.testing.assert_array_equal(kg.grad(POINTS, LOGITS, **options), gradient)
    assert gradient.shape == POINTS.shape
    assert gradient.dtype == np.float64
    assert found.kl == pytest.approx(loss - math.log(61.0))
    assert found.diagnostics.sums == "dense"


DEFAULTS = {"bandwidth": 1.0, "df": 3.0, "rule": "midpoint", "bins": 360, "scale": 1.0, "background": 0.0}
DEFAULTS |= {"at": None, "circular": False, "period": None, "unit": "degrees", "sums": "auto"}
OTHERS = {"bandwidth": 7.0, "df": 5.0, "rule": "gauss", "bins": 9, "scale": 3.0, "background": 0.25}
OTHERS |= {"at": 3.0, "circular": True, "period": 300.0, "unit": "radians", "sums": "fast"}


@pytest.mark.parametrize("name", [None, *OTHERS])
def test_the_shortcuts_take_each_option_and_its_default(name):
    given = {"target": (-1.0, 1.5), "kernel": "student-t", **({name: OTHERS[name]} if name else {})}
    found = evaluate(Problem(POINTS, LOGITS, **DEFAULTS | given))
    assert evaluate(Problem(POINTS, LOGITS, **given)).loss == found.loss
    assert kg.loss(POINTS, LOGITS, **given) == kg.loss_and_grad(POINTS, LOGITS, **given)[0] == found.loss
    np.testing.assert_array_equal(kg.grad(POINTS, LOGITS, **given), found.gradients.logits)


@pytest.mark.parametrize("sums", ["dense", "fast"])
@pytest.mark.parametrize("background", [0.0, 0.1])
def test_the_shortcuts_give_the_same_bits_as_evaluate(sums, background):
    """They neither keep weights nor copy the inputs, and do not change the caller's arrays."""
    rng = np.random.default_rng(3)
    x, z = rng.normal(0.0, 60.0, 40_000), rng.normal(0.0, 30.0, 40_000)
    given_x, given_z = x.copy(), z.copy()
    options = {"target": (-30, 30), "bandwidth": 10.0, "bins": 36, "sums": sums, "background": background}
    loss, gradient = kg.loss_and_grad(x, z, **options)
    evaluation = evaluate(Problem(x, z, **options))
    assert (kg.loss(x, z, **options), loss) == (evaluation.loss, evaluation.loss)
    np.testing.assert_array_equal(gradient, evaluation.gradients.logits)
    np.testing.assert_array_equal(x, given_x)
    np.testing.assert_array_equal(z, given_z)
    gradient += 1.0  # writable: the caller owns it


def test_without_logits_all_weights_are_equal():
    assert kg.loss(POINTS, **PLAIN) == pytest.approx(kg.loss(POINTS, np.full(5, 3.0), **PLAIN), rel=1e-15)
    np.testing.assert_allclose(evaluate(Problem(POINTS, **PLAIN)).weights, 0.2, rtol=EXACT)


def test_only_the_requested_gradients_are_computed():
    problem = Problem(POINTS, LOGITS, **PLAIN)
    nothing = evaluate(problem, wrt=())
    assert nothing.responsibilities is None
    assert nothing.gradients is None
    with pytest.raises(SettingError, match="no gradient was asked for"):
        nothing.require_gradients()
    assert evaluate(problem).gradients.angles is None
    assert evaluate(problem).gradients.log_bandwidth is None
    assert evaluate(problem, wrt=["bandwidth"]).gradients.log_bandwidth is not None
    with pytest.raises(SettingError, match="angles") as caught:
        evaluate(problem, wrt=("angle",))
    assert caught.value.name == "wrt"


def test_is_finite_concerns_every_requested_number():
    bare = Problem([0.0, 2.0, 4.0, -9.0], target=(-1, 4), bandwidth=1.0, kernel="triangular", rule="exact")
    assert evaluate(bare).is_finite
    assert not evaluate(bare, wrt="bandwidth").is_finite  # -inf, as a gap opens
    assert not evaluate(bare, wrt="angles").is_finite  # all but that of the point at -9, which reaches no node


def test_only_a_finite_loss_of_bins_approximates_an_integral():
    problem = Problem(POINTS, LOGITS, **PLAIN)
    assert evaluate(problem).approximates_integral
    assert evaluate(problem.replace(rule="gauss")).approximates_integral
    assert not evaluate(problem.replace(rule="exact")).approximates_integral
    assert not evaluate(problem.replace(at=0.0)).approximates_integral
    assert not evaluate(problem.replace(kernel="uniform", bandwidth=1.0)).approximates_integral


def test_the_input_rounding_is_that_of_the_angles_times_the_steepness_of_log_k():
    """At 10⁷ an angle is known to ε 10⁷, and log K of the gaussian has the slope d/h² with d = 10⁷ to the last node."""
    problem = Problem([1e7, 1e7 + 1e-7], target=(-0.3, 0.7), kernel="gaussian", bandwidth=2.0, bins=3)
    expected = 2.0**-52 * 1e7 * (1e7 - (0.7 - 1.0 / 6.0)) / 4.0
    assert evaluate(problem).input_rounding == pytest.approx(expected, rel=1e-9)
    assert evaluate(problem, wrt=()).input_rounding == 0.0


def test_a_responsibility_of_all_or_nothing_is_not_moved_by_rounding():
    """A point alone has responsibility 1, and one 10⁷ bandwidths behind another has 0."""
    for points in ([1e9], [1e7, 2e7]):
        assert evaluate(Problem(points, target=(-0.3, 0.7), kernel="gaussian", bins=3)).input_rounding == 0.0


def test_the_input_rounding_counts_whole_turns():
    """10¹⁷ degrees are known to 16 only, wherever on the circle that is."""
    problem = Problem([1e17, 40.0], target=(0, 90), kernel="laplace", bandwidth=30.0, circular=True)
    assert evaluate(problem).input_rounding == pytest.approx(2.0**-52 * 1e17 / 30.0, rel=1e-9)


@pytest.mark.parametrize("kernel", ["uniform", "biweight"])
def test_a_gradient_does_not_depend_on_the_others_requested(kernel):
    problem = Problem(POINTS, LOGITS, **PLAIN, kernel=kernel, rule="exact")
    both = evaluate(problem, wrt=ALL).gradients
    np.testing.assert_array_equal(evaluate(problem, wrt="angles").gradients.angles, both.angles)
    assert evaluate(problem, wrt="bandwidth").gradients.log_bandwidth == both.log_bandwidth
    assert evaluate(problem, wrt="bandwidth").gradients.angles is None


# --- Laws ------------------------------------------------------------------------------------------------------------


@st.composite
def moderate_problems(draw):
    """Return a moderate problem: 1 to 8 points anywhere, some masked, any kernel and domain, any rule."""
    count = draw(st.integers(1, 8))
    angles = draw(st.lists(st.floats(-200, 200), min_size=count, max_size=count))
    logits = draw(st.lists(st.floats(-30, 30), min_size=count, max_size=count))
    masked = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    if not all(masked):
        logits = [-math.inf if mask else z for z, mask in zip(logits, masked, strict=True)]
    where = draw(st.sampled_from([{}, {"circular": True}]))
    kernel = draw(st.sampled_from(list((problems.ON_CIRCLE if where else problems.ON_LINE).values())))
    mode = draw(st.sampled_from(list(MODES.values())))
    low = draw(st.floats(-200, 200))
    width = draw(st.floats(1, 180))
    options = {"target": (low, low + width), "bandwidth": draw(st.floats(20, 900)), "bins": 7}
    return Problem(angles, logits, **{**options, **where, **kernel, **mode})


def covered(problem):
    return evaluate(problem, wrt=()).is_finite


FAST = settings(max_examples=150, deadline=None)


@FAST
@given(moderate_problems())
def test_the_gradient_sums_to_zero(problem):
    if covered(problem):
        found = evaluate(problem)
        assert abs(found.gradients.logits.sum()) < LAW
        assert (found.responsibilities >= 0).all()
        assert found.responsibilities.sum() < 1 + LAW


@FAST
@given(moderate_problems(), st.floats(-1e3, 1e3))
def test_an_offset_of_all_logits_changes_nothing(problem, offset):
    if covered(problem):
        before, after = evaluate(problem), evaluate(problem.replace(logits=problem.logits + offset))
        assert after.loss == pytest.approx(before.loss, rel=LAW, abs=LAW)
        np.testing.assert_allclose(after.gradients.logits, before.gradients.logits, atol=LAW)


@FAST
@given(moderate_problems(), st.randoms(use_true_random=False))
def test_reordering_the_points_reorders_the_gradient(problem, random):
    if covered(problem):
        order = random.sample(range(len(problem.angles)), len(problem.angles))
        shuffled = problem.replace(angles=problem.angles[order], logits=problem.logits[order])
        before, after = evaluate(problem, wrt=ALL), evaluate(shuffled, wrt=ALL)
        assert after.loss == pytest.approx(before.loss, rel=LAW, abs=LAW)
        np.testing.assert_allclose(after.gradients.logits, before.gradients.logits[order], atol=LAW)
        np.testing.assert_allclose(after.gradients.angles, before.gradients.angles[order], atol=LAW)


@FAST
@given(moderate_problems())
def test_scale_moves_the_loss_and_leaves_the_gradient(problem):
    if covered(problem) and problem.settings.background == 0.0:
        before, after = evaluate(problem), evaluate(problem.replace(scale=1e-200 * problem.settings.scale))
        assert after.loss - before.loss == pytest.approx(200 * math.log(10), rel=LAW)
        np.testing.assert_allclose(after.gradients.logits, before.gradients.logits, atol=LAW)


def test_several_gradients_are_a_list_of_texts() -> None:
    with pytest.raises(SettingError, match=r"wrt: unknown 'logits,angles': .*; give several as a list of texts"):
        kg.grad([1.0], target=(0, 1), wrt="logits,angles")


def test_weights_give_the_loss_and_the_gradient_of_their_logarithms() -> None:
    """By finite differences in the weights too: ∂L/∂w = ∂L/∂z / w."""
    angles, weights, options = [-40.0, 5.0, 33.0], np.array([1.0, 2.0, 0.5]), {"target": (-30, 30), "bandwidth": 20}
    value, gradient = kg.loss_and_grad(angles, weights=weights, **options)
    assert value == kg.loss(angles, np.log(weights), **options) == kg.loss(angles, weights=weights, **options)
    np.testing.assert_array_equal(gradient, kg.grad(angles, weights=weights, **options))
    step = 1e-6 * np.eye(3)
    ends = [[kg.loss(angles, weights=weights + sign * row, **options) for row in step] for sign in (1, -1)]
    np.testing.assert_allclose(gradient / weights, np.subtract(*ends) / 2e-6, rtol=1e-7)


def test_what_cannot_be_converted_is_refused() -> None:
    """A tensor of PyTorch that requires a gradient raises a RuntimeError."""

    class Tensor:
        ndim = 1

        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            raise RuntimeError("use tensor.detach()")

    with pytest.raises(kg.InputError, match=r"angles: tests.Tensor cannot be read .*: use tensor.detach\(\)"):
        kg.loss(Tensor(), target=(0, 1))

    class InList:  # as NumPy comes across it
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    with pytest.raises(kg.InputError, match=r"angles: a tensor that requires a gradient: call .detach\(\) first"):
        kg.loss([1.0, InList()], target=(0, 1))
