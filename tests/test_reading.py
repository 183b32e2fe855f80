"""Pins down which files are read and with what numbers, and which are refused and with what message.

- Every layout of a table and of a YAML problem that is accepted, with exact values.
- Every refusal that concerns a file: its message names the file, the line, the column, the value and the remedy.
- A table of plain numbers, which is converted as a whole, has the same points and faults as one that is read row by
  row; and many numbers at once are the same as one by one.
- Whatever the bytes, nothing but a KdegradError is raised.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextvars import Context
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kdegrad import grammar
from kdegrad.errors import InputError, KdegradError, SettingError
from kdegrad.reading import Source, delimited, files, load
from kdegrad.reading import read as read_with
from kdegrad.reading.files import Block
from kdegrad.reading.plain import cut_rows, plain_numbers
from kdegrad.reading.points import bare, numbers_of
from kdegrad.settings import ReadingOptions
from tests.malformed import FUZZ

pytestmark = pytest.mark.usefixtures("speaks_of_flags")


def read(path: str | Path, **options: object) -> Source:
    """Read a file with some options."""
    return read_with(path, ReadingOptions(**options))  # type: ignore[arg-type]


Write = Callable[[str, "str | bytes"], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file into an empty folder and returns its path."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def assert_points(
    source: Source, angles: list[float], logits: list[float] | None, labels: list[str] | None = None
) -> None:
    """Check the points of a source, bit for bit."""
    assert source.angles.dtype == np.float64
    assert source.angles.tolist() == angles
    assert (None if source.logits is None else source.logits.tolist()) == logits
    assert source.labels == (None if labels is None else tuple(labels))


def logs(*weights: float) -> list[float]:
    """Return the logits of weights as NumPy rounds them, which need not be as the C library does."""
    with np.errstate(divide="ignore"):
        return [float(logit) for logit in np.log(np.array(weights))]


def refusal(path: Path, **options: object) -> str:
    """Return the message with which `path` is refused: one line for each fault, all printable."""
    with pytest.raises(KdegradError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert all(line.isprintable() for line in message.splitlines())
    return message


# Tables that are read

TWO_POINTS = {
    "plain": "angle,logit\n-75,0.4\n50,-0.2\n",
    "no-last-line-end": "angle,logit\n-75,0.4\n50,-0.2",
    "byte-order-mark": "\ufeffangle,logit\n-75,0.4\n50,-0.2\n",
    "crlf": "angle,logit\r\n-75,0.4\r\n50,-0.2\r\n",
    "lone-cr": "angle,logit\r-75,0.4\r50,-0.2\r",
    "mixed-line-ends": "angle,logit\r\n-75,0.4\n50,-0.2\r",
    "semicolons": "angle;logit\n-75;0.4\n50;-0.2\n",
    "tabs": "angle\tlogit\n-75\t0.4\n50\t-0.2\n",
    "comments": '# a swarm\nangle,logit\n# one, "two\n-75,0.4\n  # three\n50,-0.2\n#',
    "comments-above": "# it's \"a swarm\n\nangle,logit\n-75,0.4\n50,-0.2\n",
    "blank-lines": "\n\nangle,logit\n\n-75,0.4\n   \n50,-0.2\n\n \t\n",
    "quoted": '"angle","logit"\n"-75","0.4"\n"50",-0.2\n',
    "spaces": " angle , logit \n -75 , 0.4 \n 50,\t-0.2\n",
    "spaces-after-commas": "angle, logit\n-75, 0.4\n50, -0.2\n",
    "spaces-and-quotes": 'angle, "logit"\n-75, "0.4"\n50, " -0.2 "\n',
    "exponents": "angle,logit\n-7.5e1,4E-1\n+.5e+2,-2e-1\n",
    "leading-zeros": "angle,logit\n-0075.,00.4\n050,-0.20\n",
    "other-order": "logit,angle\n0.4,-75\n-0.2,50\n",
    "extra-columns": "id,angle,note,logit\n1,-75,nan,0.4\n2,50,,-0.2\n",
    "extra-numbers": "id,angle,logit\n1,-75,0.4\n2,50,-0.2\n",
    "bars": "angle|logit\n-75|0.4\n50|-0.2\n",
    "other-capitals": "Angle,LOGIT\n-75,0.4\n50,-0.2\n",
    "told-as-for-a-spreadsheet": "sep=;\nangle;logit;a,b,c\n-75;0.4;1\n50;-0.2;2\n",
    "told-in-quotes": '"sep=\t"\r\nangle\tlogit\r\n-75\t0.4\r\n50\t-0.2\r\n',
    "line-end-in-a-name": 'angle,"place\r\n(where)",logit\n-75,a,0.4\n50,b,-0.2\n',
    "line-end-in-the-name-of-a-role": '"angle\n","\nlogit"\n-75,0.4\n50,-0.2\n',
    "rows-of-delimiters": ",\n angle,logit\n,\n-75,0.4\n , \n50,-0.2\n,\n",
    "empty-names-of-extra-columns": "angle,logit,,\n-75,0.4,,\n50,-0.2,,\n",
    "a-mark-in-another-column": '"angle","logit","a;b;c"\n-75,0.4,1\n50,-0.2,2\n',
}


@pytest.mark.parametrize("text", TWO_POINTS.values(), ids=TWO_POINTS.keys())
def test_layouts_of_tables(write: Write, text: str) -> None:
    source = read(write("swarm.csv", text))
    assert_points(source, [-75.0, 50.0], [0.4, -0.2])
    assert source.settings == {}
    assert source.places == {}


def test_tsv_is_separated_by_tabs_whatever_else_is_in_the_header(write: Write) -> None:
    assert_points(read(write("swarm.tsv", "angle\ta,b,c,d\n1\t2\n")), [1.0], None)


def test_a_file_without_logits_and_weights_has_none(write: Write) -> None:
    assert_points(read(write("swarm.csv", "angle\n1\n2\n")), [1.0, 2.0], None)


def test_names_may_be_strings(write: Write) -> None:
    path = write("SWARM.CSV", "angle\n1\n")
    assert read(str(path)).name == str(path)


def test_weights_become_logits(write: Write) -> None:
    source = read(write("swarm.csv", "angle,weight\n1,2\n2,0\n3,1e-320\n4,-0\n"))
    assert_points(source, [1.0, 2.0, 3.0, 4.0], logs(2.0, 0.0, 1e-320, 0.0))
    assert source.logits is not None
    assert source.logits == pytest.approx([math.log(2.0), -math.inf, math.log(1e-320), -math.inf])


@pytest.mark.parametrize("text", ["-inf", "-Inf", "-.inf", "-INF", ' "-inf"'])
def test_minus_infinity_masks_a_point(write: Write, text: str) -> None:
    assert_points(read(write("swarm.csv", f"angle,logit\n1,{text}\n2,0\n")), [1.0, 2.0], [-math.inf, 0.0])


def test_labels_are_unchanged(write: Write) -> None:
    text = 'angle,label\n1, left \n2,"a, ""b"""\n3,"two\r\n# lines\n\n"\n4,[red]\x1b[31m\n5,\n6,naïve\u202e\n'
    labels = [" left ", 'a, "b"', "two\r\n# lines\n\n", "[red]\x1b[31m", "", "naïve\u202e"]
    assert_points(read(write("swarm.csv", text)), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], None, labels)


@pytest.mark.parametrize("delimiter", ["|", ":", " ", "¦"])
def test_a_delimiter_may_be_given(write: Write, delimiter: str) -> None:
    path = write("swarm.csv", f"angle{delimiter}logit\n1{delimiter}2\n")
    assert_points(read(path, delimiter=delimiter), [1.0], [2.0])


ALIGNED = {
    "numbers": "angle  logit\n  -75    0.4\n   50   -0.2\n",
    "tabs": "\tangle logit\t\n-75\t\t0.4 \n\t 50 \t -0.2\t\t\n",
    "comments": "# aligned\n angle logit\n -75 0.4\n   # none\n  50 -0.2\n  \n",
    "quoted": 'angle  "the place"  logit\n -75  "a ""b"" c"  "0.4"\n 50 5\'11" -0.2\n',
}


@pytest.mark.parametrize("text", ALIGNED.values(), ids=ALIGNED.keys())
def test_aligned_columns(write: Write, text: str) -> None:
    for end in ("\n", "\r\n", "\r"):
        path = write("swarm.csv", text.replace("\n", end))
        assert_points(read(path, delimiter="whitespace"), [-75.0, 50.0], [0.4, -0.2])


def test_labels_in_aligned_columns_are_unchanged(write: Write) -> None:
    path = write("swarm.csv", 'angle label\n1  " a \t b"\n2 white\n')
    assert_points(read(path, delimiter="WHITESPACE"), [1.0, 2.0], None, [" a \t b", "white"])


def test_aligned_columns_that_are_refused(write: Write) -> None:
    path = write("swarm.csv", 'angle label\n1  "two\nlines"\n')
    assert "swarm.csv:2: a quote opens and is not closed, '\"two': " in refusal(path, delimiter="whitespace")
    path = write("swarm.csv", "angle label\n1  two words\n")
    assert "3 cells in '1 two words', separated by whitespace" in refusal(path, delimiter="whitespace")


DECIMAL_COMMAS = {
    "semicolons": "angle;logit\n-75,0;0,4\n5e1;-,2\n",
    "tabs": "angle\tlogit\n-75,\t0,4\n+50\t-2,0E-1\n",
    "commas-in-quotes": 'angle;logit\n"-75,0";"0,4"\n50;-0,2\n',
    "rows": "angle;logit\n-75,0;0,4\n# a comment, alone\n50;-0,2\n",
    "a-comma-in-another-name": '"angle";"logit";"a,b,c,d"\n-75;0,4;1\n50;-0,2;2\n',
    "commas-between-quotes": '"angle","logit"\n"-75,0","0,4"\n"50","-0,2"\n',
    "commas-between-some-quotes": '# one\r\n"angle","a ""b"", c","logit"\r\n"-75,0",1,"0,4"\r\n50,2,"-0,2"\r\n',
    "told-to-be-between-cells": 'sep=,\nangle,logit\n"-75,0","0,4"\n50,"-0,2"\n',
}


@pytest.mark.parametrize("text", DECIMAL_COMMAS.values(), ids=DECIMAL_COMMAS.keys())
def test_decimal_commas(write: Write, text: str) -> None:
    assert_points(read(write("swarm.csv", text), decimal=","), [-75.0, 50.0], [0.4, -0.2])


def test_decimal_commas_are_converted_as_a_whole_too() -> None:
    assert rows_parsed(DECIMAL_COMMAS["semicolons"].encode(), decimal=",") == 0
    assert rows_parsed(DECIMAL_COMMAS["rows"].encode(), decimal=",") == 2
    assert rows_parsed(ALIGNED["tabs"].encode(), delimiter="whitespace") == 0


