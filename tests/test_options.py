"""Pins down the table of options: keywords, flags, YAML keys and reports are its rows; its ranges hold everywhere."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest

import kdegrad as kg
import kdegrad.dask as kd
from kdegrad.option import Group, Range, checked
from kdegrad.reports.records import problem_facts
from kdegrad.settings import (
    GROUPS,
    PROBLEM,
    CheckOptions,
    DescentOptions,
    DrawingOptions,
    GradientOptions,
    ReadingOptions,
    Settings,
    SweepOptions,
    TargetOptions,
)
from kdegrad.targets import TargetLike

P = kg.Problem([-40, 10], target=(-30, 30), bandwidth=10, bins=9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: kg.descend(P, steps=2.5),
        lambda: kg.descend(P, steps="3"),
        lambda: kg.descend(P, rate="x"),
        lambda: kg.descend(P, optimizer=["em"]),
        lambda: kg.verify(P, cases=1.5),
        lambda: kg.verify(P, tolerance="x"),
        lambda: kg.evaluate(P, None),
        lambda: kg.sweep(P, "distance", 3),
        lambda: kg.sweep(P, "bandwidth", [1, "x"]),
        lambda: kg.sweep(P, "bins", [1.5]),
    ],
)
def test_a_wrong_type_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(kg.SettingError):
        call()


def test_a_text_is_one_name_and_a_generator_lists_values() -> None:
    assert kg.descend(P, wrt="angles", steps=1).wrt == ("angles",)
    assert {verdict.property for verdict in kg.verify(P, only="one-hot", cases=0)} == {"one-hot"}
    family = kg.sweep(P, "distance", (float(d) for d in (1, 2)), kernels="laplace")
    assert [step.value for step in family.steps] == [1.0, 2.0]


def test_an_infinite_loss_fills_only_what_is_asked_for() -> None:
    gradients = kg.evaluate(kg.Problem([99], target=(0, 1), kernel="uniform"), "logits").gradients
    assert math.isnan(gradients.logits[0])
    assert (gradients.angles, gradients.log_bandwidth) == (None, None)


def test_tolerance_0_takes_all_steps() -> None:
    assert len(kg.descend(kg.Problem([0], target=(-1, 1)), tolerance=0, steps=4).course) == 5


# --- the table --------------------------------------------------------------------------------------------------------


HINTS = get_type_hints(TargetOptions) | get_type_hints(Settings) | get_type_hints(DrawingOptions)


def keywords(function: Callable[..., object]) -> dict[str, inspect.Parameter]:
    """Return the keywords that a function takes by name alone."""
    parameters = inspect.signature(function).parameters
    return {name: given for name, given in parameters.items() if given.kind is inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    "function",
    [kg.Problem.__init__, kg.Batch.__init__, kg.loss, kg.grad, kg.loss_and_grad, kd.loss, kd.grad],
    ids=lambda function: f"{function.__module__}.{function.__qualname__}",
)
def test_the_keywords_are_the_settings(function: Callable[..., object]) -> None:
    """Names, order, types and defaults; so that `help` and editors show them, and nothing else is taken.

    A target has more forms than the two numbers of a flag. What says how points or a batch are given, as the names of
    columns do, is no option.
    """
    drawing = DrawingOptions.rows if function is kg.Problem.__init__ else ()  # a loss is not drawn
    beside = {"copy", "offsets", "order", "names", "name", "reduction", "weights", "wrt"}
    beside |= {"angle", "logit", "weight", "target_columns", "no_weights"}
    written = {name: given for name, given in keywords(function).items() if name not in beside}
    hints, of_table = get_type_hints(function), {**HINTS, "target": TargetLike | None}
    assert [(name, hints[name], given.default) for name, given in written.items()] == [
        (row.name, of_table[row.name], row.default) for row in (*PROBLEM, *drawing)
    ]
    assert inspect.Parameter.VAR_KEYWORD not in {p.kind for p in inspect.signature(function).parameters.values()}


@pytest.mark.parametrize("function", [kg.Problem, kg.Batch, kg.loss, kg.load, kd.loss])
def test_a_docstring_lists_the_options(function: Callable[..., object]) -> None:
    """On one line, in the order of the table; `grad` and `loss_and_grad` refer to that of `loss`."""
    lines = [line.strip() for line in inspect.getdoc(function).splitlines()]
    assert ", ".join(row.name for row in Settings.rows) in " ".join(lines)


def test_a_problem_keeps_every_option_that_it_is_given() -> None:
    others: dict[str, object] = {"kernel": "student-t", "rule": "gauss", "unit": "radians", "sums": "dense"}
    others |= {"circular": True, "background": 0.5, "period": math.pi}
    given = {row.name: others.get(row.name, 7) for row in Settings.rows}
    kept = kg.Problem([1.0], target=(0, 1), **given).settings
    assert {row.name: getattr(kept, row.name) for row in Settings.rows} == given


def test_load_takes_the_settings_and_none_is_the_file_s() -> None:
    names = {"Problem": kg.Problem, "Batch": kg.Batch, "TargetLike": TargetLike}
    hints = get_type_hints(kg.load, localns=names)
    of_table = {**HINTS, **get_type_hints(ReadingOptions), "target": TargetLike}
    assert [(name, hints[name], given.default) for name, given in keywords(kg.load).items()] == [
        (row.name, of_table[row.name] | None, None) for row in (*PROBLEM, *DrawingOptions.rows, *ReadingOptions.rows)
    ]


def test_load_reads_as_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "swarm.txt"
    path.write_text("theta  weight\n 1,5   20\n NA    30\n 2,5   40\n")
    told = {"input_format": "csv", "delimiter": "whitespace", "decimal": ",", "angle_column": "theta"}
    with pytest.warns(kg.InputWarning, match="1 of 3 rows"):
        problem = kg.load(path, target=(0, 1), missing="skip", no_weights=True, **told)
    assert problem.angles.tolist() == [1.5, 2.5]
    assert problem.logits.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("function", "group", "beside"),
    [
        (kg.descend, DescentOptions, {"watch", "trace"}),
        (kg.verify, CheckOptions, {"progress", "list_", "expected_failures", "expect_fail"}),
    ],
)
def test_other_keywords_are_rows_too(function: Callable[..., object], group: type[Group], beside: set[str]) -> None:
    """All but what a caller watches by, and what is for the command line alone."""
    assert [(name, given.default) for name, given in keywords(function).items() if name not in beside] == [
        (row.name, row.default) for row in group.rows if row.name not in beside
    ]


def test_an_unknown_keyword_is_a_type_error() -> None:
    for call in (kg.Problem, kg.loss, kg.grad, kg.loss_and_grad):
        with pytest.raises(TypeError, match="bandwith"):
            call([1.0], target=(0, 1), bandwith=3)
    with pytest.raises(TypeError, match="copy"):
        kg.loss([1.0], target=(0, 1), copy=False)
    with pytest.raises(TypeError, match="colour"):
        kg.load("no file is looked for", colour="red")


ROWS = [(group, row) for group in GROUPS for row in group.rows]


@pytest.mark.parametrize(("group", "row"), ROWS, ids=lambda part: getattr(part, "name", getattr(part, "panel", "")))
def test_every_default_is_allowed_and_every_range_is_held(group: type[Group], row: object) -> None:
    needed = {SweepOptions: {"over": "scale"}}.get(group, {})
    assert checked(row, needed.get(row.name, row.default)) == getattr(group(**needed), row.name)
    allowed = row.option.allowed
    wrong: list[object] = []
    if isinstance(allowed, Range):
        wrong = [math.nan, math.inf, -math.inf, "1", [1.0], True, 1j, 10**400 * (-1 if row.type is int else 1)]
        wrong += [1.0, 2.5] if row.type is int else []
        wrong += [allowed.low - 1 if not allowed.open_low else allowed.low] if allowed.low > -math.inf else []
        wrong += [allowed.high + 1 if not allowed.open_high else allowed.high] if allowed.high < math.inf else []
    elif isinstance(allowed, tuple):
        wrong = ["nonsense", 1, ["nonsense"]]
    elif row.type is bool:
        wrong = ["true", 2]
    for value in wrong:
        with pytest.raises(kg.SettingError) as caught:
            group(**needed | {row.name: value})
        assert caught.value.name == row.spelled
        assert str(caught.value).startswith(f"{row.spelled.replace('-', '_')}: ")


def test_names_are_taken_in_any_case_and_several_in_the_order_given() -> None:
    assert Settings(rule="GAUSS").rule == "gauss"
    assert GradientOptions(wrt=("Bandwidth", "logits", "bandwidth")).wrt == ("bandwidth", "logits")


def test_a_key_of_a_problem_is_a_row_and_a_flag_is_none(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "problem.yaml"
    for _, row in ROWS:
        path.write_text(f"points: [{{angle: 1}}]\n{row.spelled}: {{}}\n")
        said = kdegrad("loss", path).err
        assert ("is a flag, not a key" in said) == (not row.option.key), row.spelled
        assert "unknown key" not in said


def test_a_report_names_what_was_computed(kdegrad) -> None:
    facts = problem_facts(P, kg.evaluate(P).rule)
    names = [row.option.reported or row.name for row in PROBLEM]
    assert list(facts) == ["points", "counted", "target", "target_points", *names[1:]]
    assert (facts["domain"], facts["df"], facts["bins"]) == ("line", None, 9)


def test_every_row_is_a_flag_of_a_command_and_its_help(kdegrad) -> None:
    commands = ("loss", "grad", "sweep", "descend", "verify-props", "kernels")
    shown = {command: " ".join(kdegrad(command, "--help").out.split()) for command in commands}
    for _, row in ROWS:
        flag = f"--{row.spelled} {row.option.metavar}".rstrip()
        assert any(flag in text and row.option.help.split(",")[0] in text for text in shown.values()), flag


# --- how a circle is drawn --------------------------------------------------------------------------------------------


def test_how_a_circle_is_drawn_comes_from_keywords_a_file_or_flags(kdegrad, tmp_path: Path) -> None:
    problem = kg.Problem([1.0], target=(0, 1), circular=True, zero="n", clockwise=True)
    assert problem.replace(bandwidth=2).drawing == DrawingOptions(zero="N", clockwise=True)
    path = tmp_path / "problem.yaml"
    path.write_text("points: [{angle: 1}]\ntarget: [0, 1]\ncircular: true\nzero: N\nclockwise: true\n")
    assert kg.load(path).drawing == problem.drawing
    assert kg.load(path, zero="W", clockwise=False).drawing == DrawingOptions(zero="W")
    usual = kdegrad("loss", path, "--format", "csv")
    assert kdegrad("loss", path, "--format", "csv", "--zero", "S", "--no-clockwise").out == usual.out
    assert "zero: unknown 'up': choose E, N, S, W" in kdegrad("loss", path, "--zero", "up").err
    path.write_text("points: [{angle: 1}]\ntarget: [0, 1]\nzero: up\n")
    assert "problem.yaml:3:7: zero: unknown 'up'" in kdegrad("grad", path).err


def test_where_no_circle_is_drawn_it_is_said(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    path.write_text("g,angle\na,1\nb,2\n")
    one = kdegrad("loss", path, "--target", "0", "9", "--zero", "N", "--clockwise")
    assert one.code == 0
    assert one.err.count(" is ignored: there is no circle to draw") == 2
    many = kdegrad("loss", path, "--target", "0", "9", "--circular", "--group-by", "g", "--zero", "N")
    assert many.code == 2
    assert "--zero: is for the drawing of one circle, and there are groups: leave it out" in many.err
    assert "No such option" in kdegrad("sweep", path, "--zero", "N").err
