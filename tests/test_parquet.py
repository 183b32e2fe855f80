"""Pins down Parquet: the same points and numbers as in CSV, read and written, and the message without pyarrow."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import kdegrad as kg
from kdegrad.cli import app
from kdegrad.reading import read
from kdegrad.settings import ReadingOptions
from tests.readme import ROOT

SAMPLES = ROOT / "sample_inputs"


def parquet(path: Path, **columns: object) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(kg.InputError) as caught:
        kg.load(path, target=(-30, 30))
    return str(caught.value)


def test_points_are_read_as_from_csv(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "p.parquet",
        angle=[-75.0, 50.0, 3.0],
        logit=[0.4, -0.2, -np.inf],
        label=["a", None, "c"],
        more=[1, 2, 3],
    )
    problem = kg.load(path, target=(-30, 30))
    assert problem.angles.tolist() == [-75.0, 50.0, 3.0]
    assert problem.logits.tolist() == [0.4, -0.2, -np.inf]
    assert problem.labels == ("a", "", "c")


def test_a_column_that_appears_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    columns = [pyarrow.array([1.0]), pyarrow.array([2.0])]
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(columns, ["angle", "angle"]), path)
    assert refusal(path) == f"{path}: the column 'angle' appears twice: rename or remove one"


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "p.parquet", angle=[1.0], label=["naïve"])
    path.write_bytes(path.read_bytes().replace("ï".encode(), b"\xff\xff"))
    assert "p.parquet: not a Parquet file that can be read: " in refusal(path)


def test_bytes_are_text(tmp_path: Path) -> None:
    problem = kg.load(parquet(tmp_path / "p.parquet", angle=[b"1.5"], label=["naïve".encode()]), at=0)
    assert (problem.angles.tolist(), problem.labels) == ([1.5], ("naïve",))


def test_integers_weights_and_text_are_numbers_too(tmp_path: Path) -> None:
    problem = kg.load(
        parquet(tmp_path / "p.parquet", angle=["10", "2e1"], weight=pyarrow.array([3, 0], pyarrow.int32())), at=0
    )
    assert problem.angles.tolist() == [10.0, 20.0]
    assert problem.logits.tolist() == [np.log(3.0), -np.inf]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"angel": [1.0]}, "did you mean"),
        ({"angle": [1.0, None]}, "p.parquet:2: column 'angle'"),
        ({"angle": [1.0, float("nan")]}, "p.parquet:2: column 'angle'"),
        ({"angle": [1.0], "weight": [-1.0]}, "negative"),
        ({"angle": [1.0], "weight": [0.0]}, "no point has a positive weight"),
        ({"angle": [1.0, 2.0], "label": ["a", "b\0"]}, "p.parquet:2: column 'label': 'b\\x00' contains a NUL"),
        ({"angle": [1.0, 2.0], "label": [b"a", b"\xff"]}, "p.parquet:2: column 'label': not text that can be read"),
        ({"angle": [1.0], "logit": [0.0], "weight": [1.0]}, "both logits"),
        ({"angle": ["1_000"]}, "1_000"),
        ({"angle": pyarrow.array([], pyarrow.float64())}, "no points"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, columns: dict[str, object], said: str) -> None:
    assert said in refusal(parquet(tmp_path / "p.parquet", **columns))


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    for data in (b"", b"PAR1", b"angle\n1\n", bytes(1000)):
        path.write_bytes(data)
        assert "Parquet" in refusal(path)


def test_a_report_in_parquet_holds_the_same_float64(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    assert app.run(["grad", str(SAMPLES / "two_sided.yaml"), "--wrt", "angles", "--output", str(output)]) == 0
    table = pyarrow.parquet.read_table(output)
    evaluation = kg.evaluate(kg.load(SAMPLES / "two_sided.yaml"), wrt=("logits", "angles"))
    assert table.column_names == [
        "angle",
        "logit",
        "label",
        "weight",
        "responsibility",
        "gradient",
        "gradient_per_weight",
        "gradient_angle",
    ]
    assert table["gradient"].to_pylist() == evaluation.gradients.logits.tolist()
    assert table["label"].to_pylist() == list(evaluation.problem.labels)
    assert app.run(["loss", str(output), "--logit-column", "logit", "--target", "-30", "30"]) == 0


def test_a_column_of_text_is_text_also_where_all_cells_are_empty(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    flags = ["--cases", "0", "--only", "rotation", "--output", str(output)]
    assert app.run(["verify-props", str(SAMPLES / "two_sided.yaml"), *flags]) == 1
    table = pyarrow.parquet.read_table(output)
    for name in ("expectation", "observed"):
        assert (table[name].type, table[name].to_pylist()) == (pyarrow.string(), [""])
    assert (table["residual"].type, table["residual"].to_pylist()) == (pyarrow.float64(), [None])


@pytest.mark.parametrize("command", ["grad --per-bin --bins 12000", "sweep --over bins --from 1 --to 9 --steps 3"])
def test_parquet_and_csv_hold_the_same_rows(tmp_path: Path, command: str) -> None:
    """Also where they are made in more than one block."""
    name, *flags = command.split()
    for suffix in ("csv", "parquet"):
        output = ["--output", str(tmp_path / f"out.{suffix}"), "--format", "csv"]
        assert app.run([name, str(SAMPLES / "two_sided.yaml"), *flags, *output]) == 0
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    with (tmp_path / "out.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert table.column_names == header
    assert list(zip(*(map(str, column) for column in table.to_pydict().values()), strict=True)) == list(
        map(tuple, rows)
    )


def test_what_overflowed_has_no_value_and_a_logit_of_minus_infinity_has(tmp_path: Path) -> None:
    points, output = tmp_path / "far.csv", tmp_path / "out"
    points.write_text("angle,logit\n0,0\n25,-800\n60,-inf\n")
    flags = ["--at", "60", "--kernel", "gaussian"]
    for suffix in (".csv", ".parquet"):
        done = app.run(["grad", str(points), *flags, "--format", "csv", "--output", str(output.with_suffix(suffix))])
        assert done == 0
    table = pyarrow.parquet.read_table(output.with_suffix(".parquet"))
    assert table["logit"].to_pylist() == [0.0, -800.0, -np.inf]
    assert table["gradient_per_weight"].to_pylist()[2] is None
    assert output.with_suffix(".csv").read_text().splitlines()[3].split(",")[-1] == ""


def test_a_column_of_numbers_is_one_also_where_no_cell_has_a_value(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    assert app.run(["loss", str(SAMPLES / "two_sided.csv"), "--at", "0", "--output", str(output)]) == 0
    table = pyarrow.parquet.read_table(output)
    for name in ("kl", "low", "high"):
        assert (table[name].type, table[name].to_pylist()) == (pyarrow.float64(), [None])


def test_parquet_has_no_delimiter(tmp_path: Path) -> None:
    with pytest.raises(kg.SettingError, match=r"delimiter: .*is Parquet"):
        read(tmp_path / "swarm.parquet", ReadingOptions(delimiter=","))


def test_json_does_not_go_into_parquet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.parquet"
    assert app.run(["grad", str(SAMPLES / "two_sided.yaml"), "--format", "json", "--output", str(output)]) == 2
    assert "--format" in capfd.readouterr().err
    assert not output.exists()


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = parquet(tmp_path / "p.parquet", angle=[1.0])
    for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "kdegrad[parquet]" in refusal(path)
    monkeypatch.setattr("kdegrad.reports.as_parquet.find_spec", lambda _: None)
    assert app.run(["grad", str(SAMPLES / "two_sided.yaml"), "--output", str(tmp_path / "out.parquet")]) == 2
    assert "kdegrad[parquet]" in capfd.readouterr().err