def test_a_comma_is_not_found_as_the_delimiter_where_it_is_the_decimal_mark(write: Write) -> None:
    path = write("swarm.csv", "angle,b,c;logit\n1;2\n")
    assert "columns found: 'angle,b,c', 'logit')" in refusal(path, decimal=",")
    path = write("swarm.csv", "angle,logit\n1,2\n")
    assert "columns found: 'angle,logit'): " in (message := refusal(path, decimal=","))
    assert message.endswith(
        "or give --delimiter , too, if numbers with a decimal comma are in quotes, or leave out --decimal ,"
    )


def test_a_decimal_comma_outside_quotes_separates_cells_where_the_comma_is_the_delimiter(write: Write) -> None:
    path = write("swarm.csv", '"angle","logit"\n"1,5","2"\n1,5,2\n')
    assert "swarm.csv:3: 3 cells in '1,5,2', separated by ',', but the header has 2" in refusal(path, decimal=",")
    path = write("swarm.csv", '"angle","logit"\n1.5\n')
    assert "swarm.csv:2: 1 cell in '1.5'" in refusal(path, decimal=",")
    path = write("swarm.csv", 'angle,logit\n"1,5",2\n1,5\n')
    assert_points(read(path, decimal=",", delimiter=","), [1.5, 1.0], [2.0, 5.0])
    path = write("problem.yaml", "points: swarm.csv\ndecimal: ','\ndelimiter: ','\n")
    assert_points(read(path), [1.5, 1.0], [2.0, 5.0])


@pytest.mark.parametrize(
    ("text", "options", "name", "part"),
    [
        ("angle\n1\n", {"decimal": ";"}, "decimal", "choose '.', ','"),
        ("angle\n1\n", {"missing": "drop"}, "missing", "unknown 'drop': choose error, skip"),
        ("angle\n1\n", {"no_weights": True, "weight_column": "w"}, "no-weights", "contradicts the column of weights"),
        ("angle\n1\n", {"delimiter": 5}, "delimiter", "5 is not text"),
    ],
)
def test_options_that_cannot_be_used(write: Write, text: str, options: dict[str, object], name: str, part: str) -> None:
    with pytest.raises(SettingError) as caught:
        read(write("swarm.csv", text), **options)
    assert caught.value.name == name
    assert part in str(caught.value)


@pytest.mark.parametrize("line", ["sep=\t", "sep=\t\r", '"sep=\t"', "Sep=tab"])
def test_a_first_line_may_tell_the_tab(write: Write, line: str) -> None:
    path = write("swarm.csv", f"{line}\nangle\tlogit;a;b;c\n1\t2\n")
    if line.endswith("tab"):  # as --delimiter has it, and no spreadsheet
        assert "columns found: 'Sep=tab'" in refusal(path)
    else:
        assert_points(read(path), [1.0], None)


def test_a_first_line_wins_over_the_suffix_and_an_option_over_both(write: Write) -> None:
    path = write("swarm.tsv", "sep=;\nangle;logit\ta\n1;2\n")
    assert_points(read(path), [1.0], None)
    assert_points(read(write("problem.yaml", "points: swarm.tsv")), [1.0], None)
    assert "columns found: 'angle;logit\\ta'" in refusal(path, delimiter="|")
    assert_points(read(write("swarm.tsv", "sep=;\nangle|b;c\n1|2\n"), delimiter="|"), [1.0], None)


def test_a_spreadsheet_s_delimiter_that_cannot_be_used(write: Write) -> None:
    assert "swarm.csv:1: sep=e: 'e' occurs inside cells" in refusal(write("swarm.csv", "sep=e\nangle\n1\n"))


MISSING = ["", " ", "nan", "NaN", "-nan", "NA", "n/a", "N/A", "#N/A", "null", "NULL", "~"]


@pytest.mark.parametrize("column", ["angle", "logit", "weight"])
@pytest.mark.parametrize("cell", MISSING)
def test_a_missing_value(write: Write, cell: str, column: str) -> None:
    other = "logit" if column == "angle" else "angle"
    path = write("swarm.csv", f'{other},{column},label\n1,{cell},a\n2,3,b\n4,5,c\n6,"{cell}",d\n')
    lines = refusal(path).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:2", f"{path}:5"]
    assert all("is a missing value: " in line and "--missing skip" in line for line in lines)
    source = read(path, missing="skip")
    values = {other: [2.0, 4.0], column: [3.0, 5.0]}
    logits = logs(*values["weight"]) if column == "weight" else values["logit"]
    assert_points(source, values["angle"], logits, ["b", "c"])
    assert source.notes == ("has 2 of 4 rows with a missing value: they are left out",)


def test_a_missing_value_in_other_columns_is_none(write: Write) -> None:
    path = write("swarm.csv", "angle,b,label\n1,NA,\n")
    assert_points(read(path, missing="skip"), [1.0], None, [""])


def test_a_row_that_is_left_out_may_not_hide_a_fault(write: Write) -> None:
    path = write("swarm.csv", "angle,logit\nNA,x\n1,NA\n1,\n1,inf\n2,3\n")
    assert [line.split(": ")[2] for line in refusal(path, missing="skip").splitlines()] == [
        "'x' is not a number (write digits, with a point or an exponent",
        "'inf' is not a number (it is infinite",
    ]


def test_a_masked_point_is_not_missing_and_a_wrong_weight_not_either(write: Write) -> None:
    path = write("swarm.csv", "angle,logit\n1,-inf\n2,NA\n3,0\n")
    assert_points(read(path, missing="skip"), [1.0, 3.0], [-math.inf, 0.0])
    path = write("swarm.csv", "angle,weight\n1,-1\n2,NA\n3,1\n")
    assert "swarm.csv:2: column 'weight': '-1' is negative" in refusal(path, missing="skip")


def test_rows_that_are_all_left_out(write: Write) -> None:
    assert "a value is missing in all of the 2 rows: no points are left" in refusal(
        write("swarm.csv", "angle\nNA\nnull\n"), missing="skip"
    )
    path = write("swarm.csv", "angle\nNA\n")
    assert "swarm.csv: a value is missing in the only row: no points are left" in refusal(path, missing="skip")


def test_no_weights(write: Write) -> None:
    path = write("birds.csv", "angle,weight\n1,20.5\n2,n/a\n")
    source = read(path, no_weights=True)
    assert_points(source, [1.0, 2.0], None)
    assert source.notes == ("has neither logits nor weights: all points weigh the same",)
    path = write("birds.csv", "angle,weight,logit\n1,20.5,3\n")
    assert "or give --no-weights" in refusal(path)
    assert_points(read(path, no_weights=True), [1.0], [3.0])
    source = read(write("birds.csv", "angle,logit\n1,3\n"), no_weights=True)
    assert source.notes == ("has no column 'weight': --no-weights has no effect",)


@pytest.mark.parametrize(
    ("options", "column", "role", "remedy"),
    [
        ({"logit_column": "angle"}, "angle", "logits", "--logit-column"),
        ({"weight_column": "angle"}, "angle", "weights", "--weight-column"),
        ({"angle_column": "weight"}, "weight", "weights", "--angle-column"),
        ({"angle_column": "id", "logit_column": "id"}, "id", "logits", "--angle-column or --logit-column"),
    ],
)
def test_a_column_cannot_be_both_angles_and_weights(
    write: Write, options: dict[str, str], column: str, role: str, remedy: str
) -> None:
    path = write("swarm.csv", "angle,weight,id\n1,2,3\n")
    said = f"the column '{column}' cannot be both the angles and the {role}: give another column with {remedy}"
    assert refusal(path, **options) == f"{path}:1: {said}"


def test_logits_and_weights_that_are_both_named(write: Write) -> None:
    path = write("swarm.csv", "angle,logit,weight\n1,2,3\n")
    for column in ("logit", "weight"):
        message = refusal(path, logit_column="weight", weight_column=column)
        assert message.endswith(f"weights (column '{column}'): leave out --logit-column or --weight-column")
    # the name of the other role is no reason, and a label is text
    assert_points(read(path, logit_column="weight"), [1.0], [3.0])
    assert_points(read(path, weight_column="logit", label_column="angle"), [1.0], logs(2.0), ["1"])


def test_a_column_that_differs_by_capitals_alone_is_taken_with_a_note(write: Write) -> None:
    source = read(write("swarm.csv", "Angle,WEIGHT,Label\n1,1,a\n"))
    assert_points(source, [1.0], [0.0], ["a"])
    assert source.notes == (
        "has no column 'angle': 'Angle' is taken for the angles",
        "has no column 'weight': 'WEIGHT' is taken for the weights",
        "has no column 'label': 'Label' is taken for the labels",
    )
    # only where nothing else matches
    assert_points(read(write("swarm.csv", "Angle,angle,logit,Weight,weIGHT\n1,2,3,4,5\n")), [2.0], [3.0])
    assert "both logits (column 'LOGIT') and weights (column 'Weight')" in refusal(
        write("swarm.csv", "angle,LOGIT,Weight\n1,2,3\n")
    )
    assert "no column 'Theta'" in refusal(write("swarm.csv", "angle,theta\n1,2\n"), angle_column="Theta")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("angle,label\n1,a\n#1,10\n #N/A,2\n# a note, with a comma\n", 3),
        ('angle,label\n#1\n# one\n1,a\n#1,2,3\n#1,"2\n', 0),
        ("# angle,label\nangle,label\n1,a\n", 0),
        ("angle\n1\n# note\n#2\n# N/A\n#\n", 2),
        ('angle,label\n1,a\n#"1",2\n#"1,2\n# "a, b",2\n#,"a, b"\n', 3),
        ('angle,label\n"#1",a\n1,a\n', None),
    ],
)
def test_comments_that_look_like_rows_are_counted(write: Write, text: str, count: int | None) -> None:
    path = write("swarm.csv", text)
    if count is None:  # in quotes it is no comment
        assert "swarm.csv:2: column 'angle': '#1' is not a number" in refusal(path)
        return
    said = [note for note in read(path).notes if "#" in note]
    assert said == (
        [
            f"has lines that begin with '#' and have as many cells as the header ({count} of them): they are left out "
            "as comments; to keep such a row, quote its first cell"
        ]
        if count
        else []
    )


@pytest.mark.parametrize("delimiter", ["tab", "\\t", "\t", "TAB"])
def test_a_tab_may_be_given_by_its_name(write: Write, delimiter: str) -> None:
    assert_points(read(write("swarm.csv", "angle\ta,b,c\n1\t2\n"), delimiter=delimiter), [1.0], None)


def test_columns_may_be_named(write: Write) -> None:
    path = write("swarm.csv", "angle,theta,z,name\n9,1,2,a\n9,3,4,b\n")
    columns = {"angle_column": "theta", "logit_column": "z", "label_column": "name"}
    assert_points(read(path, **columns), [1.0, 3.0], [2.0, 4.0], ["a", "b"])


@pytest.mark.parametrize(
    ("columns", "logits"),
    [
        ({"logit_column": "logit"}, [0.5]),
        ({"weight_column": "weight"}, logs(2.0)),
        ({"weight_column": "logit"}, logs(0.5)),
    ],
)
def test_naming_one_of_logit_and_weight_settles_which_counts(
    write: Write, columns: dict[str, str], logits: list[float]
) -> None:
    assert_points(read(write("swarm.csv", "angle,logit,weight\n1,0.5,2\n"), **columns), [1.0], logits)


