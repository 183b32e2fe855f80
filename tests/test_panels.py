"""Pins down what the panels of figures show: which way is up, names clear of stems, sums of many, titles, marks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import kdegrad as kg
from kdegrad.figures import picture_of
from kdegrad.figures.bins import SIGNS
from kdegrad.figures.placing import Box, Head, apart, places
from kdegrad.figures.style import FAINT, PULLED, PUSHED, SETTINGS
from kdegrad.properties import Verdict, Verdicts
from kdegrad.sweeps import Sweep, SweepStep
from tests.readme import ROOT

SAMPLES = ROOT / "sample_inputs"
TWO_SIDED = kg.load(SAMPLES / "two_sided.yaml")
TURTLES = kg.load(SAMPLES / "turtles.yaml")
CROWDED = kg.Problem(np.random.default_rng(0).normal(0, 40, 1000), target=(-30, 30), bandwidth=10, bins=20)


def drawn(result: object, **options: bool) -> Figure:
    """Return the figure of a result as a file has it, laid out."""
    with matplotlib.rc_context(SETTINGS):
        drawing = Figure()
        picture_of(result, **options).draw(drawing)  # type: ignore[arg-type]
        drawing.draw_without_rendering()
    return drawing


def title(drawing: Figure) -> str:
    return drawing.get_suptitle()


def marks(axes: Axes) -> dict[tuple[float, float], str]:
    """Return the places of all marks in a panel, with their colours."""
    found = {}
    for line in axes.lines:
        if line.get_marker() not in ("None", "", None):
            for x, y in zip(*line.get_data(), strict=True):
                found[float(x), float(y)] = to_hex(line.get_color())
    return found


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


# --- a problem along a line -------------------------------------------------------------------------------------------


def test_what_descent_pulls_up_points_up() -> None:
    evaluation = kg.evaluate(TWO_SIDED)
    axes = drawn(evaluation).axes[1]
    moves = -evaluation.gradients.logits
    expected = {
        (float(x), float(move)): (PULLED if move > 0.0 else PUSHED).lower()
        for x, move in zip(TWO_SIDED.angles, moves, strict=True)
    }
    assert marks(axes) == expected
    assert axes.get_ylabel() == "descent: -∂L/∂z"


def test_the_figure_shows_what_wrt_names() -> None:
    angles = kg.evaluate(TWO_SIDED, wrt=("angles",))
    drawing = drawn(angles)
    assert [axes.get_ylabel().partition("\n")[0] for axes in drawing.axes[1:]] == ["descent: -∂L/∂x"]
    assert set(marks(drawing.axes[1])) == set(zip(TWO_SIDED.angles, -angles.gradients.angles, strict=True))
    legend = [text.get_text() for text in drawing.legends[0].get_texts()]
    assert {"moved right by descent", "moved left"} < set(legend)
    assert "∂log h" not in title(drawing)
    both = kg.evaluate(TWO_SIDED, wrt=("angles", "bandwidth"))
    slope = both.gradients.log_bandwidth
    assert f"∂L/∂log h = {slope:.5g}: descent widens the kernel" in title(drawn(both))
    assert slope < 0.0
    alone = drawn(kg.evaluate(TWO_SIDED, wrt=("bandwidth",)))
    assert [axes.get_ylabel() for axes in alone.axes[1:]] == ["weight S"]
    assert "∂L/∂log h" in title(alone)
    logits_too = drawn(kg.evaluate(TWO_SIDED, wrt=("angles", "logits"))).axes[1:]
    assert [axes.get_ylabel().partition("\n")[0] for axes in logits_too] == ["descent: -∂L/∂x", "descent: -∂L/∂z"]


def test_the_title_names_data_target_and_kernel() -> None:
    assert title(drawn(kg.evaluate(TWO_SIDED))).splitlines() == [
        "two_sided.yaml  ·  target [-30, 30]  ·  laplace, h = 10",
        "L = 7.8114 nats  ·  KL = 3.7171 nats",
    ]
    uncovered = kg.evaluate(TWO_SIDED.replace(kernel="epanechnikov"), wrt=())
    assert picture_of(uncovered).title.splitlines()[1] == "L = ∞: the density is 0 at 360 of 360 nodes"
    name = "folder/" + "漢字" * 40 + ".csv"
    lines = picture_of(kg.evaluate(TWO_SIDED.replace(name=name, background=0.25))).title.splitlines()
    assert lines[0] == "漢字" * 8 + "…  ·  target [-30, 30]"
    assert lines[1] == "laplace, h = 10  ·  background 0.25"


@pytest.mark.parametrize(("wrt", "seed"), [((), 1), (("logits",), 2), (("angles",), 1)])
def test_names_meet_no_stem_and_no_other_name(wrt: tuple[str, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"point {number} {'with a long name' * (number % 2)}" for number in range(12)]
    problem = kg.Problem(rng.normal(0, 60, 12), rng.normal(size=12), names, target=(-30, 30), bandwidth=10)
    evaluation = kg.evaluate(problem, wrt=wrt)
    values = evaluation.weights if not wrt else -getattr(evaluation.gradients, wrt[0])
    drawing = drawn(evaluation)
    axes = drawing.axes[1]
    frame = axes.get_window_extent()
    boxes = [text.get_window_extent() for text in axes.texts if text.get_visible()]
    assert len(boxes) >= 11  # a crowd may leave one without its name
    ends, base = (
        axes.transData.transform(np.column_stack([problem.angles, values])),
        axes.transData.transform((0, 0))[1],
    )
    for box in boxes:
        assert frame.y0 <= box.y0
        assert box.y1 <= frame.y1
        for x, y in ends:
            assert not (box.x0 < x < box.x1 and box.y0 < max(base, y) and min(base, y) < box.y1)
    for one, other in itertools.combinations(boxes, 2):
        assert one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0


def test_a_name_stands_at_its_head_where_there_is_room_and_away_from_it_where_there_is_none() -> None:
    frame, gap = Box(0.0, 0.0, 100.0, 50.0), 3.0
    one = places([Head((50.0, 10.0), True, 20.0, 5.0)], [Box(49.0, 0.0, 51.0, 12.0)], [], frame, gap)
    assert one == [(Box(40.0, 13.0, 60.0, 18.0), None)]
    neighbours = [Head((50.0, 10.0), True, 20.0, 5.0), Head((56.0, 40.0), True, 20.0, 5.0)]
    stems = [Box(49.0, 0.0, 51.0, 12.0), Box(55.0, 0.0, 57.0, 42.0)]
    beside, _ = places(neighbours, stems, [], frame, gap)
    assert beside.box.right < 55.0
    assert beside.leader is None
    twins = [Head((50.0, 10.0), True, 20.0, 5.0)] * 3
    found = places(twins, [Box(49.0, 0.0, 51.0, 12.0)] * 3, [], frame, gap)
    assert not any(a.box.meets(b.box) for a, b in itertools.combinations(found, 2))
    assert all(place.box.right > place.box.left for place in found)


def test_names_at_ends_move_apart_as_little_as_can_be() -> None:
    np.testing.assert_allclose(apart([10.0, 50.0, 52.0], [4.0, 4.0, 4.0], 0.0, 100.0), [10.0, 49.0, 53.0])
    np.testing.assert_allclose(apart([99.0, 98.0], [6.0, 4.0], 0.0, 100.0), [97.0, 92.0])  # kept within the ends
    assert apart([], [], 0.0, 1.0).shape == (0,)


@pytest.mark.parametrize("size", [(6.4, 4.8), (3.4, 2.2)])
def test_a_legend_in_axes_of_the_user_s_covers_nothing(size: tuple[float, float]) -> None:
    evaluation, done = kg.evaluate(TWO_SIDED), kg.descend(TWO_SIDED, steps=3, optimizer="em")
    for result, values in (
        (evaluation, -evaluation.gradients.logits),
        (done, np.array([shot.weights for shot in done.path])),
    ):
        axes = Figure(figsize=size).subplots()
        kg.plot(result, axes)
        axes.figure.draw_without_rendering()
        top = axes.transData.transform((0.0, values.max()))[1]
        box = axes.get_legend().get_window_extent()
        assert top < box.y0 < box.y1 < axes.get_window_extent().y1
        assert not [text.get_text() for text in axes.texts if text.get_window_extent().overlaps(box)]


def test_many_points_are_summed_in_cells() -> None:
    evaluation = kg.evaluate(CROWDED, wrt=("logits", "angles"))
    _, logits, angles = drawn(evaluation).axes
    for axes, slopes in ((logits, evaluation.gradients.logits), (angles, evaluation.gradients.angles)):
        heights = np.array(
            [bar.get_height() for bar in axes.patches if hasattr(bar, "get_height") and bar.get_zorder()]
        )
        assert 40 < len(heights) < 140
        assert heights[heights > 0.0].sum() == pytest.approx(-slopes[slopes < 0.0].sum())
        assert heights[heights < 0.0].sum() == pytest.approx(-slopes[slopes > 0.0].sum())
        assert "in cells of 5" in axes.get_ylabel()


def test_the_scales_of_a_circle_are_named() -> None:
    """Once each: the density at its largest value, what has two signs at 0, what has one at its largest."""
    for result, symbol in (
        (kg.evaluate(TURTLES), "-∂L/∂z = 0"),
        (kg.evaluate(TURTLES, ("angles",)), "-∂L/∂x = 0"),
        (kg.evaluate(TURTLES.replace(angles=[10.0, 90.0], logits=[0.0, 1.0]), wrt=()), "S = "),
    ):
        (axes,) = drawn(result).axes
        named = [text for text in texts(axes) if "=" in text]
        assert [text.startswith(start) for text, start in zip(named, ("p = 0.0", symbol), strict=True)] == [True, True]


@pytest.mark.parametrize("count", [1, 5, 400])
def test_nothing_of_groups_is_covered_or_cut(count: int) -> None:
    rng = np.random.default_rng(2)
    angles = rng.normal(0.0, 60.0, (count, 10))
    drawing = drawn(kg.evaluate(kg.Batch(angles, rng.normal(size=(count, 10)), target=(-5, 5), bandwidth=10)))
    losses, rates = drawing.axes
    drawing.draw_without_rendering()
    for axes in (losses, rates):
        (words,) = (text for text in axes.texts if text.get_text().startswith(("mean", "far")))
        assert words.get_window_extent().y0 >= axes.get_window_extent().y1
    if count == 1:  # its bar stands about the line of the mean
        mean = losses.lines[0].get_xdata()[0]
        assert [bar.get_x() < mean < bar.get_x() + bar.get_width() for bar in losses.patches if bar.get_height()] == [
            True
        ]
    for cells in rates.collections:
        filled = np.ma.getmaskarray(cells.get_array())
        edges = cells.get_coordinates()[:, 0, 1]
        assert edges[:-1][~filled.all(axis=1)].max() < 0.999 * edges[-2] or edges[-1] <= 0.0


def test_a_circle_along_a_line_names_each_angle_once_round() -> None:
    _, axes = Figure().subplots(2, 1)
    kg.plot(kg.load(SAMPLES / "mallards.yaml"), axes)
    axes.figure.draw_without_rendering()
    inside = [label for label in axes.get_xticklabels() if axes.get_xlim()[0] < label.get_position()[0] < 500]
    assert [label.get_text() for label in inside][:8] == ["180", "225", "270", "315", "0", "45", "90", "135"]
    around_zero = kg.Problem([-20, 20], target=(-30, 30), bandwidth=10, circular=True)
    kg.plot(around_zero, ax := Figure().subplots())
    ax.figure.draw_without_rendering()
    assert {"-90", "0", "90"} < {label.get_text() for label in ax.get_xticklabels()}
    kg.plot(kg.Problem([1, 2], target=(0, 1), circular=True, unit="radians"), ax := Figure().subplots())
    ax.figure.draw_without_rendering()
    assert {"7π/4", "0", "π/2", "π"} < {label.get_text() for label in ax.get_xticklabels()}


# --- bins -------------------------------------------------------------------------------------------------------------


def test_the_map_has_a_row_for_each_of_few_points_and_cells_for_many() -> None:
    few = drawn(kg.evaluate(TWO_SIDED.replace(bins=4)), per_bin=True).axes[0]
    values = few.collections[0].get_array()
    assert values.shape == (6, 4)
    order = np.argsort(TWO_SIDED.angles)
    np.testing.assert_allclose(values.mean(axis=1), -kg.evaluate(TWO_SIDED.replace(bins=4)).gradients.logits[order])
    drawing = drawn(kg.evaluate(CROWDED), per_bin=True)
    many = drawing.axes[0].collections[0].get_array()
    assert 40 < many.shape[0] < 70
    assert many.shape[1] == 20
    np.testing.assert_allclose(many.sum(axis=0), 0.0, atol=1e-12)  # in every bin the gradient sums to 0
    assert "sums in cells of 5" in drawing.axes[0].get_ylabel()
    assert SIGNS(0.5)[3] < 0.02  # 0 shows the page
    assert 0.0 in drawing.axes[1].get_yticks()
    averaged = drawn(kg.evaluate(TWO_SIDED.replace(bins=1000)), per_bin=True).axes[0]
    assert averaged.collections[0].get_array().shape == (6, 334)
    assert averaged.get_xlabel() == "bin (degrees), means of 3"


def test_columns_of_target_points_have_names_that_can_be_read() -> None:
    target = kg.Points(np.linspace(2460310.5, 2460399.5, 90))
    axes = drawn(kg.evaluate(kg.Problem([2460320.0], target=target, bandwidth=9)), per_bin=True).axes[0]
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    assert len(boxes) == 7
    assert axes.get_xticklabels()[0].get_rotation() == 30.0
    level = drawn(kg.evaluate(TWO_SIDED.replace(target=kg.Points([1, 2, 3]))), per_bin=True).axes[0]
    assert level.get_xticklabels()[0].get_rotation() == 0.0


# --- sweeps -----------------------------------------------------------------------------------------------------------


def test_a_sweep_says_what_it_is_of_and_names_the_least_loss() -> None:
    family = kg.sweep(TURTLES, "bandwidth", [2, 5, 20, 100])
    drawing = drawn(family, log=True)
    least = min(family.steps, key=lambda step: step.kl)
    assert title(drawing) == "turtles.yaml  ·  target [34, 94]  ·  wrapped-cauchy"
    assert texts(drawing.axes[0]) == [f"least {least.kl:.5g} at h = {least.value:g}"]
    rings = [line.get_xydata().tolist() for line in drawing.axes[0].lines if line.get_markersize() == 8.0]
    assert rings == [[[least.value, least.kl]]]
    assert drawing.legends == []
    distances = drawn(kg.sweep(TWO_SIDED, "distance", [0, 10]))
    assert title(distances) == "two_sided.yaml  ·  target [-30, 30]  ·  laplace, h = 10"
    bins = drawn(kg.sweep(TWO_SIDED, "bins", [1, 10000]), log=True).axes[0]
    assert texts(bins)[0].endswith(" at B = 10000")
    flat = drawn(kg.sweep(TWO_SIDED, "distance", [0, 0])).axes[0]
    assert texts(flat) == []


def test_few_kernels_are_named_at_their_curves_and_many_in_a_legend() -> None:
    few = drawn(kg.sweep(TURTLES, "bandwidth", [20, 100], kernels=["von-mises", "laplace"]))
    assert [text.partition("\n")[0] for text in texts(few.axes[0])] == ["von-mises", "laplace"]
    assert all("least" in text for text in texts(few.axes[0]))
    assert few.legends == []
    names = ["von-mises", "laplace", "cauchy", "gaussian", "logistic"]
    many = drawn(kg.sweep(TURTLES, "bandwidth", [20, 100], kernels=names))
    assert texts(many.axes[0]) == []
    assert [text.get_text().partition(" ·")[0] for text in many.legends[0].get_texts()] == names


def test_infinite_losses_are_marked() -> None:
    family = kg.sweep(TWO_SIDED, "bandwidth", [1, 2, 200, 300], kernels=["epanechnikov"])
    assert [step.loss is None for step in family.steps] == [True, True, False, False]
    axes = drawn(family).axes[0]
    assert [(text.get_position()[0], text.get_text()) for text in axes.texts if text.get_text() == "∞"] == [
        (1.0, "∞"),
        (2.0, "∞"),
    ]
    assert axes.get_xlim()[0] < 1.0
    assert axes.get_ylabel() == "KL (nats)\n∞: infinite"


@pytest.mark.parametrize(("values", "is_power"), [([0.01, 100], False), ([0.01, 1e6], True), ([1e-9, 1e-6], True)])
def test_the_ticks_of_an_axis_are_of_one_style(values: list[float], is_power: bool) -> None:
    steps = tuple(SweepStep(value, "laplace", 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 0.0) for value in values)
    axes = drawn(Sweep(TWO_SIDED, "scale", steps), log=True).axes[-1]
    names = [label.get_text() for label in axes.get_xticklabels() if label.get_text()]
    assert len(names) > 2
    superscripts = [name for name in names if set(name) & set("⁻⁰¹²³⁴⁵⁶⁷⁸⁹")]
    assert superscripts == (names if is_power else [])


def test_the_rows_of_kernels_name_the_least_loss_and_infinite_ones() -> None:
    family = kg.sweep(TWO_SIDED, "kernel", kernels=["laplace", "gaussian", "epanechnikov"])
    axes = drawn(family).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["epanechnikov  L = ∞", "gaussian", "laplace"]
    assert texts(axes) == [f"least {family.steps[0].kl:.5g}"]


# --- descents ---------------------------------------------------------------------------------------------------------


def test_a_descent_draws_what_moved_and_nothing_else() -> None:
    done = kg.descend(TWO_SIDED, steps=5, wrt=("bandwidth",), rate=0.1)
    drawing = drawn(done)
    assert [axes.get_ylabel().partition("\n")[0] for axes in drawing.axes] == [
        "KL (nats)",
        "norm of the",
        "bandwidth h",
    ]
    (curve,) = drawing.axes[2].lines
    assert curve.get_ydata().tolist() == [row.bandwidth for row in done.course]
    assert texts(drawing.axes[2]) == [f"h = {done.course[-1].bandwidth:.5g}"]
    assert title(drawing).splitlines() == [
        "two_sided.yaml  ·  target [-30, 30]  ·  laplace",
        "gradient, rate 0.1 on bandwidth  ·  5 steps, not converged",
    ]
    both = drawn(kg.descend(TWO_SIDED, steps=2, wrt=("angles", "bandwidth")))
    assert [axes.get_ylabel().partition(" ")[0] for axes in both.axes[2:]] == ["angle", "bandwidth"]
    weights = drawn(kg.descend(TWO_SIDED, steps=2, optimizer="em"))
    assert [axes.get_ylabel().partition("\n")[0] for axes in weights.axes[1:]] == ["duality gap", "weight S"]


def test_colours_of_paths_say_whether_the_weight_grew() -> None:
    done = kg.descend(TWO_SIDED, steps=3, optimizer="em")
    axes = drawn(done).axes[2]
    grew = done.path[-1].weights >= done.path[0].weights
    drawn_in = {
        tuple(path.get_segments()[-1][-1].tolist()): to_hex(path.get_color()[0])
        for path in axes.collections
        if path.get_transform() == axes.transData
    }
    ends = [(3.0, float(weight)) for weight in done.path[-1].weights]
    assert drawn_in == {end: (PULLED if up else PUSHED).lower() for end, up in zip(ends, grew, strict=True)}
    assert sorted(texts(axes)) == sorted(TWO_SIDED.labels or ())


# --- checks -----------------------------------------------------------------------------------------------------------


def test_failures_come_first_and_every_row_is_counted() -> None:
    def check(name: str, verdict: str, residual: float | None = 0.5) -> Verdict:
        observed = "" if residual is None else "holds"
        return Verdict(name, "input", "holds", observed, residual, 1.0, verdict)  # type: ignore[arg-type]

    checks = [
        check("never met", "skip", None),
        check("good", "pass"),
        check("bad", "pass"),
        check("bad", "fail", 9.0),
        check("known", "skip", 9.0),
        check("worse", "fail", None),
    ]
    drawing = drawn(checks)
    axes = drawing.axes[0]
    rows = [(label.get_text(), to_hex(label.get_color())) for label in axes.get_yticklabels()]
    assert [name for name, _ in rows] == ["bad", "worse", "known", "good", "never met"]
    assert [label.get_fontweight() for label in axes.get_yticklabels()] == ["bold"] * 2 + ["normal"] * 3
    assert rows[-1][1] == FAINT.lower()
    assert texts(axes) == ["1 failed, 1 passed", "1 failed", "1 failed as expected", "1 passed", "1 skipped"]
    assert "2 failed, 1 failed as expected, 2 passed, 1 skipped" in title(drawing)
    failed = next(line for line in axes.lines if str(line.get_label()).startswith("failed: "))
    assert failed.get_ydata().tolist() == [0, -1]
    assert title(drawn(Verdicts())).splitlines()[-1] == "nothing was checked"


def test_the_title_of_checks_says_what_was_judged_on_what_and_by_which_version() -> None:
    run = kg.verify(TWO_SIDED, cases=0, only=["zero-sum", "unit"], seed=7)
    assert " ".join(title(drawn(run)).split()) == (
        f"kdegrad's own gradient · kdegrad {kg.__version__} · two_sided.yaml laplace, seed 7 2 passed"
    )
    failed = Verdict("unit", "input", "holds", "breaks", 9.0, 1.0, "fail")
    inputs = ["a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"]
    ended = picture_of(
        Verdicts([failed], inputs=inputs, kernels=["laplace", "cauchy"], planned=4), title="my_loss"
    ).title
    assert ended.startswith("my_loss  ·  kdegrad ")
    assert "a.yaml, b.yaml, c.yaml, 2 more" in ended
    assert "laplace, cauchy, seed 0" in ended
    assert "ended at the first failure: 3 checks not made\n1 failed" in ended


# --- groups -----------------------------------------------------------------------------------------------------------


def test_points_of_groups_that_are_pulled_up_stand_above_0() -> None:
    batch = kg.load(SAMPLES / "headings.csv", group_by="image_id", target_columns=("low", "high"), bandwidth=10)
    evaluation = kg.evaluate(batch)
    drawing = drawn(evaluation)
    dots = marks(drawing.axes[1])
    assert len(dots) > 500
    assert all((colour == PULLED.lower()) == (rate > 0.0) for (_, rate), colour in dots.items())
    assert min(rate for _, rate in dots) >= -1.0
    assert title(drawing).startswith("headings.csv  ·  60 groups")


def test_the_figure_of_groups_shows_what_wrt_names_first() -> None:
    batch = kg.Batch([[-60.0, 10.0, 40.0], [5.0, 35.0, 90.0]], target=(-30, 30), bandwidth=20)
    evaluation = kg.evaluate(batch, wrt=("angles", "logits"))
    axes = drawn(evaluation).axes[1]
    expected = -20.0 * evaluation.gradients.angles / evaluation.weights
    assert sorted(height for _, height in marks(axes)) == pytest.approx(sorted(expected.ravel()))
    assert axes.get_ylabel() == "-h·∂L/∂x / S\n← smaller    larger angles →"
    assert "full rate" not in texts(axes)
    assert len(drawn(kg.evaluate(batch, wrt=("bandwidth",))).axes) == 1  # no point has a gradient
