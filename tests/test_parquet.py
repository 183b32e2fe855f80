"""Pins down Parquet: the same points and numbers as in CSV, read and written, and the message without pyarrow."""

from __future__ import annotations

import csv
import errno
import os
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from pyarrow.parquet import encryption

import kdegrad as kg
from kdegrad.cli import app
from kdegrad.reading import read
from kdegrad.settings import ReadingOptions
from tests.readme import ROOT

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

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
    said = "column 'label': Invalid UTF8 sequence at string index 0"
    assert refusal(path) == f"{path}: a damaged Parquet file ({said}): copy or save it anew"


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
        ({"angle": [1.0], "logit": [0.0], "weight": [1.0]}, "both logits"),
        ({"angle": ["1_000"]}, "1_000"),
        ({"angle": pyarrow.array([], pyarrow.float64())}, "no points"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, columns: dict[str, object], said: str) -> None:
    assert said in refusal(parquet(tmp_path / "p.parquet", **columns))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux for the threads")
@pytest.mark.parametrize("source", ["p.parquet", "- < p.parquet"])
def test_no_thread_is_started(tmp_path: Path, source: str) -> None:
    """A thread of Arrow's that releases a buffer of Python's while Python exits aborts the process: exit 134."""
    parquet(tmp_path / "p.parquet", angle=np.arange(1000.0), logit=np.zeros(1000), label=["a"] * 1000)
    program = """
import os, sys, pyarrow.parquet
from kdegrad.cli import app
before = len(os.listdir("/proc/self/task"))
code = app.run(["grad", sys.argv[1], "--input-format", "parquet", "--at", "0", "--output", "out.parquet"])
print(code, len(os.listdir("/proc/self/task")) - before)
"""
    command = ["bash", "-c", f'"$0" -c "$1" {source}', sys.executable, program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "0 0\n"


# --- Only the columns that are asked for -----------------------------------------------------------------------------


def unsound(path: Path, column: str, **columns: object) -> Path:
    """Write a table with other columns and `column`: a time beyond 24 hours, a decimal out of range, or no UTF-8."""
    if column == "time":
        columns[column] = pyarrow.array([10**9, 0], pyarrow.int32()).view(pyarrow.time32("ms"))
        return parquet(path, **columns)
    if column == "decimal":
        columns[column] = pyarrow.array([Decimal("0.7")] * 2, pyarrow.decimal128(18, 1))
        old, new = (7).to_bytes(8, "big") * 2, (2**63 - 1).to_bytes(8, "big") * 2
    else:
        columns[column] = ["naïve", "b"]
        old, new = "ï".encode(), b"\xff\xff"
    table = pyarrow.table(columns)
    pyarrow.parquet.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    return path


@pytest.mark.parametrize("column", ["time", "decimal", "text"])
def test_a_column_that_nobody_asked_for_is_not_decoded(tmp_path: Path, column: str) -> None:
    path = unsound(tmp_path / "p.parquet", column, angle=[-75.0, 50.0], logit=[0.5, 0.25])
    problem = kg.load(path, at=0)
    assert (problem.angles.tolist(), problem.logits.tolist()) == ([-75.0, 50.0], [0.5, 0.25])
    with pytest.raises(kg.InputError, match=f"a damaged Parquet file \\(column '{column}': "):
        read(path, ReadingOptions(label_column=column))


def test_a_small_file_with_long_texts_takes_no_memory_if_they_are_not_asked_for(tmp_path: Path) -> None:
    texts = ["x" * 5_000_000] * 3 + ["y" * 5_000_000] * 3
    path = parquet(tmp_path / "p.parquet", text=texts, angles=range(6))
    program = """
import sys, pyarrow
import kdegrad as kg
try:
    kg.load(sys.argv[1], at=0)
except kg.InputError as error:
    print(error)
print(pyarrow.default_memory_pool().max_memory())
"""
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    said, peak = done.stdout.splitlines()
    assert said.startswith(f"{path}: no column 'angle' for the angles (columns found: 'text', 'angles'")
    assert int(peak) < 2_000_000  # the texts take 30 MB


def test_a_file_that_says_it_has_more_rows_than_it_has_is_refused(tmp_path: Path) -> None:
    """An honest length of 70,000 rows in two row groups, and 2³⁰ rows for the file and each of its groups."""
    path = tmp_path / "p.parquet"
    how = {"compression": "none", "use_dictionary": False, "write_statistics": False, "row_group_size": 35_000}
    pyarrow.parquet.write_table(pyarrow.table({"angle": np.arange(70_000.0)}), path, **how)
    assert kg.load(path, at=0).angles.tolist() == list(range(70_000))
    zigzag = {count: bytes(varint(2 * count)) for count in (70_000, 35_000, 2**30)}
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[start:-8].replace(zigzag[70_000], zigzag[2**30]).replace(zigzag[35_000], zigzag[2**30])
    path.write_bytes(data[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert pyarrow.parquet.ParquetFile(path).metadata.num_rows == 2**30
    assert re.search(r"p.parquet: a damaged Parquet file \(.*\): copy or save it anew", refusal(path))


def varint(value: int) -> Iterator[int]:
    """Yield the bytes of an integer in a Parquet footer: seven bits in each, and the eighth if there are more."""
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value


def test_names_are_read_without_the_spaces_around_them(tmp_path: Path) -> None:
    path = parquet(tmp_path / "p.parquet", **{" angle ": [1.5, 2.5], "logit\t": [0.5, 0.25], "angle.x": [7.0, 8.0]})
    problem = kg.load(path, at=0)
    assert (problem.angles.tolist(), problem.logits.tolist()) == ([1.5, 2.5], [0.5, 0.25])
    assert read(path, ReadingOptions(angle_column="angle.x")).angles.tolist() == [7.0, 8.0]
    parquet(path, **{" angle ": [1.5], "angle": [2.5]})
    assert refusal(path) == f"{path}: the column 'angle' appears twice: rename or remove one"


# --- Types -----------------------------------------------------------------------------------------------------------

DAY = 86_400_000_000  # µs
NO_NUMBERS = {
    "timestamp[us]": pyarrow.array([2**60, 0], pyarrow.timestamp("us")),
    "timestamp[ns, tz=UTC]": pyarrow.array([1, 0], pyarrow.timestamp("ns", "UTC")),
    "date32[day]": pyarrow.array([2**30, 0], pyarrow.date32()),
    "time64[us]": pyarrow.array([1, 0], pyarrow.time64("us")),
    "duration[ms]": pyarrow.array([1, 0], pyarrow.duration("ms")),
    "bool": pyarrow.array([True, False]),
    "list<element: double>": pyarrow.array([[1.0], [2.0]]),
    "struct<x: double>": pyarrow.array([{"x": 1.0}, {"x": 2.0}]),
}


@pytest.mark.parametrize("type_", NO_NUMBERS)
@pytest.mark.parametrize("role", ["angle", "logit", "weight"])
def test_a_type_without_numbers_is_refused_in_one_line(tmp_path: Path, type_: str, role: str) -> None:
    path = parquet(tmp_path / "p.parquet", **({"angle": [1.0, 2.0]} | {role: NO_NUMBERS[type_]}))
    assert refusal(path) == (
        f"{path}: column '{role}' has the type '{type_}', which has no numbers: convert it to numbers, or name another "
        f"column with --{role}-column"
    )


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array([Decimal("-1.25"), Decimal("1e22")], pyarrow.decimal128(38, 2)),
        pyarrow.array([-1.25, 1e22]).dictionary_encode(),
        pyarrow.array(["-1.25", "1e22"]).dictionary_encode(),
        pyarrow.array([b" -1.25", b"1e+22 "]),
        pyarrow.array(["-1.25", "10000000000000000000000"], pyarrow.large_string()),
    ],
    ids=lambda column: str(column.type),
)
def test_numbers_of_other_types_are_the_nearest_float64(tmp_path: Path, column: pyarrow.Array) -> None:
    assert kg.load(parquet(tmp_path / "p.parquet", angle=column), at=0).angles.tolist() == [-1.25, 1e22]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([0.1, -2.5], np.float16), [0.0999755859375, -2.5]),
        (np.array([0.1, -2.5], np.float32), [0.100000001490116119384765625, -2.5]),
        ([2**53 + 1, 2**53 + 3], [9007199254740992.0, 9007199254740996.0]),
        (pyarrow.array([2**64 - 1, 0], pyarrow.uint64()), [18446744073709551616.0, 0.0]),
    ],
)
def test_integers_and_short_floats_are_the_nearest_float64(
    tmp_path: Path, column: object, expected: list[float]
) -> None:
    """The same numbers also where a row is left out."""
    path = parquet(tmp_path / "p.parquet", angle=column)
    assert kg.load(path, at=0).angles.tolist() == expected
    values = [*pyarrow.array(column), None]
    kind = pyarrow.array(column).type
    parquet(path, angle=pyarrow.array([value and value.as_py() for value in values], kind))
    assert read(path, ReadingOptions(missing="skip")).angles.tolist() == expected