def test_standard_input_is_csv_unless_a_format_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def given(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    given("angle\n1\n")
    assert read("-").name == "standard input"
    given("points: [{angle: 1}]")
    assert_points(read("-", input_format="yaml"), [1.0], None)
    given("angle\n1,\n")
    with pytest.raises(InputError, match="standard input:2: 2 cells"):
        read("-")


def test_the_format_may_be_given(write: Write) -> None:
    assert_points(read(write("swarm.txt", "angle;b\n1;2\n"), input_format="csv"), [1.0], None)
    assert_points(read(write("swarm.csv", "{points: {angle: [1]}}"), input_format="YML"), [1.0], None)


def test_a_million_rows(write: Write) -> None:
    angles = np.random.default_rng(0).uniform(-180.0, 180.0, 10**6)
    logits = np.random.default_rng(1).normal(size=10**6)
    rows = "\n".join(f"{a!r},{z!r}" for a, z in zip(angles.tolist(), logits.tolist(), strict=True))
    source = read(write("swarm.csv", "angle,logit\n" + rows))
    assert np.array_equal(source.angles, angles)
    assert source.logits is not None
    assert np.array_equal(source.logits, logits)


def test_a_table_does_not_import_yaml(write: Write) -> None:
    path = write("swarm.csv", "angle\n1\n")
    code = f"import sys; from kdegrad.reading import read; read({str(path)!r}); print('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# Tables that are refused: what the message must hold, besides the file's name

REFUSED_CELLS = {
    "word": ("abc", ["'abc' is not a number"]),
    "underscore": ("1_000", ["'1_000' is not a number"]),
    "decimal-comma": ('"1,5"', ["'1,5' is not a number", "decimal comma", "1.5"]),
    "hexadecimal": ("0x10", ["'0x10' is not a number"]),
    "overflow": ("1e400", ["'1e400'", "float64"]),
    "full-width-digits": ("１２", ["'１２' is not a number"]),
    "arabic-digits": ("١٢", ["is not a number"]),
    "empty": ("", ["'' is a missing value", "--missing skip"]),
    "blank": ("  ", ["'' is a missing value", "--missing skip"]),
    "nan": ("nan", ["'nan' is a missing value", "--missing skip"]),
    "infinity": ("inf", ["'inf' is not a number", "infinite"]),
    "minus-infinity": ("-inf", ["'-inf' is not a number", "infinite"]),
    "two-numbers": ("1 2", ["'1 2' is not a number"]),
    "half-an-exponent": ("1e", ["'1e' is not a number"]),
    "point-alone": (".", ["'.' is not a number"]),
    "two-signs": ("--1", ["'--1' is not a number"]),
    "two-points": ("1.2.3", ["'1.2.3' is not a number"]),
    "control-character": ("1\x1b[2J", ["'1\\x1b[2J' is not a number"]),
    "very-long": ("9" * 5000 + "x", ["... (5001 characters) is not a number"]),
}


@pytest.mark.parametrize(("cell", "parts"), REFUSED_CELLS.values(), ids=REFUSED_CELLS.keys())
def test_a_cell_that_is_not_a_finite_number(write: Write, cell: str, parts: list[str]) -> None:
    for rows in (f"1,2\n{cell},2\n", f"1,2\n\n# note\n{cell},2\n3,4\n"):
        path = write("swarm.csv", "angle,logit\n" + rows)
        message = refusal(path)
        line = 2 + rows[: rows.index(cell + ",2")].count("\n") if cell else None
        assert message.startswith(f"{path}:{line or ''}")
        for part in ["column 'angle'", *parts]:
            assert part in message


@pytest.mark.parametrize("cell", ["+inf", "inf", "Infinity", "nano", "-infinity", "1_0"])
def test_a_logit_that_is_not_a_logit(write: Write, cell: str) -> None:
    assert f"swarm.csv:2: column 'z': '{cell}' is not a number" in refusal(
        write("swarm.csv", f"angle,z\n1,{cell}\n"), logit_column="z"
    )


READ_TWICE = {
    # cell: (the remedy, with the option, where a comma is the decimal mark)
    "1,5": ("a decimal comma? write 1.5, or give --decimal ,", None),
    "-2,000": ("thousands? write -2000; a decimal comma? write -2.000, or give --decimal ,", None),
    "1,234,567": ("thousands? write 1234567)", "write digits"),
    "1,234.5": ("thousands? write 1234.5)", "write digits"),
    "0,500": ("(a decimal comma? write 0.500", None),
    "1.5": (None, "a decimal point? write 1,5, or give --decimal ."),
    "2.000": (None, "thousands? write 2000; a decimal point? write 2,000, or give --decimal ."),
    "1.234,5": ("write digits, with a point or an exponent: 12, -0.5", "thousands? write 1234,5)"),
    "x": ("with a point or an exponent: 12, -0.5", "with a comma or an exponent: 12, -0,5"),
    "\u22125": ("'\u2212' is U+2212, not the minus of ASCII: write '-5'", "'\u2212' is U+2212"),
    "5e\u20133": ("'\u2013' is U+2013, not the minus of ASCII: write '5e-3'", "U+2013"),
}


@pytest.mark.parametrize("cell", READ_TWICE)
def test_what_a_cell_may_have_meant(write: Write, cell: str) -> None:
    path = write("swarm.csv", f"angle;b\n{cell};2\n")
    for decimal, remedy in zip((None, ","), READ_TWICE[cell], strict=True):
        if remedy is None:
            assert read(path, decimal=decimal).angles.size == 1
        else:
            assert f"column 'angle': '{cell}' is not a number (" in (message := refusal(path, decimal=decimal))
            assert remedy in message


@pytest.mark.parametrize(
    ("header", "offered"),
    [
        ("age,RANGE,triangle,ankles_", "'ankles_'"),  # one letter is wrong; of the others two
        ("wind_direction,speed", "'wind_direction'"),
        ("windDirection,DirectionOfFlight,Yaw", "'windDirection' or 'DirectionOfFlight' or 'Yaw'"),
        ("AZIMUTH (deg),a", "'AZIMUTH (deg)'"),
        ("bearing2,heading,phi,theta", "'bearing2' or 'heading' or 'phi'"),
        ("angles,Angel,angl,anglle", "'angles' or 'Angel' or 'angl'"),
        ("angle_deg,x", "'angle_deg'"),
        ("a,agent,single,tangle_up,philosophy", "'tangle_up'"),
        ("a,b", None),
        ("angle logit", None),  # two names, as it seems; and what is left of JSON
        ("wind direction,b", "'wind direction'"),
        ("{angle: 1,logit: 2}", None),
    ],
)
def test_columns_that_are_offered_for_the_angles(write: Write, header: str, offered: str | None) -> None:
    message = refusal(write("swarm.csv", f"{header}\n"))
    assert (f"; did you mean {offered}?)" if offered else "did you mean") in message or offered is None
    assert ("did you mean" in message) == (offered is not None)


REFUSED_TABLES = {
    "empty": ("", ["swarm.csv: is empty", "header"]),
    "only-blank-lines": ("\n \t\n\n", ["swarm.csv: is empty", "header"]),
    "only-comments": ("# angle\n\n", ["swarm.csv: has no header: write a header"]),
    "only-a-delimiter-that-is-told": ("sep=;\n", ["swarm.csv: has no header"]),
    "only-delimiters": (",,\n", ["swarm.csv: has no header"]),
    "header-and-comments": ("angle,logit\n#1,2\n", ["no points (comments that look like some: 1)"]),
    "header-only": ("\nangle,logit\n\n", ["swarm.csv:2: a header but no points"]),
    "no-header": ("1,2\n3,4\n", ["swarm.csv:1: numbers ('1,2')", "header", "angle,logit"]),
    "header-in-a-comment": ("# angle,logit\n1,2\n", ["swarm.csv:2: numbers ('1,2')", "without a '#'"]),
    "missing-column": (
        "angel,logit\n1,2\n",
        ["swarm.csv:1: no column 'angle'", "'angel', 'logit'", "did you mean 'angel'?", "--angle-column"],
    ),
    "other-case-twice": ("Angle,ANGLE\n1,2\n", ["no column 'angle'", "did you mean"]),
    "other-delimiter": ("angle:logit\n1:2\n", ["no column 'angle'", "'angle:logit'", "--delimiter"]),
    "aligned-columns": ("angle  logit\n1  2\n", ["no column 'angle'", "or --delimiter whitespace"]),
    "column-twice": ("angle,b, angle\n1,2,3\n", ["swarm.csv:1: the column 'angle' appears twice"]),
    "other-column-twice": ("angle,b,b\n1,2,3\n", ["swarm.csv:1: the column 'b' appears twice"]),
    "too-few-cells": (
        "angle,logit\n1,2\n3\n",
        ["swarm.csv:3: 1 cell in '3'", "2 columns ('angle', 'logit')", "add the missing"],
    ),
    "too-many-cells": ("angle,logit\n1,2\n3,4,5\n", ["swarm.csv:3: 3 cells in '3,4,5'", "2 columns", "quote"]),
    "ragged-rows-that-even-out": ("angle,logit\n1\n2,3,4\n", ["swarm.csv:2: 1 cell", "swarm.csv:3: 3 cells"]),
    "comma-at-the-end": ("angle,logit\n1,2,\n3,4,\n", ["swarm.csv:2: 3 cells", "remove the ',' at the end of the row"]),
    "decimal-comma": ("angle;logit\n1,5;2\n", ["swarm.csv:2: column 'angle': '1,5'", "decimal comma", "1.5"]),
    "quote-not-closed": ('angle,label\n1,a\n2,"b\n3,c\n', ["swarm.csv:3: a quote", "close it"]),
    "quote-not-closed-in-header": (
        'angle,"label\n1,a\n',
        ["swarm.csv:1: in the header, a quote", "not closed, '\"label': "],
    ),
    "text-behind-a-quote-of-a-later-line": (
        'angle,label,x\n1,"a\nb","c"d\n',
        ["swarm.csv:2: text behind the closing quote of a cell, '\"c\"d': "],
    ),
    "a-quote-of-a-later-line-not-closed": (
        'angle,label,x\n1,"a\nb","c\nd',
        ["swarm.csv:2: a quote opens and is not closed, '\"c': "],
    ),
    "text-behind-a-quote": ('angle,label\n1,"a"b\n', ["swarm.csv:2: text behind the closing quote"]),
    # Readers of CSV differ about the space: some take it for text of the label. It is refused.
    "space-behind-a-quote": (
        'angle,label\n1,"a" \n',
        ["swarm.csv:2: text behind the closing quote", "not even a space"],
    ),
    "space-behind-a-quote-in-header": (
        '"angle" ,logit\n1,2\n',
        ["swarm.csv:1: in the header, text behind", "'\"angle\" ,logit'"],
    ),
    "long-name": ("a" * 200_000 + "\n1\n", ["swarm.csv:1: in the header, a cell has more than 131072 characters"]),
    "huge-cell": (
        'angle,label\n1,"' + "a\n" * 200_000 + '"\n',
        ["swarm.csv:2: a cell has more than", "close its quote"],
    ),
    "logit-and-weight": (
        "angle,logit,weight\n1,2,3\n",
        ["swarm.csv:1", "'logit'", "'weight'", "name the one to use with --logit-column or --weight-column"],
    ),
    "negative-weight": ("angle,weight\n1,2\n2,-3\n", ["swarm.csv:3: column 'weight': '-3' is negative", "0 or more"]),
    "nan-weight": ("angle,weight\n1,nan\n", ["swarm.csv:2: column 'weight': 'nan'"]),
    "infinite-weight": ("angle,weight\n1,-inf\n", ["swarm.csv:2: column 'weight': '-inf'"]),
    "all-weights-zero": ("angle,weight\n1,0\n2,0.0\n", ["swarm.csv: no point has a positive weight"]),
    "all-masked": ("angle,logit\n1,-inf\n2,-inf\n", ["swarm.csv: no point has a positive weight"]),
    "lines-counted-as-an-editor-does": (
        'angle,label\r\n# one\r\n1,"two\r\nlines\r\n\r\n"\r\n\r\nx,b\r\n',
        ["swarm.csv:8: column 'angle': 'x'"],
    ),
    "two-numbers-in-a-quoted-cell": (
        'angle,label\n"1\n2",a\n',
        ["swarm.csv:2: column 'angle': '1\\n2' is not a number"],
    ),
    "a-tab-in-a-tab-table": (
        "angle\tb\tlogit\n1\t2\t3\n\t\t1\n",
        ["swarm.csv:3: column 'angle': '' is a missing value"],
    ),
    "comma-at-the-end-of-the-header": (
        "angle,logit,\n1,2\n",
        ["2 cells in '1,2'", "remove the ',' at the end of the header, or add one at the end of each row"],
    ),
    "blank-before-a-quote": (
        'angle,label\n1, "a, b"\n',
        ["3 cells", "remove the blank before the quote: a quote counts only directly behind the ','"],
    ),
    "name-of-a-column": ("angle\x1b[31m\n1\n", ["'angle\\x1b[31m'"]),
}


@pytest.mark.parametrize(("text", "parts"), REFUSED_TABLES.values(), ids=REFUSED_TABLES.keys())
def test_refused_tables(write: Write, text: str, parts: list[str]) -> None:
    message = refusal(write("swarm.csv", text))
    for part in parts:
        assert part in message


REFUSED_BYTES = {
    "utf-16": ("angle\n1\n".encode("utf-16"), ["UTF-16", "save it as UTF-8"]),
    "utf-16-unmarked": ("angle\n1\n".encode("utf-16-le"), ["UTF-16", "save it as UTF-8"]),
    "utf-32": ("angle\n1\n".encode("utf-32"), ["UTF-32"]),
    "latin-1": (
        "angle,label\r\n1,a\r\n2,é\r\n".encode("latin-1"),
        [":3:", "0xE9", "byte 21", "save the file as UTF-8"],
    ),
    "parquet": (b"PAR1\x15\0\xff", ["is Parquet", "--input-format parquet"]),
    "spreadsheet": (b"PK\3\4\x14\0", ["is a zip archive, or a spreadsheet", "unpack it", "CSV UTF-8"]),
    "old-spreadsheet": (b"\xd0\xcf\x11\xe0\xa1\0", ["spreadsheet of the old kind", "CSV UTF-8"]),
    "gzip": (gzip.compress(b"angle\n1\n"), ["compressed by gzip", "gunzip"]),
    "bzip2": (bz2.compress(b"angle\n1\n"), ["compressed by bzip2"]),
    "xz": (lzma.compress(b"angle\n1\n"), ["compressed by xz"]),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\0", ["compressed by zstd"]),
    "parquet-of-nuls": (b"PAR1\x15" + bytes(2000), ["is Parquet"]),
    "spreadsheet-of-nuls": (b"PK\3\4" + bytes(2000), ["is a zip archive"]),
    "old-spreadsheet-of-nuls": (b"\xd0\xcf\x11\xe0" + bytes(2000), ["spreadsheet of the old kind"]),
    "nul": (b"angle,label\n1,a\n2,b\0\n" + b"3,c\n" * 9, [":3:", "NUL"]),
}


@pytest.mark.parametrize("ending", ["csv", "tsv", "yaml"])
@pytest.mark.parametrize(("data", "parts"), REFUSED_BYTES.values(), ids=REFUSED_BYTES.keys())
def test_refused_bytes(write: Write, ending: str, data: bytes, parts: list[str]) -> None:
    path = write(f"swarm.{ending}", data)
    message = refusal(path)
    for part in [str(path), *parts]:
        assert part in message


def test_a_named_column_must_exist(write: Write) -> None:
    path = write("swarm.csv", "angle,logit\n1,2\n")
    message = refusal(path, angle_column="angel", weight_column="w", label_column="lable")
    assert message.splitlines() == [
        f"{path}:1: no column 'angel' for the angles (columns found: 'angle', 'logit'; did you mean 'angle'?): "
        "name the right one with --angle-column",
        f"{path}:1: no column 'w' for the weights (columns found: 'angle', 'logit'): "
        "name the right one with --weight-column",
        f"{path}:1: no column 'lable' for the labels (columns found: 'angle', 'logit'): "
        "name the right one with --label-column",
    ]


def test_naming_both_logit_and_weight_settles_nothing(write: Write) -> None:
    path = write("swarm.csv", "angle,z,w\n1,2,3\n")
    assert "both logits (column 'z') and weights (column 'w')" in refusal(path, logit_column="z", weight_column="w")


def test_twenty_faults_are_shown_in_the_order_of_lines_with_the_total(write: Write) -> None:
    rows = [f"{'x' if i % 2 else i},{'y' if i % 3 == 0 else i}{',' if i % 5 == 0 else ''}" for i in range(2, 3002)]
    message = refusal(write("swarm.csv", "angle,logit\n" + "\n".join(rows))).splitlines()
    ragged = sum(i % 5 == 0 for i in range(2, 3002))
    cells = sum((i % 2 == 1) + (i % 3 == 0) for i in range(2, 3002) if i % 5)
    assert len(message) == InputError.SHOWN + 1
    assert message[-1].endswith(f"({ragged + cells} in all)")
    lines = [
        int(line.removeprefix(str(message[0]).split(":2:")[0].split(":3:")[0]).split(":")[1]) for line in message[:-1]
    ]
    assert lines == sorted(lines)
    assert lines[0] == 3


@pytest.mark.parametrize(
    ("delimiter", "part"),
    [(",,", "not one character"), ("", "not one character"), ("e", "occurs inside"), ('"', "inside")],
)
def test_a_delimiter_that_cannot_separate_cells(write: Write, delimiter: str, part: str) -> None:
    with pytest.raises(SettingError, match=part) as caught:
        read(write("swarm.csv", "angle\n1\n"), delimiter=delimiter)
    assert caught.value.name == "delimiter"


# Files that cannot be read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("angle,logit\nnorth,1\nsouth,2\nnorth,3\neast,4\nwest,5\n",
         "2: column 'angle': none of the 5 cells is a number ('north', 'south', 'east', ...): name the right one with "
         "--angle-column"),
        ('logit,angle\n"1,5",1\n"2,5",2\n"3,5",3\n"4,5",4\n',
         "2: column 'logit': none of the 4 cells is a number: '1,5' is not a number (a decimal comma? write 1.5, or "
         "give --decimal ,); or name the right one with --logit-column"),
        ("angle,weight\n1,-1\n2,-2.5\n3,-1\n4,-1\n",
         "2: column 'weight': each of the 4 cells is negative, as '-1': a weight is 0 or more; if they are logits, "
         "give --logit-column weight"),
        ("angle\n" + "NA\n" * 500,
         "2: column 'angle': none of the 500 cells is a number ('NA', ...): name the right one with --angle-column"),
        ("angle\n" + "NA\n" * 300 + "x\n" * 300,
         "2: column 'angle': none of the 600 cells is a number ('NA', 'x', ...): name the right one with "
         "--angle-column"),
    ],
)  # fmt: skip
def test_a_column_without_a_number_is_one_fault(write: Write, text: str, said: str) -> None:
    path = write("points.csv", text)
    for data in (text, text.replace("\n", "\n\n", 1)):  # read as a whole, and row by row
        path.write_text(data)
        with pytest.raises(InputError) as caught:
            read(path)
        assert caught.value.total == 1
        assert str(caught.value) == f"{path}:{said if data is text else '3' + said[1:]}"


