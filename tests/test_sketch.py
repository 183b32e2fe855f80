"""Pins down the sketch in the tables: its width, the places of target, points and signs; it needs no Unicode."""

from __future__ import annotations

import numpy as np
import pytest

import kdegrad as kg
from kdegrad.output import Look
from kdegrad.reports.sketch import DENSITY_ROWS, FEWEST_CELLS, GUTTER, sketch
from kdegrad.view import curve, density, positions, span, target_parts
from tests.readme import ROOT

SAMPLES = ROOT / "sample_inputs"
TWO_SIDED = kg.load(SAMPLES / "two_sided.yaml")


def lines_of(problem: kg.Problem, look: Look, wrt: tuple[str, ...] = ("logits",)) -> list[str]:
    return "".join(sketch(kg.evaluate(problem, wrt), look)).splitlines()


@pytest.mark.parametrize("sample", ["mallards", "turtles", "wind", "two_sided"])
@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", [FEWEST_CELLS + GUTTER, 60, 80, 200])
def test_it_fits_and_is_small(sample: str, unicode: bool, width: int) -> None:
    for wrt in ((), ("logits",)):
        lines = lines_of(kg.load(SAMPLES / f"{sample}.yaml"), Look(width, unicode), wrt)
        assert max(map(len, lines)) <= width
        assert len(lines) <= 8
        assert unicode or "".join(lines).isascii()
        assert "\x1b" not in "".join(lines)


def test_a_narrow_place_has_none() -> None:
    assert lines_of(TWO_SIDED, Look(FEWEST_CELLS + GUTTER - 1)) == []


def test_colour_is_asked_for() -> None:
    lines = lines_of(TWO_SIDED, Look(80, True, True))
    assert lines[DENSITY_ROWS + 1].startswith("\x1b[2mpulled up    \x1b[0m\x1b[94m")  # the name is dim, the row is not
    assert lines[DENSITY_ROWS + 2].startswith("\x1b[2mpushed down  \x1b[0m\x1b[38;5;208m")


def test_target_and_points_stand_where_they_are() -> None:
    lines = lines_of(TWO_SIDED, Look(GUTTER + 60))
    low, high = span(TWO_SIDED)
    cell = [int((angle - low) / (high - low) * 60) for angle in TWO_SIDED.angles]
    axis, pulled, pushed = (line[GUTTER:].ljust(60) for line in lines[DENSITY_ROWS : DENSITY_ROWS + 3])
    first, last = (int((edge - low) / (high - low) * 60) for edge in (-30, 30))
    assert [index for index, mark in enumerate(axis) if mark == "━"] == list(range(first, last + 1))
    assert [index for index, mark in enumerate(pulled) if mark != " "] == [cell[2], cell[3]]
    assert [index for index, mark in enumerate(pushed) if mark != " "] == [cell[0], cell[1], cell[4], cell[5]]
    assert pulled[cell[2]] == "█"  # the largest


@pytest.mark.parametrize(
    "problem",
    [
        kg.Problem([5.0], target=(0, 1)),
        kg.Problem([0.5], at=0.5),
        kg.Problem([1e6, 1e6], target=(1e6 - 1e-6, 1e6)),
        kg.Problem([0, 1e9], [0, -np.inf], target=(0, 1), kernel="gaussian", bandwidth=1e-3, background=0.5),
        kg.Problem([0, 10], target=(0, 360), circular=True, kernel="uniform", bandwidth=1),
        kg.Problem([350, 10], target=(-10, 350), circular=True, scale=1e300, bandwidth=1e-9),
        kg.Problem([7], at=7, circular=True, scale=1e-300),
        kg.Problem([7], at=200, target=(0, 30), circular=True, background=0.5),
        kg.Problem([1e308, -1e308], target=(0, 30)),
        kg.Problem([1.7e308, -1.7e308], target=(-1e307, 1.6e308), kernel="cauchy"),
    ],
)
def test_odd_problems_are_drawn(problem: kg.Problem) -> None:
    for look in (Look(80), Look(80, False)):
        assert 5 <= len(lines_of(problem, look, ())) <= 8


