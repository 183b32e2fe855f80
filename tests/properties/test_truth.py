"""The checks pass on the truth: for every kernel, on lines and circles, on hard points; and they say what was skipped.

Pinned down too: which statements hold and which break for which kernel, that a control is skipped where nothing can
break, that a run depends on its seed alone, and what counts as having passed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdegrad.properties.convergence
from kdegrad.errors import SettingError
from kdegrad.kernel import KERNELS
from kdegrad.problem import Problem
from kdegrad.properties import PROPERTIES, Verdict, Verdicts, judge, verify
from kdegrad.properties.base import Property, Skipped
from kdegrad.properties.cases import input_case

ALL_IDS = [p.id for p in PROPERTIES]
LINE_NAMES = [kernel.name for kernel in KERNELS if "line" in kernel.domains]
CIRCLE_NAMES = [kernel.name for kernel in KERNELS if "line" not in kernel.domains]
FEWEST_CONTROLS = 3  # ids that must have been seen to break in a default run

# All outside the target, on both sides of it.
ANGLES, LOGITS, TARGET, BANDWIDTH = [-75.0, 50.0, -40.0], [0.4, -0.2, 0.0], (-30.0, 30.0), 10.0


def sample(kernel: str, **options: object) -> Problem:
    circular = kernel in CIRCLE_NAMES
    return Problem(
        ANGLES, LOGITS, **{"target": TARGET, "bandwidth": BANDWIDTH, "circular": circular, **options}, kernel=kernel
    )


def failures(verdicts: list[Verdict]) -> list[str]:
    return [f"{v.property}, {v.case}: {v.reason} [{v.reproduce}]" for v in verdicts if v.verdict == "fail"]


def ids_with(verdicts: list[Verdict], verdict: str, *expectations: str) -> set[str]:
    return {
        v.property for v in verdicts if v.verdict == verdict and (not expectations or v.expectation in expectations)
    }


@pytest.mark.parametrize("kernel", [kernel.name for kernel in KERNELS])
def test_a_default_run_passes_every_id_for_every_kernel(kernel: str) -> None:
    verdicts = verify(sample(kernel))
    assert not failures(verdicts)
    assert verdicts.passed
    without_tail = {"far-field"} if kernel in CIRCLE_NAMES else set()
    assert ids_with(verdicts, "pass") == set(ALL_IDS) - without_tail
    assert len(ids_with(verdicts, "pass", "breaks")) >= FEWEST_CONTROLS
    assert all(v.reason for v in verdicts)


def test_the_claims_about_laplace_are_seen_to_hold_and_not_only_to_break() -> None:
    verdicts = verify(sample("laplace"))
    held = ids_with(verdicts, "pass", "holds")
    assert held == set(ALL_IDS) - {"laplace-shift-past-edge"}
    assert "laplace-shift-past-edge" in ids_with(verdicts, "pass", "breaks")


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "student-t", "uniform", "cosine"])
def test_line_kernels_pass_at_the_geodesic_distance(kernel: str) -> None:
    assert not failures(verify(sample(kernel, circular=True, bandwidth=80.0), cases=4, seed=3))


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "triangular", "epanechnikov", "uniform", "wrapped-laplace"])
@pytest.mark.parametrize("bandwidth", [1e-3, 1.0, 45.0, 180.0, 1e4])
def test_whole_numbers_with_nodes_on_kinks_edges_and_antipodes_pass(kernel: str, bandwidth: float) -> None:
    angles, logits = [-90, 90, 180, 0, 45, 45, -135], [0, 1, 2, 0, -math.inf, 1, 0.5]
    for target, background in (((-45, 45), 0.0), ((0, 360), 0.1)):
        problem = Problem(
            angles,
            logits,
            target=target,
            kernel=kernel,
            bandwidth=bandwidth,
            bins=45,
            circular=True,
            background=background,
        )
        assert not failures(verify(problem, cases=0))


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "cauchy", "uniform"])
def test_points_a_million_bandwidths_away_with_huge_logits_pass(kernel: str) -> None:
    rng = np.random.default_rng(4)
    angles, logits = rng.uniform(-1e7, 1e7, 9), rng.uniform(-1e4, 1e4, 9)
    assert not failures(
        verify(Problem(angles, logits, target=(-20, 31), kernel=kernel, bandwidth=10, bins=60), cases=0)
    )


@pytest.mark.parametrize(
    "options",
    [
        {"bandwidth": 1e-6, "kernel": "logistic", "background": 0.9, "rule": "exact"},  # bumps that hide from a panel
        {"target": (-0.5, -0.3), "period": 1.0, "bandwidth": 1e6, "scale": 1e300, "background": 1e-9},  # L = -691
        {
            "angles": [-50, 50],
            "bandwidth": 0.16,
            "kernel": "gaussian",
            "rule": "exact",
        },  # taking turns beside the middle
        {"target": (152.2, 512.2), "kernel": "von-mises", "circular": True},  # all round, and one rounding more
    ],
    ids=["narrow bumps", "a large scale", "taking turns", "a whole turn"],
)
def test_numbers_far_from_one_pass(options: dict[str, object]) -> None:
    problem = Problem(**{"angles": [5.1, -11.3], "logits": [0.0, 20.0], "target": TARGET, **options})
    assert not failures(verify(problem, cases=0))


ROUND = {"circular": True}
SKIPS = [
    ("quadrature", np.linspace(-30, 30, 2000), {"bandwidth": 1e-6, "background": 0.1, "kernel": "cauchy"}, "many"),
    ("one-hot", [0, 1e-300], {}, "no narrower kernel"),
    ("far-field", [50, -50 - 1e-9], {"kernel": "gaussian", "bins": 9}, "nearly equally far"),
    ("laplace-shift-target", [170], ROUND, "antipode"),
    ("laplace-shift-target", [5, 50], {}, "1 of 2 points inside"),
    ("laplace-shift-target", [30, 50], {}, "ρ = 0"),
    ("merge", [0], {"bandwidth": 1e-200}, "leave the range of float64"),
]


@pytest.mark.parametrize(("only", "angles", "options", "reason"), SKIPS, ids=lambda part: str(part)[:20])
def test_what_cannot_be_told_is_skipped_with_its_reason(
    only: str, angles: list[float], options: dict[str, object], reason: str
) -> None:
    problem = Problem(angles, **{"target": TARGET, "bandwidth": BANDWIDTH, **options})
    (verdict,) = verify(problem, cases=0, only=[only])
    assert verdict.verdict == "skip"
    assert reason in verdict.reason


@pytest.mark.parametrize("turns", [0.99, 1.0, 1.01, 3.0])
@pytest.mark.parametrize("kernel", CIRCLE_NAMES)
def test_the_slow_twin_agrees_where_a_bandwidth_is_a_whole_turn(kernel: str, turns: float) -> None:
    """There the wrapped gaussian's twin goes over from images to waves."""
    verdicts = verify(sample(kernel, bandwidth=360.0 * turns), cases=0, only=["sums-agree", "derivative"])
    assert [v.verdict for v in verdicts] == ["pass", "pass"]