def test_one_number_makes_faults_of_the_other_cells(write: Write) -> None:
    path = write("points.csv", "angle\nnorth\nsouth\neast\nwest\n1\n")
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.total == 4
    path.write_text("angle\nnorth\nsouth\neast\n")  # and so does a table of a few rows
    with pytest.raises(InputError) as caught:
        read(path)
    assert [fault.split(":")[1] for fault in caught.value.faults] == ["2", "3", "4"]


def test_messages_of_the_library_name_keywords(write: Write) -> None:
    path = write("points.csv", "theta,logit,weight\nnorth,1,\nsouth,2,\neast,3,\nwest,4,\n")

    def message(name: Path = path, **options: object) -> str:
        with pytest.raises(KdegradError) as caught:
            Context().run(load, name, target=(0, 9), **options)  # in which nobody speaks of flags
        return str(caught.value)

    whole = "('north', 'south', 'east', ...): name the right one with angle_column="
    assert message().endswith("name the right one with angle_column=")
    both = "name the one to use with logit_column= or weight_column=, or give no_weights=True"
    assert message(angle_column="theta").endswith(both)
    assert message(angle_column="theta", logit_column="logit").endswith(whole)
    with pytest.raises(SettingError, match="groups: give group_by=COLUMN too"):
        Context().run(load, path, target_columns=("a", "b"))
    path.write_text("angle\n1,5\n\nNA\n")
    assert "or give decimal=','" in message(delimiter=";")
    assert message(delimiter=";", decimal=",").endswith("or leave such rows out with missing='skip'")
    path.write_text("angle logit\n1 5\n")
    assert message().endswith("with delimiter=CHARACTER, or delimiter='whitespace'")
    assert message(write("points.txt", "angle\n1\n")).endswith("name the format with input_format")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a picture (PNG): "),
        ("a.csv", b"\xff\xd8\xff\xe0\0\x10JFIF", "is a picture (JPEG): "),
        ("a.txt", b"GIF89a", "is a picture (GIF): "),
        ("a.pdf", b"%PDF-1.7\n", "is a PDF: "),
        ("a.csv.gz", b"\x1f\x8b\x08\0", "is compressed by gzip: unpack it (gunzip"),
        ("a.zip", b"PK\3\4", "is a zip archive, or a spreadsheet such as .xlsx or .ods: unpack it, or export"),
        ("a.xlsx", b"PK\3\4", "is a spreadsheet: export the sheet as CSV UTF-8"),
        ("a.ODS", b"PK\3\4", "is a spreadsheet: export the sheet as CSV UTF-8"),
        ("a.npz", b"PK\3\4", "is arrays of NumPy: "),
        ("a.xls", b"\xd0\xcf\x11\xe0", "export the sheet as CSV UTF-8"),
        ("a.npy", b"\x93NUMPY\1\0", "is an array of NumPy: "),
        ("a.mat", b"MATLAB 5.0 MAT-file", "is a file of MATLAB: "),
        ("a.h5", b"\x89HDF\r\n\x1a\n", "is HDF5"),
        ("a.feather", b"ARROW1\0\0", "is Arrow (Feather): "),
        ("a.db", b"SQLite format 3\0", "is a database of SQLite: "),
        ("a.txt", "angle\n1".encode("utf-16-le"), "looks like UTF-16 text"),
        ("a.txt", b"angle\n1\n", "the suffix '.txt' is not that of a format"),
        ("a.csv", b"ab\0\0\0\0\0\0cd", "a NUL character"),  # as many as in UTF-16, but not every other byte
    ],
)  # fmt: skip
def test_what_is_no_text_is_named_by_its_first_bytes(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:")
    assert said in str(caught.value)


def test_a_missing_file(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("swarm.csv", "angle\n1\n")
    monkeypatch.chdir(tmp_path.parent)  # the whole path may be longer than a message shows
    folder = Path(tmp_path.name)
    message = refusal(folder / "swarn.csv")
    assert f"{folder / 'swarn.csv'}: no such file in the folder '{folder}'; did you mean 'swarm.csv'?" in message
    assert "did you mean 'swarm.csv'?" in refusal(tmp_path / "swarm.cvs")


def test_a_missing_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    message = refusal(Path("a/b/c/swarm.csv"))
    assert "its folder 'a/b/c' does not exist (the nearest that does: 'a')" in message


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "swarm.csv").mkdir()
    assert "is a folder" in refusal(tmp_path / "swarm.csv")
    assert "is a folder" in refusal(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(write: Write) -> None:
    path = write("swarm.csv", "angle\n1\n")
    path.chmod(0)
    assert "permission denied" in refusal(path)


def test_a_permission_that_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write("swarm.csv", "angle\n1\n")
    monkeypatch.setattr("builtins.open", refuse)
    assert "permission denied" in refusal(path)


def test_a_file_that_the_machine_cannot_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    path = write("swarm.csv", "angle\n1\n")
    monkeypatch.setattr("builtins.open", fail)
    assert refusal(path) == f"{path}: cannot be read: Input/output error"


def test_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)
    path = tmp_path / "swarm.csv"
    assert refusal(path) == f"{path}: no such file: check its name"


def test_a_file_in_a_folder_that_may_not_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, looked = tmp_path / "swarm", os.stat

    def refuse(name: object, **options: bool) -> os.stat_result:
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied")
        return looked(name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("os.stat", refuse)
    said = refusal(path)
    assert said == f"{path}: cannot be reached: permission denied for its folder {tmp_path} (chmod u+x)"


def test_an_address_is_no_file() -> None:
    said = refusal("https://example.com/swarm.csv")  # type: ignore[arg-type]
    assert said.startswith("https://example.com/swarm.csv: is an address, and files alone are read: download it first")


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input: is closed: name a file"):
        read("-")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("", "is empty"),
        ("a\0b", "'a\\x00b': no such file"),
        ("a\0b.csv", "'a\\x00b.csv'"),
        ("x" * 5000 + ".csv", "x"),
        ("swarm\n.csv", "'swarm\\n.csv'"),
    ],
)
def test_odd_names(name: str, part: str) -> None:
    assert part in refusal(Path(name) if name else name)  # type: ignore[arg-type]


