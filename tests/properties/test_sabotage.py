"""The checks fail on a lie: each row of `SABOTAGES` breaks the code in one way, and names the properties that see it.

They see it in the default run, `kdegrad verify-props` without input or options. Together the rows fail every property
at least once, so that none passes whatever the code does. Pinned down too: a NaN or an exception in the code under test
is a failure of the check and never a pass or a crash; a control fails where the code does not break as theory says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

import kdegrad as kg
import kdegrad.batch
import kdegrad.blockwise
import kdegrad.descent
import kdegrad.evaluation
import kdegrad.exact
import kdegrad.problem
import kdegrad.properties.evaluators
import kdegrad.properties.ground
import kdegrad.properties.sharper
import kdegrad.quadrature
import kdegrad.sums.chebyshev
import kdegrad.sums.shares
import kdegrad.sweeps
import kdegrad.targets
from kdegrad.arrays import FloatArray, IntArray
from kdegrad.batch import Batch, Block
from kdegrad.crossentropy import CrossEntropy, Gradients
from kdegrad.domain import Circle
from kdegrad.evaluation import BatchEvaluation, Evaluation
from kdegrad.exact import EdgeTerms
from kdegrad.exact.refinement import PanelRule
from kdegrad.kernel.base import CompactKernel, Geodesic
from kdegrad.kernel.circle import WrappedGaussian
from kdegrad.kernel.line import Laplace, PowerKernel
from kdegrad.objective import evaluate, responsibilities_by_bin
from kdegrad.problem import Problem
from kdegrad.properties import PROPERTIES, Verdict, verify
from kdegrad.properties.geometry import offsets
from kdegrad.quadrature import Rule
from kdegrad.sums import DenseSums, Density, KernelSums
from kdegrad.sums.blocks import FarBlockDensity, PlainBlockDensity
from kdegrad.sums.chebyshev import Cells
from kdegrad.sums.exponential import ExponentialSums
from kdegrad.sums.shares import SummedDensity
from kdegrad.weights import log_softmax
from tests.problems import SAMPLES

EXAMPLES = {name: kg.load(SAMPLES / name) for name in ("two_sided.yaml", "mallards.yaml", "turtles.yaml", "wind.yaml")}
CASES = 9  # of random problems: each kind on the line and on the circle that the properties need

Lie = Callable[[pytest.MonkeyPatch], None]


def misreport(lie: Callable[[Evaluation], Evaluation]) -> Lie:
    """Return a sabotage of what `evaluate` reports to the properties."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        def lying(problem: Any, wrt: Any = ("logits",)) -> Any:
            return evaluate(problem, wrt) if isinstance(problem, Batch) else lie(evaluate(problem, wrt))

        monkeypatch.setattr(kdegrad.properties.evaluators, "evaluate", lying)
        monkeypatch.setattr(kdegrad.properties.ground, "evaluate", lying)

    return patch


def misreport_batch(lie: Callable[[BatchEvaluation], BatchEvaluation]) -> Lie:
    """Return a sabotage of what `evaluate` reports of batches to the properties."""

    def lying(problem: Any, wrt: Any = ("logits",)) -> Any:
        return lie(evaluate(problem, wrt)) if isinstance(problem, Batch) else evaluate(problem, wrt)

    return in_place_of(kdegrad.properties.evaluators, "evaluate", lying)


def with_gradients(change: Callable[[Gradients, Problem], dict[str, Any]]) -> Lie:
    """Return a sabotage of the gradients alone."""

    def lie(e: Evaluation) -> Evaluation:
        if e.gradients is None:
            return e
        return replace(e, gradients=replace(e.gradients, **change(e.gradients, e.problem)))

    return misreport(lie)


def in_place_of(owner: object, name: str, value: object) -> Lie:
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def log_softmax_as(other: Callable[[FloatArray], FloatArray]) -> Lie:
    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (kdegrad.problem, kdegrad.sums.shares):
            monkeypatch.setattr(module, "log_softmax", other)

    return patch


def floored(self: Laplace, d: FloatArray) -> FloatArray:
    return np.log(np.exp(-np.abs(d) / self.bandwidth) + 1e-6)


def lopsided(self: Laplace, d: FloatArray) -> FloatArray:
    return -np.abs(d - 1e-3 * self.bandwidth) / self.bandwidth