@pytest.mark.parametrize("far", [1e15, 1e18])
def test_nothing_passes_on_the_loss_alone_where_gradients_cannot_be_told(far: float) -> None:
    """So far away the loss is told to its last digits, and a gradient may be anything."""
    verdicts = verify(Problem([far, 1.5 * far], [0.0, 1.0], target=TARGET, bandwidth=1.0, bins=36), cases=0)
    assert not failures(verdicts)
    # these put points of their own near the target, or speak of the loss
    assert ids_with(verdicts, "pass") == {"one-hot", "equal-distance-moved", "quadrature", "far-start", "batch"}
    [reason] = {v.reason for v in verdicts if v.property == "sums-agree"}
    assert reason == "rounding alone may move R by dense sums too far"


def test_nothing_passes_because_all_gradients_are_0() -> None:
    points = {"target": TARGET, "kernel": "epanechnikov", "bandwidth": 1.0, "background": 0.1}
    verdicts = verify(Problem([100.0, 150.0], **points), cases=0)  # type: ignore[arg-type]
    assert {v.verdict for v in verdicts} == {"skip"}
    assert [v.reason for v in verdicts if v.property == "one-hot"] == [
        "no point has a share in the mixture at the nodes of the bins: all gradients are 0"
    ]
    assert not verdicts.passed