def test_an_unknown_suffix(write: Write) -> None:
    assert "'.txt'" in (message := refusal(write("swarm.txt", "angle\n1\n")))
    assert "--input-format" in message
    assert "--input-format" in refusal(write("swarm", "angle\n1\n"))


def test_an_unknown_format(write: Write) -> None:
    with pytest.raises(SettingError, match="did you mean 'csv'") as caught:
        read(write("swarm.csv", "angle\n1\n"), input_format="cvs")
    assert caught.value.name == "input-format"


def test_a_file_that_is_not_parquet_is_refused(write: Write) -> None:
    assert "Parquet" in refusal(write("swarm.parquet", b"PAR1"))


# YAML problems that are read

PROBLEM = """\
target: {low: -30, high: 30}      # or [-30, 30]
kernel: laplace
bandwidth: 10
bins: 360
points:
  - {angle: -75, logit: 0.4, label: left}
  - {angle: 50, logit: -0.2}
"""


def test_a_problem_with_the_usual_keys(write: Write) -> None:
    path = write("problem.yaml", PROBLEM)
    source = read(path)
    assert_points(source, [-75.0, 50.0], [0.4, -0.2], ["left", ""])
    assert source.settings == {"target": (-30.0, 30.0), "kernel": "laplace", "bandwidth": 10.0, "bins": 360}
    assert source.places == {
        "target": f"{path}:1:9",
        "kernel": f"{path}:2:9",
        "bandwidth": f"{path}:3:12",
        "bins": f"{path}:4:7",
    }
    assert type(source.settings["bins"]) is int
    assert type(source.settings["bandwidth"]) is float


ALL_SETTINGS = {
    "target": (-1.5, 2.0), "kernel": "student-t", "bandwidth": 8.0, "df": 4.0, "bins": 12, "rule": "gauss", "at": -3.0,
    "scale": 2.0, "background": 0.25, "circular": True, "period": 6.0, "unit": "turns", "sums": "dense",
}  # fmt: skip


@pytest.mark.parametrize(
    "kernel",
    ["kernel: student-t\nbandwidth: '8'\ndf: 4", "kernel: {name: student-t, bandwidth: 8, df: 4}"],
    ids=["flat", "nested"],
)
def test_all_settings(write: Write, kernel: str) -> None:
    rest = (
        "target: [-1.5, 2e0]\nbins: 012\nrule: gauss\nat: -3\nscale: +2.\nbackground: .25\ncircular: true\n"
        "period: '6'\nunit: turns\nsums: dense\npoints: {angle: [1]}\n"
    )
    source = read(write("problem.yml", f"{kernel}\n{rest}"))
    assert source.settings == ALL_SETTINGS
    assert set(source.places) == set(ALL_SETTINGS)


FORMS_OF_POINTS = {
    "list": "points: [{angle: -75, logit: 0.4}, {logit: -0.2, angle: 50}]",
    "lists": "points: {angle: [-75, 50], logit: [0.4, -0.2]}",
    "blocks": "points:\n  angle:\n  - -75\n  - 50\n  logit:\n  - 0.4\n  - -0.2\n",
    "json": '{"points": [{"angle": -75, "logit": 0.4}, {"angle": "50", "logit": "-0.2"}]}',
    "crlf": "points:\r\n- angle: -75\r\n  logit: 0.4\r\n- angle: 50\r\n  logit: -0.2\r\n",
    "byte-order-mark": "\ufeffpoints: {angle: [-75, 50], logit: [0.4, -0.2]}",
    "document-marks": "%YAML 1.1\n---\npoints: {angle: [-75, 50], logit: [0.4, -0.2]}\n...\n",
    "numbers-of-the-strict-grammar": "points: {angle: [-75e0, 050], logit: [4e-1, -.2]}",
    "named": "angle-column: a\nlogit-column: z\npoints: {a: [-75, 50], z: [0.4, -0.2]}",
    "chosen": "logit-column: logit\npoints: {angle: [-75, 50], logit: [0.4, -0.2], weight: [1, 2]}",
}


@pytest.mark.parametrize("text", FORMS_OF_POINTS.values(), ids=FORMS_OF_POINTS.keys())
def test_forms_of_points(write: Write, text: str) -> None:
    assert_points(read(write("problem.yaml", text)), [-75.0, 50.0], [0.4, -0.2])


def test_yaml_masks_and_weights(write: Write) -> None:
    assert_points(read(write("a.yaml", "points: {angle: [1, 2], logit: [-.inf, 0]}")), [1.0, 2.0], [-math.inf, 0.0])
    assert_points(read(write("b.yaml", "points: {angle: [1, 2], weight: [0, 1]}")), [1.0, 2.0], [-math.inf, 0.0])


def test_a_table_beside_the_problem(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("swarm.csv", "theta|z|w|label\n1|2|3|a\n")
    text = "points: swarm.csv\nangle-column: theta\nlogit-column: z\ndelimiter: '|'\n"
    path = write("problem.yaml", text)
    monkeypatch.chdir(Path(__file__).parent)  # the table's name is relative to the problem's folder
    source = read(path)
    assert source.name == str(path)
    assert source.settings == {}
    assert_points(source, [1.0], [2.0], ["a"])
    # flags override keys, and naming one of logit and weight replaces the other
    assert_points(read(path, angle_column="z", weight_column="w"), [2.0], logs(3.0), ["a"])
    write("swarm.csv", "theta;z\n1;2\n")
    assert_points(read(path, delimiter=";"), [1.0], [2.0])
    monkeypatch.chdir(tmp_path)
    assert read("problem.yaml", delimiter=";").name == "problem.yaml"


def test_how_a_table_beside_the_problem_is_read(write: Write) -> None:
    write("swarm.csv", "angle;weight;logit\n1,5;7;0\nNA;8;0\n2;9;-1\n")
    text = "points: swarm.csv\ndecimal: ','\nmissing: skip\nno-weights: true\n"
    path = write("problem.yaml", text)
    assert_points(read(path), [1.5, 2.0], [0.0, -1.0])
    assert_points(read(path, weight_column="weight"), [1.5, 2.0], logs(7.0, 9.0))  # a flag wins
    assert "'NA' is a missing value" in refusal(path, missing="error")
    assert "'1,5' is not a number" in refusal(path, decimal=".")
    path = write("problem.yaml", "points: swarm.csv\ndecimal: ','\nmissing: skip\nweight-column: weight\n")
    assert_points(read(path, no_weights=True), [1.5, 2.0], [0.0, -1.0])
    write("swarm.csv", "angle   logit\n 1    2\n")
    assert_points(read(write("problem.yaml", "points: swarm.csv\ndelimiter: whitespace\n")), [1.0], [2.0])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("weight-column: w\nno-weights: true\n", ":3:13: no-weights: contradicts the column of weights"),
        ("missing: drop\n", ":2:10: missing: unknown 'drop': choose error, skip"),
        ("no-weights: 1\n", ":2:13: no-weights: '1' is neither true nor false"),
        ("decimal: x\n", ":2:10: decimal: unknown 'x'"),
        ("target: [nan, 1]\n", ":2:10: target: 'nan' is not a number (a missing value: write a number)"),
    ],
)
def test_options_of_reading_that_a_problem_cannot_have(write: Write, text: str, part: str) -> None:
    write("swarm.csv", "angle\n1\n")
    assert f"problem.yaml{part}" in refusal(write("problem.yaml", "points: swarm.csv\n" + text))