def test_nulls_and_nan_are_missing(tmp_path: Path) -> None:
    columns = {
        "angle": [1.5, None, 3.5, 4.5, 5.5],
        "logit": [0.5, 1.5, float("nan"), -np.inf, 4.5],
        "label": ["a", "b", "c", None, "e"],
    }
    path = parquet(tmp_path / "p.parquet", **columns)
    source = read(path, ReadingOptions(missing="skip"))
    assert source.logits is not None
    assert (source.angles.tolist(), source.logits.tolist()) == ([1.5, 4.5, 5.5], [0.5, -np.inf, 4.5])
    assert source.labels == ("a", "", "e")
    assert source.notes == ("has 2 of 5 rows with a missing value: they are left out",)
    said = refusal(path).splitlines()
    assert [line.partition(": 'nan' is a missing value: ")[0] for line in said] == [
        f"{path}:2: column 'angle'",
        f"{path}:3: column 'logit'",
    ]


def test_rows_are_counted_through_all_blocks(tmp_path: Path) -> None:
    angles = np.arange(200_000.0)
    angles[[70_000, 199_999]] = np.nan
    path = tmp_path / "p.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"angle": angles}), path, row_group_size=80_000)
    assert [line.split(":")[1] for line in refusal(path).splitlines()] == ["70001", "200000"]
    assert read(path, ReadingOptions(missing="skip")).angles.tolist() == angles[np.isfinite(angles)].tolist()


