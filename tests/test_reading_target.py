"""Pins down how target points are read, by --target-points, in a YAML problem and by `kdegrad.load`.

- Tables and lists of angles and weights, with exact values; what is refused, with its place and a remedy that applies.
- What comes before what: flags and keywords before a file, and what excludes each other.
- Groups become the problems of a batch, in any order of rows.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import kdegrad as kg
from kdegrad.batch import Batch
from kdegrad.errors import InputError, KdegradError
from kdegrad.problem import Problem
from kdegrad.reading import read, read_target
from kdegrad.targets import Points

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

POINTS = "bandwidth: 10\npoints: [{angle: 1, logit: 0.5}, {angle: 40, logit: 0}]\n"
TABLE = "angle,weight\n-75,1e300\n50,0\n2.5e1,1e-300\n"
ANGLES, WEIGHTS = [-75.0, 50.0, 25.0], [1e300, 0.0, 1e-300]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_target(points: object, weights: list[float] = WEIGHTS) -> None:
    """Check that target points are those of `TABLE`."""
    assert isinstance(points, Points)
    assert points.angles.tolist() == ANGLES
    assert points.weights.tolist() == weights


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", TABLE),
        ("t.tsv", TABLE.replace(",", "\t")),
        ("t.csv", "# seen\r\nangle;note;weight\r\n-75;a;1e300\r\n50;b;0\r\n25;;1e-300"),
        ("t.csv", '"weight","angle"\n1e300,"-75"\n0,50\n1e-300, 25\n'),
    ],
)
def test_tables_of_target_points(here: Path, name: str, text: str) -> None:
    Path(name).write_text(text)
    points, notes = read_target(name)
    assert_target(points)
    assert notes == ()


def test_target_points_of_parquet_and_of_standard_input(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"angle": ANGLES, "weight": WEIGHTS}), "t.parquet")
    assert_target(read_target(Path("t.parquet"))[0])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.encode())))
    assert_target(read_target("-")[0])


def test_a_target_that_is_no_list_is_one_fault(tmp_path: Path) -> None:
    path = tmp_path / "problem.yaml"
    path.write_text(POINTS + "target: {angle: 5}\n")
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.faults == [f"{path}:3:17: target: angle: '5' in place of a list: write [50, -75]"]


def test_target_points_without_a_name(kdegrad) -> None:
    done = kdegrad("loss", "--target-points", "")
    assert (done.code, done.out) == (2, "")
    assert "error: --target-points: the name is empty: name a .csv, .tsv, .json or .parquet file" in done.err


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("angle\n-75\n50\n25\n", ()),
        ("angle,x\n-75,\n50,\n25,\n", ("t.csv has no weights: all target points weigh the same; it has a column "
         "that is not used: 'x'",)),
        ("Angle,weights\n-75,1\n50,1\n25,1\n",
         ("t.csv has no column 'angle': 'Angle' is taken for the angles",
          "t.csv has no weights: all target points weigh the same; it has a column that is not used: 'weights' (rename "
          "'weights' to 'weight', if it holds the weights)")),
        ("angle,logit,weight\n-75,2,1\n50,3,1\n25,-inf,1\n",
         ("t.csv has a column that is not used: 'logit'",)),
    ],
)  # fmt: skip
def test_notes_about_target_points(here: Path, text: str, notes: tuple[str, ...]) -> None:
    Path("t.csv").write_text(text)
    points, said = read_target("t.csv")
    assert_target(points, [1.0, 1.0, 1.0])
    assert said == notes


REFUSED = {
    "cells": (
        "angle,weight\nx,-1\ninf,\n1,-inf\n",
        ["t.csv:2: column 'angle': 'x' is not a number (write digits, with a point or an exponent: 12, -0.5, 1e-3)",
         "t.csv:2: column 'weight': '-1' is negative: a weight is 0 or more",
         "t.csv:3: column 'angle': 'inf' is not a number (it is infinite: write a finite number)",
         "t.csv:3: column 'weight': '' is a missing value: write a number",
         "t.csv:4: column 'weight': '-inf' is not a number (it is infinite: write a finite number)"],
    ),
    "decimal comma": (
        "angle;weight\n1,5;1\n",
        ["t.csv:2: column 'angle': '1,5' is not a number (a decimal comma? write 1.5)"],
    ),
    "no angles": (
        "theta,weight\n1,1\n",
        ["t.csv:1: no column 'angle' for the angles (columns found: 'theta', 'weight'; did you mean 'theta'?): rename "
         "the right one to 'angle'"],
    ),
    "no separator": (
        "angle weight\n1 1\n",
        ["t.csv:1: no column 'angle' for the angles (columns found: 'angle weight'): rename the right one to 'angle'"],
    ),
    "no weight": ("angle,weight\n1,0\n2,0\n", ["t.csv: no target point has a positive weight: one must be above 0"]),
    "no points": ("angle,weight\n", ["t.csv:1: a header but no points: write a line for each point below it"]),
    "twice": ("angle,angle\n1,1\n", ["t.csv:1: the column 'angle' appears twice: rename or remove one"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "lines"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_tables_of_target_points(kdegrad, here: Path, text: str, lines: list[str]) -> None:
    Path("t.csv").write_text(text)
    Path("p.yaml").write_text(POINTS)
    with pytest.raises(InputError) as caught:
        read_target("t.csv")
    assert str(caught.value).splitlines() == lines
    done = kdegrad("loss", "p.yaml", "--target-points", "t.csv", "--output", "out.json")
    assert (done.code, done.out, Path("out.json").exists()) == (2, "", False)
    assert done.err.splitlines()[-len(lines) :] == [f"error: {line}" for line in lines]
    Path("p.yaml").write_text("target: {points: t.csv}\n" + POINTS)
    done = kdegrad("loss", "p.yaml")
    assert done.code == 2
    assert done.err.splitlines() == [f"error: p.yaml:1:18: target: {line}" for line in lines]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("t.cvs", "t.cvs: no such file in the folder '.'; did you mean 't.csv'?"),
        ("t.txt", "t.txt: the suffix '.txt' is not that of a table: name a .csv, .tsv, .json or .parquet"),
        ("p.yaml", "p.yaml: the suffix '.yaml' is not that of a table"),
        ("t", "t: no suffix says its format: name a .csv"),
        (".", ".: is a folder: name a file in it"),
    ],
)
def test_files_that_are_no_tables(here: Path, name: str, part: str) -> None:
    for file in ("t.csv", "t.txt", "p.yaml", "t"):
        Path(file).write_text(TABLE)
    with pytest.raises(InputError) as caught:
        read_target(name)
    assert part in str(caught.value)
    with pytest.raises(InputError, match="5 is not a path"):
        read_target(5)  # type: ignore[arg-type]


# YAML


@pytest.mark.parametrize(
    "target",
    [
        "{points: t.csv}",
        "{angle: [-75, 50, 25], weight: [1e300, 0, 1e-300]}",
        "\n  weight: [1e300, '0', 1e-300]\n  angle: [-75, +50, 2.5e1]",
    ],
)
def test_target_points_of_a_yaml_problem(here: Path, target: str) -> None:
    (here / "below").mkdir()
    (here / "below" / "t.csv").write_text(TABLE)
    (here / "below" / "p.yaml").write_text(f"target: {target}\n{POINTS}")
    source = read("below/p.yaml")
    assert_target(source.settings["target"])
    assert source.target_table == ("below/t.csv" if "points" in target else None)
    problem = kg.load("below/p.yaml")
    assert_target(problem.observed)
    assert problem.rule_name == "points"
    (here / "below" / "p.yaml").write_text(f"target: {{angle: [4]}}\n{POINTS}")
    observed = kg.load("below/p.yaml").observed
    assert observed is not None
    assert (observed.angles.tolist(), observed.weights.tolist()) == ([4.0], [1.0])


REFUSED_TARGETS = {
    "{low: 1, angle: [2]}": ["1:9: target: a mapping of 'angle', 'low' in place of an interval: write [-30, 30] or "],
    "{points: t.csv, weight: [1]}": ["1:9: target: a mapping of 'points', 'weight' in place of an interval"],
    "{weight: [1]}": ["1:9: target: a mapping of 'weight' in place of an interval", "{angle: [..], weight: [..]}"],
    "{}": ["1:9: target: a mapping in place of an interval"],
    "{angle: 5}": ["1:17: target: angle: '5' in place of a list: write [50, -75]"],
    "{angle: []}": ["1:9: target: is empty: write {angle: [..], weight: [..]}"],
    "{angle: [1, 2], weight: [1]}": ["1:9: target: lists of unequal length: 'angle' has 2, 'weight' has 1"],
    "{angle: [1, [2], x], weight: [0, -1, .nan]}": [
        "1:21: target: angle: a list in place of one value",
        "1:26: column 'angle': 'x' is not a number",
        "1:42: column 'weight': '-1' is negative",
        "1:46: column 'weight': '.nan' is a missing value: write a number",
    ],
    "{angle: [1, 2], weight: [0, 0]}": ["1:9: target: no target point has a positive weight"],
    "{points: [t.csv]}": ["1:18: target: a list in place of one value"],
    "{points: u.csv}": ["1:18: target: u.csv: no such file in the folder '.'; did you mean 't.csv'?"],
    "{points: p.yaml}": ["1:18: target: p.yaml: the suffix '.yaml' is not that of a table"],
}


@pytest.mark.parametrize(("target", "parts"), REFUSED_TARGETS.items(), ids=REFUSED_TARGETS.keys())
def test_refused_targets(here: Path, target: str, parts: list[str]) -> None:
    Path("t.csv").write_text(TABLE)
    Path("p.yaml").write_text(f"target: {target}\npoints: [{{angle: z}}]\n")
    with pytest.raises(KdegradError) as caught:
        read("p.yaml")
    said = str(caught.value)
    assert [part for part in parts if part not in said] == []
    if "unequal" not in said:  # rows that do not belong together are not read on
        assert "p.yaml:2:18: column 'angle': 'z' is not a number" in said


@pytest.mark.parametrize("target", ["target: {angle: [3]}", "group-by: g\ntarget-columns: at"])
@pytest.mark.parametrize("other", ["bins: 3", "rule: gauss", "at: 1"])
def test_what_has_no_place_beside_target_points(here: Path, target: str, other: str) -> None:
    points = "[{g: a, at: 3, angle: 1}]" if "group" in target else "[{angle: 1}]"
    Path("p.yaml").write_text(f"{other}\n{target}\npoints: {points}\n")
    with pytest.raises(InputError) as caught:
        kg.load("p.yaml")
    name, cause = other.split(":")[0], "target gives points, which need no bins"
    cause = "target-columns gives the targets" if "group" in target else cause
    assert str(caught.value) == f"p.yaml:1:{len(name) + 3}: {name}: {cause}: remove one of the two"


def test_a_target_beside_the_columns_of_targets(here: Path) -> None:
    text = "target: [0, 1]\nat: 3\ngroup-by: g\ntarget-columns: a,b\npoints: [{g: x, a: 3, b: 4, angle: 1}]\n"
    Path("p.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        kg.load("p.yaml")
    assert str(caught.value).splitlines() == [
        "p.yaml:1:9: target: target-columns gives the targets: remove one of the two",
        "p.yaml:2:5: at: target-columns gives the targets: remove one of the two",
    ]


# What comes before what


def test_a_given_target_comes_before_that_of_the_file(here: Path) -> None:
    Path("p.yaml").write_text("target: [0, 1]\nbins: 5\nrule: gauss\n" + POINTS)
    for target in (Points(ANGLES, WEIGHTS), {"angle": ANGLES, "weight": WEIGHTS}):
        assert_target(kg.load("p.yaml", target=target).observed)
    observed = kg.load("p.yaml", target=7).observed
    assert observed is not None
    assert observed.angles.tolist() == [7.0]
    Path("p.yaml").write_text("at: 3\n" + POINTS)
    assert kg.load("p.yaml", target=Points(ANGLES, WEIGHTS)).at is None
    Path("p.yaml").write_text("target: {angle: [3]}\n" + POINTS)
    assert kg.load("p.yaml", at=4).at == 4.0
    assert kg.load("p.yaml", target=(0, 1), bins=3).settings.bins == 3
    for excess in ({"bins": 3}, {"rule": "gauss"}):
        with pytest.raises(kg.SettingError, match="is for an interval, and the target has points: leave it out"):
            kg.load("p.yaml", **excess)  # type: ignore[arg-type]


def test_the_flag_is_the_keyword(kdegrad, here: Path) -> None:
    Path("t.csv").write_text("Angle,weight\n-75,1\n50,2\n")
    Path("p.yaml").write_text("target: [0, 1]\nbins: 5\nat: 3\n" + POINTS)
    done = kdegrad("loss", "p.yaml", "--target-points", "t.csv", "--format", "json")
    assert done.err == "note: t.csv has no column 'angle': 'Angle' is taken for the angles\n"
    assert done.json["loss"] == kg.evaluate(kg.load("p.yaml", target=Points([-75, 50], [1, 2]))).loss
    for command in ("grad", "descend"):
        assert kdegrad(*command.split(), "p.yaml", "--target-points", "t.csv").code == 0
    Path("p.yaml").write_text("target: {points: t.csv}\n" + POINTS)
    done = kdegrad("loss", "p.yaml", "--format", "csv")
    assert done.err == "note: t.csv has no column 'angle': 'Angle' is taken for the angles\n"
    assert kdegrad("loss", "p.yaml", "--target", "0", "1", "--format", "csv").err == ""


def test_standard_input_is_read_once(kdegrad, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p.yaml").write_text(POINTS)
    done = kdegrad("loss", "-", "--target-points", "-")
    assert (done.code, done.out) == (2, "")
    assert "--target-points: standard input is read once" in done.err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.encode())))
    assert kdegrad("loss", "p.yaml", "--target-points", "-", "--format", "json").code == 0


@pytest.mark.parametrize("text", ["target: {points: t.csv}\n", ""])
def test_the_table_of_the_target_is_not_overwritten(kdegrad, here: Path, text: str) -> None:
    Path("t.csv").write_text(TABLE)
    Path("p.yaml").write_text(text + POINTS)
    flags = [] if text else ["--target-points", "t.csv"]
    done = kdegrad("loss", "p.yaml", "--output", "t.csv", "--format", "csv", *flags)
    assert done.code == 2
    assert "would overwrite the input" in done.err
    assert Path("t.csv").read_text() == TABLE


def test_the_integral_is_no_answer_for_target_points(kdegrad, here: Path) -> None:
    Path("p.yaml").write_text("target: {angle: [3]}\n" + POINTS)
    done = kdegrad("loss", "p.yaml", "--exact")
    assert (done.code, done.out) == (2, "")
    assert "--exact: compares bins with the integral, and there are no bins: leave it out" in done.err


# Batches

ROWS = [("b", 1, 0.5, 10, 20), ("a", 2, 0.1, -5, 5), ("b", 3, 0.2, 10, 20), ("c", 4, 1, 0, 1), ("a", 5, -2, -5, 5)]


def groups_table(rows: list[tuple[object, ...]]) -> str:
    return "g,angle,logit,low,high\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


@pytest.mark.parametrize("rows", [ROWS, sorted(ROWS), ROWS[::-1]])
def test_groups_are_the_problems_of_a_batch(here: Path, rows: list[tuple[object, ...]]) -> None:
    Path("p.csv").write_text(groups_table(rows))
    names = list(dict.fromkeys(row[0] for row in rows))
    batch = kg.load("p.csv", group_by="g", target_columns=("low", "high"), bandwidth=10, bins=7)
    assert isinstance(batch, Batch)
    assert batch.names == tuple(names)
    for number, name in enumerate(names):
        own = [row for row in rows if row[0] == name]
        problem = batch.problem(number)
        assert problem.angles.tolist() == [row[1] for row in own]
        assert problem.logits.tolist() == [row[2] for row in own]
        assert problem.target == own[0][3:]
        assert (problem.settings.bandwidth, problem.settings.bins) == (10.0, 7)
    observed = kg.load("p.csv", group_by="g", target_columns=("high",)).observed
    assert observed is not None
    assert observed.angles.tolist() == [next(row[4] for row in rows if row[0] == name) for name in names]


@pytest.mark.filterwarnings("ignore::kdegrad.InputWarning")
def test_one_target_for_all_groups(here: Path) -> None:
    Path("p.csv").write_text(groups_table(ROWS))
    assert kg.load("p.csv", group_by="g", target=(1, 2)).intervals is not None
    points = Points(ANGLES, WEIGHTS)
    assert kg.load("p.csv", group_by="g", target=points).observed is points
    Path("p.yaml").write_text("points: p.csv\ngroup-by: g\ntarget-columns: [low, high]\n")
    given = kg.load("p.yaml", target=np.array([1.0, 2.0, 3.0]))
    assert given.observed is not None
    assert given.observed.angles.tolist() == [1.0, 2.0, 3.0]
    assert kg.load("p.yaml", at=3).at == 3.0
    with pytest.raises(kg.SettingError, match="bins: is for an interval, and the target has points"):
        kg.load("p.csv", group_by="g", target_columns=("low",), bins=3)


def test_a_target_that_is_no_interval_names_the_file_and_the_group(kdegrad, here: Path) -> None:
    Path("p.csv").write_text(groups_table([("b", 1, 0, 20, 10), ("a", 2, 0, 1, 2), ("c", 3, 0, 4, 4)]))
    done = kdegrad("loss", "p.csv", "--group-by", "g", "--target-columns", "low,high", "--output", "out.csv")
    assert (done.code, done.out, Path("out.csv").exists()) == (2, "", False)
    assert [line.split(" is not below")[0] for line in done.err.splitlines()] == [
        "error: p.csv: group 'b': target: low 20",
        "error: p.csv: group 'c': target: low 4",
    ]


@pytest.mark.filterwarnings("ignore::kdegrad.InputWarning")
def test_a_yaml_problem_of_groups(here: Path) -> None:
    Path("p.csv").write_text(groups_table(ROWS))
    Path("p.yaml").write_text("points: p.csv\ngroup-by: g\ntarget-columns: [low, high]\nbandwidth: 10\n")
    batch: object = kg.load("p.yaml")
    assert isinstance(batch, Batch)
    assert batch.settings.bandwidth == 10.0
    Path("p.yaml").write_text("points: p.csv\ntarget: [0, 1]\nrule: gauss\n")
    replaced = kg.load("p.yaml", group_by="g", target_columns=("low",))
    assert (replaced.rule_name, replaced.settings.rule) == ("points", "midpoint")
    Path("p.yaml").write_text("points: p.csv\ntarget: [1, 0]\ngroup-by: g\n")
    with pytest.raises(KdegradError, match="low 1 is not below high 0"):
        kg.load("p.yaml")
    assert isinstance(kg.load("p.csv", target=(0, 1)), Problem)