def test_missing_values_in_yaml(write: Write) -> None:
    text = "points: [{angle: 1, logit: 2, label: a}, {angle: .nan, logit: 0}, {angle: 3}, {angle: ~, logit: 1}]\n"
    path = write("problem.yaml", text + "missing: skip")
    source = read(path)
    assert_points(source, [1.0], [2.0], ["a"])
    assert source.notes == ("has 3 of 4 rows with a missing value: they are left out",)
    assert refusal(path, missing="error").count("--missing skip") == 2


def test_notes_name_the_table_that_they_are_about(write: Write, kdegrad) -> None:
    table = write("swarm.csv", "Angle\n1\n")
    path = write("problem.yaml", "points: swarm.csv\nat: 0\n")
    said = [line.split(" has ")[0] for line in kdegrad("loss", path).err.splitlines()]
    assert said == [f"note: {table}", f"note: {table}"]
    path = write("problem.yaml", "points: [{angle: 1}]\nat: 0\n")
    assert kdegrad("loss", path).err.startswith(f"note: {path} has neither logits nor weights")


def test_a_tab_table_beside_the_problem(write: Write) -> None:
    write("swarm.tsv", "angle\ta,b,c\n1\t2\n")
    assert_points(read(write("problem.yaml", "points: swarm.tsv")), [1.0], None)
    assert_points(read(write("problem.yaml", 'points: swarm.tsv\ndelimiter: "\\t"')), [1.0], None)


def test_many_points_in_yaml(write: Write) -> None:
    count = 10**5
    text = "points:\n" + "".join(f"- {{angle: {i}, logit: {i / 7!r}, label: p{i}}}\n" for i in range(count))
    source = read(write("problem.yaml", text))
    assert_points(source, list(range(count)), [i / 7 for i in range(count)], [f"p{i}" for i in range(count)])


# YAML problems that are refused

POINTS = "points: {angle: [1]}\n"
REFUSED_PROBLEMS = {
    "empty": ("", ["problem.yaml: is empty"]),
    "only-comments": ("# nothing\n", ["problem.yaml: is empty"]),
    "null": ("---\n", ["problem.yaml: is empty"]),
    "list": ("- angle: 1\n", ["problem.yaml:1:1: a list in place of the keys"]),
    "text": ("swarm.csv\n", ["problem.yaml:1:1: 'swarm.csv' in place of the keys"]),
    "no-points": ("target: [0, 1]\n", ["problem.yaml:1:1: no points are given"]),
    "null-points": ("points:\n", ["problem.yaml:1:8: no points are given"]),
    "empty-list": ("points: []\n", ["problem.yaml:1:9: points: is empty"]),
    "empty-mapping": ("points: {}\n", ["problem.yaml:1:9: points: is empty"]),
    "empty-lists": ("points: {angle: [], logit: []}\n", ["problem.yaml:1:9: points: is empty"]),
    "empty-points": ("points: [{}]\n", ["problem.yaml:1:9: points: is empty"]),
    "points-no-table": ("points: 5\n", ["problem.yaml:1:9: points: '5' is not a table", ".csv"]),
    "points-in-yaml": ("points: problem.yaml\n", ["problem.yaml:1:9: points: 'problem.yaml' is not a table"]),
    "points-from-standard-input": ("points: '-'\n", ["problem.yaml:1:9: points: '-' is not a table"]),
    "missing-table": ("points: swarm.csv\n", ["problem.yaml:1:9: points: ", "swarm.csv: no such file"]),
    "unequal-lengths": (
        "points: {angle: [1, 2], logit: [1]}",
        ["problem.yaml:1:9: points: lists of unequal length: 'angle' has 2, 'logit' has 1"],
    ),
    "column-no-list": ("points: {angle: 1}", ["problem.yaml:1:17: points: angle: '1' in place of a list"]),
    "point-no-mapping": ("points:\n- {angle: 1}\n- 2\n", ["problem.yaml:3:3: points: '2' in place of a point"]),
    "points-that-are-lists": (
        "points: [[1, 2], [3, 4]]",
        [
            "problem.yaml:1:10: points: a list in place of a point",
            "problem.yaml:1:18: points: a list in place of a point",
        ],
    ),
    "cell-a-list": ("points: [{angle: [1]}]", ["problem.yaml:1:18: points: angle: a list in place of one value"]),
    "unknown-key-of-a-point": (
        "points: [{angle: 1, logits: 2}]",
        ["problem.yaml:1:21: points: unknown key 'logits'; did you mean 'logit'"],
    ),
    "misspelt-angle": (
        "points: {angles: [1]}",
        ["problem.yaml:1:10: points: unknown key 'angles'; did you mean 'angle'"],
    ),
    "missing-angle": ("points: {logit: [1]}", ["problem.yaml:1:9: no column 'angle'", "'logit'"]),
    "missing-logit-of-one": (
        "points:\n- {angle: 1, logit: 2}\n- {angle: 2}\n",
        ["problem.yaml:3:3: points: this point has no logit"],
    ),
    "logit-and-weight": ("points: {angle: [1], logit: [1], weight: [1]}", ["problem.yaml:1:9: both logits"]),
    "bad-cell": ("points:\n- {angle: 12:30}\n", ["problem.yaml:2:11: column 'angle': '12:30' is not a number"]),
    "empty-cell": ("points:\n- {angle: }\n", ["problem.yaml:2:", "column 'angle': '' is a missing value"]),
    "nan": ("points: {angle: [.nan]}", ["problem.yaml:1:18: column 'angle': '.nan' is a missing value"]),
    "infinite-angle": ("points: {angle: [-.inf]}", ["problem.yaml:1:18: column 'angle': '-.inf'", "infinite"]),
    "infinite-logit": ("points: {angle: [1], logit: [.inf]}", ["problem.yaml:1:30: column 'logit': '.inf'"]),
    "negative-weight": ("points: {angle: [1], weight: [-2]}", ["problem.yaml:1:31: column 'weight': '-2' is negative"]),
    "all-masked": ("points: {angle: [1], logit: [-inf]}", ["problem.yaml: no point has a positive weight"]),
    "unknown-key": (POINTS + "bandwith: 3\n", ["problem.yaml:2:1: unknown key 'bandwith'; did you mean 'bandwidth'"]),
    "unlike-any-key": (POINTS + "qqq: 3\n", ["problem.yaml:2:1: unknown key 'qqq'", "the keys are target"]),
    "flag": (POINTS + "output: x.csv\n", ["problem.yaml:2:1: output: is a flag, not a key", "--output"]),
    "key-twice": (POINTS + "bins: 3\nbins: 4\n", ["problem.yaml:3:1: the key 'bins' appears twice, first in line 2"]),
    "key-of-a-point-twice": ("points: [{angle: 1, angle: 2}]", ["problem.yaml:1:21: the key 'angle' appears twice"]),
    "merge-key": (POINTS + "<<: {bins: 3}\n", ["problem.yaml:2:1: the merge key '<<'"]),
    "list-as-key": ("? [a]\n: 1\n", ["problem.yaml:1:3: a list as a key"]),
    "tag": (POINTS + "bins: !!int 3\n", ["problem.yaml:2:7: the tag 'tag:yaml.org,2002:int'"]),
    "python-tag": (POINTS + "bins: !!python/name:os.system ''\n", ["problem.yaml:2:7: the tag"]),
    "tag-of-a-list": ("points: !x []\n", ["problem.yaml:1:9: the tag '!x'"]),
    "alias": ("a: *x\n", ["problem.yaml:1:4: the alias *x"]),
    "anchor": ("a: &x [1]\nb: *x\n", ["problem.yaml:1:4: the anchor &x", "aliases"]),
    "two-documents": (POINTS + "---\n" + POINTS, ["problem.yaml:2:1: a second document"]),
    "two-kernels": (POINTS + "kernel: a\nkernel: b\n", ["problem.yaml:3:1: the key 'kernel' appears twice"]),
    "bandwidth-twice": (
        POINTS + "bandwidth: 3\nkernel: {name: laplace, bandwidth: 4}\n",
        ["problem.yaml:3:25: bandwidth: is given twice", "line 2"],
    ),
    "df-twice": (POINTS + "kernel: {df: 4}\ndf: 3\n", ["problem.yaml:3:1: df: is given twice", "line 2"]),
    "kernel-empty": (POINTS + "kernel: {}\n", ["problem.yaml:2:9: kernel: is empty", "{name: "]),
    "kernel-unknown-key": (POINTS + "kernel: {nam: t}\n", ["problem.yaml:2:10: kernel: unknown key 'nam'", "'name'"]),
    "kernel-a-list": (POINTS + "kernel: [a]\n", ["problem.yaml:2:9: kernel: a list in place of one value"]),
    "bandwidth-no-number": (POINTS + "bandwidth: abc\n", ["problem.yaml:2:12: bandwidth: 'abc' is not a number"]),
    "bandwidth-null": (POINTS + "bandwidth:\n", ["problem.yaml:2:11: bandwidth: is empty"]),
    "bandwidth-infinite": (POINTS + "bandwidth: .inf\n", ["problem.yaml:2:12: bandwidth: '.inf'", "infinite"]),
    "bins-no-integer": (POINTS + "bins: 3.5\n", ["problem.yaml:2:7: bins: '3.5' is not an integer"]),
    "bins-huge": (
        POINTS + f"bins: {'9' * 5000}\n",
        ["problem.yaml:2:7: bins: ", "(5000 characters) is not an integer"],
    ),
    "bandwidth-huge": (POINTS + f"bandwidth: {'9' * 5000}\n", ["problem.yaml:2:12: bandwidth: ", "float64"]),
    "circular-yes": (POINTS + "circular: yes\n", ["problem.yaml:2:11: circular: 'yes' is neither true nor false"]),
    "at-sexagesimal": (POINTS + "at: 12:30\n", ["problem.yaml:2:5: at: '12:30' is not a number"]),
    "target-one-number": (POINTS + "target: 5\n", ["problem.yaml:2:9: target: '5' in place of an interval"]),
    "target-three": (POINTS + "target: [1, 2, 3]\n", ["problem.yaml:2:9: target: a list in place of an interval"]),
    "target-other-keys": (
        POINTS + "target: {low: 1, hi: 2}\n",
        ["problem.yaml:2:9: target: a mapping", "low: -30, high"],
    ),
    "target-no-number": (POINTS + "target: [-30, x]\n", ["problem.yaml:2:15: target: 'x' is not a number"]),
    "delimiter-long": ("points: a.csv\ndelimiter: ab\n", ["problem.yaml:2:12: delimiter: 'ab' is not one character"]),
    "delimiter-without-table": (
        POINTS + "delimiter: ','\n",
        ["problem.yaml:2:12: delimiter: the points are in this file"],
    ),
    "decimal-without-table": (
        POINTS + "decimal: ','\n",
        ["problem.yaml:2:10: decimal: the points are in this file"],
    ),
    "column-null": ("points: a.csv\nangle-column:\n", ["problem.yaml:2:14: angle-column: is empty"]),
    "column-without-list": ("angle-column: theta\n" + POINTS, ["problem.yaml:2:9: no column 'theta'", "'angle'"]),
    "bracket": ("points: [{angle: 1}\nbins: 3\n", ["problem.yaml:2:1: not valid YAML"]),
    "tab": ("points:\n\t- {angle: 1}\n", ["problem.yaml:2:1: not valid YAML", "tabs"]),
    "quote": ('points: "a\n', ["problem.yaml:", "not valid YAML"]),
    "surrogate": (POINTS + 'rule: "\\ud800"\n', ["problem.yaml:2:"]),
    "nul": ("points: [{angle: 1, label: 'a', logit: 0}, {angle: 2, label: \"\\0\"}]", ["problem.yaml:1:", "'\\x00'"]),
    "control-character": ("bins: 3\nrule: a\x07\n", ["problem.yaml:2:8: YAML must not contain the character '\\x07'"]),
    "label-of-control-characters": ('points: [{angle: "\\e[2J"}]', ["problem.yaml:1:18: column 'angle': '\\x1b[2J'"]),
}