def test_a_label_of_any_type_is_text(tmp_path: Path) -> None:
    """10957 days after 1970 the year 2000 begins, and 2932897 days after it the year 10000."""
    year_10000 = 2932897
    columns = {
        ("2000-01-01", "10000-01-01"): pyarrow.array([10957, year_10000], pyarrow.date32()),
        ("2000-01-01 00:00:00", "10000-01-01 00:00:00.000001"): pyarrow.array(
            [10957 * DAY, year_10000 * DAY + 1], pyarrow.timestamp("us")
        ),
        ("2000-01-01 00:00:00.000000001", ""): pyarrow.array([10957 * DAY * 1000 + 1, None], pyarrow.timestamp("ns")),
        ("2000-01-01 00:00:00+00:00", "10000-01-01 00:00:00.000000Z"): pyarrow.array(
            [10957 * DAY, year_10000 * DAY], pyarrow.timestamp("us", "UTC")
        ),
        ("<value out of range: 1152921504606846976>", "1970-01-01 00:00:00"): pyarrow.array(
            [2**60, 0], pyarrow.timestamp("us")
        ),
        ("[1, 2]", ""): pyarrow.array([[1, 2], None]),
        ("[ 10000-01-01 ]", "[datetime.date(1970, 1, 1)]"): pyarrow.array(
            [[year_10000], [0]], pyarrow.list_(pyarrow.date32())
        ),
        ("{'x': 1.5}", "{'x': None}"): pyarrow.array([{"x": 1.5}, {"x": None}]),
        ("True", ""): pyarrow.array([True, None]),
        ("1.50", "-2.00"): pyarrow.array([Decimal("1.50"), Decimal("-2.00")]),
        ("north", "south"): pyarrow.array(["north", "south"]).dictionary_encode(),
        ("naïve", "0xff00"): pyarrow.array(["naïve".encode(), b"\xff\0"]),
        ("", ""): pyarrow.nulls(2),
    }
    for labels, column in columns.items():
        path = parquet(tmp_path / "p.parquet", angle=[1.0, 2.0], label=column)
        assert kg.load(path, at=0).labels == labels


# --- Files that cannot be read ---------------------------------------------------------------------------------------

