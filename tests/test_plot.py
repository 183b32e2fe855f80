"""Pins down figures: for every command, domain and suffix; written whole or not at all; the same bytes each time.

Also `kg.plot`, which draws into Axes of the user's or a figure of pyplot's.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import kdegrad as kg
from kdegrad import figures
from kdegrad.figures.picture import Picture
from kdegrad.figures.style import SETTINGS, power, short
from kdegrad.properties import Verdict, Verdicts
from tests.readme import ROOT

SAMPLES = ROOT / "sample_inputs"
TWO_SIDED = str(SAMPLES / "two_sided.yaml")
COMMANDS = {
    "loss": ["loss"],
    "grad": ["grad"],
    "bins": ["grad", "--per-bin"],
    "sweep": ["sweep", "--over", "bandwidth", "--from", "5", "--to", "20", "--steps", "3"],
    "log": ["sweep", "--over", "bins", "--from", "1", "--to", "1000", "--steps", "4", "--log"],
    "kernels": ["sweep", "--over", "kernel"],
    "em": ["descend", "--optimizer", "em", "--steps", "20"],
    "angles": ["descend", "--wrt", "logits,angles,bandwidth", "--steps", "5", "--rate", "0.1"],
}
SIGNATURES = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<?xml", ".pdf": b"%PDF-"}
HOSTILE = [
    "$x^{$",
    "</svg><script>",
    "\x1b[31mred",
    "a\u202eb",
    "\\frac{1}{0}",
    "&amp;",
    "漢字",
    "x" * 300,
    "two\nlines",
]


def drawn(file: Path) -> bytes:
    """Return a file's bytes after a check that they are what its suffix says."""
    data = file.read_bytes()
    assert data.startswith(SIGNATURES[file.suffix])
    if file.suffix == ".svg":
        ET.fromstring(data)
    return data


