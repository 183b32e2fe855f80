"""Pins down that a problem in parts is the problem itself, for any split, order and tree of sums, by every scheme.

The numbers of all parts together are compared with the truth of the whole problem, within the bounds that the problem
in memory keeps (`tests.measure`); the shares of all parts add up to 1 at any distance and with any logits.
"""

from __future__ import annotations

import math
import os
import pickle
from dataclasses import asdict
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from kdegrad import Evaluation, InputError, Points, Problem, SettingError, evaluate
from kdegrad.crossentropy import Gradients
from kdegrad.domain import Line
from kdegrad.evaluation import Diagnostics
from kdegrad.kernel import make_kernel
from kdegrad.parts import Partial, Sizes, Tally, Whole, partial_sums
from kdegrad.sums import make_sums
from kdegrad.sums.portion import portion_of, totals_of
from tests import extended, problems
from tests.measure import WRT, against, in_digits, rules
from tests.scale import SCHEMES, a_problem, accuracy

MANY = 10 if os.environ.get("KDEGRAD_EXPLORE") else 1
OF_PARTS = {"sum of shares", "sum of gradient", "largest share"}  # of the rules that hold for all parts together
CASES = [*problems.LINE.values(), *problems.CIRCLE.values()]


def like(problem):
    """Return the settings and the target alone."""
    return problem.replace(angles=problem.rule.nodes[:1], logits=None, labels=None)


def split(problem, rng):
    """Return the places of the points in parts: any number of them, of any points, empty ones among them."""
    count = len(problem.angles)
    order = rng.permutation(count) if rng.random() < 0.7 else np.arange(count)
    return np.split(order, np.sort(rng.integers(0, count + 1, rng.choice([0, 1, 2, 5, 20]))))


def joined(sums, rng):
    """Return the sum of all, two at a time in any order."""
    left = list(sums)
    while len(left) > 1:
        one, other = (left.pop(rng.integers(len(left))) for _ in range(2))
        left.append(one + other)
    return left[0]


def in_parts(problem, parts, rng):
    """Return the evaluation that parts make, of which each knows no more than the sums of all."""
    each, settings_ = [(problem.angles[part], problem.logits[part]) for part in parts], like(problem)
    with np.errstate(all="raise"):  # as a caller may have set
        whole = Whole(settings_, joined([partial_sums(settings_, *points) for points in each], rng))
        found = [whole.gradients(*points, WRT) for points in each]
    assert whole.points == len(problem.angles)
    back = np.argsort(np.concatenate(parts))

    def of_all(name):
        return np.concatenate([getattr(one, name) for one in found])[back]

    numbers = {name: of_all(name) for name in ("logits", "per_weight", "responsibilities", "angles")}
    return Evaluation(
        problem=problem,
        rule=problem.rule,
        loss=whole.loss,
        kl=whole.kl,
        weights=np.concatenate([whole.weights(logits) for _, logits in each])[back],
        gradients=Gradients(**numbers, log_bandwidth=sum(one.log_bandwidth for one in found), wrt=WRT),
        diagnostics=Diagnostics(whole.log_density, whole.uncovered, None, problem.settings.sums),
    )


def beyond_bounds(found):
    """Return the ratios of error and bound above 1, for what is promised for all parts together."""
    ratios = {name: ratio for (_, name), ratio in accuracy({"auto": found}).items()}
    for name in rules(found).keys() - OF_PARTS:
        del ratios[name]
    return {name: ratio for name, ratio in ratios.items() if not ratio <= 1.0}


@st.composite
def drawn(draw):
    problem = a_problem(lambda some: draw(st.sampled_from(some)), draw(st.integers(0, 2**32 - 1)))
    rule = "midpoint" if problem.rule_name == "exact" else problem.settings.rule
    return problem.replace(rule=rule, sums=draw(st.sampled_from(SCHEMES)))


@settings(max_examples=60 * MANY, deadline=None)
@given(drawn(), st.integers(0, 2**32 - 1))
def test_any_problem_in_any_parts_is_as_accurate_as_in_memory(problem, seed):
    rng = np.random.default_rng(seed)
    assert beyond_bounds(in_parts(problem, split(problem, rng), rng)) == {}


@pytest.mark.parametrize("label", problems.ON_CIRCLE)
def test_every_kernel_in_parts_is_as_accurate_as_in_memory(label):
    kinds = list(problems.ON_CIRCLE)
    cases = list(enumerate(CASES if label in problems.ON_LINE else problems.CIRCLE.values()))
    for number, case in cases if MANY > 1 else cases[kinds.index(label) % 4 :: 4]:  # each with some of the kernels
        rng = np.random.default_rng(number)
        problem = case.problem(**problems.ON_CIRCLE[label], sums=SCHEMES[number % 3])
        assert beyond_bounds(in_parts(problem, split(problem, rng), rng)) == {}, number