CUT = "a damaged Parquet file (its end is missing): copy or save it anew"


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "p.parquet", angle=[1.0, 2.0], logit=[0.5, 0.25])
    good = path.read_bytes()
    for data, said in (
        (b"", "is empty, and no Parquet file: save it anew"),
        (b"PAR1", "a damaged Parquet file (Parquet file size is 4 bytes, smaller than"),
        (good[:-1], CUT),
        (good[: len(good) // 2], CUT),
        (good[:20] + good[60:], "a damaged Parquet file (Couldn't deserialize thrift"),
        (
            b"angle\n1\n",
            "not a Parquet file (it begins with b'angl', not with b'PAR1'): name its format with --input-format",
        ),
    ):
        path.write_bytes(data)
        assert refusal(path).startswith(f"{path}: {said}")


class Keys(encryption.KmsClient):
    """Keeps keys as they are: what is encrypted here is no secret."""

    def __init__(self, _: object) -> None:
        super().__init__()

    def wrap_key(self, key: bytes, _: str) -> bytes:
        return b64encode(key)

    def unwrap_key(self, wrapped: bytes, _: str) -> bytes:
        return b64decode(wrapped)


@pytest.mark.parametrize(
    ("column", "plain_footer"), [("logit", False), ("angle", True), ("logit", True), ("more", True)]
)
def test_an_encrypted_file_says_so(tmp_path: Path, column: str, plain_footer: bool) -> None:
    """One whose footer is not, too; but not for a column that is not read."""
    path = tmp_path / "p.parquet"
    table = pyarrow.table({"angle": [1.5, 2.5], "logit": [0.5, 0.25], "more": [1, 2]})
    how = encryption.EncryptionConfiguration("f", column_keys={"c": [column]}, plaintext_footer=plain_footer)
    keys = encryption.CryptoFactory(Keys).file_encryption_properties(encryption.KmsConnectionConfig(), how)
    with pyarrow.parquet.ParquetWriter(path, table.schema, encryption_properties=keys) as writer:
        writer.write_table(table)
    if column == "more":
        assert kg.load(path, at=0).angles.tolist() == [1.5, 2.5]
    else:
        said = "an encrypted Parquet file, or one with an encrypted column: save it without encryption"
        assert refusal(path) == f"{path}: {said}"
        path.write_bytes(path.read_bytes()[:-1])
        assert refusal(path) == f"{path}: {CUT if plain_footer else said}"


def test_a_file_that_the_system_cannot_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Error reading bytes from file")

    path = parquet(tmp_path / "p.parquet", angle=[1.0])
    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", failing)
    assert refusal(path) == f"{path}: cannot be read: Input/output error"


@pytest.mark.parametrize(
    "source", ["- < p.parquet", "- < <(cat p.parquet)", "/dev/stdin < <(cat p.parquet)", "<(cat p.parquet)", "pipe"]
)
def test_pipes_are_read_as_files_are(tmp_path: Path, source: str) -> None:
    """A pipe is opened once, as its writer ends when it is closed; and `-` is not the file of that name."""
    parquet(tmp_path / "p.parquet", angle=[1.5, 2.5], logit=[0.5, 0.25])
    parquet(tmp_path / "-", angle=[3.5])
    os.mkfifo(tmp_path / "pipe")
    kdegrad = f"{sys.executable} -m kdegrad grad --input-format parquet --at 0 --format csv"
    script = f"{'cat p.parquet > pipe &' if source == 'pipe' else ''} {kdegrad} {source}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    rows = list(csv.reader(done.stdout.splitlines()))
    assert [row[:2] for row in rows[1:]] == [["1.5", "0.5"], ["2.5", "0.25"]]


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
        output = ["--output", str(tmp_path / f"out.{suffix}")]
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
        done = app.run(["grad", str(points), *flags, "--output", str(output.with_suffix(suffix))])
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


def test_a_group_of_integers_has_one_name_in_each_part(tmp_path: Path) -> None:
    """Where a value is missing, pandas stores a column of integers as float64."""
    points = {"angle": [1.0, 2.0], "logit": [0.0, 0.0]}
    first = parquet(tmp_path / "1.parquet", id=pyarrow.array([7, 7]), **points)
    second = parquet(tmp_path / "2.parquet", id=pyarrow.array([7.0, None]), **points)
    options = ReadingOptions(group_by="id", missing="skip")
    names = [groups.names for path in (first, second) if (groups := read(str(path), options).groups)]
    assert names == [("7",), ("7",)]
