"""Weighted angles as target in the checks: what [a, b] and c are, which statements are put to them, and what is drawn.

The hull is worked out by hand; that the statements hold is what the checks themselves show, for every kernel.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kdegrad import Points, Problem
from kdegrad.kernel import KERNELS
from kdegrad.properties import verify
from kdegrad.properties.base import Unmet
from kdegrad.properties.cases import input_case, random_cases
from kdegrad.properties.features import features_of
from kdegrad.properties.geometry import at_node, beyond_edge, mapped, offsets, over_target, starts
from kdegrad.properties.reference import log_background, reference_of
from kdegrad.settings import Settings
from tests.conftest import Run

ANGLES, LOGITS = [-75.0, 50.0, -40.0], [0.4, -0.2, 0.0]
OBSERVED = Points([11.0, -20.0, 60.0, 5.0], [1.0, 1.0, 0.0, 3.0])  # the hull is [-20, 11]
ROUND = {"circular": True}


def sample(target: Points = OBSERVED, **options: object) -> Problem:
    return Problem(ANGLES, LOGITS, **{"target": target, "bandwidth": 10.0, **options})  # type: ignore[arg-type]


# --- where the target is ---------------------------------------------------------------------------------------------


def test_the_interval_is_the_hull_of_the_points_of_positive_weight() -> None:
    problem = sample()
    assert offsets(problem).tolist() == [-70.5, 54.5, -35.5]
    assert beyond_edge(problem).tolist() == [55.0, 39.0, 20.0]
    assert over_target(problem) is problem
    with pytest.raises(Unmet, match="1 of 3 points inside"):
        beyond_edge(problem.replace(angles=[-75.0, 50.0, 10.5]))


def test_on_a_circle_it_is_the_shortest_arc_across_the_wrap() -> None:
    problem = sample(Points([350.0, 20.0, 5.0]), **ROUND)
    np.testing.assert_allclose(offsets(problem), [-80.0, 45.0, -45.0], atol=1e-13)
    np.testing.assert_allclose(beyond_edge(problem), [65.0, 30.0, 30.0], atol=1e-13)


def test_one_node_stands_in_place_of_all_target_points() -> None:
    one = at_node(sample(), -4.5)
    assert (one.at, one.rule.nodes.tolist(), one.rule.weights.tolist()) == (-4.5, [-4.5], [1.0])
    with_interval = at_node(Problem(ANGLES, target=(-30, 30), background=0.1), 3.0)
    assert (with_interval.at, with_interval.target) == (3.0, (-30, 30))


def test_target_points_are_mapped_with_their_weights() -> None:
    after = mapped(sample(), factor=-2.0, shift=1.0, bandwidth=20.0)
    assert after.observed is not None
    assert after.observed.angles.tolist() == [-21.0, 41.0, -119.0, -9.0]
    assert after.observed.weights.tolist() == [1.0, 1.0, 0.0, 3.0]
    assert after.angles.tolist() == [151.0, -99.0, 81.0]


def test_a_wide_target_is_drawn_together_on_a_circle_for_a_far_start() -> None:
    """It is then no wider than 2 P/80 = 9, in the same proportions."""
    ((where, start),) = starts(sample(**ROUND), (20.0,))
    assert where == "h = P/40"
    assert start.observed is not None
    np.testing.assert_allclose(np.sort(start.rule.nodes), [-9.0, -4.5 + 9.0 * 9.5 / 31.0, 0.0], atol=1e-12)
    assert np.abs(offsets(start)).min() > 80.0


def test_the_reference_has_weights_of_its_own_and_the_background_of_the_circle() -> None:
    weights = np.array([1e300, 1.0, 0.0, 3e300])
    plain = reference_of(sample(Points(OBSERVED.angles, weights), **ROUND, background=0.25)).answer
    p = 0.75 * np.exp(_log_p([11.0, 5.0])) + 0.25 / 360.0
    assert plain.loss == pytest.approx(-(np.log(p) @ [0.25, 0.75]), rel=1e-14)
    assert log_background(sample(**ROUND, background=0.25)) == pytest.approx(np.log(0.25 / 360.0), rel=1e-15)


def _log_p(places: list[float]) -> np.ndarray:
    """Return log p for laplace of h = 10 on a circle of 360, by its definition."""
    s = np.exp(LOGITS) / np.exp(LOGITS).sum()
    d = np.abs((np.subtract.outer(places, ANGLES) + 180.0) % 360.0 - 180.0)
    return np.asarray(np.log(np.exp(-d / 10.0) @ s / (20.0 * -np.expm1(-18.0))))


# --- which statements hold -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [kind.name for kind in KERNELS])
def test_every_statement_passes_for_every_kernel(kernel: str) -> None:
    kinds = {kind.name: kind for kind in KERNELS}
    circular, compact = "line" not in kinds[kernel].domains, kinds[kernel].tail == "compact"
    bandwidth = 60.0 if circular or compact else 10.0
    verdicts = verify(sample(kernel=kernel, circular=circular, bandwidth=bandwidth), cases=0)
    assert [f"{v.property}: {v.reason}" for v in verdicts if v.verdict == "fail"] == []
    met = {"quadrature", "laplace-one-side"} | ({"far-field"} if circular or compact else set())
    flat = {"laplace-shift", "laplace-shift-target", "laplace-shift-past-edge"} if kernel == "uniform" else set()
    assert {v.property for v in verdicts if v.verdict == "skip"} - flat == met | (set() if circular else {"rotation"})


def test_what_has_no_meaning_for_target_points_is_skipped_with_its_reason() -> None:
    reasons = {v.property: v.reason for v in verify(sample(Points([3.0, 3.0])), cases=0) if v.verdict == "skip"}
    assert reasons["quadrature"] == "target points: there are no bins"
    assert reasons["laplace-shift-past-edge"] == "all target points are at one place: the centre is the whole target"
    (alone,) = verify(sample(Points([3.0])), cases=0, only=["laplace-shift-past-edge"])
    assert (alone.verdict, alone.reason) == ("skip", "one bin: the centre is the whole target")


def test_the_rule_exact_means_nothing_beside_target_points() -> None:
    case = input_case(sample(rule="exact"), 0, "input")
    assert not case.exact
    assert [v for v in verify(sample(rule="exact"), cases=0) if v.verdict == "fail"] == []


def test_many_target_points_are_checked_on_fewer() -> None:
    problem = Problem(np.linspace(-90, 90, 5_000), target=Points(np.linspace(-30, 30, 2_000)), bandwidth=10.0)
    case = input_case(problem, 0, "input")
    assert (case.name, case.kind) == ("input", "100 of its target points")
    assert (case.problem.rule.nodes[0], case.problem.rule.nodes[-1]) == (-30.0, 30.0)
    assert [v.verdict for v in verify(problem, cases=0, only=["agrees", "batch"])] == ["pass", "pass"]


def test_how_to_run_a_case_again_names_the_target_points() -> None:
    verdict, *_ = verify(sample(), cases=0, only=["merge"])
    assert "line, 3 target points" in verdict.about
    assert "bins" not in verdict.about


# --- what is drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["laplace", "epanechnikov", "von-mises"])
@pytest.mark.parametrize("seed", [0, 7])
def test_a_third_of_the_drawn_problems_have_weighted_angles_as_target(kernel: str, seed: int) -> None:
    circle = {} if kernel != "von-mises" else {"period": 360.0}
    like = Settings(kernel=kernel, bandwidth=10.0, **circle)
    cases = list(random_cases(like, range(1, 61), seed))[len(features_of(kernel, False)) :]
    drawn = [case for case in cases if case.problem.rule_name == "points"]
    assert len(drawn) == pytest.approx(len(cases) / 3, abs=1.0)
    problems = [case.problem for case in drawn]
    rules = [problem.rule for problem in problems]
    assert {"observations", "soft label", "one heavy"} == {case.kind.split(", ")[-2] for case in drawn}
    assert all(1 <= rule.bins <= 12 for rule in rules)
    assert any(problem.observed.weights.min() == 0.0 for problem in problems if problem.observed is not None)
    assert any(rule.weights.max() > 0.99 and rule.bins > 1 for rule in rules)
    on_circle = [problem for problem in problems if problem.settings.circumference is not None]
    assert on_circle
    across = [problem for problem in on_circle if np.ptp(problem.rule.nodes) > problem.interval.width * (1 + 1e-9)]
    assert across


def test_draws_are_the_same_for_a_seed() -> None:
    def drawn(seed: int) -> list[object]:
        cases = random_cases(Settings(bandwidth=10.0), range(1, 21), seed)
        return [(case.name, case.problem.rule.nodes.tolist(), case.problem.rule.weights.tolist()) for case in cases]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


# --- the command -----------------------------------------------------------------------------------------------------

PROBLEM = """
target: {angle: [11, -20, 60, 5], weight: [1, 1, 0, 3]}
kernel: laplace
bandwidth: 10
points: {angle: [-75, 50, -40], logit: [0.4, -0.2, 0]}
"""
INTERVAL = "target: [-30, 30]\nbandwidth: 10\npoints: {angle: [-75, 50, -40], logit: [0, 1, 0]}\n"


@pytest.fixture
def yaml(folder: Path) -> str:
    """Return the name of a YAML problem with target points."""
    (folder / "problem.yaml").write_text(PROBLEM)
    (folder / "interval.yaml").write_text(INTERVAL)
    (folder / "label.csv").write_text("angle,weight\n11,1\n-20,1\n60,0\n5,3\n")
    return "problem.yaml"


def test_the_command_checks_a_yaml_problem_with_target_points(kdegrad: Callable[..., Run], yaml: str) -> None:
    done = kdegrad("verify-props", yaml, "--cases", "0", "--format", "json")
    assert done.code == 0
    by_id = {check["property"]: check for check in json.loads(done.out)["checks"]}
    assert by_id["laplace-shift-target"]["verdict"] == "pass"
    assert "3 target points" in by_id["laplace-shift-target"]["about"]
    by_flag = kdegrad("verify-props", "interval.yaml", "--target-points", "label.csv", "--cases", "0", "-v")
    assert (by_flag.code, "target points: there are no bins" in " ".join(by_flag.out.split())) == (0, True)


@pytest.mark.parametrize(
    ("words", "option"),
    [(("problem.yaml",), "target"), (("interval.yaml", "--target-points", "label.csv"), "target-points")],
)
def test_a_judged_loss_is_given_no_target_points(
    kdegrad: Callable[..., Run], yaml: str, words: tuple[str, ...], option: str
) -> None:
    done = kdegrad("verify-props", *words, "--loss", "nowhere:loss")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: --{option}: '{words[0]}' has weighted angles as target, and a judged loss is called with an interval "
        "or one node: give INPUT an interval\n"
    )
