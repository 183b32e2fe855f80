"""Pins down ``loss`` and ``grad`` with ``--group-by`` of a table in parts: they are those of the whole table in memory.

- The report of losses in every format, and the rows of each part; groups in the order in which they first appear.
- A group that is in two parts is refused with both files, and of a fault anywhere nothing is written.
- Parts without rows, weights, labels, missing rows, targets of their own, infinite losses.
"""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from tests.conftest import installed

NEAR = 1e-12
SPLIT = (0, 40, 40, 90, 130)  # rows of the whole where parts begin: one has none
SETTINGS = {
    "laplace": ("--bandwidth", "9", "--bins", "36", "--target", "-20", "40"),
    "gaussian": (
        "--kernel",
        "gaussian",
        "--bandwidth",
        "12",
        "--bins",
        "20",
        "--circular",
        "--target-columns",
        "low,high",
    ),
    "at": ("--kernel", "cauchy", "--bandwidth", "8", "--target-columns", "at"),
    "exact": ("--rule", "exact", "--bandwidth", "5", "--target", "-20", "40"),
}


class Parts:
    """A table of groups in parts, and the same in one file; in each part the rows of a group do not stand together."""

    def __init__(self, folder: Path, suffix: str) -> None:
        rng = np.random.default_rng(11)
        self.folder, self.whole, self.suffix = folder / "parts", folder / f"whole.{suffix}", suffix
        self.folder.mkdir()
        header = ("id", "angle", "logit", "label", "low", "high", "at")
        rows, pieces = [], []
        for part, (begin, end) in enumerate(pairwise(SPLIT)):
            numbers = rng.permutation(np.arange(end - begin) % (3 + 4 * part))
            piece = []
            for group in numbers.tolist():
                angle = float(np.round(rng.normal(0, 60), 2))
                logit = float(rng.normal(0, 2)) if rng.random() < 0.9 or group == 0 else -np.inf
                target = 10.0 * group - 30.0
                name = ["é", "=1+1", 'a "b", c', "010"][group] + str(part) if group < 4 else f"g{part}-{group}"
                piece.append((name, angle, logit, f"row {len(rows) + len(piece)}", target, target + 25.0, target))
            rows += piece
            pieces.append(piece)
        for number, piece in enumerate(pieces):
            self.write(self.folder / f"part-{number}.{suffix}", header, piece)
        self.write(self.whole, header, rows)
        self.groups = list(dict.fromkeys(row[0] for row in rows))

    def write(self, path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
        if self.suffix == "parquet":
            texts = {"id", "label"}
            columns = {
                name: pyarrow.array([row[k] for row in rows], pyarrow.string() if name in texts else pyarrow.float64())
                for k, name in enumerate(header)
            }
            pyarrow.parquet.write_table(pyarrow.table(columns), path)
            return
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, delimiter="\t" if self.suffix == "tsv" else ",")
            writer.writerow(header)
            writer.writerows(rows)


@pytest.fixture(params=["csv", "parquet"])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> Parts:
    return Parts(tmp_path, request.param)


@pytest.fixture
def of_csv(tmp_path: Path) -> Parts:
    return Parts(tmp_path, "csv")


def rows_of(path: Path) -> dict[str, list]:
    """Return a file of rows by columns, read by pyarrow."""
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pydict()
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
        header = next(reader)
        rows = list(reader)
    return {name: [row[k] for row in rows] for k, name in enumerate(header)}


def assert_same(found: list, expected: list, name: str) -> None:
    """Compare a column: numbers to 1e-12, texts exactly, cells without a value as such."""
    if name in ("group", "label", "points"):
        assert found == expected, name
        return
    numbers = [[np.nan if cell in ("", None) else float(cell) for cell in cells] for cells in (found, expected)]
    assert numbers[0] == pytest.approx(numbers[1], rel=NEAR, abs=NEAR, nan_ok=True), name


def assert_same_rows(found: dict[str, list], expected: dict[str, list]) -> None:
    assert list(found) == list(expected)
    for name, column in found.items():
        assert_same(column, expected[name], name)


