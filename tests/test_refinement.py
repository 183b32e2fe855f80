"""Pins down how the rule `exact` chooses its panels: each decision beside a simple one, panel by panel.

That the integrals are right is pinned down by `test_exact.py` and `test_exact_rule.py`; a panel that is halved in vain,
or accepted by luck, is found here.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from kdegrad import Problem
from kdegrad.exact import refinement
from kdegrad.exact.kinks import breakpoints
from kdegrad.exact.refinement import Panels, Refinement, panel_rule
from kdegrad.mixture import log_mixture

EPS = np.finfo(np.float64).eps
SAME = 1e-12  # relative: the same formula in another order
PROBE = 1e-9  # relative: log of a difference of two logarithms of some hundreds
NOISE = 1e-6  # relative: an estimate, from differences of neighbouring values
PROBLEMS = {
    "laplace": {"kernel": "laplace", "bandwidth": 3.0},
    "steep": {"kernel": "gaussian", "bandwidth": 0.3},
    "far": {"kernel": "gaussian", "bandwidth": 1e-3},
    "smooth": {"kernel": "cauchy", "bandwidth": 40.0},
    "gaps": {"kernel": "epanechnikov", "bandwidth": 6.0},
    "background": {"kernel": "tricube", "bandwidth": 9.0, "background": 0.1, "scale": 7.0},
    "circle": {"kernel": "gaussian", "bandwidth": 60.0, "circular": True},
}


def refinement_of(name: str) -> Refinement:
    rng = np.random.default_rng(7)
    angles, logits = rng.uniform(-45.0, 45.0, 9), rng.normal(size=9) * 4.0
    return Refinement(Problem(angles, logits, target=(-30.0, 30.0), rule="exact", **PROBLEMS[name]))


def panels_of(made: Refinement) -> Panels:
    """Return the panels between breakpoints and their quarters, every third with a unit larger than its own."""
    cuts = breakpoints(made.problem)
    cuts = cuts[np.diff(cuts, prepend=-np.inf) > 1e3 * made.unit]
    whole = Panels(cuts[:-1], cuts[1:], np.where(np.arange(len(cuts) - 1) % 3 == 0, 5.0, -1e308))
    quarters = whole.halves().halves()
    both = [
        np.concatenate(pair)
        for pair in ((whole.left, quarters.left), (whole.right, quarters.right), (whole.log_unit, quarters.log_unit))
    ]
    return Panels(*both)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("order", [4, 8, 16])
@pytest.mark.parametrize("last", [False, True])
def test_each_panel_is_accepted_or_left_over_by_its_estimates(monkeypatch, name, order, last):
    made = refinement_of(name)
    panels, rule = panels_of(made), panel_rule(order)
    taken = []
    monkeypatch.setattr(made, "accept", lambda *arguments: taken.append(arguments))
    left_over = made.sift(panels, order, last=last)
    (empty, of_empty, no_error), (known, of_known, errors) = taken
    assert of_empty is panel_rule(1)
    assert of_known is rule
    assert not no_error.any()

    log_density, log_v = made.values(panels.at(rule.places))
    inner = log_density[:, 1:-1]
    nothing = np.array([all(np.isneginf(row)) for row in inner])
    full = panels.those(~nothing)
    units = np.array([max(unit, *row) for unit, row in zip(panels.log_unit, log_v, strict=True)])[~nothing]
    v = np.exp(log_v[~nothing] - units[:, np.newaxis])
    judged = zip(
        full.left,
        full.width,
        units,
        inner[~nothing],
        made.noise(full, inner[~nothing], rule),
        *rule.judge(log_density[~nothing]),
        *rule.judge(v),
        32.0 * made.unit * np.max(np.abs(np.diff(v[:, 1:-1])) / np.diff(full.at(rule.nodes)), axis=1),
        strict=True,
    )
    wanted = {"empty": [(left, 0.0) for left in panels.left[nothing]], "known": [], "left over": []}
    for left, width, unit, row, noise, e, tail, e_v, tail_v, noise_v in judged:
        settled = (e <= 1e-15 or tail <= noise) and (e_v <= 1e-15 or tail_v <= noise + noise_v)
        if settled or width <= 2048.0 * made.unit or last or nothing.any():
            wanted["known"].append((left, min(e, max(row) - min(row)) + noise / 32.0))
        else:
            wanted["left over"].append((left, unit))
    for which, got, numbers in (
        ("empty", empty, no_error),
        ("known", known, errors),
        ("left over", left_over, left_over.log_unit),
    ):
        assert got.left.tolist() == [place for place, _ in wanted[which]], which
        np.testing.assert_allclose(numbers, [number for _, number in wanted[which]], rtol=SAME)
    if name == "gaps":
        assert len(empty) > 0


@pytest.mark.parametrize("name", PROBLEMS)
def test_values_are_log_p_and_the_log_share_of_the_probe(name):
    made = refinement_of(name)
    problem, places = made.problem, np.linspace(-29.0, 29.0, 12).reshape(3, 4)
    log_density, log_v = made.values(places)
    log_k = problem.kernel.log_density(problem.domain.difference(places[..., np.newaxis], problem.angles))
    log_p = log_mixture(problem, np.logaddexp.reduce(problem.log_weights + log_k, axis=-1))
    np.testing.assert_allclose(log_density, log_p, rtol=SAME)
    covered = np.isfinite(log_p)
    probe = np.logaddexp.reduce(made.probe + log_k, axis=-1)
    np.testing.assert_allclose(log_v[covered], probe[covered] - log_p[covered], rtol=PROBE, atol=SAME)


@pytest.mark.parametrize("name", PROBLEMS)
def test_noise_is_the_rounding_of_the_terms_and_of_the_places(name):
    made, rule = refinement_of(name), panel_rule(8)
    panels = panels_of(made)
    log_density = made.values(panels.at(rule.nodes))[0]
    covered = np.isfinite(log_density).all(axis=1)
    panels, log_density = panels.those(covered), log_density[covered]
    kernel = made.problem.kernel
    settings = made.problem.settings
    constants = abs(kernel.log_norm) + abs(math.log((1.0 - settings.background) * settings.scale)) + 1.0
    wanted = []
    for nodes, row in zip(panels.at(rule.nodes), log_density, strict=True):
        slopes = [abs(row[k + 1] - row[k]) / (nodes[k + 1] - nodes[k]) for k in range(7)]
        of_terms = EPS * (max(abs(row)) + constants)
        wanted.append(32.0 * (of_terms + made.unit * (max(slopes) + 1.0 / kernel.bandwidth)))
    np.testing.assert_allclose(made.noise(panels, log_density, rule), wanted, rtol=NOISE)


@pytest.mark.parametrize(("pieces", "enough"), [(16, 1024), (17, 544), (1, 512)])
def test_halving_ends_when_too_many_panels_are_left(monkeypatch, pieces, enough):
    """Panels that are never accepted are halved while there are at most 16 (n + 16) of them."""
    made = refinement_of("smooth")
    monkeypatch.setattr(refinement, "breakpoints", lambda _: np.linspace(-30.0, 30.0, pieces + 1))
    seen = []

    def never(panels: Panels, order: int, last: bool = False) -> Panels:
        seen.append((len(panels), order, last))
        assert len(seen) < 20
        if last:
            made.accept(panels, panel_rule(1), np.zeros(len(panels)))
        return panels.those(np.full(len(panels), not last))

    monkeypatch.setattr(made, "sift", never)
    rule = made.run().rule
    assert [order for _, order, _ in seen[:3]] == [4, 8, 16]
    assert all(size == pieces for size, _, _ in seen[:3])
    sizes = [size for size, _, _ in seen[3:]]
    assert sizes == [pieces * 2**k for k in range(1, len(sizes) + 1)]
    assert [last for _, _, last in seen] == [False] * (len(seen) - 1) + [True]
    assert sizes[-1] == 2 * enough
    assert sizes[-2] > 16 * (pieces + 16) >= sizes[-3]
    np.testing.assert_allclose(rule.weights.sum(), 1.0)


def test_nothing_is_refined_where_the_loss_is_infinite():
    """Four nodes per panel and one where no point reaches, since more would not change an infinite loss."""
    made = refinement_of("gaps")
    rule = made.run().rule
    panels = len(breakpoints(made.problem)) - 1
    assert panels < len(rule.nodes) < 4 * panels