# --- Hard parts, against 50 digits -----------------------------------------------------------------------------------

NEAR, THIRDS = [-0.7, 0.3, 1.1], [1.0 / 3.0, 1.0, -1.0 / 3.0]
HARD = {  # angles and logits of the parts
    "one near, one far": ([NEAR, [1e6, 1e6 + 0.7, 0.2], [-1e10]], [THIRDS, [3.0, 0.0, -np.inf], [0.5]]),
    "all far": ([[1e6, 1e6 + 0.7], [-1e6, -1e6 + 0.3], [1e8], [0.0]], [THIRDS[:2], THIRDS[1:], [0.1], [-np.inf]]),
    "logits against distance": ([NEAR, [-0.2], [3e6 + 0.3]], [[z - 1e6 for z in THIRDS], [-1e6 + 0.1], [1e6 - 0.2]]),
    "weights that differ by e^20000": ([NEAR, [0.1], [-0.4, 5.0]], [[-1e4, -1e4 + 1.3, -9e3], [1e4], [9999.0, 20.3]]),
    "masks": ([NEAR, [0.2, 40.0], []], [THIRDS, [-np.inf, -np.inf], []]),
    "light and near, with a mask": ([[1000.3], [0.1, 1000.7]], [[0.0], [-1010.0, -np.inf]]),
    "a mask on other nodes": ([[-1.6, 1.5], [2000.0, 2001.0]], [[0.0, 1.0], [0.3, -np.inf]]),
    "logits of 1e300": ([NEAR, [0.5], [0.6]], [[1e300, 1e300, 0.0], [-1e300], [-1.7e308]]),
}


@pytest.mark.parametrize("sums", ["dense", "fast"])
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "cauchy"])
@pytest.mark.parametrize("name", HARD)
def test_hard_parts_agree_with_50_digits(name, kernel, sums):
    angles, logits = (np.concatenate(each) for each in HARD[name])
    target = {"angle": [*np.linspace(-2.0, 2.0, 9), 1999.0]} if name == "a mask on other nodes" else (-2.0, 2.0)
    options = {"target": target, "bins": 9, "kernel": kernel, "sums": sums}
    problem = Problem(angles, logits, **options)
    parts = np.split(np.arange(len(angles)), np.cumsum([len(part) for part in HARD[name][0]])[:-1])
    found = in_parts(problem, parts, np.random.default_rng(0))
    true = extended.truth(problem, found.rule)
    ratios = {**against(found, in_digits(found, true)), **{name: rules(found)[name] for name in OF_PARTS}}
    assert {name: ratio for name, ratio in ratios.items() if not ratio <= 1.0} == {}


@pytest.mark.parametrize("sums", ["dense", "fast"])
@pytest.mark.parametrize(
    ("angles", "logits"),
    [
        ([NEAR, [0.2], [1e6]], [[-1e4, -1e4 + 1.0, -2e4], [-np.inf], [2.0]]),
        ([[1e6], [1e6, 0.3], []], [[0.0], [-500.0, -1000.0], []]),
        ([[1500.3], [1500.9, 1.0]], [[2000.0], [2000.5, 100.0]]),
    ],
)
def test_light_points_beside_a_background_have_a_gradient_per_weight(angles, logits, sums):
    """Their weight is e^-1000 or less, and the density is that of the background: all others are far away."""
    parts = np.split(np.arange(sum(map(len, angles))), np.cumsum([len(part) for part in angles])[:-1])
    options = {"target": (-2.0, 2.0), "background": 0.3, "bins": 9, "sums": sums}
    problem = Problem(np.concatenate(angles), np.concatenate(logits), **options)
    found = in_parts(problem, parts, np.random.default_rng(0))
    assert max(against(found, in_digits(found, extended.truth(problem, found.rule))).values()) <= 1.0
    assert (found.gradients.per_weight[np.abs(problem.angles) < 2.0] < -0.1).all()