@pytest.mark.parametrize(("text", "parts"), REFUSED_PROBLEMS.values(), ids=REFUSED_PROBLEMS.keys())
def test_refused_problems(write: Write, text: str, parts: list[str]) -> None:
    message = refusal(write("problem.yaml", text))
    for part in parts:
        assert part in message


def test_all_faults_of_a_problem_are_shown_together(write: Write) -> None:
    text = "bandwidth: abc\nbinz: 3\ntarget: [1, x]\npoints:\n- {angle: one, logit: 1}\n- {angle: 2, logit: two}\n- 3\n"
    message = refusal(write("problem.yaml", text)).splitlines()
    assert [line.split("problem.yaml:")[1].split(": ")[0] for line in message] == [
        "1:12", "2:1", "3:13", "5:11", "6:21", "7:3",
    ]  # fmt: skip


@pytest.mark.parametrize("opened", ["[", "{a: ", "- ", "points: ["])
def test_deep_nesting_is_refused_at_once(write: Write, opened: str) -> None:
    message = refusal(write("problem.yaml", opened * 100_000))
    assert re.search(r"problem\.yaml:1:\d+: (nested more than 20 levels|.* exceeded maximum nesting depth)", message)


def test_how_deep_is_too_deep(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    path = write("problem.yaml", "[" * 21 + "]" * 21)
    assert "problem.yaml:1:21: nested more than 20 levels" in refusal(path)
    assert "problem.yaml:1:1: a list in place of the keys" in refusal(write("other.problem.yaml", "[" * 20 + "]" * 20))
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert "nested more than 20 levels" in refusal(write("problem.yaml", "[" * 100_000))


def test_an_alias_bomb_is_refused(write: Write) -> None:
    text = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert "problem.yaml:1:4: the anchor &a" in refusal(write("problem.yaml", text))


def test_a_fault_in_the_table_names_the_table(write: Write) -> None:
    table = write("swarm.csv", "angle\nx\n")
    assert refusal(write("problem.yaml", "points: swarm.csv")).startswith(f"{table}:2: column 'angle': 'x'")


@pytest.mark.parametrize("option", ["delimiter", "decimal"])
def test_an_option_of_tables_for_points_inside_the_yaml(write: Write, option: str) -> None:
    with pytest.raises(SettingError, match="not in a table") as caught:
        read(write("problem.yaml", POINTS), **{option: ","})
    assert caught.value.name == option


@pytest.mark.parametrize("text", [*FORMS_OF_POINTS.values(), PROBLEM])
def test_the_parser_without_libyaml_reads_the_same(write: Write, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    import yaml

    path = write("problem.yaml", text)
    fast = read(path)
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    slow = read(path)
    assert_points(
        slow, fast.angles.tolist(), None if fast.logits is None else fast.logits.tolist()
    ) if fast.labels is None else None
    assert (slow.settings, slow.places, slow.labels) == (fast.settings, fast.places, fast.labels)


# load


def test_load(write: Write) -> None:
    path = write("problem.yaml", PROBLEM)
    problem = load(path, bandwidth=5)
    assert problem.angles.tolist() == [-75.0, 50.0]
    assert problem.labels == ("left", "")
    assert problem.settings.bandwidth == 5
    assert problem.settings.bins == 360


def test_a_line_with_a_period_contradicts_itself_in_a_file_and_not_under_a_flag(write: Write) -> None:
    path = write("problem.yaml", PROBLEM + "circular: false\nperiod: 100\n")
    with pytest.raises(SettingError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}:8:11: circular: false contradicts a period, which makes a circle: remove one of them"
    )
    assert load(path, circular=False).domain.name == "line"


def test_a_period_and_the_unit_that_it_contradicts(write: Write) -> None:
    """The unit degrees is told from one that nobody gave, whichever of the two is in the file."""
    path = write("problem.yaml", PROBLEM + "period: 24\n")
    said = "24 contradicts the unit degrees, in which a full turn is 360: leave one of the two out"
    for keywords in ({"unit": "degrees"}, {"unit": "deg", "period": 24}):
        with pytest.raises(SettingError, match=said):
            load(path, target=(0, 9), **keywords)
    path = write("problem.yaml", PROBLEM + "period: 24\nunit: rad\n")
    with pytest.raises(SettingError) as caught:
        load(path, target=(0, 9))
    assert str(caught.value).startswith(f"{path}:8:9: period: 24 contradicts the unit radians")
    assert load(path, target=(0, 9), period=180, unit="degrees").domain.measure == 180  # of axes


def test_load_places_what_is_out_of_range(write: Write) -> None:
    path = write("problem.yaml", PROBLEM.replace("bandwidth: 10", "bandwidth: -1"))
    with pytest.raises(SettingError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:3:12: ")
    with pytest.raises(SettingError) as caught:
        load(path, bandwidth=-2)
    assert caught.value.place is None
    assert load(path, bandwidth=2).settings.bandwidth == 2


# The fast readers agree with the strict ones

SHARP = st.text(alphabet='0123456789+-.eE ,;\t\n\r"#_xnaif١ ', max_size=12)
CELL = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.floats(-180.0, 180.0).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(
        ["", " ", "-inf", "1_0", "0x1", "1e400", "-", ".", "1e5", "+.5", "1 ", " 1", "1 2", "1,5", '"1"', "#"]
    ),
    SHARP,
)


NUMBER = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-180.0, 180.0).map(repr),
    st.from_regex(r"[+-]?[0-9]{1,10}(\.[0-9]{0,20})?", fullmatch=True, alphabet=st.characters(codec="ascii")),
)


def strict_numbers(cell: str, decimal: str | None) -> float | None:
    """Return what the grammar makes of a cell; None if it refuses it."""
    try:
        return grammar.number(cell, decimal=decimal)
    except ValueError:
        return None


def column_of_numbers(cells: list[str], decimal: str = ".") -> list[float] | None:
    """Return what the fast reader makes of the cells of a column between two others."""
    rows = cut_rows("\n".join(f"+1;{cell};x" for cell in cells).encode(), ";", 3)
    assert rows is not None
    values = rows.numbers(1, decimal)
    return None if values is None else values.tolist()


@FUZZ
@given(st.lists(CELL.filter(lambda cell: not set(';"\n') & set(cell)), min_size=1, max_size=6), st.sampled_from(".,"))
@example(["1", " ", "2"], ".")
@example(["1,5", "1.5"], ",")
@example(["-", "+", ".", "-.", "1.2.3", "1-2", "", "--1", "1+", "5", "..5"], ".")
def test_the_fast_reader_of_numbers_never_differs_from_the_grammar(cells: list[str], decimal: str) -> None:
    for some in (cells, *([cell] for cell in cells)):  # one odd cell has all of them refused
        values, strict = column_of_numbers(some, decimal), [strict_numbers(cell, decimal) for cell in some]
        assert (values is None) >= (None in strict)
        if values is not None:
            assert list(map(repr, values)) == list(map(repr, strict))
    many = plain_numbers([cell.encode() for cell in cells])
    if many is not None:
        assert list(map(repr, many.tolist())) == [repr(strict_numbers(cell, None)) for cell in cells]


@FUZZ
@given(st.lists(NUMBER, min_size=1, max_size=50))
@example([str(2**53 + 1), "9007199254740993e0", "9007199254740993.00", "0.500000000000000166", "-0.0", "-.0"])
@example(["9007199254740991", "9007199254740992", "9007199254740993", "-900719925474099.3", "9007199254740.9935"])
@example(["00000000000000001", "0.00000000000000001", "-00000000000000001.5", "+1.", "-.5", "0.1", "0.3", "1" * 17])
@example(["1" * 18, "1" * 19, "1." + "1" * 17, "1." + "1" * 18, "0." + "1" * 18, "12345678." + "9" * 10, "123456789.5"])
def test_the_fast_reader_of_numbers_rounds_as_float_does(numbers: list[str]) -> None:
    values = column_of_numbers(numbers)
    assert values is not None
    assert list(map(repr, values)) == list(map(repr, map(float, numbers)))
    commas = column_of_numbers([number.replace(".", ",") for number in numbers], ",")
    assert commas == values


def test_the_fast_reader_of_numbers_rounds_those_about_halfway_as_float_does() -> None:
    """Decimals of 16 to 19 digits next to the middle of two float64, and next to a power of 2."""
    random, cells = Random(0), []
    for _ in range(4000):
        digits, below = random.randint(0, 18), random.uniform(1.0, 2.0) * 2.0 ** random.randint(-5, 62)
        middle = (Fraction(below) + Fraction(math.nextafter(below, math.inf))) / 2
        for place in (middle, Fraction(2) ** random.randint(-5, 62)):
            text = str(int(place * 10**digits) + random.randint(-2, 2)).rjust(digits + 1, "0")
            text = f"{text[: len(text) - digits]}.{text[len(text) - digits :]}"
            cells.append(text if digits else text.removesuffix("."))
    assert column_of_numbers(cells) == list(map(float, cells))


@FUZZ
@given(st.lists(CELL, min_size=1, max_size=6), st.booleans(), st.sampled_from([".", ","]))
@example(["1", "x"], False, ".")
@example(
    ["-inf", "-.INF", '"2"', "\xa03\x1c", "1e400", "-1e400", "1,5", "1.5", "inf", "", "1_0", "\n1", "1\n2"], True, "."
)
@example(["-1e400", "1,5", "1.5", " ,5", "x,"], True, ",")
def test_a_column_of_text_is_read_as_the_grammar_reads_each_cell(cells: list[str], logit: bool, decimal: str) -> None:
    def one(cell: str) -> float:
        try:
            return grammar.number(bare(cell), minus_infinity=logit, decimal=decimal)
        except ValueError:
            return math.nan

    assert list(map(repr, numbers_of(cells, logit, decimal).tolist())) == [repr(one(cell)) for cell in cells]


def test_the_fast_reader_refuses_ragged_rows() -> None:
    cells = [f"{i / 7!r},{-i}" for i in range(100)]
    rows = cut_rows("\n".join(cells).encode(), ",", 2)
    assert rows is not None
    for column, expected in ((0, [i / 7 for i in range(100)]), (1, [-i for i in range(100)])):
        values = rows.numbers(column, ".")
        assert values is not None
        assert values.tolist() == expected
    for odd in (["1"], ["1", "2,3,4"], ["1,2,3", "4"], [""], ["1,2", ""]):
        assert cut_rows("\n".join([*cells, *odd]).encode(), ",", 2) is None
    assert cut_rows(b"", ",", 1) is None