def test_the_density_is_that_of_the_loss() -> None:
    for background in (0.0, 0.25):
        problem = TWO_SIDED.replace(background=background, scale=2.0)
        logs = kg.evaluate(problem, ()).diagnostics.log_density
        np.testing.assert_allclose(density(problem, problem.rule.nodes), np.exp(logs), rtol=1e-12)
        outside = np.array([-31.0, 31.0])
        np.testing.assert_allclose(
            density(problem, outside), (1 - background) * density(TWO_SIDED.replace(scale=2.0), outside), rtol=1e-12
        )


def test_the_range_holds_target_and_points() -> None:
    low, high = span(TWO_SIDED)
    assert low < -140 < 155 < high
    wind = kg.load(SAMPLES / "wind.yaml")
    assert span(wind) == (-np.pi, np.pi)
    assert ((positions(wind) >= -np.pi) & (positions(wind) <= np.pi)).all()
    places, values = curve(wind, 100)
    assert (np.diff(places) > 0).all()
    assert places.shape == values.shape


@pytest.mark.parametrize("at", [350.0, 200.0, 0.0, -700.0, 195.0])
@pytest.mark.parametrize("target", [(0.0, 30.0), (-10.0, 20.0), (350.0, 371.0), (0.0, 360.0)])
def test_the_target_is_shown_in_the_turn_about_a_node(at: float, target: tuple[float, float]) -> None:
    """Its parts lie in the range shown, and a place is in one of them if it is in the target after some full turns."""
    problem = kg.Problem([7.0, 100.0], target=target, at=at, circular=True, background=0.9)
    low, high = span(problem)
    places = np.linspace(low, high, 1001)[:-1] + 0.1234
    turns = 360.0 * np.arange(-3, 4)
    within = ((places + turns[:, np.newaxis] >= target[0]) & (places + turns[:, np.newaxis] <= target[1])).any(axis=0)
    parts = target_parts(problem)
    assert all(low <= first < last <= high for first, last in parts)
    np.testing.assert_array_equal(np.any([(places >= a) & (places <= b) for a, b in parts], axis=0), within)
    assert (density(problem, places) >= 0.9 / problem.interval.width).tolist() == within.tolist()
    drawn, _ = curve(problem, 100)
    assert drawn.min() >= low
    assert drawn.max() <= high


def test_it_shows_the_first_gradient_that_was_asked_for() -> None:
    """What descent moves to larger angles is a row, and what it moves to smaller ones: the sign of -∂L/∂x."""
    lines = lines_of(TWO_SIDED, Look(GUTTER + 60), ("bandwidth", "angles", "logits"))
    right, left = lines[DENSITY_ROWS + 1 : DENSITY_ROWS + 3]
    assert right.startswith("moved right")
    assert left.startswith("moved left")
    slopes = kg.evaluate(TWO_SIDED, "angles").gradients.angles
    low, high = span(TWO_SIDED)
    for angle, slope in zip(TWO_SIDED.angles, slopes, strict=True):
        cell = GUTTER + int((angle - low) / (high - low) * 60)
        assert (right.ljust(90)[cell] != " ") == (slope < 0.0) != (left.ljust(90)[cell] != " ")
    weights = lines_of(TWO_SIDED, Look(GUTTER + 60), ("bandwidth",))
    assert weights[DENSITY_ROWS + 1].startswith("weight")


@pytest.mark.parametrize(
    ("target", "angles", "end"), [((270, 360), [350.0], "135"), ((-10, 10), [-5.0], "-180"), ((350, 370), [5.0], "180")]
)
def test_both_ends_of_a_circle_are_one_place(target: tuple[float, float], angles: list[float], end: str) -> None:
    ticks = lines_of(kg.Problem(angles, target=target, circular=True, bandwidth=20), Look(80))[-1]
    assert ticks.split()[0] == end
    assert ticks.endswith(f" {end} (all round)")


def test_it_uses_the_width_that_it_has() -> None:
    assert max(map(len, lines_of(TWO_SIDED, Look(200)))) > 190
