"""Pins down ``loss`` and ``grad`` of a table in parts: the numbers of one table, read twice and written part by part.

Expected numbers are those of `kdegrad.evaluate` for one table with all rows; files are read back with csv and pyarrow.
"""

from __future__ import annotations

import csv
import io
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

import numpy as np
import pytest

import kdegrad as kg
from kdegrad import output
from kdegrad.cli.terminal import Progress
from kdegrad.reading import files, parts
from kdegrad.reading.parts import blocks_of, overlooked, parts_of
from kdegrad.settings import ReadingOptions
from tests.conftest import installed

TARGET = ("--target", "-30", "30", "--bandwidth", "10")
RELATIVE = 1e-12  # of shares and gradients, of S_i + R_i; A is small here
SEPARATORS = {"csv": ",", "tsv": "\t"}
COLUMNS = ["weight", "responsibility", "gradient", "gradient_per_weight"]

pyarrow = pytest.importorskip("pyarrow")
import pyarrow.parquet as pq  # noqa: E402

Rows = dict[str, list[Any]]


def rows(count: int, seed: int = 1, kind: str = "logit") -> Rows:
    """Return points with labels that need quotes, one of them masked."""
    random = np.random.default_rng(seed)
    made: Rows = {"angle": random.normal(0.0, 40.0, count).tolist()}
    if kind:
        values = random.normal(0.0, 2.0, count)
        made[kind] = (values if kind == "logit" else np.exp(values)).tolist()
        made[kind][count // 2] = -math.inf if kind == "logit" else 0.0
    made["label"] = [f'a "{number}", β' for number in range(count)]
    return made


def write(path: Path, table: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        types = {"label": pyarrow.string()}
        columns = [pyarrow.array(column, types.get(name, pyarrow.float64())) for name, column in table.items()]
        pq.write_table(pyarrow.table(columns, list(table)), path, row_group_size=7)
        return path
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter=SEPARATORS[path.suffix[1:]])
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path


def read(path: Path) -> Rows:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pydict()
    with path.open(newline="") as stream:
        header, *lines = csv.reader(stream, delimiter=SEPARATORS[path.suffix[1:]])
    columns = [list(column) for column in zip(*lines, strict=True)] or [[] for _ in header]
    table: Rows = dict(zip(header, columns, strict=True))
    return {name: column if name == "label" else list(map(float, column)) for name, column in table.items()}


def cut(table: Rows, folder: Path, suffix: str, ends: Sequence[int]) -> list[Path]:
    """Write the rows to parts that end there."""
    paths = [folder / f"part-{number}.{suffix}" for number in range(len(ends))]
    for path, begin, end in zip(paths, [0, *ends], ends, strict=False):
        write(path, {name: column[begin:end] for name, column in table.items()})
    return paths


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Return a folder of three parts."""
    cut(rows(30), tmp_path / "parts", "csv", [10, 20, 30])
    return tmp_path / "parts"


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("kind", ["logit", "weight", ""])
@pytest.mark.parametrize(
    "options",
    [
        {"target": (-30.0, 30.0)},
        {"target": (-30.0, 30.0), "kernel": "von-mises", "circular": True, "rule": "gauss", "background": 0.1},
        {"at": 12.5, "kernel": "cauchy"},
    ],
    ids=lambda options: str(options.get("kernel", "laplace")),
)
def test_parts_have_the_gradients_of_one_table(
    kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, kind: str, options: dict[str, Any]
) -> None:
    """Of several blocks each, one part without rows, and one of which all points are masked."""
    monkeypatch.setattr(parts, "ROWS", 8)
    monkeypatch.setattr(files, "SIZE", 200)
    table = rows(40, kind=kind)
    if kind:
        table[kind][25:28] = [-math.inf if kind == "logit" else 0.0] * 3
    paths = cut(table, tmp_path / "parts", suffix, [25, 25, 28, 40])
    wrt = ("logits", "angles", "bandwidth")
    problem = kg.load(write(tmp_path / f"all.{suffix}", table), bandwidth=10.0, bins=50, **options)
    expected = kg.evaluate(problem, wrt)
    gradients = expected.require_gradients()
    flags = ["--bandwidth", "10", "--bins", "50", "--wrt", ",".join(wrt)]
    for name, value in options.items():
        values = value if isinstance(value, tuple) else () if value is True else (value,)
        flags += [f"--{name}", *map(str, values)]
    if "at" in options:
        del flags[2:4]
    done = kdegrad("grad", tmp_path / "parts", "--output", tmp_path / "out", "--format", "json", *flags)
    assert (done.code, kind == "" or done.err == "") == (0, True)
    assert done.json["loss"] == pytest.approx(expected.loss, rel=RELATIVE)
    assert done.json["kl"] == (None if expected.kl is None else pytest.approx(expected.kl, rel=1e-11))
    size = float(np.abs(gradients.logits).sum())
    assert done.json["sum"] == pytest.approx(float(gradients.logits.sum()), abs=RELATIVE)
    norms = {"l1": size, "l2": np.linalg.norm(gradients.logits), "max": np.abs(gradients.logits).max()}
    assert done.json["norms"] == pytest.approx(norms, rel=1e-11)
    sizes = np.abs(gradients.angles)
    norms = {"l1": sizes.sum(), "l2": np.linalg.norm(sizes), "max": sizes.max()}
    assert done.json["angle_norms"] == pytest.approx(norms, rel=1e-11)
    assert done.json["gradient_log_bandwidth"] == pytest.approx(gradients.log_bandwidth, rel=1e-11)
    assert done.json["problem"]["points"] == 40
    assert done.json["problem"]["counted"] is None
    assert done.json["problem"]["parts"] == 4
    of_parts = {name: [part[name] for part in done.json["parts"]] for name in ("part", "points")}
    assert of_parts == {"part": [path.name for path in paths], "points": [25, 0, 3, 12]}

    written = [read(tmp_path / "out" / path.name) for path in paths]
    assert [list(part) for part in written] == 4 * [["angle", "logit", "label", *COLUMNS, "gradient_angle"]]
    found = {name: [value for part in written for value in part[name]] for name in written[0]}
    assert found["angle"] == table["angle"]
    assert found["label"] == table["label"]
    assert found["logit"] == problem.logits.tolist()
    shares = expected.weights + gradients.responsibilities
    for name, column, scale in (
        ("weight", expected.weights, shares),
        ("responsibility", gradients.responsibilities, shares),
        ("gradient", gradients.logits, shares),
        ("gradient_per_weight", gradients.per_weight, 1.0 + np.abs(gradients.per_weight)),
        ("gradient_angle", gradients.angles, 10.0 * shares),
    ):
        assert (np.abs(np.array(found[name]) - column) <= RELATIVE * scale + 1e-300).all(), name


def test_parquet_parts_keep_their_types_without_rows(kdegrad, tmp_path: Path) -> None:
    cut(rows(3), tmp_path / "parts", "parquet", [0, 3])
    assert kdegrad("grad", tmp_path / "parts", *TARGET, "--output", tmp_path / "out").code == 0
    empty, full = (pq.read_schema(tmp_path / "out" / f"part-{number}.parquet") for number in (0, 1))
    assert empty.equals(full)
    assert {str(field.type) for field in full} == {"double", "string"}
    assert full.field("label").type == pyarrow.string()


def test_labels_of_some_parts_do_not_matter_to_the_loss(kdegrad, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("angle,label\n1,a\n")
    (tmp_path / "b.csv").write_text("angle\n2\n")
    done = kdegrad("loss", tmp_path, *TARGET, "--format", "json")
    assert done.json["loss"] == pytest.approx(kg.loss([1, 2], target=(-30, 30), bandwidth=10), rel=RELATIVE)


def test_files_without_a_byte_are_no_parts(kdegrad, tmp_path: Path) -> None:
    """Spark writes them where a part has no rows."""
    cut(rows(30), tmp_path / "parts", "csv", [10, 20, 30])
    for name in ("a.csv", "z.csv"):
        (tmp_path / "parts" / name).touch()
    for command, to in (("grad", ("--output", tmp_path / "grad.d")), ("loss", ())):
        done = kdegrad(command, tmp_path / "parts", *TARGET, *to, "--format", "json")
        assert done.code == 0
        assert done.err == f"note: {tmp_path / 'parts'} has files of 0 bytes, which are left out: 'a.csv', 'z.csv'\n"
    assert contents(tmp_path / "grad.d") == ["part-0.csv", "part-1.csv", "part-2.csv"]


def test_the_parts_may_go_where_their_pattern_does_not_lead(kdegrad, tmp_path: Path) -> None:
    cut(rows(30), tmp_path / "y=1", "csv", [10, 20, 30])
    for pattern, folder in (("y=1/*.csv", "y=1/out"), ("*=*/*.csv", "out")):
        assert kdegrad("grad", tmp_path / pattern, *TARGET, "--output", tmp_path / folder).code == 0


def test_reading_options_hold_for_parts(kdegrad, tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text("dir|n|weight\n-3,5|2|9\n|1|9\n")
    (tmp_path / "b.dat").write_text("dir|n|weight\n14,25|1|9\nNA|1|9\n7,5|4|9\n")
    line = "--angle-column dir --weight-column n --delimiter | --decimal , --missing skip --input-format csv"
    flags = line.split()
    done = kdegrad("loss", tmp_path, *TARGET, *flags, "--format", "json")
    assert done.err == f"note: {tmp_path} has 2 of 5 rows with a missing value: they are left out\n"
    expected = kg.loss([-3.5, 14.25, 7.5], weights=[2, 1, 4], target=(-30, 30), bandwidth=10)
    assert done.json["loss"] == pytest.approx(expected, rel=RELATIVE)
    assert done.json["problem"]["counted"] == 7
    assert "3 points (7 counted) in 2 parts" in kdegrad("loss", tmp_path, *TARGET, *flags).out
    unweighted = kdegrad("loss", tmp_path, *TARGET, *flags[:2], *flags[4:], "--no-weights", "--format", "json")
    assert unweighted.json["loss"] == pytest.approx(
        kg.loss([-3.5, 14.25, 7.5], target=(-30, 30), bandwidth=10), rel=RELATIVE
    )


def test_one_file_and_standard_input_are_streamed(kdegrad, tmp_path: Path) -> None:
    path = write(tmp_path / "one.csv", rows(20))
    expected = kg.evaluate(kg.load(path, target=(-30, 30), bandwidth=10)).loss
    for form, of in (("json", tmp_path / "x.json"), ("csv", None)):
        done = kdegrad("loss", path, "--stream", *TARGET, *(("--output", of) if of else ("--format", form)))
        assert (done.code, done.err) == (0, "")
    header, values = done.out.splitlines()
    assert header == "loss,kl,points,kernel,bandwidth,low,high,rule,bins"
    assert float(values.split(",")[0]) == pytest.approx(expected, rel=RELATIVE)
    assert '"parts": 1' in (tmp_path / "x.json").read_text()
    piped = installed("loss", "-", "--stream", *TARGET, "--format", "csv", stdin=None, input=path.read_bytes())
    assert (piped.stdout.decode().splitlines(), piped.stderr) == ([header, values], b"")


def test_a_link_that_leads_nowhere_is_named(kdegrad, three: Path) -> None:
    (three / "part-3.csv").symlink_to("gone.csv")
    done = kdegrad("loss", three, *TARGET)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {three}/part-3.csv: is a link to 'gone.csv', which does not exist")


def test_the_table_says_what_was_written(kdegrad, three: Path, tmp_path: Path) -> None:
    done = kdegrad("grad", three, *TARGET, "--output", tmp_path / "out.d")
    assert done.code == 0
    assert "30 points in 3 parts" in done.out
    said = f"3 parts are written to the folder {tmp_path / 'out.d'}"
    assert said.replace(" ", "") in "".join(done.out.split())  # a long path is folded
    assert all(f"part-{number}.csv" in done.out for number in range(3))
    assert max(map(len, done.out.splitlines())) <= 80 + len(str(tmp_path))
    assert contents(tmp_path / "out.d") == ["part-0.csv", "part-1.csv", "part-2.csv"]
    as_new = tmp_path / "new"
    as_new.write_text("")
    assert (tmp_path / "out.d" / "part-0.csv").stat().st_mode == as_new.stat().st_mode


# --- which files are parts -------------------------------------------------------------------------------------------


def test_a_folder_and_patterns_name_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["b.csv", "a.CSV", ".c.csv", "_d.csv", "README.md", "y=1/e.csv", "y=2/z=3/f.csv", "_temporary/g.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("angle\n1\n")

    def found(pattern: str) -> list[str]:
        return [part.name for part in parts_of(pattern, ReadingOptions())]

    assert found(str(tmp_path)) == ["a.CSV", "b.csv"]
    assert found(f"{tmp_path}/*/*.csv") == ["y=1/e.csv"]
    assert found(f"{tmp_path}/**/[ef].csv") == ["y=1/e.csv", "y=2/z=3/f.csv"]
    assert found(f"{tmp_path}/y=2/*/f.csv") == ["z=3/f.csv"]
    assert found(f"{tmp_path}/_*/*.csv") == ["_temporary/g.csv"]
    assert found(f"{tmp_path}/b.csv") == ["b.csv"]
    monkeypatch.chdir(tmp_path)
    assert found("*.csv") == ["b.csv"]
    assert found("y=?/e.csv") == ["y=1/e.csv"]
    for name in ("_runs/a.csv", "_runs/.a.csv", "_runs/_b/c.csv"):  # where the folder named is hidden itself
        write(tmp_path / name, rows(1))
    for pattern in ("_runs", "_runs/*.csv", "_runs/**/*.csv", "_runs/**"):
        assert found(pattern) == ["a.csv"]
    assert found("_runs/_*/*.csv") == ["_b/c.csv"]


def test_a_folder_that_links_lead_to_again_is_taken_once(tmp_path: Path) -> None:
    for name in ("y=1/e.csv", "y=2/f.csv"):
        write(tmp_path / name, rows(1))
    for link, to in (("a", "."), ("b", "."), ("latest", "y=2"), ("y=1/up", "..")):
        (tmp_path / link).symlink_to(to)
    assert [part.name for part in parts_of(f"{tmp_path}/**/*.csv", ReadingOptions())] == ["y=1/e.csv", "y=2/f.csv"]
    assert len(overlooked(str(tmp_path), ReadingOptions())) == 1


def test_parts_in_subfolders_keep_their_place(kdegrad, tmp_path: Path) -> None:
    for name in ("y=1/a.csv", "y=2/a.csv"):
        write(tmp_path / "in" / name, rows(3))
    done = kdegrad("grad", tmp_path / "in" / "**" / "*.csv", *TARGET, "--output", tmp_path / "out")
    assert done.code == 0
    assert contents(tmp_path / "out") == ["y=1", "y=1/a.csv", "y=2", "y=2/a.csv"]


def test_blocks_tell_how_far_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file of one large row group, and in one of text."""
    monkeypatch.setattr(files, "SIZE", 500)
    table = rows(1000)
    pq.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    write(tmp_path / "b.csv", table)
    for name in ("a.parquet", "b.csv"):
        (part,) = parts_of(str(tmp_path / name), ReadingOptions())
        told: list[int] = []
        lengths = [len(block.angles) for block in blocks_of(part, ReadingOptions(), told.append, rows=100)]
        assert sum(lengths) == 1000
        assert max(lengths) < 150
        assert sum(told) == part.size
        assert len([size for size in told if 0 < size < part.size / 5]) >= 8


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("loss parts --rule exact", "--rule: its nodes depend on all points"),
        ("loss parts --plot x.png", "--plot: draws all points"),
        ("loss parts --top 3", "--top: sorts all points"),
        ("loss parts --exact", "--exact: compares the bins with the integral"),
        ("loss parts --format html", "--format: a page shows the points"),
        ("loss parts --output x.html", "--output: a page shows the points"),
        ("loss parts --output x.xyz", "--output: no report is written as '.xyz'"),
        ("loss parts --format parquet", "--format: Parquet is no text for standard output"),
        ("loss parts --output parts/part-1.csv", "--output: 'parts/part-1.csv' would overwrite the input"),
        ("loss parts --output no/x.json", "--output: the folder 'no' does not exist"),
        ("loss parts --scheduler tcp://here:1", "--scheduler: is that of a Dask cluster: give --engine dask too"),
        ("loss - --engine dask", "--engine: standard input cannot be read by the workers of a cluster"),
        ("loss parts --delimiter ; --decimal ; ", "--decimal"),
        ("loss --stream", "--stream: takes parts, and no INPUT is given"),
        ("loss parts --target-columns low,high", "--target-columns: names the targets of groups"),
        ("loss parts/part-0.csv parts/part-1.csv", "a pattern in quotes: 'parts/*.csv'"),
        ("loss a.yaml --stream", "a.yaml: YAML is read as a whole, not in parts: save it as CSV or Parquet"),
        ("loss parts --input-format json", "part-0.csv: JSON is read as a whole, not in parts"),
        ("loss - --stream --input-format parquet", "standard input: Parquet is read from its end"),
        ("loss none.csv --stream", "none.csv: no such file in the folder"),
        ("loss none*.csv", "none*.csv: no file matches the pattern"),
        ("loss p*", "p*: the pattern matches folders alone, such as 'parts'"),
        ("loss empty", "empty: no parts are in this folder: name a folder or a pattern of .csv, .tsv, .parquet files"),
        ("loss deep", "deep: the parts are in subfolders: give the pattern 'deep/**/*.csv', in quotes"),
        ("loss mixed", "mixed: has parts of several formats (.csv, .tsv): name a pattern of one"),
        ("loss differ", "differ/b.csv: has columns for 'angle', 'weight', and differ/a.csv for 'angle', 'logit'"),
        ("grad labels -o out", "labels/b.csv: has columns for 'angle', and labels/a.csv for 'angle', 'label'"),
        ("loss bare", "bare: has no points: write a row for each"),
        ("loss masked", "masked: no point has a positive weight"),
        ("loss gaps --missing skip", "gaps: no points are left (it has 1 of 1 rows with a missing value"),
        ("loss twice", "twice/b.csv: is the same file as twice/a.csv, and would count twice: remove the link to it"),
        ("loss looped", "looped/a.csv: is a link that leads back to itself"),
        ("loss parts/part-{0,1}.csv", ": give a pattern of *, ? and [ ], since braces are none"),
        ("loss */part-{0,1}.csv", ": no file matches the pattern: its signs are *, ? and [ ]"),
        ("loss */*.gz", "deep/a.csv.gz: is compressed, and parts are read as they are: unpack it first"),
        ("loss hollow", "hollow/a.csv: is empty"),
        ("grad parts", "--output: grad of parts writes a part for each: name a new or empty folder"),
        ("loss parts --circular --zero N", "--zero: is for the drawing of a circle, and parts are not drawn"),
        ("grad parts --per-bin -o out", "--per-bin: lists the points once for each bin"),
        ("grad parts --format parquet -o out", "--format: parquet is for one file"),
        ("grad parts --format html -o out", "--format: a page shows the points"),
        ("grad parts -o parts", "--output: 'parts' is in the folder of the parts"),
        ("grad parts -o parts/out", "--output: 'parts/out' is in the folder of the parts"),
        ("grad parts/**/*.csv -o parts/out", "--output: 'parts/out' is in the folder of the parts"),
        ("grad parts -o deep", "--output: the folder 'deep' is not empty"),
        ("grad parts -o a.yaml", "--output: 'a.yaml' is a file, and parts go to a folder"),
        ("grad parts -o no/out", "no' does not exist: create it first"),
        ("grad parts -o deep/", "--output: the folder 'deep/' is not empty"),
        ("grad parts -o a.yaml/", "--output: 'a.yaml/' is a file, and parts go to a folder"),
        ("grad parts -o no/.", "--output: the folder 'no' does not exist: create it first"),
        ("grad parts -o ./no/../out", "--output: the folder './no/..' does not exist: create it first"),
        ("grad parts -o nowhere", "--output: 'nowhere' is a link to nothing"),
        ("grad parts -o x.csv", "--output: 'x.csv' names a file, and a part is written for each: name a folder"),
        ("grad parts -o x.csv --format json", "--output: 'x.csv' names a file, and a part is written for each"),
        ("grad parts --group-by label -o x.csv", "--output: 'x.csv' names a file, and a part is written for each"),
        ("grad deep/*/*.csv -o deep/out", "--output: 'deep/out' is in the folder of the parts, 'deep'"),
        ("loss parts -o new/ --format csv", "--output: 'new/' is the name of a folder: name a file"),
        ("loss parts -o l.csv/", "--output: 'l.csv/' is the name of a folder: name a file"),
        ("loss parts -o parts/new.csv", "--output: 'parts/new.csv' would be a part itself the next time"),
        ("loss parts/*.csv -o parts/new.csv", "--output: 'parts/new.csv' would be a part itself the next time"),
        ("loss parts --group-by label -o parts/a.csv", "--output: 'parts/a.csv' would be a part itself the next"),
        ("loss spaced/a.csv spaced/b.csv", "a pattern in quotes: 'spaced/*.csv'"),
        (
            "loss unnamed",
            "(files found: 'part-0'): name a folder or a pattern of .csv, .tsv, .parquet files, or the format",
        ),
        (
            "loss gzipped",
            "gzipped: no parts are in this folder (files found: 'a.csv.gz'): parts are read as they are: unpack",
        ),
        ("loss twohollow", "twohollow/a.csv: is empty"),
        ("grad - --stream -o out", "--output: grad reads its input twice, and standard input can be read once"),
    ],
)
def test_what_parts_cannot_be_is_said_in_one_line(
    kdegrad, three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "a.yaml": "target: [0, 9]\npoints: [1]\n",
        "deep/y=1/a.csv": "angle\n1\n",
        "mixed/a.csv": "angle\n1\n",
        "mixed/b.tsv": "angle\n1\n",
        "differ/a.csv": "angle,logit\n1,1\n",
        "differ/b.csv": "angle,weight\n1,1\n",
        "labels/a.csv": "angle,label\n1,a\n",
        "labels/b.csv": "angle\n1\n",
        "bare/a.csv": "angle,logit\n",
        "masked/a.csv": "angle,logit\n1,-inf\n",
        "gaps/a.csv": "angle\n \n".replace(" ", "NA"),
        "hollow/a.csv": "",
        "twice/a.csv": "angle\n1\n",
        "deep/a.csv.gz": "",
        "gzipped/a.csv.gz": "",
        "spaced/a b.csv": "angle\n1\n",
        "spaced/a c.csv": "angle\n1\n",
        "unnamed/part-0": "angle\n1\n",
        "twohollow/a.csv": "",
        "twohollow/b.csv": "",
        "empty/.hidden.csv": "angle\n1\n",
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    Path("twice/b.csv").symlink_to("a.csv")
    Path("looped").mkdir()
    Path("nowhere").symlink_to("gone")
    Path("looped/a.csv").symlink_to("a.csv")
    before = contents(tmp_path)
    words = [word.replace("spaced/", "spaced/a ") for word in line.split()]  # a name with a space
    done = kdegrad(*words, *TARGET)
    assert (done.code, done.out) == (2, "")
    errors = [text for text in done.err.splitlines() if not text.startswith(("note: ", "Try "))]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert said in errors[0]
    assert contents(tmp_path) == before


def test_a_wrong_row_is_found_before_anything_is_written(kdegrad, three: Path, tmp_path: Path) -> None:
    with (three / "part-2.csv").open("a") as stream:
        stream.write("12,5,label\n1,x,label\n")
    done = kdegrad("grad", three, *TARGET, "--output", tmp_path / "out")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {three}/part-2.csv:13: column 'logit': 'x' is not a number")
    assert contents(tmp_path) == ["parts", *(f"parts/part-{number}.csv" for number in range(3))]


def test_an_infinite_loss_makes_no_folder(kdegrad, three: Path, tmp_path: Path) -> None:
    narrow = ("--target", "-30", "30", "--kernel", "uniform", "--bandwidth", "0.01")
    loss = kdegrad("loss", three, *narrow, "--format", "json")
    assert (loss.code, loss.json["loss"], loss.json["kl"]) == (3, None, None)
    whole = write(tmp_path / "all.csv", rows(30))
    assert loss.json["uncovered"] == kdegrad("loss", whole, *narrow, "--format", "json").json["uncovered"]
    done = kdegrad("grad", three, *narrow, "--output", tmp_path / "out")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error: the density is 0 at ")
    assert not (tmp_path / "out").exists()


# --- notes -----------------------------------------------------------------------------------------------------------


def test_what_should_be_known_is_said_once(kdegrad, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.csv").write_text("angle,temp,ra\n0.5,1,1\n#1,1,1\n3,1,1\n")
    (tmp_path / "2.csv").write_text("ra,angle,temp,more\n1,0.5,1,1\n#1,1,1,1\n")
    (tmp_path / "old.json").write_text("[]")
    (tmp_path / "more").mkdir()
    write(tmp_path / "more" / "x.csv", rows(2))
    done = kdegrad("loss", tmp_path, "--target", "-3", "3", "--circular", "--format", "csv")
    assert done.code == 0
    neither, comments = "has neither logits nor weights: all points weigh the same", "that begin with '#'"
    unused = "it has columns that are not used"
    expected = [
        f"note: {tmp_path} has files that are no parts and are not read: 'old.json'",
        f"note: {tmp_path} has parts in subfolders too, which are not read: the pattern '{tmp_path}/**/*.csv' takes",
        f"note: {tmp_path}/0.csv (and 1 other part) {neither}; {unused}: 'temp', 'ra'",
        f"note: {tmp_path}/2.csv {neither}; {unused}: 'ra', 'temp', 'more'",
        f"note: {tmp_path} has lines {comments} and have as many cells as the header (3 of them)",
        "note: all angles lie within ±2π, and the unit is degrees: are they radians? give --unit radians",
    ]
    said = done.err.splitlines()
    assert len(said) == len(expected)
    assert all(line.startswith(begin) for line, begin in zip(said, expected, strict=True)), said
    assert kdegrad("loss", tmp_path, "--target", "-3", "3", "--circular", "--format", "csv", "--quiet").err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_counts_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("kdegrad.cli.terminal.PATIENCE", 0.0)
    with Progress("summing", 5_000_000, of_bytes=True) as progress:
        progress.advance(2_500_000)
        deadline = time.monotonic() + 30.0
        while "2.5/5.0 MB" not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "2.5/5.0 MB" in stream.getvalue()


# --- faults of the machine -------------------------------------------------------------------------------------------


def _grow(path: Path) -> None:
    with path.open("a") as stream:
        stream.write("1,1,x\n")


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "grown": (_grow, "has changed since the parts were listed (from "),
    "touched": (lambda path: os.utime(path, (1, 1)), "has changed since the parts were listed (in its time)"),
    "gone": (Path.unlink, "is gone: it was there when the parts were listed"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("written", [0, 1], ids=["between the passes", "in the second"])
def test_a_part_that_changes_is_an_error(
    kdegrad, three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, written: int
) -> None:
    act, said = CHANGES[change]
    stage, calls = output.replacing, []

    def changing(file: str) -> Any:
        if len(calls) == written:
            act(three / f"part-{written}.csv")
        calls.append(file)
        return stage(file)

    monkeypatch.setattr(output, "replacing", changing)
    done = kdegrad("grad", three, *TARGET, "--output", tmp_path / "out")
    assert (done.code, done.out) == (2, "")
    (error,) = done.err.splitlines()
    assert error.startswith(f"error: {three}/part-{written}.csv: {said}")
    assert error.endswith(("run again", "run again when nothing writes to it"))
    assert not (tmp_path / "out").exists()


def test_a_part_that_is_being_written_is_not_called_damaged(
    kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = cut(rows(5), tmp_path / "parts", "parquet", [5])
    parts_before = parts.parts_of

    def cut_off(*arguments: Any) -> Any:
        listed = parts_before(*arguments)
        path.write_bytes(path.read_bytes()[:-8])
        return listed

    monkeypatch.setattr("kdegrad.cli.streamed.parts_of", cut_off)
    assert ": has changed since the parts were listed (from " in kdegrad("loss", path.parent, *TARGET).err


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    """RLIMIT_FSIZE stops a write in the middle, as a full disk does."""
    cut(rows(3020), tmp_path / "parts", suffix, [10, 3010, 3020])
    done = installed(
        *("grad", tmp_path / "parts", *TARGET, "--output", tmp_path / "out"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert (done.returncode, done.stdout) == (4, b"")
    assert done.stderr.decode() == f"error: {tmp_path / 'out'}/part-1.{suffix}: File too large\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["grad", "grad --group-by label"])
@pytest.mark.parametrize(
    ("stage", "name", "said", "left"),
    [
        ("filling", "note.txt", "the folder 'out' was new or empty when this run began, and is not any more", 0),
        ("replacing", "part-1.csv", "'out/part-1.csv' came into being during this run, and is not replaced", 0),
        ("replacing", ".x.part", "", 3),
    ],
)
def test_what_others_write_to_the_folder_meanwhile_stays(
    kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, name: str, said: str, left: int, command: str
) -> None:
    """Before the folder is filled, or before the first part is written."""
    cut(rows(30, kind=""), tmp_path / "parts", "csv", [10, 20, 30])
    monkeypatch.chdir(tmp_path)
    act, theirs = getattr(output, stage), Path("out") / name

    def late(*arguments: Any) -> Any:
        theirs.parent.mkdir(exist_ok=True)
        if not theirs.exists():
            theirs.write_text("theirs")
        return act(*arguments)

    monkeypatch.setattr(output, stage, late)
    done = kdegrad(*command.split(), "parts", *TARGET, "--output", "out")
    errors = [line for line in done.err.splitlines() if line.startswith("error")]
    assert (done.code, len(errors)) == ((2, 1) if said else (0, 0))
    assert all(line.startswith(f"error: --output: {said}") for line in errors)
    assert theirs.read_text() == "theirs"
    assert contents(Path("out")) == sorted([name, *(f"part-{number}.csv" for number in range(left))])


# Runs the command, and kills it by a signal while it writes the second part.
KILLED = """
import os, sys
from kdegrad import streams
from kdegrad.__main__ import main
number, write, calls = int(sys.argv.pop(1)), streams.gradients_to, []
def struck(stream, *arguments, **options):
    calls.append(stream)
    if len(calls) == 2:
        stream.write(b"half")
        stream.flush()
        os.kill(os.getpid(), number)
    return write(stream, *arguments, **options)
streams.gradients_to = struck
main()
"""


@pytest.mark.parametrize(("number", "code"), [(SIGTERM, 143), (SIGINT, 130), (SIGKILL, -9)])
def test_a_killed_run_leaves_no_part(kdegrad, three: Path, tmp_path: Path, number: int, code: int) -> None:
    """What SIGKILL leaves is hidden, where no reader of parts takes it."""
    out = tmp_path / "out"
    line = [sys.executable, "-c", KILLED, str(int(number)), "grad", str(three), *TARGET, "--output", str(out)]
    done = subprocess.run(line, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout) == (code, "")
    if number == SIGKILL:
        assert contents(out)[0].startswith(".")
        assert "no parts are in this folder" in kdegrad("loss", out, *TARGET).err
        again = kdegrad("grad", three, *TARGET, "--output", out)
        assert again.err.endswith("or remove it if a killed run left it\n")
    else:
        assert not out.exists()


def test_a_gradient_that_is_not_finite_leaves_nothing(kdegrad, three: Path, tmp_path: Path) -> None:
    options = ("--target", "-30", "30", "--kernel", "gaussian", "--wrt", "logits,angles", "--bandwidth", "1e-160")
    in_memory = kdegrad("grad", three / "part-1.csv", *options)
    done = kdegrad("grad", three, *options, "--output", tmp_path / "out")
    assert (done.code, done.out, in_memory.code) == (3, "", 3)
    assert done.err.startswith("error: a number is outside the range of float64")
    assert done.err.splitlines()[0] == in_memory.err.splitlines()[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_that_may_not_be_written_is_found_first(
    kdegrad, three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    out = tmp_path / "out"
    if is_there:
        out.mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) not in (out, tmp_path))
    monkeypatch.setattr("kdegrad.cli.streamed.summed", None)  # is not called
    done = kdegrad("grad", three, *TARGET, "--output", out)
    assert (done.code, done.err) == (4, f"error: {out}: Permission denied\n")
    assert out.exists() == is_there
