"""Problems with a feature have it: coincidences to the last bit, edges in the target, cells, points that weigh nothing.

Pinned down too: which of them a run over one kernel draws, and that a run over several draws each with its own.
"""

from __future__ import annotations

import numpy as np
import pytest

from kdegrad import Problem, evaluate
from kdegrad.kernel import KERNELS
from kdegrad.properties.base import Case
from kdegrad.properties.cases import random_cases
from kdegrad.properties.features import FEATURES, features_of
from kdegrad.settings import Settings

MIXED = {case.kind.partition(",")[0]: case for case in random_cases(Settings(bandwidth=10.0), range(1, 21), 0, True)}


def distances(case: Case) -> np.ndarray:
    problem = case.problem
    return np.abs(problem.domain.difference(problem.rule.nodes[:, np.newaxis], problem.angles))


@pytest.mark.parametrize("bandwidth", [10.0, 0.3, 1e-30, 7e40])
@pytest.mark.parametrize("seed", [0, 1])
def test_points_are_on_nodes_edges_and_antipodes_to_the_last_bit(bandwidth: float, seed: int) -> None:
    cases = list(random_cases(Settings(bandwidth=bandwidth), range(1, 4), seed, True))
    on_nodes, edges, antipodes = cases
    assert (distances(on_nodes) == 0.0).any()
    assert (distances(edges) == 0.0).any()
    assert (distances(edges) == edges.problem.settings.bandwidth).sum() >= 3
    assert (distances(antipodes) == 0.5 * antipodes.problem.domain.measure).sum() >= 3


def test_a_compact_kernel_has_edges_in_the_target_under_the_rule_exact() -> None:
    for name in ("jumps in the target", "a steep edge"):
        case = MIXED[name]
        assert case.exact
        h, (low, high) = case.problem.settings.bandwidth, case.problem.interval
        edges = np.concatenate([case.problem.angles - h, case.problem.angles + h])
        assert ((low < edges) & (edges < high)).any()


@pytest.mark.parametrize("name", ["a crowd", "a wide crowd"])
def test_a_crowd_has_more_points_in_a_bandwidth_than_a_cell_has_proxies(name: str) -> None:
    problem = MIXED[name].problem
    counts, _ = np.histogram(
        problem.angles, np.arange(problem.angles.min(), problem.angles.max(), problem.kernel.bandwidth)
    )
    assert np.median(counts) > 16
    assert evaluate(problem.replace(sums="fast")).diagnostics.sums == "cells"


def test_the_unseen_points_are_the_nearest_and_have_no_share() -> None:
    problem = MIXED["unseen"].problem
    assert np.argsort(np.abs(problem.angles - problem.centre))[:2].tolist() == [0, 1]
    assert evaluate(problem).responsibilities[:2].max() < 1e-20


def test_a_run_over_one_kernel_draws_the_features_of_that_kernel() -> None:
    assert {feature.name for feature, _ in features_of("wrapped-gaussian", False)} == {"many turns", "waves"}
    assert features_of("von-mises", False) == []
    for kind in KERNELS:
        assert all(kernel == kind.name for _, kernel in features_of(kind.name, False))
    assert [kernel for _, kernel in features_of("von-mises", True)] == [feature.kernel for feature in FEATURES]
    assert all(feature.kernel in feature.kernels for feature in FEATURES)


def test_every_feature_can_be_drawn_for_each_of_its_kernels() -> None:
    for kind in KERNELS:
        circle = {} if "line" in kind.domains else {"period": 360.0}
        drawn = list(random_cases(Settings(kernel=kind.name, bandwidth=7.0, **circle), range(1, 13), 3))
        assert all(isinstance(case.problem, Problem) and case.problem.kernel.name == kind.name for case in drawn)
