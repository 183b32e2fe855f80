"""Pins down how the groups of a file are read, each a problem of its own, and the targets of groups.

- Names, numbers and targets of groups by every format, in any order of rows, whatever is between the rows.
- Every refusal names the file, the line, the group or the cell, and the remedy; what contradicts itself is refused.
- Texts read in bulk are those read row by row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from kdegrad.errors import KdegradError
from kdegrad.reading import Source, load, read
from kdegrad.settings import ReadingOptions

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

TABLE = """image,angle,logit,low,high
b,1,0.5,10,20
007,2,-inf,-5,5.5
# a comment

b,3,0.25,10.0,2e1
" 7",4,1,0,1
007,5,2,-5,5.50
"""
NAMES, CODES = ("b", "007", " 7"), [0, 1, 0, 2, 1]
LOWS, HIGHS = [10.0, -5.0, 0.0], [20.0, 5.5, 1.0]


def read_text(tmp_path: Path, text: str, name: str = "preds.csv", **options: object) -> Source:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read(path, ReadingOptions(**options))  # type: ignore[arg-type]


def refusal(tmp_path: Path, text: str, name: str = "preds.csv", **options: object) -> list[str]:
    """Return the lines of the message with which a file is refused, without its folder."""
    with pytest.raises(KdegradError) as caught:
        read_text(tmp_path, text, name, **options)
    assert all(line.isprintable() for line in str(caught.value).splitlines())
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def assert_groups(source: Source) -> None:
    """Check that the groups are those of `TABLE`."""
    assert source.groups is not None
    assert source.targets is not None
    assert source.groups.names == NAMES
    assert source.groups.codes.tolist() == CODES
    assert source.groups.codes.dtype == np.intp
    assert [ends.tolist() for ends in source.targets] == [LOWS, HIGHS]
    assert source.angles.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("is_plain", [False, True])
def test_groups_of_a_table(tmp_path: Path, mark: str, end: str, is_plain: bool) -> None:
    text = TABLE.replace("# a comment\n\n", "").replace('" 7"', " 7") if is_plain else TABLE
    text = text.replace(",", mark).replace("\n", end)
    assert_groups(read_text(tmp_path, text, group_by="image", target_columns=("low", "high")))


def test_an_observed_angle_of_each_group(tmp_path: Path) -> None:
    source = read_text(tmp_path, TABLE, group_by="image", target_columns=("high",))
    assert source.targets is not None
    assert [values.tolist() for values in source.targets] == [HIGHS]


def test_without_options_there_are_no_groups_and_a_note_says_how(tmp_path: Path) -> None:
    source = read_text(tmp_path, TABLE)
    assert (source.groups, source.targets) == (None, None)
    assert source.notes[0] == (
        "has columns that are not used: 'image', 'low', 'high'; all rows are taken as one problem: loss and grad with "
        "--group-by image "
        "--target-columns low,high take a problem of each"
    )
    assert read_text(tmp_path, TABLE, group_by="image").targets is None


@pytest.mark.parametrize(
    ("header", "options", "note"),
    [
        ("angle,logit", {}, None),
        ("angle,logit,Image_ID", {}, "'Image_ID'"),
        ("angle,logit,photo_id", {}, "--group-by photo_id"),
        ("angle,logit,ID", {}, "--group-by ID"),
        ("angle,logit,photo id", {}, "--group-by 'photo id'"),
        ("id,angle,logit,Group", {}, "--group-by Group"),
        ("angle,logit,valid,width", {}, None),
        ("angle,logit,target", {}, "a column that is not used: 'target'; all rows are taken as one problem: "
         "loss and grad with --group-by COLUMN --target-columns target"),
        ("angle,logit,LOW,High", {}, "--target-columns LOW,High"),
        ("angle,logit,low", {}, None),
        ("angle,logit,id", {"label_column": "id"}, None),
        ("target,logit", {"angle_column": "target"}, None),
        ("g,angle,logit,low,high", {"group_by": "g"}, "all groups have one target: give --target-columns low,high"),
        ("g,angle,logit,id", {"group_by": "g"}, None),
    ],
)  # fmt: skip
def test_names_that_suggest_groups_or_targets(
    tmp_path: Path, header: str, options: dict[str, object], note: str | None
) -> None:
    notes = read_text(tmp_path, header + "\n" + ",".join("1" * (header.count(",") + 1)), **options).notes
    assert [note in said for said in notes] == ([] if note is None else [True])


def test_groups_of_parquet(tmp_path: Path) -> None:
    columns = {
        "image": ["b", "007", "b", " 7", "007"], "angle": [1.0, 2.0, 3.0, 4.0, 5.0], "logit": [0.5, -np.inf, 0, 1, 2],
        "low": [10, -5, 10, 0, -5], "high": [20, 5.5, 20, 1, 5.5],
    }  # fmt: skip
    path = tmp_path / "preds.parquet"
    options = ReadingOptions(group_by="image", target_columns=("low", "high"))
    for kind in (pyarrow.string(), pyarrow.large_string(), pyarrow.dictionary(pyarrow.int8(), pyarrow.string())):
        names = pyarrow.array(columns["image"], pyarrow.string()).cast(kind)
        pyarrow.parquet.write_table(pyarrow.table({**columns, "image": names}), path)
        assert_groups(read(path, options))
    # categories in an order of their own, of which one is in no row
    names = pyarrow.DictionaryArray.from_arrays(pyarrow.array([2, 1, 2, 0, 1]), [" 7", "007", "b", "z"])
    pyarrow.parquet.write_table(pyarrow.table({**columns, "image": names}), path)
    source = read(path, options)
    assert_groups(source)
    assert source.notes == ()
    pyarrow.parquet.write_table(pyarrow.table({**columns, "image": [3, 7, 3, None, 7]}), path)
    with pytest.raises(KdegradError, match=r"preds.parquet:4: column 'image': '' is a missing value: write the name"):
        read(path, options)
    skipping = read(path, ReadingOptions(group_by="image", missing="skip"))
    assert skipping.groups is not None
    assert skipping.groups.names == ("3", "7")
    pyarrow.parquet.write_table(pyarrow.table({**columns, "low": [10, -5, 11, 0, -5]}), path)
    with pytest.raises(KdegradError, match=r":3: column 'low': 11 for group 'b', which has 10 in row 1: give one"):
        read(path, options)


PROBLEM = """group-by: photo
target-columns: {columns}
points:
  - {{photo: b, angle: 1, logit: 0.5, low: 10, high: 20}}
  - {{photo: 007, angle: 2, logit: -inf, low: -5, high: 5.5}}
  - {{photo: b, angle: 3, logit: 0.25, low: 10, high: 20}}
  - {{photo: " 7", angle: 4, logit: 1, low: 0, high: 1}}
  - {{photo: "007", angle: 5, logit: 2, low: -5, high: 5.5}}