@pytest.mark.parametrize("sums", ["dense", "fast"])
def test_a_node_needs_one_part_that_reaches_it(sums):
    options = {"target": (0.0, 4.0), "kernel": "epanechnikov", "bandwidth": 1.0, "bins": 4, "sums": sums}
    angles = np.array([0.6, 1.4, 2.4, 3.3, 50.0])
    problem = Problem(angles, [0.0, 1.0, -3.0, -800.0, 900.0], **options)
    parts = [np.array(part) for part in ([0, 1], [2], [3], [4])]
    found = in_parts(problem, parts, np.random.default_rng(0))
    assert beyond_bounds(found) == {}
    assert math.isfinite(found.loss)

    sums_of = [partial_sums(like(problem), problem.angles[part], problem.logits[part]) for part in parts]
    without = Whole(like(problem), sums_of[0] + sums_of[3] + sums_of[1])
    assert without.loss == math.inf
    assert not without.is_finite
    np.testing.assert_array_equal(without.uncovered, [3.5])
    gradients = without.gradients(angles[:2], problem.logits[:2], WRT)
    for numbers in (gradients.logits, gradients.per_weight, gradients.responsibilities, gradients.angles):
        np.testing.assert_array_equal(numbers, [np.nan, np.nan])
    assert math.isnan(gradients.log_bandwidth)


def test_a_thousand_parts_of_one_point_share_all_there_is():
    rng = np.random.default_rng(5)
    problem = Problem(900.0 + rng.random(1000), 1e4 + rng.normal(size=1000), target=(-2, 3), bandwidth=1.0, bins=5)
    found = in_parts(problem, np.arange(1000)[:, np.newaxis], rng)
    assert abs(found.responsibilities.sum() - 1.0) <= 1e-12
    assert found.loss == pytest.approx(evaluate(problem).loss, rel=1e-12)


# --- The data --------------------------------------------------------------------------------------------------------


def example(**options):
    return Problem([0.3, -1.2, 30.0, 4.0], [0.0, -np.inf, 2.0, -30.0], target=(-1.0, 2.0), bins=6, **options)


def numbers_of(partial):
    return (partial.points, *partial.totals[:2], *(part.tolist() for part in partial.totals.nodes))


@pytest.mark.parametrize("sums", ["dense", "fast"])
def test_sums_and_the_whole_are_the_same_after_pickling(sums):
    problem = example(sums=sums)
    partial = partial_sums(like(problem), problem.angles, problem.logits)
    again = pickle.loads(pickle.dumps(partial))
    assert numbers_of(again) == numbers_of(partial)
    whole, other = Whole(like(problem), partial), pickle.loads(pickle.dumps(Whole(like(problem), again)))
    assert (other.loss, other.kl, other.points) == (whole.loss, whole.kl, whole.points)
    one, two = (each.gradients(problem.angles, problem.logits, WRT) for each in (whole, other))
    for name, numbers in asdict(one).items():
        np.testing.assert_array_equal(getattr(two, name), numbers)


def test_no_points_and_masks_add_nothing_but_their_number():
    problem = example()
    partial = partial_sums(like(problem), problem.angles, problem.logits)
    nothing = partial_sums(like(problem), np.empty(0), np.empty(0))
    masked = partial_sums(like(problem), np.array([1.0, 2.0]), np.array([-np.inf, -np.inf]))
    for neutral, points in ((Partial(), 0), (nothing, 0), (masked, 2)):
        for both in (partial + neutral, neutral + partial):
            assert numbers_of(both) == (4 + points, *numbers_of(partial)[1:])
    assert (nothing + Partial() + masked).totals is None
    gradients = Whole(like(problem), partial + masked).gradients(np.array([1.0]), np.array([-np.inf]), WRT)
    assert (gradients.logits[0], gradients.responsibilities[0], gradients.angles[0]) == (0.0, 0.0, 0.0)
    assert gradients.log_bandwidth == 0.0
    together = problem.replace(angles=[*problem.angles, 1.0], logits=[*problem.logits, -np.inf])
    assert gradients.per_weight[0] == pytest.approx(evaluate(together).gradients.per_weight[4])


def test_adding_is_commutative_and_associative_but_for_rounding():
    problem = example()
    a, b, c = (partial_sums(like(problem), problem.angles[[i]], problem.logits[[i]]) for i in (0, 2, 3))
    assert numbers_of(a + b) == numbers_of(b + a)
    one, two = (Whole(like(problem), sums) for sums in ((a + b) + c, a + (b + c)))
    np.testing.assert_allclose(one.log_density, two.log_density, rtol=1e-14)