def joined(folder: Path, suffix: str) -> dict[str, list]:
    """Return the rows of all parts in a folder."""
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"part-{number}.{suffix}" for number in range(len(SPLIT) - 1)]
    all_rows = [rows_of(file) for file in files]
    assert len({tuple(rows) for rows in all_rows}) == 1
    return {name: [cell for rows in all_rows for cell in rows[name]] for name in all_rows[0]}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_losses_of_parts_are_those_of_the_whole_table(kdegrad, parts: Parts, settings: tuple) -> None:
    arguments = ("--group-by", "id", *settings, "--format")
    together = kdegrad("loss", parts.whole, *arguments, "csv")
    done = kdegrad("loss", parts.folder, *arguments, "csv")
    assert (done.code, done.err) == (0, together.err.replace(f"{parts.whole}", f"{parts.folder}"))
    assert [row["group"].removeprefix("'") for row in done.rows] == parts.groups
    for name in ("group", "points", "loss", "kl"):
        assert_same([row[name] for row in done.rows], [row[name] for row in together.rows], name)

    found, expected = (kdegrad("loss", path, *arguments, "json").json for path in (parts.folder, parts.whole))
    assert found["input"] == str(parts.folder)
    for name in ("loss", "kl"):
        assert_same([found[name]], [expected[name]], name)
    assert found["summary"] == pytest.approx(expected["summary"], rel=NEAR)
    assert found["problem"] == expected["problem"] | {"parts": len(SPLIT) - 1}
    assert list(found) == list(expected)
    for name in expected["groups"][0]:
        assert_same(*([group[name] for group in of["groups"]] for of in (found, expected)), name)

    for more in ((), ("--top", "3")):
        tables = [
            kdegrad("loss", path, "--group-by", "id", *settings, *more).out for path in (parts.folder, parts.whole)
        ]
        assert tables[0].splitlines()[4:] == tables[1].splitlines()[4:]  # below the frame
        assert "130 points in 4 parts" in tables[0]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "parquet", "html"])
def test_a_name_with_the_suffix_of_a_report_is_one_file(kdegrad, of_csv: Parts, tmp_path: Path, suffix: str) -> None:
    arguments = ("--group-by", "id", *SETTINGS["laplace"], "--output")
    for path, name in ((of_csv.folder, "found"), (of_csv.whole, "expected")):
        done = kdegrad("loss", path, *arguments, tmp_path / f"{name}.{suffix}")
        assert (done.code, done.out) == (0, "")
    if suffix in ("csv", "tsv", "parquet"):
        assert_same_rows(*(rows_of(tmp_path / f"{name}.{suffix}") for name in ("found", "expected")))
    elif suffix != "html":
        found, expected = ((tmp_path / f"{name}.{suffix}").read_text("utf-8") for name in ("found", "expected"))
        found = found.replace(str(of_csv.folder), str(of_csv.whole))
        assert found.replace(', "parts": 4', "") == expected
    else:
        assert "<svg" in (tmp_path / "found.html").read_text("utf-8")


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_part_for_each_part(kdegrad, parts: Parts, tmp_path: Path, settings: tuple) -> None:
    arguments, suffix = ("--group-by", "id", *settings), parts.suffix
    for command, more in (("loss", ()), ("grad", ()), ("grad", ("--wrt", "angles,bandwidth"))):
        folder, whole = tmp_path / f"{command}{len(more)}", tmp_path / f"{command}{len(more)}.{suffix}"
        done = kdegrad(command, parts.folder, *arguments, *more, "--output", folder)
        assert done.code == 0
        assert "mean loss" in done.out
        kdegrad(command, parts.whole, *arguments, *more, "--output", whole)
        assert_same_rows(joined(folder, suffix), rows_of(whole))
        if suffix == "parquet":  # also of the part without rows
            assert len({str(pyarrow.parquet.read_schema(file)) for file in folder.iterdir()}) == 1
    assert "gradient of log h   mean" in done.out