def test_an_integral_that_does_not_settle_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kdegrad.properties.convergence, "MOST_HALVINGS", 3)
    problem = Problem([0, 2], target=(-1, 3), bandwidth=1.0, kernel="epanechnikov")  # log p is -∞ at 1
    (verdict,) = verify(problem, cases=0, only=["quadrature"])
    assert verdict.verdict == "skip"
    assert "is so close to 0" in verdict.reason


def test_a_gap_that_only_fewer_bins_would_see_is_left_out() -> None:
    """At 96 bins every node is covered; the first of the 64 that are looked at one by one is in a gap of 1e-6."""
    hole = 0.5 / 64
    angles = [hole - 0.5 - 1e-6, hole + 0.5 + 1e-6, 1.2]
    problem = Problem(angles, target=(0, 1), bandwidth=0.5, kernel="uniform", bins=96)
    (verdict,) = verify(problem, cases=0, only=["kernel-scale"])
    assert verdict.verdict == "pass"


def test_a_single_bin_without_a_target_passes_what_can_be_asked_of_it() -> None:
    verdicts = verify(Problem([-90, 50, 20], at=10.0, kernel="laplace", bandwidth=30), cases=0)
    assert not failures(verdicts)
    assert {"one-hot", "laplace-shift", "derivative"} <= ids_with(verdicts, "pass")
    assert {v.reason for v in verdicts if v.property == "quadrature"} == {"no target is given, only one bin"}


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    kernel=st.sampled_from(LINE_NAMES),
    angles=st.lists(st.floats(-300, 300), min_size=1, max_size=6),
    width=st.floats(1.0, 200.0),
    bandwidth=st.floats(0.5, 500.0),
    circular=st.booleans(),
    data=st.data(),
)
def test_any_points_pass(
    kernel: str, angles: list[float], width: float, bandwidth: float, circular: bool, data: st.DataObject
) -> None:
    logits = data.draw(st.lists(st.floats(-40, 40), min_size=len(angles), max_size=len(angles)))
    problem = Problem(
        angles, logits, target=(-20.0, width - 20.0), kernel=kernel, bandwidth=bandwidth, circular=circular, bins=21
    )
    assert not failures(verify(problem, cases=0))


def test_expectations_are_listed_as_theory_has_them() -> None:
    theory = {p.id: partial(p.theory, background=False) for p in PROPERTIES}
    shift = theory["laplace-shift"]
    assert shift("laplace", "line") == shift("laplace", "circle") == "holds"
    assert shift("wrapped-laplace", "circle") == shift("gaussian", "line") == "breaks"
    assert {theory["laplace-shift-past-edge"](kernel, "circle") for kernel in LINE_NAMES} == {"breaks"}
    assert theory["rotation"]("laplace", "line") == Skipped("a line has no turns")
    assert str(theory["rotation"]("laplace", "line")) == "skipped: a line has no turns"
    assert str(theory["far-field"]("uniform", "line")).startswith("skipped: uniform is 0 far out")


def test_the_far_field_of_an_unknown_tail_is_skipped_unless_a_background_bounds_it() -> None:
    theory = {p.id: p.theory for p in PROPERTIES}["far-field"]
    unknown = {kernel: theory(kernel, "line", background=False) for kernel in (*LINE_NAMES, "one-of-yours")}
    assert unknown.pop("one-of-yours") == Skipped("no far-field limit is known for one-of-yours")
    assert theory("one-of-yours", "line", background=True) == "holds"
    compact = {kind.name for kind in KERNELS if kind.tail == "compact"}
    assert {kernel for kernel, expected in unknown.items() if expected == "holds"} == set(LINE_NAMES) - compact