@FUZZ
@given(st.lists(st.text(st.characters(exclude_characters='\n,"', codec="utf-8"), max_size=5), min_size=1, max_size=9))
@example(["a", "a", "ba", "a", "aa", "aa", "", "", "é", "é", "è"])
@example(["x" * 64, "x" * 64, "y" * 65, "y" * 65])
def test_the_fast_reader_of_texts_changes_none(texts: list[str]) -> None:
    rows = cut_rows("\n".join(f"{text},a{row}" for row, text in enumerate(texts)).encode(), ",", 2)
    assert rows is not None
    assert rows.texts(0) == rows.coded(0).tolist() == texts
    runs = [text for text, _ in groupby(texts)]
    assert rows.coded(0).each == (runs if max(len(text.encode()) for text in texts) < 65 else texts)


def read_table(data: bytes, **options: object) -> Source:
    """Read a table, as one block."""
    return delimited.read_table([Block(1, data)], "swarm.csv", ReadingOptions(**options), None)  # type: ignore[arg-type]


def both_readers(data: bytes, **options: object) -> tuple[object, object]:
    """Return what becomes of a table, and of the same with a comment at its end, which must be read row by row."""

    def outcome(table: bytes) -> object:
        try:
            source = read_table(table, **options)
        except KdegradError as error:
            return str(error)
        groups = None if source.groups is None else (source.groups.names, source.groups.codes.tolist())
        targets = None if source.targets is None else [ends.tolist() for ends in source.targets]
        logits = None if source.logits is None else source.logits.tolist()
        return source.angles.tolist(), logits, source.labels, groups, targets, source.notes

    return outcome(data), outcome(data + b"\n#")


@FUZZ
@given(
    st.sampled_from(["angle", "angle,logit", "angle;weight", "b\tangle\tlogit"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.lists(CELL, min_size=1, max_size=3), max_size=5),
    st.booleans(),
)
def test_the_two_readers_of_tables_agree(header: str, end: str, rows: list[list[str]], straight: bool) -> None:
    mark = next((mark for mark in ",;\t" if mark in header), ",")
    width = header.count(mark) + 1
    rows = [(row * width)[:width] for row in rows] if straight else rows
    fast, strict = both_readers(end.join([header, *(mark.join(row) for row in rows)]).encode())
    assert fast == strict


TEXT_CELL = st.one_of(
    st.sampled_from(
        ["a", "b", "7", "007", "'=a", "'a", "é", " a", "", "NA", "#", " #1", "a#", '"a"', '"a\nb"', 'a"', "\t"]
    ),
    CELL,
)
NAMES = ["g", "angle", "logit", "low", "high", "label", "other"]
NUMBER_CELL = st.one_of(st.sampled_from(["1", "2", "-0.5", "-inf", "nan", "", "1e400", "0x1"]), NUMBER, CELL)


@FUZZ
@given(
    st.permutations(NAMES),
    st.sampled_from([",", ";", "\t", "|", "whitespace"]),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.tuples(TEXT_CELL, NUMBER_CELL, NUMBER_CELL, st.sampled_from(["1", "1", "1.0", "2"]),
                       st.sampled_from(["3", "3", "x", ""]), TEXT_CELL, CELL), max_size=6),
    st.sampled_from([".", ",", None]),
    st.booleans(),
)  # fmt: skip
@example(NAMES, ",", "\n", [("a", "1", "2", "1", "3", "l", "")] * 3, None, False)
@example(NAMES, ",", "\n", [("#", "1", "2", "1", "3", "l", "")] * 3, None, False)
@example(NAMES, ",", "\n", [("", "", "", "", "", "", "")] * 3, None, True)
@example(NAMES, ",", "\n", [('"a"', '"1"', "2", "1", "3", '"l m"', '""')] * 3, None, False)
@example(NAMES, ",", "\n", [('"a', "1", "2", "1", "3", "l", ""), ('b"', "1", "2", "1", "3", "l", "")], None, False)
@example(NAMES, ",", "\n", [('"', "1", "2", "1", "3", '"', "")] * 2, None, False)
@example(NAMES, ",", "\n", [('"a"b"c"', "1", "2", "1", "3", '"', '"')] * 2, None, False)
@example(NAMES, ",", "\n", [("a", "", "2", "1", "3", "", "")] * 2, None, True)
@example(NAMES, ",", "\n", [('""', "", "", "", "", "", "")] * 2, None, True)
@example(NAMES, "whitespace", "\n", [('"a b"', "1", "2", "1", "3", "x", "1")] * 2, None, True)
def test_the_two_readers_agree_on_texts(
    order: list[str], mark: str, end: str, rows: list[tuple[str, ...]], decimal: str | None, skips: bool
) -> None:
    between = " " if mark == "whitespace" else mark
    lines = [[row[NAMES.index(name)] for name in order] for row in (tuple(NAMES), *rows)]
    options = {"group_by": "g", "target_columns": ("low", "high"), "decimal": decimal, "delimiter": mark}
    data = end.join(between.join(line) for line in lines).encode()
    fast, strict = both_readers(data, **options, missing="skip" if skips else "error")
    assert fast == strict


# Not on an empty one: the comment that has the row reader chosen would be all of it.
@pytest.mark.parametrize("text", [*TWO_POINTS.values(), *(text for text, _ in REFUSED_TABLES.values() if text.strip())])
def test_the_two_readers_agree_on_the_tables_above(text: str) -> None:
    fast, strict = both_readers(text.encode().removeprefix(b"\xef\xbb\xbf"))
    assert fast == strict


def test_the_two_readers_agree_on_a_cell_that_is_too_long() -> None:
    for length in (csv.field_size_limit(), csv.field_size_limit() + 1):
        fast, strict = both_readers(b"angle,label\n1," + b"x" * length)
        assert fast == strict
        assert isinstance(fast, str) == (length > csv.field_size_limit())


def outcome_in_pieces(data: bytes, size: int) -> object:
    """Return what becomes of a table that is read `size` bytes at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "SIZE", size)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try:
            source = read("-")
        except KdegradError as error:
            return str(error)
    return source.angles.tolist(), source.logits is None or source.logits.tolist(), source.labels, source.notes


@pytest.mark.parametrize("size", [1, 2, 3, 8, 21])
@pytest.mark.parametrize("text", [*TWO_POINTS.values(), *(text for text, _ in REFUSED_TABLES.values())])
def test_where_a_table_is_cut_into_blocks_does_not_matter(text: str, size: int) -> None:
    body = text if len(text) < 1000 else text[:1000]
    assert outcome_in_pieces(body.encode(), size) == outcome_in_pieces(body.encode(), 10**6)


@FUZZ
@given(
    st.lists(st.sampled_from(["1", "2,", ",", '"', '""', "\n", "\r\n", "\r", "#", " ", "é", "x", "1,2\n"]), max_size=30)
)
def test_where_any_table_is_cut_into_blocks_does_not_matter(pieces: list[str]) -> None:
    data = "".join(["angle,label\n", *pieces]).encode()
    assert outcome_in_pieces(data, 4) == outcome_in_pieces(data, 10**6)


def test_a_fault_far_down_has_its_line(write: Write) -> None:
    size = files.SIZE // 8
    path = write("swarm.csv", "angle,label\r\n" + "1,abc\r\n" * size + '2,"\n\r\n"\r\n' + "3,\r\n" * size + "x,\r\n")
    assert refusal(path).startswith(f"{path}:{2 * size + 5}: column 'angle': 'x'")


def rows_parsed(data: bytes, **options: object) -> int:
    """Return how many rows of a table the csv module parses one by one, those of the header not counted."""
    rows = 0

    def counting(lines: Iterable[str], **options: Any) -> Iterator[list[str]]:
        nonlocal rows
        for row in parse(lines, **options):
            rows += isinstance(lines, Generator)  # of the lines of a block; a header is sought in the text itself
            yield row

    parse = csv.reader
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv, "reader", counting)
        read_table(data, **options)
    return rows


@pytest.mark.parametrize(
    "name",
    [
        "plain", "no-last-line-end", "crlf", "semicolons", "tabs", "comments-above", "spaces-after-commas", "exponents",
        "leading-zeros", "extra-numbers", "extra-columns", "bars", "other-capitals",
        "quoted", "empty-names-of-extra-columns",
    ],
)  # fmt: skip
def test_a_table_of_plain_numbers_is_converted_as_a_whole(name: str) -> None:
    table = TWO_POINTS[name].encode()
    assert rows_parsed(table) == 0
    assert rows_parsed(table + b"\n#") == 2  # what `both_readers` relies on


# Whatever the input, nothing but a KdegradError is raised


def survives(data: bytes, input_format: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try:
            source = read("-", input_format=input_format)
        except KdegradError as error:
            assert all(line.isprintable() for line in str(error).splitlines())  # noqa: PT017
        else:
            assert np.isfinite(source.angles).all()
            assert source.angles.size


FORMAT = st.sampled_from(["csv", "tsv", "yaml", "yml", "parquet"])


@FUZZ
@given(st.binary(max_size=200), FORMAT)
def test_random_bytes(data: bytes, input_format: str) -> None:
    survives(data, input_format)


@FUZZ
@given(
    st.lists(st.one_of(st.text(max_size=8), SHARP, st.sampled_from(["angle", "logit", "weight", "label"])), max_size=20)
)
def test_random_tables(cells: list[str]) -> None:
    survives("".join(["angle,label\n", *cells]).encode(), "csv")


YAML_PIECES = st.sampled_from(
    [
        "points", "angle", "logit", "target", "kernel", "bandwidth", "bins", "circular", ": ", ":", "\n", "\n  ", "- ",
        "\n- ", "[", "]", "{", "}", ", ", "? ", "&a ", "*a", "!!int ", "|\n", ">", '"', "'", "#", "---\n", "...\n", "%",
        "<<", "1", "-.inf", ".nan", "1e400", "~", "yes", "\t", "\\x41", "\\U00110000", "\\ud800", "@", "`",
    ]
)  # fmt: skip


@FUZZ
@given(st.lists(st.one_of(YAML_PIECES, st.text(max_size=3)), max_size=25))
def test_random_yaml(pieces: list[str]) -> None:
    survives("".join(pieces).encode(), "yaml")


@FUZZ
@given(st.lists(YAML_PIECES, max_size=25))
def test_random_yaml_without_libyaml(pieces: list[str]) -> None:
    import yaml

    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(yaml, "CSafeLoader", raising=False)
        survives(("points: {angle: [1]}\n" + "".join(pieces)).encode(), "yaml")


@pytest.mark.parametrize("path", [b"points.csv", None, 5])
def test_what_is_not_a_path_is_refused(path: object) -> None:
    with pytest.raises(InputError, match="is not a path"):
        load(path)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["labels", "angles", "bandwith"])
def test_an_unknown_option_is_refused_before_a_file_is_read(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        load("nowhere.yaml", **{name: [1.0]})