def wider(self: Laplace, d: FloatArray) -> FloatArray:
    return -np.abs(d) / (1.001 * self.bandwidth)


def without_bandwidth(self: Laplace) -> float:
    return math.log(0.5) + math.log(self.bandwidth)  # undoes the division by h


def left_edges(low: float, high: float, bins: int) -> Rule:
    return Rule(low + np.arange(bins) * ((high - low) / bins), np.full(bins, 1.0 / bins))


TRUE_DENSITY = DenseSums.density


def with_another_log(density: Density, log: FloatArray) -> Density:
    density.log = log
    return density


def dropping_the_last(self: DenseSums, log_weights: FloatArray) -> Density:
    kept = log_weights.copy()
    kept[-1] = -math.inf if len(kept) > 1 else kept[-1]
    return with_another_log(TRUE_DENSITY(self, log_weights), TRUE_DENSITY(self, kept).log)


TRUE_INNER_SLOPE, TRUE_TURNS, TRUE_JUDGE = PowerKernel.inner_slope, WrappedGaussian.turns, PanelRule.judge
TRUE_INTERPOLATE = Cells.interpolate
TRUE_MIDPOINT, TRUE_WRITE = kdegrad.batch.midpoint, Block.write
TRUE_BLOCK_SLOPE, TRUE_FAR_SHARES = PlainBlockDensity.bandwidth_slope, FarBlockDensity.shares
TRUE_POINTS_RULE, TRUE_NORMALISED = kg.Points.rule, kdegrad.targets.normalised
TRUE_EDGE_TERMS, TRUE_SUMMED = kdegrad.exact.edge_terms, kdegrad.evaluation.summed
TRUE_SCAN, TRUE_EXCESS, TRUE_GAUSS = ExponentialSums.density, SummedDensity.excess, kdegrad.quadrature.gauss


def off_by_a_billionth(self: ExponentialSums, log_weights: FloatArray) -> Density:
    density = TRUE_SCAN(self, log_weights)
    return with_another_log(density, density.log + 1e-9)


def squeezed(rule: Rule) -> Rule:
    """Return the rule with its nodes a little nearer to their middle."""
    middle = 0.5 * (rule.nodes[0] + rule.nodes[-1])
    return replace(rule, nodes=middle + (1.0 - 1e-6) * (rule.nodes - middle))


def middle_bin_only(e: Evaluation) -> Evaluation:
    if e.problem.target is None or e.gradients is None:
        return e
    middle = evaluate(e.problem.replace(at=e.problem.target.centre))
    return replace(e, gradients=replace(e.gradients, logits=middle.gradients.logits))


def single_precision(e: Evaluation) -> Evaluation:
    rough = e.problem.replace(angles=e.problem.angles.astype(np.float32))
    return evaluate(rough, ("logits", "angles", "bandwidth"))


def one_sided(d: FloatArray, bandwidth: float) -> FloatArray:
    return np.where(d >= 0.0, -1.0, 1.0) / bandwidth


def sharp_on_one_side(self: PowerKernel, d: FloatArray) -> FloatArray:
    return one_sided(d, self.bandwidth) if self.m == 1 else TRUE_INNER_SLOPE(self, d)


def whole_at_the_edge(self: CompactKernel, d: FloatArray) -> FloatArray:
    return (np.abs(d) <= self.bandwidth) * self.inner_slope(np.clip(d, -self.bandwidth, self.bandwidth))


def edges_as(change: Callable[[EdgeTerms], EdgeTerms], *, jumps: bool) -> Lie:
    """Return a sabotage of what edges add under the rule exact, those of `uniform` or of the other compact kernels."""

    def edges(problem: Problem, rule: Rule, log_p: FloatArray) -> EdgeTerms:
        terms = TRUE_EDGE_TERMS(problem, rule, log_p)
        return change(terms) if problem.kernel.jumps == jumps else terms

    return in_place_of(kdegrad.exact, "edge_terms", edges)


def first_cosine(self: WrappedGaussian, d: FloatArray, power: int) -> FloatArray:
    s, wave = self.radians * self.bandwidth, np.sin if power % 2 else np.cos
    return 2.0 * math.exp(power * math.log(s) - 0.5 * s * s) * wave(self.radians * d)