@pytest.mark.parametrize(
    ("angles", "logits", "kernel"),
    [
        ([50.0], [0.0], "gaussian"),  # a single point has all the weight, wherever it is
        ([50.0, -50.0, 50.0], [0.0, 1.0, 2.0], "gaussian"),  # equal distances stay equal
        ([10.0, -30.0], [0.0, 0.5], "cauchy"),  # h and 3h: (1 + 3²)/(1 + 1) = (1 + 2²)/(1 + 0)
        ([4.0, -8.0], [0.0, 0.5], "uniform"),  # flat as far as it goes
        ([50.0, -90000.0], [0.0, 0.5], "gaussian"),  # so far that it has no share before or after
    ],
)
def test_a_control_is_skipped_where_nothing_can_break(angles: list[float], logits: list[float], kernel: str) -> None:
    problem = Problem(angles, logits, target=(-2, 2), bandwidth=10.0, kernel=kernel)
    (verdict,) = verify(problem, cases=0, only=["laplace-shift"])
    assert verdict.verdict == "skip"
    assert verdict.reason.startswith("the expected break is too small to see")


def test_a_symmetric_pair_does_not_break_even_past_the_edge() -> None:
    problem = Problem([-50.0, 50.0], target=TARGET, bandwidth=BANDWIDTH)
    (verdict,) = verify(problem, cases=0, only=["laplace-shift-past-edge"])
    assert verdict.verdict == "skip"


def test_the_break_past_the_edge_is_as_large_as_the_integral_says() -> None:
    """Two points of equal logits at -5h and 6h, a target of 3h each way: r = 1/(1 + e^(|t - x_1| - |t - x_2|))."""
    problem = Problem([-5.0, 6.0], target=(-3.0, 3.0), bandwidth=1.0, bins=20_000)
    (verdict,) = verify(problem, cases=0, only=["laplace-shift-past-edge"])

    def responsibility(left: float, right: float) -> float:  # ∫ 1/(1 + e^(|t - left| - |t - right|)) dt / 6, finely
        t = np.linspace(-3.0, 3.0, 60_001)
        t = 0.5 * (t[1:] + t[:-1])
        return float(np.mean(1.0 / (1.0 + np.exp(np.abs(t - left) - np.abs(t - right)))))

    moved = abs(responsibility(-5.0, 6.0) - responsibility(0.0, 1.0))
    assert verdict.residual == pytest.approx(moved, rel=1e-6)
    assert moved > 0.01


def test_a_run_depends_on_its_seed_alone() -> None:
    problem = sample("laplace")
    verdicts = verify(problem, cases=6, seed=5)
    assert verdicts == verify(problem, cases=6, seed=5)
    assert verdicts != verify(problem, cases=6, seed=6)
    alone = verify(problem, cases=6, seed=5, only=["merge"])
    assert alone == [v for v in verdicts if v.property == "merge"]


