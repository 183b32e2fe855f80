"""Pins down figures: for every command, domain and suffix; written whole or not at all; the same bytes each time."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import kdegrad as kg
from kdegrad import figures
from kdegrad.figures.style import SETTINGS, power, short
from kdegrad.properties import Verdict
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


@pytest.mark.parametrize("sample", ["two_sided", "mallards", "turtles", "wind"])
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
@pytest.mark.parametrize("command", ["grad", "sweep", "em"])
def test_every_suffix_is_what_it_says(kdegrad, tmp_path: Path, command: str, suffix: str) -> None:
    name, *flags = COMMANDS[command]
    file = tmp_path / f"figure{suffix}"
    assert kdegrad(name, TWO_SIDED, *flags, "--plot", file).code == 0
    assert len(drawn(file)) > 1000


@pytest.mark.parametrize("suffix", figures.SUFFIXES)
def test_the_same_result_makes_the_same_bytes_whatever_the_user_s_style(tmp_path: Path, suffix: str) -> None:
    import matplotlib

    evaluation = kg.evaluate(kg.load(TWO_SIDED))
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    figures.gradient(evaluation, str(first))
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9}):
        figures.gradient(evaluation, str(second))
        assert matplotlib.rcParams["font.size"] == 30
    assert first.read_bytes() == second.read_bytes()
    if suffix == ".svg":
        assert b"<dc:date>" not in first.read_bytes()


def test_labels_are_data(tmp_path: Path) -> None:
    problem = kg.Problem(np.linspace(-90, 90, len(HOSTILE)), None, HOSTILE, target=(-30, 30), bandwidth=20, bins=9)
    evaluation, done = kg.evaluate(problem), kg.descend(problem, steps=3, wrt=("angles",))
    for suffix in figures.SUFFIXES:
        file = tmp_path / f"figure{suffix}"
        for draw in (
            lambda file: figures.gradient(evaluation, file),
            lambda file: figures.gradient(evaluation, file, per_bin=True),
            lambda file: figures.loss(evaluation, file),
            lambda file: figures.descent(done, file),
        ):
            draw(str(file))
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
    figures.loss(evaluation, str(file))
    figures.gradient(evaluation, str(file))
    figures.gradient(evaluation, str(file), per_bin=True)
    drawn(file)
    assert file.stat().st_size < 3_000_000
    figures.descent(kg.descend(problem, steps=2), str(file))
    figures.descent(kg.descend(problem, steps=0), str(file))
    figures.sweep(kg.sweep(problem, "scale", [1e-300, 1e300]), str(file), log=True)
    figures.sweep(kg.sweep(problem, "scale", [1]), str(file))
    drawn(file)


def test_an_infinite_loss_is_drawn_by_loss_alone(kdegrad, tmp_path: Path) -> None:
    file = tmp_path / "figure.svg"
    assert kdegrad("grad", TWO_SIDED, "--kernel", "epa", "--plot", file).code == 3
    assert kdegrad("sweep", TWO_SIDED, "--kernel", "epa", "--over", "kernel", "--plot", file).code == 3
    assert kdegrad("descend", TWO_SIDED, "--kernel", "epa", "--plot", file).code == 3
    assert list(tmp_path.iterdir()) == []
    assert kdegrad("loss", TWO_SIDED, "--kernel", "epa", "--plot", file).code == 3
    drawn(file)


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
    for some in (checks, checks[:1], []):
        figures.verdicts(some, str(tmp_path / "figure.svg"))
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
    file = tmp_path / "both.svg"
    assert "is what --output writes to" in kdegrad("loss", TWO_SIDED, "--plot", file, "--output", file).err


def test_without_matplotlib_the_remedy_is_said(kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = kdegrad("loss", TWO_SIDED, "--plot", tmp_path / "figure.svg")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --plot: needs matplotlib, which is not installed: pip install 'kdegrad[plot]'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_failed_drawing_leaves_the_old_file_alone(kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "figure.svg"
    file.write_text("old")
    monkeypatch.setattr("kdegrad.figures.line.panels", lambda _, of_gradient: 1 / 0)
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
    [(1.0, "1"), (0.001, "0.001"), (1e-8, "10⁻⁸"), (1e5, "10⁵"), (2e12, "2·10¹²"), (20.0, "20"), (5e-4, "5·10⁻⁴")],
)
def test_logarithmic_axes_name_plain_numbers(value: float, text: str) -> None:
    assert power(value) == text


def test_no_text_is_read_as_mathematics(tmp_path: Path) -> None:
    """Tick labels of a logarithmic axis once appeared as TeX source."""
    assert SETTINGS["text.parse_math"] is False
    file = tmp_path / "figure.svg"
    figures.sweep(kg.sweep(kg.load(TWO_SIDED), "distance", [1, 1e3, 1e6]), str(file), log=True)
    comments = re.findall(r"<!-- (.*?) -->", file.read_text())
    assert comments
    assert not [comment for comment in comments if "$" in comment]


def test_ticks_show_the_digits_that_tell_angles_apart() -> None:
    """Day numbers of 2024: never 0.5 with +2.46031e6 beside the axis, which a reader has to add up."""
    import matplotlib

    from kdegrad.figures import line

    problem = kg.Problem([2460310.5, 2460311.25], target=(2460310, 2460312))
    with matplotlib.rc_context(SETTINGS):
        drawing = line.panels(kg.evaluate(problem), of_gradient=True)
        drawing.draw_without_rendering()
        angles = drawing.axes[1].xaxis
        assert "2460310.5" in [label.get_text() for label in angles.get_ticklabels()]
        assert angles.get_offset_text().get_text() == ""