def texts_of(file: Path) -> list[str]:
    """Return the texts of an SVG."""
    return [element.text or "" for element in ET.parse(file).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("sample", ["two_sided", "mallards", "wind"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_draws_every_sample(kdegrad, tmp_path: Path, command: str, sample: str) -> None:
    name, *flags = COMMANDS[command]
    file = tmp_path / "figure.svg"
    done = kdegrad(name, SAMPLES / f"{sample}.yaml", *flags, "--plot", file, "--format", "csv")
    assert done.code == 0, done.err
    assert done.out
    drawn(file)
    assert [path.name for path in tmp_path.iterdir()] == ["figure.svg"]


@pytest.mark.parametrize("suffix", figures.SUFFIXES)
def test_every_suffix_is_what_it_says(kdegrad, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"figure{suffix}"
    assert kdegrad("grad", TWO_SIDED, "--plot", file).code == 0
    assert len(drawn(file)) > 1000


@pytest.mark.parametrize("suffix", figures.SUFFIXES)
def test_the_same_result_makes_the_same_bytes_whatever_the_user_s_style(tmp_path: Path, suffix: str) -> None:
    import matplotlib

    evaluation = kg.evaluate(kg.load(TWO_SIDED))
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    figures.save(evaluation, str(first))
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9}):
        figures.save(evaluation, str(second))
        assert matplotlib.rcParams["font.size"] == 30
    assert first.read_bytes() == second.read_bytes()
    if suffix == ".svg":
        assert b"<dc:date>" not in first.read_bytes()


def test_labels_are_data(tmp_path: Path) -> None:
    problem = kg.Problem(np.linspace(-90, 90, len(HOSTILE)), None, HOSTILE, target=(-30, 30), bandwidth=20, bins=9)
    evaluation, weights = kg.evaluate(problem), kg.evaluate(problem, wrt=())
    done = kg.descend(problem, steps=3, wrt=("angles",))
    for suffix, result, per_bin in (
        (".png", evaluation, False),
        (".pdf", evaluation, False),
        (".svg", evaluation, True),
        (".svg", weights, False),
        (".svg", done, False),
    ):
        file = tmp_path / f"figure{suffix}"
        figures.save(result, file, per_bin=per_bin)
        drawn(file)
    assert short("\x1b[31mred") == "\\x1b[31mred"
    assert len(short("x" * 300)) < 20


@pytest.mark.parametrize(
    "problem",
    [
        kg.Problem([5.0], target=(0, 1)),
        kg.Problem([0.5, 0.5], at=0.5),
        kg.Problem([0, 3], at=0.5, circular=True),
        kg.Problem([0, 1e9], [0, -np.inf], target=(0, 1), kernel="gaussian", bandwidth=1e-3, background=0.5),
        kg.Problem([350, 10], target=(-10, 350), circular=True, scale=1e300, bandwidth=1e-9),
        kg.Problem([1.0, 2.0], target=(0, 4), period=12, kernel="wrapped-gaussian"),
        kg.Problem([1e308, -1e308], target=(0, 30), bandwidth=1e306),
        kg.Problem(np.linspace(-50, 50, 3001), target=(0, 10), rule="gauss", bins=3),
        kg.Problem(np.linspace(0, 300, 1001), target=(0, 10), circular=True, bins=900),
    ],
)
def test_odd_problems_are_drawn(tmp_path: Path, problem: kg.Problem) -> None:
    evaluation = kg.evaluate(problem)
    file = tmp_path / "figure.svg"
    figures.save(problem, str(file))
    figures.save(evaluation, str(file))
    figures.save(evaluation, str(file), per_bin=True)
    drawn(file)
    assert file.stat().st_size < 3_000_000
    figures.save(kg.descend(problem, steps=2), str(file))
    figures.save(kg.sweep(problem, "scale", [1e-300, 1e300]), str(file), log=True)
    drawn(file)


@pytest.mark.parametrize("wrt", ["logits", "angles", "bandwidth"])
def test_no_step_and_a_single_value_are_drawn(tmp_path: Path, wrt: str) -> None:
    problem, file = kg.load(TWO_SIDED), tmp_path / "figure.svg"
    figures.save(kg.descend(problem, steps=0, wrt=wrt), file)
    drawn(file)
    figures.save(kg.sweep(problem, "scale", [1]), file)
    drawn(file)


def test_an_infinite_loss_is_drawn_by_loss_alone(kdegrad, tmp_path: Path) -> None:
    file = tmp_path / "figure.svg"
    assert kdegrad("grad", TWO_SIDED, "--kernel", "epa", "--plot", file).code == 3
    assert kdegrad("sweep", TWO_SIDED, "--kernel", "epa", "--over", "kernel", "--plot", file).code == 3
    assert kdegrad("descend", TWO_SIDED, "--kernel", "epa", "--plot", file).code == 3
    assert list(tmp_path.iterdir()) == []
    assert kdegrad("loss", TWO_SIDED, "--kernel", "epa", "--plot", file).code == 3
    drawn(file)


def test_where_a_loss_is_infinite_its_figure_is_drawn_without_gradient_or_descent() -> None:
    for name, made in (("two_sided", kg.descend), ("mallards", kg.evaluate)):
        problem = kg.load(SAMPLES / f"{name}.yaml", kernel="uniform", bandwidth=0.1)
        wanted, found = io.BytesIO(), io.BytesIO()
        figures.save(problem, wanted, format="svg")
        figures.save(made(problem), found, format="svg")
        assert found.getvalue() == wanted.getvalue()


def test_verdicts_are_drawn_whatever_they_say(tmp_path: Path) -> None:
    def check(property_: str, case: str, residual: float | None, tolerance: float | None, verdict: str) -> Verdict:
        return Verdict(property_, case, "holds", "holds", residual, tolerance, verdict, "", "")  # type: ignore[arg-type]

    checks = [
        check("zero-sum", "input", 1e-17, 1e-13, "pass"),
        check("zero-sum", "case 1", 0.0, 1e-13, "pass"),
        check("laplace-shift", "input", 0.3, 1e-13, "pass"),
        check("laplace-shift", "case 1", float("nan"), 1e-13, "fail"),
        check("rotation", "input", None, None, "skip"),
        check("</svg>$", "input", float("inf"), 0.0, "fail"),
        check("</svg>$", "input", 0.0, 0.0, "pass"),
    ]
    for some in (checks, checks[:1], Verdicts()):
        figures.save(some, str(tmp_path / "figure.svg"))
        drawn(tmp_path / "figure.svg")


# --- what is refused, and what is left behind -------------------------------------------------------------------------


def test_files_that_cannot_be_are_refused(kdegrad, tmp_path: Path) -> None:
    for file, said in (
        (tmp_path / "figure.jpg", "ends in none of .png, .svg, .pdf"),
        (tmp_path / "figure", "ends in none of"),
        (tmp_path / "no" / "figure.svg", "does not exist"),
        (tmp_path, "ends in none of"),
    ):
        done = kdegrad("loss", TWO_SIDED, "--plot", file)
        assert (done.code, done.out) == (2, "")
        assert f"--plot: {said}" in done.err or said in done.err
    (tmp_path / "folder.svg").mkdir()
    assert "is a directory" in kdegrad("loss", TWO_SIDED, "--plot", tmp_path / "folder.svg").err
    points = tmp_path / "points.svg"
    points.write_text("angle\n1\n")
    flags = ["--input-format", "csv", "--target", "0", "9"]
    done = kdegrad("loss", points, *flags, "--plot", points)
    assert (done.code, points.read_text()) == (2, "angle\n1\n")
    assert "would overwrite the input" in done.err
    assert "but figures are, by --plot" in kdegrad("loss", TWO_SIDED, "--output", tmp_path / "both.svg").err


def test_without_matplotlib_the_remedy_is_said(kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = kdegrad("loss", TWO_SIDED, "--plot", tmp_path / "figure.svg")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --plot: needs matplotlib, which is not installed: pip install 'kdegrad[plot]'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_failed_drawing_leaves_the_old_file_alone(kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "figure.svg"
    file.write_text("old")
    monkeypatch.setattr("kdegrad.figures.line.panels", lambda _: 1 / 0)
    assert kdegrad("loss", TWO_SIDED, "--plot", file).code == 4
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["figure.svg"]


def test_matplotlib_is_imported_for_figures_alone_and_pyplot_never(tmp_path: Path) -> None:
    for flags, imported in ([], set()), (["--plot", str(tmp_path / "figure.png")], {"matplotlib"}):
        code = (
            "import sys; from kdegrad.cli import app; app.run(sys.argv[1:]); "
            "print({'matplotlib', 'matplotlib.pyplot'} & sys.modules.keys(), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "loss", TWO_SIDED, *flags], capture_output=True, text=True, check=True
        )
        assert done.stderr.strip() == str(imported)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "10⁰"), (0.001, "10⁻³"), (1e-8, "10⁻⁸"), (1e5, "10⁵"), (2e12, "2·10¹²"), (20.0, "2·10¹"), (5e-4, "5·10⁻⁴")],
)
def test_powers_of_ten_are_short(value: float, text: str) -> None:
    assert power(value) == text


def test_no_text_is_read_as_mathematics(tmp_path: Path) -> None:
    """Tick labels of a logarithmic axis once appeared as TeX source."""
    assert SETTINGS["text.parse_math"] is False
    file = tmp_path / "figure.svg"
    figures.save(kg.sweep(kg.load(TWO_SIDED), "distance", [1, 1e3, 1e6]), str(file), log=True)
    texts = texts_of(file)
    assert "10" in "".join(texts)
    assert not [text for text in texts if "$" in text]


def test_ticks_show_the_digits_that_tell_angles_apart() -> None:
    """Day numbers of 2024: never 0.5 with +2.46031e6 beside the axis, which a reader has to add up."""
    import matplotlib
    from matplotlib.figure import Figure

    from kdegrad.figures import line

    problem = kg.Problem([2460310.5, 2460311.25], target=(2460310, 2460312))
    with matplotlib.rc_context(SETTINGS):
        drawing = Figure()
        line.panels(kg.evaluate(problem)).draw(drawing)
        drawing.draw_without_rendering()
        angles = drawing.axes[1].xaxis
        texts = [label.get_text() for label in angles.get_ticklabels()]
        assert {"2460310", "2460311", "2460312"} <= {text.removesuffix(".0") for text in texts}
        assert angles.get_offset_text().get_text() == ""


# --- SVG, pages, fonts ------------------------------------------------------------------------------------------------


def test_the_text_of_an_svg_is_text_and_labels_are_as_given(tmp_path: Path) -> None:
    file = tmp_path / "figure.svg"
    evaluation = kg.evaluate(kg.Problem([0, 50], None, ["漢字", "b & <c>"], target=(-30, 30), bandwidth=10))
    figures.save(evaluation, file, per_bin=True)
    assert {"漢字  0", "b & <c>  50", "bin (degrees)"} <= set(texts_of(file))
    assert "DejaVuSans-" not in file.read_text("utf-8")  # no glyph is drawn as a path


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("sample", ["two_sided", "mallards"])
def test_an_svg_is_readable_on_a_light_and_on_a_dark_page(tmp_path: Path, sample: str) -> None:
    """Text has a contrast of 4.5, lines of 3, as the guidelines for accessible pages ask; nothing covers the page."""
    file = tmp_path / "figure.svg"
    figures.save(kg.evaluate(kg.load(SAMPLES / f"{sample}.yaml")), file)
    text = file.read_text("utf-8")
    dark = dict(
        re.findall(r'\[style\*="((?:fill|stroke): #[0-9a-f]{6})"\]{(?:fill|stroke):(#[0-9a-f]{6}) !important}', text)
    )
    assert "@media (prefers-color-scheme:dark)" in text
    needed = [(f"fill: {fill}", 4.5) for fill in re.findall(r"<text[^>]*fill: (#[0-9a-f]{6})", text)]
    needed += [(f"stroke: {colour}", 3.0) for colour in re.findall(r'[" ]stroke: (#[0-9a-f]{6})', text)]
    shown = [(part, least) for part, least in set(needed) if part not in ("stroke: #ffffff", "stroke: #e9eef3")]
    assert len(shown) >= 4
    for part, least in shown:
        assert contrast(part[-7:], "#ffffff") >= least, part
        assert contrast(dark.get(part, part[-7:]), "#0d1117") >= least, part
    assert 'style="fill: none"' in text.split('<g id="axes_1">')[0]


def test_a_character_that_the_usual_font_lacks_is_drawn_by_one_that_has_it_or_escaped(plt) -> None:
    """Ⓐ is in a font that comes with matplotlib, 漢 only where a font for Chinese is installed; no box is drawn."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.text import Text

    labels = ["Ⓐ", "漢 and é", "\U0010fffd"]
    evaluation = kg.evaluate(kg.Problem([0, 50, 60], None, labels, target=(-30, 30), bandwidth=10))
    drawing, axes = plt.subplots()
    axes.set_ylabel("of the user")
    kg.plot(evaluation, axes, per_bin=True)
    drawing.draw_without_rendering()
    every = [*kg.plot(evaluation)[0].figure.findobj(Text), *axes.get_yticklabels()]
    for text in every:
        fonts = [get_font(findfont(FontProperties(family=[family]))) for family in text.get_fontfamily()]
        assert "Last Resort" not in {font.family_name for font in fonts}, "has a box for every character"
        for character in text.get_text().replace("\n", ""):
            assert any(font.get_char_index(ord(character)) for font in fonts), character
    shown = " ".join(text.get_text() for text in every)
    assert "Ⓐ" in shown
    assert shown.count(" and é") == 2


# --- on a circle ------------------------------------------------------------------------------------------------------


def named(axes, name: str) -> np.ndarray:
    """Return the x and y of the line or marks whose name in the legend begins so, (2, n)."""
    return np.array(next(line for line in axes.lines if line.get_label().startswith(name)).get_data())


def test_what_is_pulled_up_points_outward_and_what_is_pushed_down_inward(plt) -> None:
    evaluation = kg.evaluate(kg.load(SAMPLES / "mallards.yaml"))
    axes, slopes = kg.plot(evaluation), evaluation.gradients.logits
    up, down = named(axes, "pulled up"), named(axes, "pushed down")
    assert (up.shape[1], down.shape[1]) == ((slopes < 0).sum(), (slopes > 0).sum())
    radii = np.concatenate([up[1], down[1]])
    moves = -np.concatenate([slopes[slopes < 0], slopes[slopes > 0]])
    scale, zero = np.polyfit(moves, radii, 1)
    assert np.allclose(zero + scale * moves, radii)
    assert scale > 0
    assert min(radii) > 0
    assert np.allclose(np.degrees(down[0]) % 360, evaluation.problem.angles[slopes > 0] % 360)


def test_zero_and_the_way_are_those_of_the_problem(plt) -> None:
    problem = kg.Problem([10, 50], target=(0, 90), bandwidth=20, circular=True)
    for zero, place in (("E", 0), ("N", 90), ("W", 180), ("S", 270)):
        axes = kg.plot(problem.replace(zero=zero, clockwise=zero == "N"))
        assert np.degrees(axes.get_theta_offset()) % 360 == pytest.approx(place)
        assert axes.get_theta_direction() == (-1 if zero == "N" else 1)


@pytest.mark.parametrize("period", [360.0, 24.0])
def test_the_outline_is_closed_and_its_scale_is_the_density_s(plt, period: float) -> None:
    angles = np.array([0.1, 0.15, 0.6]) * period
    problem = kg.Problem(angles, target=(0.1 * period, 0.3 * period), period=period, bandwidth=period / 20)
    axes = kg.plot(problem)
    theta, radius = named(axes, "model's density")
    assert (theta[-1] - theta[0]) % (2 * np.pi) == pytest.approx(0, abs=1e-9)
    assert radius[-1] == pytest.approx(radius[0])
    scale, ring = np.polyfit(kg.density(problem, theta / (2 * np.pi) * period), radius, 1)
    numbers = [text for text in axes.texts if text.get_position()[1] > ring]
    assert len(numbers) >= 2
    for text in numbers:
        assert text.get_position()[1] == pytest.approx(ring + scale * float(text.get_text().removeprefix("p = ")))


def test_many_points_are_summed_in_cells_by_sign(plt) -> None:
    rng = np.random.default_rng(0)
    problem = kg.Problem(rng.uniform(0, 360, 5000), rng.normal(size=5000), target=(40, 90), bandwidth=10, circular=True)
    axes = kg.plot(kg.evaluate(problem))
    heights = {bars.get_label(): np.array([bar.get_height() for bar in bars]) for bars in axes.containers}
    up, down = (next(heights[name] for name in heights if name.startswith(way)) for way in ("pulled up", "pushed down"))
    assert len(axes.patches) < 200
    assert up.min() > 0 > down.max()
    assert up.sum() == pytest.approx(-down.sum())  # the gradient sums to 0


def test_points_that_weigh_the_same_are_stacked_and_counts_are_counted(plt) -> None:
    axes = kg.plot(kg.load(SAMPLES / "wind.yaml"))
    theta, radius = named(axes, "310 points of the same weight")
    assert len(set(zip(theta.round(6), radius.round(6), strict=True))) == 310
    axes = kg.plot(kg.load(SAMPLES / "mallards.yaml"))
    assert named(axes, "points, by count of 714").shape == (2, 18)


def test_the_figure_shows_what_wrt_names_first(plt) -> None:
    problem = kg.load(SAMPLES / "mallards.yaml")
    slopes = kg.evaluate(problem, wrt=("angles", "bandwidth")).gradients.angles
    axes = kg.plot(kg.evaluate(problem, wrt=("angles", "bandwidth")))
    assert "∂L/∂log h = " in axes.figure.get_suptitle()
    heads = [line.get_xydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    inward_last = np.argsort(slopes > 0, kind="stable")  # the two groups are drawn one after the other
    assert np.allclose(np.degrees([angle for angle, _ in heads]), problem.angles[inward_last])
    assert np.corrcoef([radius for _, radius in heads], -slopes[inward_last])[0, 1] > 0.999999
    of_bandwidth = kg.plot(kg.evaluate(problem, wrt="bandwidth"))
    assert named(of_bandwidth, "points, by count").shape == (2, 18)


# --- in a notebook ----------------------------------------------------------------------------------------------------


@pytest.fixture
def plt(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    yield plt
    plt.close("all")


def test_plot_makes_a_figure_of_pyplot_s_for_every_result(plt) -> None:
    two_sided, mallards = kg.load(TWO_SIDED), kg.load(SAMPLES / "mallards.yaml")
    batch = kg.Batch([[0.0, 50.0], [1.0, 2.0]], target=(-30, 30), bandwidth=10)
    for result, panels in (
        (kg.evaluate(two_sided), 2),
        (kg.evaluate(mallards), 1),
        (two_sided, 2),
        (batch, 1),
        (kg.evaluate(batch), 2),
        (kg.sweep(two_sided, "distance", [0, 10]), 3),
        (kg.sweep(two_sided, "kernel", None), 3),
        (kg.descend(two_sided, steps=2), 3),
        (kg.verify(two_sided, cases=0), 1),
    ):
        every = np.atleast_1d(kg.plot(result))
        assert len(every) == panels
        assert all(axes.figure is plt.gcf() and axes.has_data() for axes in every)


def test_the_main_panel_is_drawn_into_axes_of_the_user_s_and_nothing_else_changes(plt) -> None:
    evaluation = kg.evaluate(kg.load(TWO_SIDED))
    drawing, (left, right) = plt.subplots(1, 2)
    before = dict(plt.rcParams)
    assert kg.plot(evaluation, right) is right
    assert dict(plt.rcParams) == before
    assert drawing.axes == [left, right]
    assert (drawing.legends, drawing.get_suptitle(), left.has_data()) == ([], "", False)
    assert right.get_ylabel() == "descent: -∂L/∂z"
    assert right.get_xlabel() == "angle (degrees)"
    assert "laplace, h = 10" in right.get_title()
    assert "pushed down" in [text.get_text() for text in right.get_legend().get_texts()]
    assert len(plt.get_fignums()) == 1


def test_a_circle_is_a_rose_in_polar_axes_and_a_line_in_others(plt) -> None:
    evaluation = kg.evaluate(kg.load(SAMPLES / "mallards.yaml"))
    polar = plt.figure().add_subplot(projection="polar")
    assert kg.plot(evaluation, polar) is polar
    assert polar.has_data()
    axes = plt.subplots()[1]
    kg.plot(evaluation, axes)
    assert axes.get_xlabel() == "angle (degrees)"
    assert len(kg.plot(evaluation, plt.subplots(2)[1])) == 2


@pytest.mark.parametrize("sample", ["two_sided", "mallards"])
def test_what_is_drawn_into_dark_axes_is_seen_there(plt, sample: str) -> None:
    from matplotlib.colors import to_hex

    evaluation = kg.evaluate(kg.load(SAMPLES / f"{sample}.yaml"))
    with plt.style.context("dark_background"):
        axes = plt.figure().add_subplot(projection="polar" if sample == "mallards" else None)
        kg.plot(evaluation, axes)
    colours = {to_hex(line.get_color()) for line in axes.lines}
    colours |= {to_hex(text.get_color()) for text in (*axes.texts, *axes.get_legend().get_texts())}
    assert len(colours) >= 3
    assert all(contrast(colour, "#000000") >= 4.5 for colour in colours)


def test_labels_are_data_in_axes_that_read_mathematics(plt) -> None:
    problem = kg.Problem([0, 50], None, ["$x^{$", "b"], target=(-30, 30), bandwidth=10)
    drawing, axes = plt.subplots()
    axes.get_yticklabels()  # the ticks are there before
    kg.plot(kg.evaluate(problem), axes, per_bin=True)
    drawing.draw_without_rendering()


def test_panels_of_ones_own_are_drawn_in_the_same_style() -> None:
    stream = io.BytesIO()
    figures.save(Picture(panels=[lambda axes: axes.set_ylabel("loss")], height=2.0, legend=0), stream, format="svg")
    assert re.search(rb"prefers-color-scheme:dark.*>loss</text>", stream.getvalue(), re.DOTALL)


def test_what_cannot_be_drawn_is_refused(plt) -> None:
    evaluation = kg.evaluate(kg.load(TWO_SIDED))
    polar, solid = (plt.figure().add_subplot(projection=name) for name in ("polar", "3d"))
    for call, said in (
        (lambda: kg.plot(3), "result: 3 cannot be drawn: give what evaluate, "),
        (lambda: kg.plot([]), r"result: \[\] cannot be drawn: give what evaluate, "),
        (lambda: kg.plot([1, 2]), r"result: \[1, 2\] cannot"),
        (lambda: kg.plot(evaluation, "x"), "ax: 'x' is not an Axes of matplotlib"),
        (lambda: kg.plot(evaluation, []), r"ax: \[\] is not"),
        (lambda: kg.plot(evaluation, plt.subplots(3)[1]), "ax: 3 Axes do not fit the figure: give 2, one for each"),
        (lambda: kg.plot(evaluation, polar), "no place in polar Axes"),
        (lambda: kg.plot(evaluation, solid), "no place in 3d Axes"),
        (lambda: kg.plot(evaluation.problem, per_bin=True), "per_bin: draws the finite gradient"),
        (lambda: kg.plot(evaluation, log=True), "log: is for a Sweep"),
        (lambda: figures.save(evaluation, io.BytesIO(), format="gif"), "format: 'gif' is none of png"),
    ):
        with pytest.raises(kg.SettingError, match=said):
            call()


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_stream_gets_what_a_file_gets(tmp_path: Path, suffix: str) -> None:
    evaluation, file, stream = kg.evaluate(kg.load(TWO_SIDED)), tmp_path / f"figure{suffix}", io.BytesIO()
    figures.save(evaluation, file)
    figures.save(evaluation, stream, **({} if suffix == ".png" else {"format": suffix[1:]}))
    assert stream.getvalue() == file.read_bytes()


def test_threads_and_numpy_that_raises_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    saved, at_once, turns = Figure.savefig, Barrier(3), count()

    def waiting(*given: Any, **options: Any) -> None:  # for the others, which a lock keeps out
        with suppress(BrokenBarrierError):
            at_once.wait(0.2)
        time.sleep(0.05 * next(turns))
        saved(*given, **options)

    monkeypatch.setattr(Figure, "savefig", waiting)
    evaluation = kg.evaluate(kg.load(TWO_SIDED))
    before = dict(matplotlib.rcParams)

    def drawn(_: int) -> bytes:
        stream = io.BytesIO()
        with np.errstate(all="raise"):
            figures.save(evaluation, stream)
        return stream.getvalue()

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(drawn, range(3)))) == 1
    assert dict(matplotlib.rcParams) == before


def test_a_figure_of_pyplots_is_dark_where_its_style_is(plt) -> None:
    from matplotlib.colors import to_rgb

    for problem in (kg.load(TWO_SIDED), kg.load(SAMPLES / "mallards.yaml")):
        with plt.style.context("dark_background"):
            axes = np.ravel(kg.plot(problem))[0]
        page, letters = axes.figure.get_facecolor(), [text.get_color() for text in axes.get_xticklabels()]
        assert axes.figure is plt.gcf()
        assert (page[:3], axes.get_facecolor()[:3]) == ((0, 0, 0), (0, 0, 0))
        assert all(sum(to_rgb(colour)) > 2 for colour in letters)
        assert not [line for line in axes.lines if sum(to_rgb(line.get_color())) < 0.5]
        plt.close("all")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (None, "file: None is no place for a figure: give a name, or a binary stream"),
        (io.StringIO(), "file: <_io.StringIO"),
        ("/nonexist/x.png", "file: the folder '/nonexist' does not exist: create it first"),
        ("x.jpg", "file: 'x.jpg' ends in none of .png"),
    ],
)
def test_what_no_figure_can_be_written_to_is_named(file: Any, message: str) -> None:
    with pytest.raises(kg.SettingError, match=re.escape(message)) as caught:
        figures.save(kg.load(TWO_SIDED), file)
    assert "\n" not in str(caught.value)