def no_background_at_one_bin(problem: Problem, rule: Rule) -> tuple[KernelSums, CrossEntropy]:
    return TRUE_SUMMED(problem if problem.at is None else problem.replace(background=0.0), rule)


def without_small(responsibilities: FloatArray, gradient: FloatArray) -> dict[str, FloatArray]:
    kept = np.where(responsibilities < 1e-20, 0.0, responsibilities)
    return {"responsibilities": kept, "logits": gradient + (responsibilities - kept)}


def of_first_target(low: FloatArray, high: FloatArray, bins: int) -> Rule:
    return TRUE_MIDPOINT(np.full_like(low, low[0]), np.full_like(high, high[0]), bins)


def to_the_next_row(self: Block, values: FloatArray, out: FloatArray) -> None:
    TRUE_WRITE(self, np.roll(values, 1, axis=0), out)


def of_equal_weights(weights: FloatArray, offsets: IntArray) -> FloatArray:
    counts = np.diff(offsets)
    return np.repeat(1.0 / counts, counts)


def sorted_apart_from_weights(self: kg.Points) -> Rule:
    rule = TRUE_POINTS_RULE(self)
    return Rule(np.sort(rule.nodes), rule.weights)


def count_weights_of_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kg.Points, "active", property(lambda self: np.arange(len(self))))
    monkeypatch.setattr(kdegrad.targets, "normalised", lambda w, o: TRUE_NORMALISED(w + 1e-3 * w.max(), o))