def test_the_gradients_of_log_h_are_in_the_json_of_the_summary(kdegrad, of_csv: Parts, tmp_path: Path) -> None:
    arguments = ("--group-by", "id", *SETTINGS["laplace"], "--wrt", "bandwidth", "--format", "json")
    found = kdegrad("grad", of_csv.folder, *arguments, "--output", tmp_path / "new").json
    expected = kdegrad("grad", of_csv.whole, *arguments).json
    slopes = [[group["gradient_log_bandwidth"] for group in of["groups"]] for of in (found, expected)]
    assert_same(*slopes, "slope")


def test_weights_missing_rows_and_a_pattern(kdegrad, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("g\tangle\tweight\nx\t1\t2\ny\t\t1\nx\t-4\t0\n", "utf-8")
    (tmp_path / "b.tsv").write_text("g\tangle\tweight\nz\tNA\t1\n", "utf-8")
    (tmp_path / "c.tsv").write_text("g\tangle\tweight\nw\t3\t1\n\t8\t1\n", "utf-8")
    options = ("--group-by", "g", "--target", "-5", "5", "--bandwidth", "4")
    refused = kdegrad("loss", tmp_path / "*.tsv", *options)
    assert refused.code == 2
    assert f"{tmp_path}/a.tsv:3: column 'angle': '' is a missing value" in refused.err
    done = kdegrad("grad", tmp_path / "*.tsv", *options, "--missing", "skip", "--output", tmp_path / "new")
    assert done.code == 0
    assert f"note: {tmp_path}/*.tsv has 3 of 6 rows with a missing value: they are left out" in done.err
    assert f"note: {tmp_path}/*.tsv has 2 groups without a complete row ('y', 'z'): they are left out" in done.err
    read = [rows_of(tmp_path / "new" / f"{name}.tsv") for name in "abc"]
    assert [rows["group"] for rows in read] == [["x", "x"], [], ["w"]]
    assert read[0]["weight"] == ["1.0", "0.0"]
    nothing = kdegrad(
        "grad", tmp_path / "b.tsv", "--stream", *options, "--missing", "skip", "--output", tmp_path / "no"
    )
    assert nothing.code == 2
    assert "no points are left" in nothing.err
    assert not (tmp_path / "no").exists()


def test_a_row_that_is_left_out_is_in_no_part(kdegrad, tmp_path: Path) -> None:
    # x has its complete rows in the first part and others in both; y has none at all
    parts, whole = in_two(tmp_path, "g,angle,logit\n", "x,1,2\ny,,1\nx,-4,\n", "x,NA,1\nz,2,0\ny,,\n")
    options = ("--group-by", "g", "--target", "-5", "5", "--bandwidth", "4", "--missing", "skip", "--format", "csv")
    found, expected = (kdegrad("loss", path, *options) for path in (parts, whole))
    assert (found.code, found.out) == (0, expected.out)
    assert found.err == expected.err.replace(str(whole), str(parts))
    assert "has 1 group without a complete row ('y'): it is left out" in found.err


def test_the_table_of_grad_names_no_option_that_grad_refuses(kdegrad, of_csv: Parts, tmp_path: Path) -> None:
    arguments = ("--group-by", "id", *SETTINGS["laplace"])
    done = kdegrad("grad", of_csv.folder, *arguments, "--output", tmp_path / "new")
    assert "(--format csv has all)" in done.out
    assert "--top" not in done.out
    rows = kdegrad("grad", of_csv.folder, *arguments, "--output", tmp_path / "csv", "--format", "csv").rows
    assert [row["group"].removeprefix("'") for row in rows] == of_csv.groups  # as said
    page = kdegrad("grad", of_csv.folder, *arguments, "--output", tmp_path / "html", "--format", "html")
    assert (page.code, page.out[:15]) == (0, "<!DOCTYPE html>")


# --- what is refused, and then nothing is written ---------------------------------------------------------------------


def refused(kdegrad, parts: Parts, tmp_path: Path, *more: str) -> str:
    """Return the message of a command that fails, for loss and grad the same, and writes nothing."""
    messages = set()
    (tmp_path / "empty").mkdir(exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    for command in ("loss", "grad"):
        for name in ("new", "empty"):
            arguments = ("--group-by", "id", *SETTINGS["laplace"], *more, "--output", tmp_path / name)
            done = kdegrad(command, parts.folder, *arguments)
            assert (done.code, done.out) == (2, "")
            messages.add(done.err)
    assert sorted(tmp_path.rglob("*")) == before
    (message,) = messages
    return message


def test_a_group_in_two_parts_is_refused_with_both(kdegrad, of_csv: Parts, tmp_path: Path) -> None:
    with (of_csv.folder / "part-3.csv").open("a", encoding="utf-8") as stream:
        stream.write("new,1,1,l,0,1,0\né0,1,1,l,0,1,0\n")
    message = refused(kdegrad, of_csv, tmp_path)
    both = " and in ".join(str(of_csv.folder / f"part-{number}.csv") for number in (0, 3))
    assert message.startswith(
        f"error: group 'é0' is in {both}: sort or write the parts by group, or give --engine dask"
    )


def test_a_fault_of_a_late_part_leaves_nothing(kdegrad, of_csv: Parts, tmp_path: Path) -> None:
    with (of_csv.folder / "part-3.csv").open("a", encoding="utf-8") as stream:
        stream.write("late,1e,1,l,0,1,0\n")
    assert refused(kdegrad, of_csv, tmp_path).startswith(f"error: {of_csv.folder}/part-3.csv:42: column 'angle': '1e'")
    assert refused(kdegrad, of_csv, tmp_path, "--bandwidth", "-1").startswith("error: --bandwidth: -1")


def test_parts_with_other_columns_are_refused(kdegrad, of_csv: Parts, tmp_path: Path) -> None:
    (of_csv.folder / "part-1.csv").write_text("id,angle,weight\n", "utf-8")
    message = refused(kdegrad, of_csv, tmp_path)
    assert "part-1.csv: has columns for 'angle', 'weight', and " in message


def test_what_needs_all_points_is_refused(kdegrad, of_csv: Parts, tmp_path: Path) -> None:
    options = ("--group-by", "id", *SETTINGS["laplace"])
    for command, more, name in (
        ("loss", ("--exact",), "--exact"),
        ("grad", ("--output", "new", "--plot", "x.png"), "--plot"),
        ("grad", ("--output", "new", "--top", "3"), "--top"),
        ("grad", ("--output", "new", "--per-bin"), "--per-bin"),
        ("loss", ("--bandwidth", "-1"), "--bandwidth"),
        ("grad", (), "--output"),
        ("grad", ("--output", str(of_csv.folder / "new")), "--output"),
        ("loss", ("--output", str(of_csv.folder)), "--output"),
        ("loss", ("--output", str(of_csv.folder / "part-0.csv")), "--output"),
    ):
        done = kdegrad(command, of_csv.folder, *options, *more)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"error: {name}: "), (more, done.err)


def test_standard_input_has_no_name_for_a_part(tmp_path: Path) -> None:
    arguments = ("loss", "-", "--stream", "--group-by", "g", *SETTINGS["laplace"], "--output", tmp_path / "new")
    done = installed(*arguments, stdin=None, input=b"g,angle,logit\na,1,2\n")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"error: --output: parts are written under their names"), done.stderr
    assert not (tmp_path / "new").exists()


