"""Pins down data frames: the same points as from the CSV that they are written as, in the order of their rows.

Of pandas and pyarrow, and of Polars where it is installed: its wheel is too large for every run of the tests.
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest

import kdegrad as kg

TABLE: dict[str, list[Any]] = {
    "image": ["b", "a", "b", "a", "b"],
    "angle": [1.5, 22.0, 3.0, 14.25, -7.0],
    "logit": [0.0, 0.5, -math.inf, 2.0, 1.0],
    "count": [1, 2, 3, 0, 5],
    "low": [0, 10, 0, 10, 0],
    "high": [5, 20, 5, 20, 5],
    "label": ["x", "=y", "z,", "ü", "w"],
}
TARGETS = {"group": "image", "target_columns": ("low", "high")}


def polars(lazy: bool = False) -> Callable[[dict[str, list[Any]]], Any]:
    def made(table: dict[str, list[Any]]) -> Any:
        frame = pytest.importorskip("polars", reason="Polars is not installed").DataFrame(table)
        return frame.lazy() if lazy else frame

    return made


MAKERS = {"pandas": pandas.DataFrame, "pyarrow": pyarrow.table, "polars": polars(), "lazy": polars(lazy=True)}


@pytest.fixture(params=MAKERS)
def maker(request: pytest.FixtureRequest) -> Callable[[dict[str, list[Any]]], Any]:
    return MAKERS[request.param]


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    pandas.DataFrame(TABLE).to_csv(path, index=False)
    return path


def assert_same(found: kg.Problem | kg.Batch, expected: kg.Problem | kg.Batch) -> None:
    assert type(found) is type(expected)
    assert (found.labels, found.settings) == (expected.labels, expected.settings)
    np.testing.assert_array_equal(found.angles, expected.angles)
    np.testing.assert_array_equal(found.logits, expected.logits)


@pytest.mark.filterwarnings("ignore::kdegrad.InputWarning")
def test_a_frame_is_read_as_its_csv(maker: Callable[[dict[str, list[Any]]], Any], csv: Path) -> None:
    frame, options = maker(TABLE), {"target": (0, 5), "bandwidth": 2, "circular": True}
    assert_same(kg.from_frame(frame, **options), kg.load(csv, **options))
    weighted = kg.from_frame(frame, weight="count", angle="low", label="image", **options)
    assert_same(weighted, kg.load(csv, weight_column="count", angle_column="low", label_column="image", **options))
    assert (weighted.name, kg.from_frame(frame, name="birds", **options).name) == (None, "birds")


def test_groups_are_those_of_the_csv_and_gradients_are_in_the_order_of_the_rows(
    maker: Callable[[dict[str, list[Any]]], Any], csv: Path
) -> None:
    batch = kg.from_frame(maker(TABLE), **TARGETS, bandwidth=2)
    expected = kg.load(csv, group_by="image", target_columns=("low", "high"), bandwidth=2)
    assert_same(batch, expected)
    assert (batch.names, batch.problem(1).target) == (("b", "a"), (10.0, 20.0))
    gradient = kg.evaluate(batch).gradients.logits
    rows = [row for row, name in enumerate(TABLE["image"]) if name == "a"]
    alone = kg.grad([22.0, 14.25], [0.5, 2.0], target=(10, 20), bandwidth=2)
    np.testing.assert_allclose(gradient[rows], alone, rtol=1e-12)


COLUMNS = {
    "Int64": pandas.array([1, 2, 3], dtype="Int64"),
    "Float32": np.array([1, 2, 3], dtype=np.float32),
    "arrow": pandas.array([1.0, 2.0, 3.0], dtype="double[pyarrow]"),
    "decimals": [Decimal(1), Decimal("2.0"), Decimal("3e0")],
    "text": [" 1", "2.0", "+3e0"],
    "category": pandas.Categorical(["1", "2", "3"]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_numbers_of_every_type_are_read(kind: str) -> None:
    problem = kg.from_frame(pandas.DataFrame({"angle": COLUMNS[kind]}), target=(0, 1))
    assert problem.angles.tolist() == [1.0, 2.0, 3.0]
    assert problem.logits.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "values",
    [[1.0, None, 3.0], pandas.array([1, None, 3], dtype="Int64"), [1.0, math.nan, "3"], ["1", pandas.NA, "3"]],
)
def test_a_row_without_a_value_is_named_or_left_out(values: Any) -> None:
    frame = pandas.DataFrame({"angle": values, "label": ["a", "b", "c"]})
    with pytest.raises(kg.InputError, match=r"^frame:1: column 'angle': .* is a missing value"):
        kg.from_frame(frame, target=(0, 1))
    with pytest.warns(kg.InputWarning, match=r"^frame has 1 of 3 rows with a missing value: they are left out$"):
        left = kg.from_frame(frame, target=(0, 1), missing="skip")
    assert (left.angles.tolist(), left.labels) == ([1.0, 3.0], ("a", "c"))


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"angle": ["1", "x"]}, {}, "frame:1: column 'angle': 'x' is not a number"),
        ({"angle": ["1", "x"]}, {"name": "winds"}, "'winds':1: column 'angle': 'x' is not a number"),
        ({"angle": [True, False]}, {}, "column 'angle' has the type Boolean, which has no numbers"),
        ({"angle": pandas.to_datetime(["2020-01-01"])}, {}, "column 'angle' has the type Datetime"),
        ({"angle": [1], "weight": [-2]}, {}, "frame:0: column 'weight': '-2.0' is negative"),
        ({"azimuth": [1]}, {}, "did you mean 'azimuth'?"),
        ({"angle": [1]}, {"logit": "logits"}, "frame: no column 'logits' for the logits"),
        ({"angle": [1]}, {"angle": 0}, "angle: 0 is not text"),
        ({"angle": [1]}, {"group": ["a"]}, "group: ['a'] is not text"),
        ({"angle": []}, {}, "frame: columns but no points"),
        ({"angle": [1]}, {"missing": "drop"}, "missing: unknown 'drop': choose error, skip"),
        ({"angle": [1]}, {"target_columns": "at"}, "target_columns: gives every group its target: leave out target"),
        ({"angle": [1]}, {"name": 5}, "name: 5 is not text"),
        ({"angle": [1]}, {"kernel": "von-mises"}, "kernel: von-mises is defined on a circle only"),
        (TABLE | {"high": [5, 20, 5, 21, 5]}, TARGETS | {"target": None}, "21 for group 'a', which has 20 in row 1"),
    ],
)
def test_what_cannot_be_used_is_named(columns: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(kg.KdegradError) as caught:
        kg.from_frame(pandas.DataFrame(columns), **{"target": (0, 1), **options})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "options", "remedy"),
    [
        ({"azimuth": [1]}, {}, "name the right one with angle"),
        ({"angle": [None, 1.0]}, {}, "missing='skip'"),
        ({"angle": [1], "logit": [0], "weight": [1]}, {}, "with logit= or weight=, or give no_weights=True"),
        ({"angle": [True]}, {}, "name another column with angle="),
        ({"angle": [1]}, {"target_columns": "at", "target": None}, "give group=COLUMN too"),
    ],
)
def test_a_remedy_names_the_keywords_of_from_frame(columns: dict[str, Any], options: Any, remedy: str) -> None:
    with pytest.raises(kg.KdegradError) as caught:
        kg.from_frame(pandas.DataFrame(columns), **{"target": (0, 1), **options})
    assert remedy in str(caught.value)
    assert not any(other in str(caught.value) for other in ("--", "_column ", "group_by"))


@pytest.mark.parametrize(
    ("columns", "options", "notes"),
    [
        (
            {"angle": [1], "counts": [2]},
            {},
            ["neither logits nor weights: all points weigh the same; it has a column", "(weight='counts'?)"],
        ),
        (TABLE, {}, ["one problem: group='image' and target_columns=('low', 'high') make a problem of each"]),
        (
            {"angle": [0.5, 3.1], "logit": [0, 1], "low": 0, "high": 1},
            {"circular": True},
            [
                "frame has columns that are not used: 'low', 'high'; all rows are taken as one problem: group=COLUMN "
                "and target_columns=('low', 'high') make many, each with its target",
                "all angles lie within ±2π, and the unit is degrees: are they radians? give unit='radians'",
            ],
        ),
        (
            {"angle": [1], "logit": [0]},
            {"no_weights": True, "rule": "exact", "bins": 5, "zero": "N"},
            [
                "frame has no column 'weight': no_weights=True has no effect",
                "zero is ignored: there is no circle to draw",
                "bins is for midpoint and gauss: the rule exact finds its nodes itself",
            ],
        ),
        (
            {"angle": [1], "logit": [0]},
            {"unit": "radians"},
            ["unit='radians' changes no number on a line: circular=True or period=P makes a circle"],
        ),
        ({"angle": [1], "logit": [0]}, {}, []),
    ],
)
def test_what_may_not_be_meant_is_a_warning_at_the_line_of_the_user(
    columns: dict[str, Any], options: Any, notes: list[str], tmp_path: Path, kdegrad: Any
) -> None:
    frame = pandas.DataFrame(columns)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kg.from_frame(frame, **{"target": (0, 1), **options})
    assert {(warning.category, warning.filename) for warning in caught} <= {(kg.InputWarning, __file__)}
    said = "\n".join(str(warning.message) for warning in caught)
    assert all(note in said for note in notes), said
    assert bool(notes) == bool(caught)
    path = tmp_path / "p.csv"
    frame.to_csv(path, index=False)
    with warnings.catch_warnings(record=True) as of_load:
        warnings.simplefilter("always")
        kg.load(path, **{"target": (0, 1), **options})
    assert {(warning.category, warning.filename) for warning in of_load} <= {(kg.InputWarning, __file__)}
    flags = [f"--{name.replace('_', '-')}={value}".removesuffix("=True") for name, value in options.items()]
    printed = kdegrad("loss", path, "--target", 0, 1, *flags).err.splitlines()
    assert len(printed) == len(of_load) == len(caught)
    assert all(line.startswith("note: ") for line in printed)


@pytest.mark.parametrize("frame", [None, "winds.csv", TABLE, np.zeros((2, 2)), pandas.Series([1.0]), 5, object()])
def test_what_is_no_frame_is_refused(frame: object) -> None:
    with pytest.raises(kg.InputError, match=rf"^{type(frame).__name__} is not a data frame: .*kdegrad\.") as caught:
        kg.from_frame(frame, target=(0, 1))
    assert "\n" not in str(caught.value)


def test_columns_that_have_one_name_are_refused() -> None:
    with pytest.raises(kg.InputError, match=r"frame: .*'angle'"):
        kg.from_frame(pandas.DataFrame([[1, 2]], columns=["angle", "angle"]), target=(0, 1))


def test_without_narwhals_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(kg.InputError, match=r"needs narwhals: pip install 'kdegrad\[frames\]'"):
        kg.from_frame(pandas.DataFrame(TABLE), target=(0, 1))


def test_the_options_are_those_of_load() -> None:
    """But for what is about text; those about columns have shorter names."""
    of_load, of_frame = (list(inspect.signature(f).parameters)[1:] for f in (kg.load, kg.from_frame))
    shorter = {f"{role}_column": role for role in ("angle", "logit", "weight", "label")} | {"group_by": "group"}
    text = {"delimiter", "decimal", "input_format"}
    assert set(of_frame) - {"name"} == {shorter.get(name, name) for name in of_load if name not in text}
    lines = " ".join(line.strip() for line in inspect.getdoc(kg.from_frame).splitlines())
    assert "target, at, kernel, bandwidth, df, rule, bins, scale, background, circular, period, unit, sums" in lines
    assert importlib.import_module("kdegrad.reading.frames").from_frame is kg.from_frame


def test_a_missing_value_changes_no_name_of_a_group_of_integers() -> None:
    """It makes floats of them in pandas; from 2⁵³ on a float is not one integer alone."""
    frame = pandas.DataFrame({"id": [7, None, -0.0, 7, 7.5, 2.0**53], "angle": np.arange(6.0), "logit": np.zeros(6)})
    for made in (frame, pyarrow.table(dict(frame))):
        with pytest.warns(kg.InputWarning, match="1 of 6 rows"):
            batch = kg.from_frame(made, group="id", missing="skip", target=(0, 1))
        assert batch.names == ("7", "0", "7.5", "9007199254740992.0")
        assert batch.counts.tolist() == [2, 1, 1, 1]