def test_progress_is_told_of_every_check() -> None:
    seen: list[tuple[int, int]] = []
    verify(sample("laplace"), cases=1, only=["merge", "unit"], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_without_a_problem_the_random_ones_are_laplace() -> None:
    verdicts = verify(cases=2, only=["sums-agree"])
    assert [v.verdict for v in verdicts] == ["pass", "pass"]
    assert "laplace, bandwidth 1.0" in verdicts[0].about


def test_an_alias_is_the_kernel_it_stands_for() -> None:
    verdicts = verify(sample("epa"), cases=3)
    by_name = verify(sample("epanechnikov"), cases=3)
    assert [(v.property, v.residual) for v in verdicts] == [(v.property, v.residual) for v in by_name]


def test_many_points_are_checked_on_fewer_bins() -> None:
    problem = Problem(np.linspace(-90, 90, 20_000), target=TARGET, bandwidth=BANDWIDTH)
    verdicts = verify(problem, cases=0, only=["derivative", "sums-agree", "quadrature"])
    assert [v.verdict for v in verdicts] == ["pass", "pass", "skip"]
    assert verdicts[0].case == "input"
    assert verdicts[0].about.startswith("by fewer bins than its 360: 20000 points, ")
    assert verdicts[0].about.endswith(", 25 bins by midpoint")


def test_of_many_bins_the_first_are_checked_one_by_one() -> None:
    (verdict,) = verify(
        Problem(ANGLES, LOGITS, target=TARGET, bandwidth=BANDWIDTH, bins=5000), cases=0, only=["zero-sum"]
    )
    assert verdict.verdict == "pass"


def test_a_tolerance_stands_in_for_the_estimate_of_rounding() -> None:
    (wide,) = verify(sample("laplace"), cases=0, only=["sums-agree"], tolerance=1e-3)
    (narrow,) = verify(sample("laplace"), cases=0, only=["translation"], tolerance=1e-300)
    assert (wide.verdict, wide.tolerance) == ("pass", 1e-3)
    assert (narrow.verdict, narrow.tolerance) == ("fail", 1e-300)


def test_a_statement_that_has_nothing_to_compare_is_skipped() -> None:
    class Silent(Property):
        id, family, statement = "silent", "ground", "nothing"

        def measure(self, case, ask):
            return iter(())

    verdict = judge(Silent(), input_case(Problem([-40.0, 50.0], target=(-30, 30), bandwidth=10), 0, "input"))
    assert (verdict.verdict, verdict.reason) == ("skip", "nothing to compare")
    assert not Verdicts([verdict]).passed


@pytest.mark.parametrize("kernel", ["epanechnikov", "laplace"])
def test_an_integral_of_many_points_is_not_waited_for(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its gradients go unchecked, as the integral does; the table of all pairs of edges would take 300 GB."""
    monkeypatch.setattr(kdegrad.properties.convergence, "log_densities", None)
    angles = np.random.default_rng(0).uniform(-60, 60, 100_000)
    problem = Problem(angles, target=TARGET, kernel=kernel, bandwidth=BANDWIDTH, rule="exact")
    monkeypatch.setattr("kdegrad.properties.ground.Derivative.measure", _slopes_of_the_integral)
    (verdict,) = verify(problem, cases=0, only=["derivative"])
    assert (verdict.verdict, verdict.reason) == ("skip", "nothing to compare")
    (verdict,) = verify(problem, cases=0, only=["quadrature"])
    assert (verdict.verdict, verdict.reason) == (
        "skip",
        "100000 points are too many for an integral written out plainly",
    )


def _slopes_of_the_integral(self, case, ask):
    return kdegrad.properties.convergence.integral_slopes(case.problem, ask(case.problem))


def test_nothing_checked_is_not_passed() -> None:
    assert not Verdicts().passed
    assert not verify(sample("laplace"), cases=0, only=["rotation"]).passed
    good = verify(sample("laplace"), cases=0, only=["merge"])
    assert good.passed
    assert not Verdicts([*good, replace(good[0], verdict="fail")]).passed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": ["merg"]}, "did you mean 'merge'"),
        ({"cases": -1}, "cases: -1 is out of range"),
        ({"seed": -1}, "seed: -1 is out of range"),
        ({"tolerance": math.nan}, "tolerance: nan is not a number"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        verify(sample("laplace"), **options)


def test_the_ids_families_and_statements_are_complete() -> None:
    expected = defaultdict(list)
    for p in PROPERTIES:
        expected[p.family].append(p.id)
        assert p.statement
        assert p.precondition
        assert p.meaning
        assert (p.__doc__ or "").strip()
    counts = {family: len(ids) for family, ids in expected.items()}
    assert counts == {"claim": 5, "sharper": 4, "ground": 11, "training": 5}
    assert len(set(ALL_IDS)) == 25