def in_two(tmp_path: Path, header: str, *pieces: str) -> tuple[Path, Path]:
    """Write parts and the whole table, and return both."""
    (tmp_path / "parts").mkdir()
    for number, piece in enumerate(pieces):
        (tmp_path / "parts" / f"{number}.csv").write_text(header + piece, "utf-8")
    (tmp_path / "whole.csv").write_text(header + "".join(pieces), "utf-8")
    return tmp_path / "parts", tmp_path / "whole.csv"


def test_targets_that_differ_between_parts_alone(kdegrad, tmp_path: Path) -> None:
    parts, whole = in_two(tmp_path, "g,angle,logit,low,high\n", "a,1,0,0,5\nb,2,0,0,5\n", "c,3,0,0,6\n")
    options = ("--group-by", "g", "--target-columns", "low,high")
    found, expected = (kdegrad("loss", path, *options, "--format", "json").json for path in (parts, whole))
    assert found["problem"]["target"] is None
    assert found["problem"] == expected["problem"] | {"parts": 2}
    assert "targets of their own" in kdegrad("loss", parts, *options).out


@pytest.mark.parametrize("last", [3, 4])
def test_observed_angles_that_are_the_same_are_one_target(kdegrad, tmp_path: Path, last: int) -> None:
    parts, whole = in_two(tmp_path, "g,angle,logit,at\n", "a,1,0,3\nb,2,0,3\n", f"c,3,0,{last}\n")
    for path in (parts, whole):
        done = kdegrad("loss", path, "--group-by", "g", "--target-columns", "at")
        assert done.code == 0
        assert ("targets of their own" in done.out) == (last == 4)