"""


@pytest.mark.parametrize("columns", ["low,high", "low, high", "[low, high]"])
def test_groups_of_a_yaml_problem(tmp_path: Path, columns: str) -> None:
    assert_groups(read_text(tmp_path, PROBLEM.format(columns=columns), "preds.yaml"))


def test_groups_of_a_table_beside_a_yaml_problem(tmp_path: Path) -> None:
    (tmp_path / "preds.csv").write_text(TABLE)
    text = "points: preds.csv\ntarget-columns: [low, high]\n"
    assert_groups(read_text(tmp_path, text + "group-by: image\n", "preds.yaml"))
    assert_groups(read_text(tmp_path, text + "group-by: angle\n", "preds.yaml", group_by="image"))
    assert refusal(tmp_path, text, "preds.yaml") == [
        "preds.yaml:2:17: target-columns: names the targets of groups: give --group-by COLUMN too"
    ]
    assert refusal(tmp_path, "points: preds.csv", "preds.yaml", target_columns=("low", "high")) == [
        "target_columns: names the targets of groups: give --group-by COLUMN too"
    ]


REFUSED = {
    "two targets": (
        "g,angle,logit,low,high\na,1,0,10,20\nb,2,0,0,1\na,3,0,12,20\nb,4,0,0.0,1.5\na,5,0,12,21\n",
        [
            "preds.csv:4: column 'low': 12 for group 'a', which has 10 in line 2: give one target for a group",
            "preds.csv:5: column 'high': 1.5 for group 'b', which has 1 in line 3: give one target for a group",
            "preds.csv:6: column 'low': 12 for group 'a', which has 10 in line 2: give one target for a group",
            "preds.csv:6: column 'high': 21 for group 'a', which has 20 in line 2: give one target for a group",
        ],
    ),
    "targets that differ in the last digit": (
        "g,angle,logit,low,high\na,1,0,0.1,2460310.5\na,1,0,0.10000000000000002,2460310.5\n",
        [
            "preds.csv:3: column 'low': 0.10000000000000002 for group 'a', which has 0.10000000000000001 in line 2: "
            "give one target for a group"
        ],
    ),
    "cells": (
        "g,angle,logit,low,high\na,1,0,x,\n,1,0,7,8\n NA ,1,0,inf,2\na,1,0,nan,2\na,2,0,1,2\n",
        [
            "preds.csv:2: column 'low': 'x' is not a number (write digits, with a point or an exponent: 12, "
            "-0.5, 1e-3)",
            "preds.csv:2: column 'high': '' is a missing value: write a number, or leave such rows out with "
            "--missing skip",
            "preds.csv:3: column 'g': '' is a missing value: write the name of a group, or leave such rows out with "
            "--missing skip",
            "preds.csv:4: column 'g': 'NA' is a missing value: write the name of a group, or leave such rows out with "
            "--missing skip",
            "preds.csv:4: column 'low': 'inf' is not a number (it is infinite: write a finite number, or -inf as a "
            "logit, which masks its point)",
            "preds.csv:5: column 'low': 'nan' is a missing value: write a number, or leave such rows out with "
            "--missing skip",
        ],
    ),
    "no weight": (
        "g,angle,logit,low,high\na,1,-inf,0,1\n\nb,2,0,0,1\nc,3,-inf,0,1\na,1,-inf,0,1\n",
        [
            "preds.csv:2: group 'a': no point has a positive weight: one logit must be finite, or one weight above 0",
            "preds.csv:5: group 'c': no point has a positive weight: one logit must be finite, or one weight above 0",
        ],
    ),
    "no weight in any": (
        "g,angle,weight,low,high\na,1,0,0,1\nb,2,0,0,1\n",
        ["preds.csv: no point has a positive weight: one logit must be finite, or one weight above 0"],
    ),
}


@pytest.mark.parametrize(("text", "lines"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("comment", ["", "\n#"], ids=["", "row by row"])
def test_refused_groups(tmp_path: Path, text: str, lines: list[str], comment: str) -> None:
    assert refusal(tmp_path, text + comment, group_by="g", target_columns=("low", "high")) == lines


@pytest.mark.parametrize("comment", ["", "\n#"], ids=["", "row by row"])
def test_twenty_groups_are_shown_in_the_order_of_lines_with_the_total(tmp_path: Path, comment: str) -> None:
    rows = [f"g{row % 100},{row},{'-inf' if row % 2 else 0},{row}" for row in range(300)]
    text = "g,angle,logit,at\n" + "\n".join(rows) + comment
    lines = refusal(tmp_path, text, group_by="g")
    assert lines[0].startswith("preds.csv:3: group 'g1': no point")
    assert lines[19].startswith("preds.csv:41: group 'g39': no point")
    assert lines[20:] == ["... and 30 more faults (50 in all)"]
    lines = refusal(tmp_path, text, group_by="g", target_columns=("at",))
    assert lines[0].startswith("preds.csv:102: column 'at': 100 for group 'g0', which has 0 in line 2: give one")
    assert lines[20:] == ["... and 180 more faults (200 in all)"]


def test_rows_that_are_left_out(tmp_path: Path) -> None:
    text = "g,angle,logit,at\na,NA,0,1\nb,1,0,\nb,2,0,7\na,3,0,5\n,4,0,9\na,6,0,5\n"
    source = read_text(tmp_path, text, group_by="g", target_columns=("at",), missing="skip")
    assert source.groups is not None
    assert source.targets is not None
    assert (source.groups.names, source.groups.codes.tolist()) == (("a", "b"), [1, 0, 0])
    assert source.targets[0].tolist() == [5.0, 7.0]
    assert source.notes == ("has 3 of 6 rows with a missing value: they are left out",)
    text = text.replace("b,1,0,\n", "c,NA,0,1\nb,1,0,\nd,1,NA,4\n")
    source = read_text(tmp_path, text, group_by="g", target_columns=("at",), missing="skip")
    assert source.groups is not None
    assert (source.groups.names, source.groups.codes.tolist()) == (("a", "b"), [1, 0, 0])
    assert source.targets is not None
    assert [ends.tolist() for ends in source.targets] == [[5.0, 7.0]]
    assert source.notes[1:] == ("has 2 groups without a complete row ('c', 'd'): they are left out",)
    text = text.replace("d,1,NA,4", "d,1,-inf,4")
    assert refusal(tmp_path, text, group_by="g", target_columns=("at",), missing="skip") == [
        "preds.csv:5: group 'd': no point has a positive weight: one logit must be finite, or one weight above 0",
    ]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"group_by": "imag"}, ["no column 'imag' for the groups", "did you mean 'image'?", "with --group-by"]),
        ({"group_by": "image", "target_columns": ("lo", "hight")},
         ["no column 'lo' for the lower ends of the targets", "no column 'hight' for the upper", "'high'"]),
        ({"group_by": "angle"}, ["'angle' cannot be both the angles and the groups: give another column with --group"]),
        ({"group_by": "image", "target_columns": ("angle",)}, ["both the angles and the observed angles", "--targ"]),
        ({"group_by": "logit"}, ["'logit' cannot be both the logits and the groups"]),
        ({"target_columns": ("low", "high")}, ["names the targets of groups: give --group-by COLUMN too"]),
        ({"group_by": 7}, ["group_by: 7 is not text"]),
        ({"group_by": "image", "target_columns": (1, 2)}, ["target_columns: 1 is not text"]),
        ({"group_by": "image", "target_columns": 5}, ["target_columns: 5 is not a list"]),
        ({"group_by": "image", "target_columns": ()}, ["target_columns: '' is not one column or two: give LOW,HIGH"]),
        ({"group_by": "image", "target_columns": ("low", "low")}, ["'low,low' is not one column or two"]),
        ({"group_by": "image", "target_columns": ("low", "high", "at")}, ["'low,high,at' is not one column or two"]),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_used(tmp_path: Path, options: dict[str, object], parts: list[str]) -> None:
    said = "\n".join(refusal(tmp_path, TABLE, **options))
    assert [part for part in parts if part not in said] == []


@pytest.mark.parametrize("options", [{"target": (0, 1)}, {"at": 3.0}])
def test_columns_of_targets_beside_one_target_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "preds.csv"
    path.write_text(TABLE, encoding="utf-8")
    with pytest.raises(KdegradError, match="target_columns: gives every group its target: leave out"):
        load(path, group_by="image", target_columns=("low", "high"), **options)


def test_a_group_may_be_a_label_and_a_target(tmp_path: Path) -> None:
    source = read_text(tmp_path, TABLE, group_by="low", target_columns=("low", "high"), label_column="low")
    assert source.groups is not None
    assert source.groups.names == ("10", "-5", "10.0", "0")
    assert source.labels == ("10", "-5", "10.0", "0", "-5")


@pytest.mark.parametrize("comment", ["", "\n#"], ids=["", "row by row"])
def test_a_name_that_a_spreadsheet_would_take_for_a_formula_is_read_as_it_was_written(
    tmp_path: Path, comment: str
) -> None:
    source = read_text(tmp_path, "g,angle\n'=a,1\n'a,2\n=a,3" + comment, group_by="g")
    assert source.groups is not None
    assert (source.groups.names, source.groups.codes.tolist()) == (("=a", "'a"), [0, 1, 0])


# The command line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "--target-columns low,high --target 0 1",
            "--target-columns: gives every group its target: leave out --target",
        ),
        ("--target-columns low,high --at 1", "leave out --at"),
        ("--target-columns low,high --target-points t.csv", "leave out --target-points"),
        ("--target-columns low --bins 3 --exact", "observed angles, without bins: leave out --bins and --exact"),
        ("--target-points t.csv --target 0 1 --rule gauss", "--target-points: is the whole target, and has no bins: "),
        ("--target-points t.csv --target 0 1 --rule gauss", "has no bins: leave out --target and --rule"),
        ("--target-points t.csv --exact", "leave out --exact"),
        ("--at 1 --rule gauss --bins 3", "--at: is one bin: leave out --bins and --rule"),
    ],
)
def test_flags_that_contradict_each_other(kdegrad, tmp_path: Path, arguments: str, said: str) -> None:
    path = tmp_path / "preds.csv"
    path.write_text(TABLE)
    done = kdegrad("loss", path, "--group-by", "image", *arguments.split())
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("command", ["sweep --over bins --from 1 --to 2", "descend", "verify-props"])
def test_a_command_for_one_problem_refuses_groups(kdegrad, tmp_path: Path, command: str) -> None:
    path = tmp_path / "preds.yaml"
    path.write_text(PROBLEM.format(columns="low,high"))
    done = kdegrad(*command.split(), path)
    assert (done.code, done.out) == (2, "")
    assert f"{path}:1:11: group-by: makes a problem of each group, and this command takes one problem" in done.err
    done = kdegrad(*command.split(), path, "--group-by", "image")
    assert done.code == 2
    assert "--group-by: it belongs to loss, grad" in done.err