def easily_satisfied(self: PanelRule, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    error, tail = TRUE_JUDGE(self, values)
    return 1e-7 * error, tail  # compared with 1e-15


def off_if_exact(problem: Problem, wrt: Any) -> Evaluation:
    e = evaluate(problem, wrt)
    if problem.settings.rule != "exact" or e.gradients is None:
        return e
    return replace(e, gradients=replace(e.gradients, logits=1.001 * e.gradients.logits))


def a_little_more(problem: Problem, wrt: Any = ("logits",)) -> Evaluation:
    e = evaluate(problem, wrt)
    assert e.gradients is not None
    return replace(e, gradients=replace(e.gradients, logits=(1.0 + 1e-6) * e.gradients.logits))


@dataclass(frozen=True)
class Sabotage:
    """One way to break the code, and the properties that must see it."""

    lie: Lie
    seen_by: str


SABOTAGES = {
    "gradient with the wrong sign": Sabotage(
        with_gradients(lambda g, p: {"logits": -g.logits}), "one-hot derivative sums-agree"
    ),
    "gradient of another point": Sabotage(
        with_gradients(lambda g, p: {"logits": np.roll(g.logits, 1)}),
        "one-hot equal-distance permutation merge derivative sums-agree",
    ),
    "gradient of the middle bin only": Sabotage(
        misreport(middle_bin_only), "laplace-shift-past-edge derivative sums-agree"
    ),
    "gradient that forgets where the points are": Sabotage(
        with_gradients(lambda g, p: {"logits": np.zeros_like(g.logits)}), "laplace-shift-past-edge one-hot derivative"
    ),
    "angle gradient missing": Sabotage(
        with_gradients(lambda g, p: {"angles": np.zeros_like(g.angles)}), "derivative sums-agree"
    ),
    "angle gradient without its sign": Sabotage(
        with_gradients(lambda g, p: {"angles": np.abs(g.angles)}), "reflection derivative sums-agree"
    ),
    "bandwidth gradient per h, not per log h": Sabotage(
        with_gradients(lambda g, p: {"log_bandwidth": g.log_bandwidth / p.settings.bandwidth}),
        "unit derivative sums-agree",
    ),
    "scale twice in the loss": Sabotage(
        misreport(lambda e: replace(e, loss=e.loss - math.log(e.problem.settings.scale))),
        "kernel-scale equal-distance-moved sums-agree",
    ),
    "weights not normalised": Sabotage(
        log_softmax_as(np.copy),
        "logit-offset zero-sum equal-distance-moved one-hot",
    ),
    "softmax at the wrong temperature": Sabotage(
        log_softmax_as(lambda z: log_softmax(1.001 * z)),
        "merge one-hot laplace-one-side sums-agree",
    ),
    "kernel with a floor": Sabotage(
        in_place_of(Laplace, "log_shape", floored),
        "laplace-shift laplace-shift-target laplace-one-side far-field far-start equal-distance-moved agrees",
    ),
    "kernel that is not even": Sabotage(
        in_place_of(Laplace, "log_shape", lopsided), "equal-distance equal-distance-moved reflection sums-agree"
    ),
    "kernel of another bandwidth": Sabotage(
        in_place_of(Laplace, "log_shape", wider), "laplace-one-side laplace-shift-target equal-distance-moved far-field"
    ),
    "density not divided by h": Sabotage(
        in_place_of(Laplace, "log_peak", property(without_bandwidth)),
        "unit equal-distance-moved one-hot sums-agree agrees",
    ),
    "the long way round the circle": Sabotage(
        in_place_of(Circle, "difference", lambda self, x, y: x - y), "rotation sums-agree derivative"
    ),
    "coordinates in single precision": Sabotage(
        misreport(single_precision), "translation unit laplace-shift sums-agree"
    ),
    "a sum that drops its last term": Sabotage(
        in_place_of(DenseSums, "density", dropping_the_last), "permutation merge zero-sum sums-agree"
    ),
    "nodes at the left edges of the bins": Sabotage(
        in_place_of(kdegrad.problem, "midpoint", left_edges), "reflection quadrature"
    ),
    "rates with the wrong sign": Sabotage(with_gradients(lambda g, p: {"per_weight": -g.per_weight}), "sums-agree"),
    "rates that grow with the number of the point": Sabotage(
        with_gradients(lambda g, p: {"per_weight": g.per_weight * np.arange(1.0, len(g.per_weight) + 1.0)}),
        "equal-distance sums-agree",
    ),
    "responsibilities by bin of another point": Sabotage(
        in_place_of(
            kdegrad.properties.ground,
            "responsibilities_by_bin",
            lambda e: ((np.roll(r, 1), np.roll(g, 1)) for r, g in responsibilities_by_bin(e)),
        ),
        "zero-sum",
    ),
    "a slip in the sums that are not in use": Sabotage(
        in_place_of(ExponentialSums, "density", off_by_a_billionth), "sums-agree"
    ),
    "a slip in the way that needs one pass": Sabotage(
        in_place_of(SummedDensity, "excess", lambda self, node_shares: -TRUE_EXCESS(self, node_shares)), "sums-agree"
    ),
    "Gauss weights all alike": Sabotage(
        in_place_of(
            kdegrad.problem,
            "gauss",
            lambda low, high, bins: replace(TRUE_GAUSS(low, high, bins), weights=np.full(bins, 1.0 / bins)),
        ),
        "quadrature",
    ),
    "Gauss nodes a little off": Sabotage(
        in_place_of(kdegrad.problem, "gauss", lambda low, high, bins: squeezed(TRUE_GAUSS(low, high, bins))),
        "quadrature",
    ),
    "a shift past the edge in the check itself": Sabotage(
        in_place_of(kdegrad.properties.sharper, "beyond_edge", lambda p: np.abs(offsets(p))), "laplace-shift-target"
    ),
    "a slope at the antipode of one side": Sabotage(
        in_place_of(Geodesic, "slope_factor", lambda self, d: self.line.slope_factor(d)), "derivative sums-agree"
    ),
    "a slope of laplace at 0 of one side": Sabotage(
        in_place_of(Laplace, "log_slope", lambda self, d: one_sided(d, self.bandwidth)), "derivative sums-agree"
    ),
    "a slope of triangular at 0 of one side": Sabotage(
        in_place_of(PowerKernel, "inner_slope", sharp_on_one_side), "derivative sums-agree"
    ),
    "the whole slope at the edge of a compact kernel": Sabotage(
        in_place_of(CompactKernel, "slope_factor", whole_at_the_edge), "derivative sums-agree"
    ),
    "jumps of uniform left out": Sabotage(edges_as(lambda t: EdgeTerms(0.0 * t.angles, 0.0), jumps=True), "derivative"),
    "jumps of uniform of the wrong sign": Sabotage(
        edges_as(lambda t: EdgeTerms(-t.angles, -t.log_bandwidth), jumps=True), "derivative"
    ),
    "jumps of uniform left out of the bandwidth's gradient": Sabotage(
        edges_as(lambda t: EdgeTerms(t.angles, 0.0), jumps=True), "derivative"
    ),
    "steep edges of compact kernels left out": Sabotage(
        edges_as(lambda t: EdgeTerms(0.0 * t.angles, 0.0), jumps=False), "derivative"
    ),
    "a wrapped gaussian of one turn each way": Sabotage(
        in_place_of(WrappedGaussian, "turns", lambda self, d: islice(TRUE_TURNS(self, d), 2)),
        "equal-distance-moved derivative sums-agree",
    ),
    "a wrapped gaussian of one wave": Sabotage(
        in_place_of(WrappedGaussian, "cosines", first_cosine), "equal-distance-moved derivative sums-agree"
    ),
    "no background at one bin": Sabotage(
        in_place_of(kdegrad.evaluation, "summed", no_background_at_one_bin), "kernel-scale derivative sums-agree"
    ),
    "masked points of a weight above 0": Sabotage(
        log_softmax_as(lambda z: np.where(np.isneginf(z), -690.0, log_softmax(z))),
        "sums-agree derivative masked-point",
    ),
    "weights not below e^-30 of the largest": Sabotage(
        log_softmax_as(lambda z: log_softmax(np.maximum(z, z.max() - 30.0))), "steep-logits masked-point sums-agree"
    ),
    "weights not below e^-700": Sabotage(
        log_softmax_as(lambda z: np.maximum(log_softmax(z), -700.0)), "sums-agree derivative"
    ),
    "shares below 1e-20 set to 0": Sabotage(
        with_gradients(lambda g, p: without_small(g.responsibilities, g.logits)), "sums-agree"
    ),
    "an estimate of the exact rule's error that is always 0": Sabotage(
        in_place_of(kdegrad.exact, "loss_error", lambda problem, exact, log_density: 0.0), "quadrature"
    ),
    "the exact rule satisfied with 1e-8": Sabotage(in_place_of(PanelRule, "judge", easily_satisfied), "quadrature"),
    "cells too wide for the interpolation": Sabotage(
        in_place_of(kdegrad.sums.chebyshev, "POLE_DISTANCES", 2.0), "sums-agree"
    ),
    "cells whose values are a billionth off": Sabotage(
        in_place_of(
            Cells, "interpolate", lambda self, v: TRUE_INTERPOLATE(self, v + 1e-9 * np.abs(v).max(initial=0.0))
        ),
        "sums-agree",
    ),
    "gradients of the rule exact a thousandth off": Sabotage(
        in_place_of(kdegrad.properties.evaluators, "evaluate", lambda p, wrt: off_if_exact(p, wrt)), "derivative"
    ),
    "cells that drop what counts": Sabotage(in_place_of(kdegrad.sums.chebyshev, "NEGLIGIBLE", 20.0), "sums-agree"),
    "target points all of one weight": Sabotage(
        in_place_of(kdegrad.targets, "normalised", of_equal_weights), "agrees derivative sums-agree batch"
    ),
    "weights of target points that do not sum to 1": Sabotage(
        in_place_of(kdegrad.targets, "normalised", lambda w, o: 1.001 * TRUE_NORMALISED(w, o)), "zero-sum agrees batch"
    ),
    "target points without weight that count": Sabotage(count_weights_of_0, "masked-point agrees"),
    "target points sorted apart from their weights": Sabotage(
        in_place_of(kg.Points, "rule", sorted_apart_from_weights), "permutation rotation"
    ),
    "the target of its first problem for all of a batch": Sabotage(
        in_place_of(kdegrad.batch, "midpoint", of_first_target), "batch"
    ),
    "gradients of a batch in the next row": Sabotage(in_place_of(Block, "write", to_the_next_row), "batch"),
    "padding that counts": Sabotage(
        in_place_of(kdegrad.blockwise, "log_softmax", lambda z: log_softmax(np.maximum(z, -9.0))), "batch"
    ),
    "a bandwidth's gradient of blocks a thousandth off": Sabotage(
        in_place_of(PlainBlockDensity, "bandwidth_slope", lambda self, *q: 1.001 * TRUE_BLOCK_SLOPE(self, *q)), "batch"
    ),
    "blocks far out without their weights": Sabotage(
        in_place_of(FarBlockDensity, "shares", lambda self, *q: TRUE_FAR_SHARES(self, *q)[::-1]), "batch"
    ),
    "losses of a batch a billionth off": Sabotage(
        misreport_batch(lambda e: replace(e, losses=(1.0 + 1e-9) * e.losses)), "batch"
    ),
    "the bandwidth's gradient of the sum of a batch": Sabotage(
        misreport_batch(lambda e: replace(e, log_bandwidth=np.full(len(e.batch), np.sum(e.log_bandwidth)))), "batch"
    ),
    "sweep with a gradient of its own": Sabotage(in_place_of(kdegrad.sweeps, "evaluate", a_little_more), "sums-agree"),
    "descend with a gradient of its own": Sabotage(
        in_place_of(kdegrad.descent, "evaluate", a_little_more), "sums-agree"
    ),
}


def run(only: list[str] | None = None, **options: Any) -> list[Verdict]:
    """Return the verdicts of one problem and some random ones, by the dense sums that most rows tamper with."""
    usual = {"target": (-30, 30), "bandwidth": 10.0, "scale": 2.0, "sums": "dense"}
    return verify(Problem([-75, 50, -40], [0.4, -0.2, 0.0], **usual | options), cases=CASES, only=only or [])


def default_run(only: list[str] | None = None) -> list[Verdict]:
    """Return the verdicts of `kdegrad verify-props`, of all properties or of some."""
    return verify(EXAMPLES, only=only or [])


def failed(verdicts: list[Verdict]) -> set[str]:
    return {v.property for v in verdicts if v.verdict == "fail"}


def test_the_unspoilt_code_passes() -> None:
    assert failed(run()) == set()
    assert failed(default_run()) == set()


@pytest.mark.parametrize("name", SABOTAGES)
def test_a_sabotage_is_seen_by_the_properties_that_should(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage = SABOTAGES[name]
    sabotage.lie(monkeypatch)
    verdicts = default_run(sabotage.seen_by.split())
    assert failed(verdicts) == set(sabotage.seen_by.split())
    assert not verdicts.passed
    assert all(v.reason and v.reproduce for v in verdicts)


def test_the_batches_of_the_examples_are_summed_in_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = set[str]()

    def seeing(problem: Any, wrt: Any = ()) -> Any:
        e = evaluate(problem, wrt)
        ways.update(e.sums if isinstance(e, BatchEvaluation) else ())
        return e

    monkeypatch.setattr(kdegrad.properties.evaluators, "evaluate", seeing)
    assert failed(default_run(["batch"])) == set()
    assert {"windows", "blocks", "cells"} <= ways


def test_every_property_sees_some_sabotage() -> None:
    seen = {name for sabotage in SABOTAGES.values() for name in sabotage.seen_by.split()}
    assert seen == {p.id for p in PROPERTIES}


@pytest.mark.parametrize("kernel", ["uniform", "epanechnikov", "laplace"])
@pytest.mark.parametrize("spoilt", ["logits", "angles", "log_bandwidth"])
def test_gradients_of_the_exact_rule_are_checked(kernel: str, spoilt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lie about the rule exact alone is seen, though the other checks are made with bins."""

    def lying(problem: Problem, wrt: Any = ("logits",)) -> Evaluation:
        e = evaluate(problem, wrt)
        if problem.settings.rule != "exact" or e.gradients is None:
            return e
        return replace(e, gradients=replace(e.gradients, **{spoilt: 1.01 * getattr(e.gradients, spoilt)}))

    options = {"kernel": kernel, "bandwidth": 77.0, "rule": "exact"}
    assert failed(run(["derivative"], **options)) == set()
    monkeypatch.setattr(kdegrad.properties.evaluators, "evaluate", lying)
    assert failed(run(["derivative"], **options)) == {"derivative"}


@pytest.mark.parametrize("kernel", ["uniform", "laplace"])
def test_an_estimate_of_the_exact_loss_that_is_always_0_is_seen(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lying(problem: Problem, wrt: Any = ("logits",)) -> Evaluation:
        e = evaluate(problem, wrt)
        if problem.settings.rule != "exact":
            return e
        return replace(e, diagnostics=replace(e.diagnostics, quadrature_error=0.0))

    options = {"kernel": kernel, "bandwidth": 77.0, "rule": "exact"}
    assert failed(run(["quadrature"], **options)) == set()
    monkeypatch.setattr(kdegrad.properties.evaluators, "evaluate", lying)
    assert failed(run(["quadrature"], **options)) == {"quadrature"}


def test_cells_are_checked_though_no_small_problem_uses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """310 points make cells of more points than proxies; by themselves they are summed pair by pair."""
    angles = np.random.default_rng(0).normal(size=310)
    problem = Problem(angles, target=(-1, 2), kernel="gaussian", bandwidth=0.5, bins=90)
    assert evaluate(problem).diagnostics.sums == "dense"
    assert failed(verify(problem, cases=0)) == set()
    true = Cells.interpolate
    monkeypatch.setattr(Cells, "interpolate", lambda self, values: true(self, values + 1e-9 * np.abs(values).max()))
    assert failed(verify(problem, cases=0)) == {"sums-agree", "batch"}


@pytest.mark.parametrize("part", ["loss", "logits"])
def test_a_nan_fails_every_property(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lie(e: Evaluation) -> Evaluation:
        nothing = np.full_like(e.weights, math.nan)
        if e.gradients is not None:  # else the loss alone was asked for
            e = replace(e, gradients=replace(e.gradients, logits=nothing, responsibilities=nothing))
        return replace(e, loss=math.nan) if part == "loss" else e

    misreport(lie)(monkeypatch)
    verdicts = run()
    looks_at_the_loss_alone = {"quadrature"} if part == "logits" else set()
    also_in_a_control = {"kernel-scale"} if part == "logits" else set()
    assert failed(verdicts) == {p.id for p in PROPERTIES} - looks_at_the_loss_alone
    assert {v.property for v in verdicts if v.verdict == "pass"} == looks_at_the_loss_alone | also_in_a_control


def test_an_exception_fails_every_property_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(problem: Problem, wrt: Any = ()) -> Evaluation:
        raise FloatingPointError("no luck")

    monkeypatch.setattr(kdegrad.properties.evaluators, "evaluate", broken)
    verdicts = run()
    assert failed(verdicts) == {p.id for p in PROPERTIES}
    assert {(v.observed, v.reason) for v in verdicts if v.verdict == "fail"} == {
        ("error: FloatingPointError", "FloatingPointError: no luck")
    }


@pytest.mark.parametrize(
    ("kernel", "stand_in", "seen_by"),
    [
        ("gaussian", "laplace", "laplace-shift laplace-shift-target laplace-one-side far-field"),
        ("cauchy", "gaussian", "far-field equal-distance-moved"),
        ("student-t", "cauchy", "far-field equal-distance-moved"),
        ("logistic", "gaussian", "far-field equal-distance-moved"),
        ("uniform", "gaussian", "one-hot equal-distance-moved"),
        ("von-mises", "wrapped-gaussian", "equal-distance-moved sums-agree derivative"),
    ],
)
def test_another_kernel_in_the_place_of_the_one_asked_for_is_seen(
    kernel: str, stand_in: str, seen_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(problem: Problem, wrt: Any = ("logits",)) -> Evaluation:
        return evaluate(problem.replace(kernel=stand_in) if problem.kernel.name == kernel else problem, wrt)

    monkeypatch.setattr(kdegrad.properties.evaluators, "evaluate", other)
    circular = kernel == "von-mises"
    problem = Problem([-75, 50, -40], target=(-30, 30), bandwidth=10.0, kernel=kernel, circular=circular)
    assert failed(verify(problem, cases=CASES, only=seen_by.split())) == set(seen_by.split())


def test_a_density_of_0_where_there_is_some_is_no_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code under test does not decide whether the precondition of a positive density is met."""

    def hole(self: DenseSums, log_weights: FloatArray) -> Density:
        density = TRUE_DENSITY(self, log_weights)
        density.log[0] = -math.inf
        return density

    monkeypatch.setattr(DenseSums, "density", hole)
    assert failed(run(["sums-agree", "permutation", "laplace-shift"])) == {"sums-agree", "permutation", "laplace-shift"}


def test_a_failure_shows_the_two_values_and_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gradients(lambda g, p: {"logits": -g.logits})(monkeypatch)
    verdict = next(v for v in run(["one-hot"]) if v.verdict == "fail" and v.case == "input #1")
    assert "where" in verdict.reason
    assert "is expected" in verdict.reason
    assert verdict.case == "input #1"
    assert verdict.about.startswith("on nodes, line: ")
    assert "laplace, bandwidth 8.0, line, target [" in verdict.about
    assert verdict.reproduce == "kg.verify(problem, seed=0, case='input #1', only='one-hot')"