def test_what_is_said_of_a_table_in_memory_is_said_of_parts(kdegrad, tmp_path: Path) -> None:
    parts, whole = in_two(tmp_path, "g,angle,logit,id\n", "a,1.5,0,1\na,1.5,1,1\n", "b,-6.25,0,1\nb,3,2,1\n")
    options = ("--group-by", "g", "--target", "0", "1", "--circular", "--df", "4", "--output")
    for more in ((), ("--unit", "radians", "--bandwidth", "1e-11")):
        found = kdegrad("grad", parts, *options, tmp_path / f"new{len(more)}", *more)
        expected = kdegrad("grad", whole, *options, tmp_path / "whole-grad.csv", *more)
        assert found.err == expected.err.replace(str(whole), str(parts))
        assert "note: --df is ignored" in found.err
        assert ("are they radians?" in found.err) == (not more)
        assert ("the rounding of the angles" in found.err) == bool(more)


def test_a_folder_that_exists_is_one_whatever_its_name(kdegrad, of_csv: Parts, tmp_path: Path) -> None:
    (tmp_path / "new.csv").mkdir()
    done = kdegrad("loss", of_csv.folder, "--group-by", "id", *SETTINGS["laplace"], "--output", tmp_path / "new.csv")
    assert done.code == 0
    assert list(joined(tmp_path / "new.csv", "csv")) == ["group", "points", "loss", "kl"]


def test_an_infinite_loss_leaves_the_rest_and_is_told(kdegrad, tmp_path: Path) -> None:
    parts, whole = in_two(tmp_path, "g,angle,logit\n", "a,0,0\nb,50,0\n", "c,4,0\nd,500,0\n")
    options = ("--group-by", "g", "--target", "-4", "4", "--kernel", "epanechnikov", "--bandwidth", "10", "--bins", "8")
    for more in (("--format", "csv"), ("--format", "json")):
        found, expected = (kdegrad("loss", path, *options, *more) for path in (parts, whole))
        assert (found.code, found.err) == (expected.code, expected.err)
        assert found.code == 3
        assert found.out.replace("/parts", "/whole.csv").replace(', "parts": 2', "") == expected.out
    found = kdegrad("grad", parts, *options, "--output", tmp_path / "new")
    assert (found.code, found.err) == (3, expected.err)
    assert "2 of 4 groups have no finite result: 'b', 'd'" in found.out
    said = f"2 parts are written to the folder {tmp_path}/new"
    assert said.replace(" ", "") in "".join(found.out.split())  # a long path is folded
    assert [rows_of(tmp_path / "new" / f"{number}.csv")["gradient"][1] for number in (0, 1)] == ["", ""]
    weights = [rows_of(tmp_path / "new" / f"{number}.csv")["weight"] for number in (0, 1)]
    assert weights == [["1.0", "1.0"], ["1.0", "1.0"]]