def test_a_tally_is_that_of_all_gradients():
    problem = example(bandwidth=3.0)
    whole = Whole(like(problem), partial_sums(like(problem), problem.angles, problem.logits))
    each = [whole.gradients(problem.angles[[i]], problem.logits[[i]], WRT) for i in range(4)]
    roundings = [whole.input_rounding(problem.angles[[i]], each[i].responsibilities) for i in range(4)]
    tally = reduce(add, [Tally.of(one, rounding) for one, rounding in zip(each, roundings, strict=True)], Tally())
    found = evaluate(problem, wrt=WRT)
    logits = found.gradients.logits
    assert tally.points == 4
    assert abs(tally.total) <= 1e-15
    for sizes, values in ((tally.logits, logits), (tally.angles, found.gradients.angles)):
        wanted = {"l1": np.abs(values).sum(), "l2": np.linalg.norm(values), "max": np.abs(values).max()}
        assert sizes.norms == pytest.approx(wanted, rel=1e-12)
    assert tally.log_bandwidth == pytest.approx(found.gradients.log_bandwidth, rel=1e-12)
    assert tally.rounding == pytest.approx(found.input_rounding, rel=1e-12)
    assert pickle.loads(pickle.dumps(tally)) == tally


# --- What is refused -------------------------------------------------------------------------------------------------


def test_the_rule_exact_is_refused():
    problem = example()
    partial = partial_sums(like(problem), problem.angles, problem.logits)
    with pytest.raises(SettingError, match="choose midpoint or gauss"):
        Whole(like(problem).replace(rule="exact"), partial)


def test_points_of_which_none_has_a_weight_are_refused():
    problem = example()
    with pytest.raises(InputError, match="no point has a positive weight"):
        Whole(like(problem), partial_sums(like(problem), np.array([1.0]), np.array([-np.inf])))


@pytest.mark.parametrize("scale", [0.0, 1e-170, 1.0, 1e170])
def test_norms_of_any_size(scale: float) -> None:
    """The squares of the numbers themselves are outside the range of a float64."""
    values = scale * np.array([3.0, -4.0, 12.0])
    parts = [Sizes.of(values[:1]), Sizes.of(values[1:]), Sizes.of(np.empty(0)), Sizes()]
    expected = {"l1": 19.0 * scale, "l2": 13.0 * scale, "max": 12.0 * scale}
    assert reduce(add, parts, Sizes()).norms == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_tally_knows_of_a_gradient_that_is_not_finite(bad: float) -> None:
    good = np.zeros(2)
    assert Tally.of(Gradients(good, good, good, good, 0.0), 0.0).is_finite
    for logits, angles, slope in (
        (np.array([0.0, bad]), good, 0.0),
        (good, np.array([bad, 0.0]), 0.0),
        (good, good, bad),
    ):
        tally = Tally.of(Gradients(logits, good, good, angles, slope), 0.0)
        assert not (Tally() + tally + Tally()).is_finite


@pytest.mark.parametrize("kernel", ["laplace", "gaussian"])
@pytest.mark.parametrize("distance", [0.0, 1e4], ids=["near", "far out"])
def test_the_excess_of_a_portion_is_weights_less_shares(kernel: str, distance: float) -> None:
    rng = np.random.default_rng(0)
    nodes, logits = np.linspace(-1.0, 1.0, 7), rng.normal(size=40)
    angles = distance + rng.normal(size=40)
    sums = [make_sums("fast", make_kernel(kernel, 1.0, Line(), 3.0), part, nodes) for part in np.split(angles, 2)]
    parts = np.split(logits, 2)
    whole = totals_of(sums[0], parts[0]) + totals_of(sums[1], parts[1])
    for of, own in zip(sums, parts, strict=True):
        density, q = portion_of(of, own, whole), np.full(7, 1.0 / 7.0)
        pulls = q, np.log(q) - density.log
        expected = softmax(logits)[:20] if own is parts[0] else softmax(logits)[20:]
        assert density.excess(*pulls) == pytest.approx(expected - density.shares(*pulls).shares, abs=1e-14)


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "cauchy"])
def test_nodes_near_and_far_out_at_once(kernel: str) -> None:
    """One observed angle is among the points, the other 10⁷ bandwidths away: its shares are those of all pairs."""
    target = Points([0.25, 1e7 + 0.5], [0.75, 0.25])
    angles, logits = np.array([0.0, 0.5, -1.0, 0.125]), np.array([0.0, 1.0, 0.5, -0.25])
    like = Problem(angles, logits, target=target, kernel=kernel)
    parts = [slice(0, 1), slice(1, 4)]
    whole = Whole(like, reduce(add, (partial_sums(like, angles[of], logits[of]) for of in parts)))
    found = np.concatenate([whole.gradients(angles[of], logits[of]).responsibilities for of in parts])
    expected = evaluate(like).responsibilities
    assert found == pytest.approx(expected, abs=1e-12 + 8.0 * np.finfo(np.float64).eps * 1e7)
    assert abs(found.sum() - 1.0) <= 1e-12
