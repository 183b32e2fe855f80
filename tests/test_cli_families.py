"""Pins down `sweep` and `descend` on the command line: every form of report, what is refused, exit codes, files."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pty
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

import kdegrad as kg
from kdegrad.cli.terminal import PATIENCE, Progress
from tests.conftest import COMMAND
from tests.readme import ROOT

SAMPLES = ROOT / "sample_inputs"
TWO_SIDED = str(SAMPLES / "two_sided.yaml")
EVERY_SAMPLE = ["mallards", "turtles", "wind", "two_sided"]
DISTANCE = ["sweep", TWO_SIDED, "--over", "distance", "--from", "0", "--to", "200", "--steps", "3"]
SWEEP_FIELDS = [
    *["value", "kernel", "loss", "kl", "l1", "l2", "max"],
    *["gradient_per_weight_max", "gradient_per_weight_min", "only_pushed_down"],
]


# --- sweep -----------------------------------------------------------------------------------------------------------


def test_sweep_in_json_and_csv_is_the_library_s(kdegrad) -> None:
    family = kg.sweep(kg.load(TWO_SIDED), "distance", [0, 100, 200], kernels=["laplace", "cauchy"])
    flags = ["--kernel", "laplace", "--kernel", "lorentz"]
    done = kdegrad(*DISTANCE, *flags, "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert done.json["over"] == "distance"
    assert done.json["problem"]["points"] == 6
    rows = kdegrad(*DISTANCE, *flags, "--format", "csv").rows
    assert list(rows[0]) == ["over", *SWEEP_FIELDS]
    for step, item, row in zip(family.steps, done.json["values"], rows, strict=True):
        assert list(item) == SWEEP_FIELDS
        for name in SWEEP_FIELDS:
            assert item[name] == getattr(step, name)
            assert row[name] == str(getattr(step, name))


def test_sweep_as_a_table_has_a_row_for_each_kernel_and_value(kdegrad) -> None:
    out = kdegrad(*DISTANCE, "--kernel", "laplace", "--kernel", "gaussian").out
    assert len([line for line in out.splitlines() if line.startswith((" laplace", " gaussian"))]) == 6
    assert "1.1923" in out
    assert "only pushed down: the weight of the points that no bin pulls up" in out


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_sweep_and_descend_fit_the_width(kdegrad, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in (DISTANCE, ["descend", TWO_SIDED, "--wrt", "logits,angles,bandwidth"]):
        out = kdegrad(*command).out
        assert max(map(len, out.splitlines())) <= columns
        assert "…" not in out


@pytest.mark.parametrize("sample", EVERY_SAMPLE)
def test_every_sample_sweeps_and_descends(kdegrad, sample: str) -> None:
    path = SAMPLES / f"{sample}.yaml"
    done = kdegrad("sweep", path, "--over", "bandwidth", "--from", "5", "--to", "50", "--steps", "3", "--format", "csv")
    assert done.code == 0
    assert len(done.rows) == 3
    assert kdegrad("sweep", path, "--over", "kernel").code in (0, 3)
    done = kdegrad("descend", path, "--optimizer", "em", "--steps", "3", "--format", "json")
    assert done.code == 0
    losses = [row["loss"] for row in done.json["course"]]
    assert losses == sorted(losses, reverse=True)


def test_an_infinite_loss_is_null_and_exit_3_is_for_all_of_them(kdegrad) -> None:
    flags = ["sweep", TWO_SIDED, "--kernel", "epa", "--over", "bandwidth", "--from", "10", "--steps", "2"]
    done = kdegrad(*flags, "--to", "200", "--format", "json")
    assert done.code == 0
    assert done.json["values"][0]["loss"] is None
    assert done.json["values"][0]["l1"] is None
    assert math.isfinite(done.json["values"][1]["loss"])
    done = kdegrad(*flags, "--to", "20", "--format", "csv")
    assert done.code == 3
    assert [row["loss"] for row in done.rows] == ["", ""]
    assert "infinite everywhere" in done.err
    assert " inf" in kdegrad(*flags, "--to", "200").out


def test_log_takes_values_at_equal_ratios_and_bins_are_whole(kdegrad) -> None:
    flags = ["sweep", TWO_SIDED, "--over", "bins", "--from", "1", "--to", "100", "--steps", "3", "--log"]
    assert [row["value"] for row in kdegrad(*flags, "--format", "csv").rows] == ["1", "10", "100"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("", "--over: say what to sweep over: distance"),
        ("--over distanse --from 0 --to 1", "did you mean 'distance'"),
        ("--over distance --to 1", "--from: give both ends"),
        ("--over distance --from 0", "--to: give both ends"),
        ("--over distance --from x --to 1", "--from: 'x' is not a number"),
        ("--over distance --from 0 --to 9 --log", "--from: 0.0 has no logarithm"),
        ("--over distance --from 0 --to 9 --steps 0", "--steps: 0 is out of range"),
        ("--over distance --from -50 --to 9", "--from: -50 would carry a point past the centre"),
        ("--over bandwidth --from -1 --to 9", "--from: -1.0 is out of range"),
        ("--over bandwidth --from 1 --to -3 --steps 3", "--to: -3.0 is out of range"),
        ("--over distance --from 0 --to 9 --steps 1", "--steps: 1 is one value"),
        ("--over background --from 0 --to 1", "--to: 1.0 is out of range: give a finite number from 0 to below 1"),
        ("--over bins --from 1 --to 9 --at 0", "--over: bins: one bin stands for all"),
        ("--over kernel --from 1", "--from: kernel has names"),
        ("--over kernel --log", "--log: kernel has names"),
        ("--over kernel --kernel gausian", "did you mean 'gaussian'"),
        ("--over distance --from 0 --to 300 --circular", "past the antipode"),
        (
            "--over distance --from 0 --to 9 --kernel von-mises --kernel laplace",
            "--kernel: von-mises is defined on a circle only",
        ),
    ],
)
def test_wrong_sweeps_are_refused(kdegrad, flags: str, said: str) -> None:
    done = kdegrad("sweep", TWO_SIDED, *flags.split())
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_the_remedy_for_a_range_is_in_range(kdegrad, tmp_path: Path) -> None:
    """What a message says to give is taken, to the last digit."""
    points = tmp_path / "points.csv"
    points.write_text("angle\n27.3456789\n-100\n")
    for circle, ends in ((), "--from {} --to 1"), (("--circular",), "--from 0 --to {}"):
        flags = ["sweep", str(points), "--target", "0", "30", "--over", "distance", *circle]
        refused = kdegrad(*flags, *ends.format(-20 if not circle else 100).split())
        most = re.search("give (\\S+) (or more|at most)", refused.err)[1]
        assert kdegrad(*flags, *ends.format(most).split()).code == 0


@pytest.mark.parametrize(
    ("flags", "notes"),
    [
        ("--over bandwidth --from 1 --to 2 --bandwidth 7", ["note: --bandwidth is ignored: the sweep varies it"]),
        ("--over scale --from 1 --to 2 --df 3 --kernel cauchy --kernel t", []),
        ("--over scale --from 1 --to 2 --df 3 --kernel cauchy", ["note: --df is ignored: cauchy does not use it"]),
        (
            "--over scale --from 1 --to 2 --df 3 --kernel cauchy --kernel gaussian",
            ["note: --df is ignored: cauchy, gaussian do not use it"],
        ),
        ("--over kernel --df 2 --bandwidth 3", []),
    ],
)
def test_flags_that_a_sweep_has_no_use_for_are_said(kdegrad, flags: str, notes: list[str]) -> None:
    done = kdegrad("sweep", TWO_SIDED, *flags.split())
    assert done.code == 0
    assert len(done.err.splitlines()) == len(notes)
    assert all(note in done.err for note in notes)


def test_a_sweep_of_several_kernels_starts_from_the_first(kdegrad) -> None:
    done = kdegrad(*DISTANCE, "--kernel", "gaussian", "--kernel", "cauchy", "--format", "json")
    assert done.json["problem"]["kernel"] == "gaussian"


def test_nodes_that_nothing_but_the_background_reaches_neither_pull_nor_push(kdegrad) -> None:
    flags = ["--kernel", "epanechnikov", "--bandwidth", "60", "--background", "0.1"]
    done = kdegrad(*DISTANCE, *flags, "--format", "csv")
    assert (done.code, done.err) == (0, "")
    assert [row["only_pushed_down"] for row in done.rows[1:]] == ["0.0", "0.0"]


@pytest.mark.parametrize("wrt", ["angles", "bandwidth"])
def test_a_step_that_overflows_is_not_taken(kdegrad, wrt: str) -> None:
    done = kdegrad("descend", TWO_SIDED, "--wrt", wrt, "--rate", "1e308", "--format", "json")
    assert (done.code, done.json["steps"]) == (3, 0)
    assert done.err.splitlines()[-1] == "error: step 1 makes the loss or another number infinite: try a smaller rate"


def test_a_trace_is_csv_or_tsv(kdegrad, tmp_path: Path) -> None:
    done = kdegrad("descend", TWO_SIDED, "--trace", tmp_path / "trace.parquet")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --trace: no steps are written as '.parquet': name a .csv or .tsv file\n"
    for suffix in ("", ".csv", ".tsv"):
        assert kdegrad("descend", TWO_SIDED, "--steps", "2", "--trace", tmp_path / f"trace{suffix}").code == 0
    text = (tmp_path / "trace.csv").read_text()
    assert (tmp_path / "trace").read_text() == text
    assert (tmp_path / "trace.tsv").read_text() == text.replace(",", "\t")


def test_what_is_not_shown_of_a_course_is_where_the_table_says(kdegrad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    flags = ["descend", TWO_SIDED, "--steps", "3", "--wrt", "logits,angles,bandwidth"]
    out = kdegrad(*flags).out
    assert "not shown at 40 columns: KL (--width 47,\nor --format json)" in out
    assert "not shown at 40 columns: angle, weight\n(--width 53)" in out
    out = kdegrad(*flags, "--width", "53").out
    assert "not shown" not in out
    assert "bandwidth" in kdegrad(*flags, "--format", "json").json["course"][0]


def test_several_kernels_are_for_a_sweep_alone(kdegrad) -> None:
    for command in ("loss", "grad", "descend", "verify-props"):
        done = kdegrad(command, TWO_SIDED, "--kernel", "gaussian", "--kernel", "cauchy")
        assert (done.code, done.out) == (2, "")
        assert "--kernel: is given more than once" in done.err
    assert "--kernel may be repeated" in " ".join(kdegrad("sweep", "--help").out.split())
    assert "repeated" not in kdegrad("loss", "--help").out


def test_names_go_by_commas_and_repeated(kdegrad) -> None:
    for command in ("grad", "descend"):
        both = kdegrad(command, TWO_SIDED, "--wrt", "logits,angles", "--format", "csv").out
        assert kdegrad(command, TWO_SIDED, "--wrt", "logits", "--wrt", "angles", "--format", "csv").out == both
    flags = ("verify-props", TWO_SIDED, "--cases", "0", "--format", "csv", "--only", "one-hot,zero-sum")
    assert [row["property"] for row in kdegrad(*flags).rows] == ["one-hot", "zero-sum"]
    assert "[default: all" in kdegrad("verify-props", "--help").out


# --- descend ---------------------------------------------------------------------------------------------------------


def test_the_points_at_the_end_read_back(kdegrad, tmp_path: Path) -> None:
    expected = kg.descend(kg.load(TWO_SIDED), wrt=("logits", "angles"), steps=30).end.problem
    for arguments in (["--format", "csv"], ["--output", tmp_path / "a.csv"]):
        done = kdegrad("descend", TWO_SIDED, "--wrt", "logits,angles", "--steps", "30", *arguments)
        assert done.code == 0
        path = tmp_path / "a.csv"
        if "csv" in arguments:
            assert done.out.splitlines()[0] == "angle,logit,label"
            path.write_text(done.out)
        again = kdegrad("grad", path, "--target", "-30", "30", "--bandwidth", "10", "--format", "json").json
        assert again["loss"] == kg.evaluate(expected).loss
        assert [point["angle"] for point in again["points"]] == expected.angles.tolist()
        assert [point["logit"] for point in again["points"]] == expected.logits.tolist()
        assert [point["label"] for point in again["points"]] == list(expected.labels)


def test_output_takes_the_points_and_the_course_stays_on_standard_output(kdegrad, tmp_path: Path) -> None:
    done = kdegrad("descend", TWO_SIDED, "--optimizer", "em", "--output", tmp_path / "end.csv")
    assert "duality gap" in done.out
    assert "converged after" in done.out
    assert (tmp_path / "end.csv").read_text().startswith("angle,logit,label\n")
    done = kdegrad("descend", TWO_SIDED, "--format", "json", "--output", tmp_path / "end.json")
    assert done.out == ""
    assert json.loads((tmp_path / "end.json").read_text())["steps"] == 100


def test_descend_in_json_has_the_whole_course(kdegrad) -> None:
    done = kdegrad("descend", TWO_SIDED, "--steps", "7", "--rate", "0.5", "--format", "json")
    library = kg.descend(kg.load(TWO_SIDED), steps=7, rate=0.5)
    assert [row["loss"] for row in done.json["course"]] == [row.loss for row in library.course]
    assert done.json["loss"] == library.end.loss
    assert done.json["gap"] == library.gap
    assert (done.json["converged"], done.json["steps"], done.json["rate"]) == (False, 7, 0.5)
    assert [point["weight"] for point in done.json["points"]] == library.end.weights.tolist()
    assert kdegrad("descend", TWO_SIDED, "--optimizer", "em", "--format", "json").json["rate"] is None


def test_the_table_thins_the_course(kdegrad) -> None:
    out = kdegrad("descend", TWO_SIDED, "--steps", "600", "--tolerance", "0").out
    steps = [line.split()[0] for line in out.splitlines() if line.strip()[:1].isdigit()]
    assert steps == ["0", "1", "2", "5", "10", "20", "50", "100", "200", "500", "600"]
    assert "all 600 steps are taken" in out


def test_trace_keeps_every_step_and_point(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    assert kdegrad("descend", TWO_SIDED, "--steps", "4", "--wrt", "angles,bandwidth", "--trace", path).code == 0
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    names = ["step", "loss", "kl", "norm", "gap", "bandwidth", "point", "angle", "logit", "label", "weight"]
    assert list(rows[0]) == names
    assert len(rows) == 5 * 6
    library = kg.descend(kg.load(TWO_SIDED), steps=4, wrt=("angles", "bandwidth"))
    assert [float(row["loss"]) for row in rows[::6]] == [row.loss for row in library.course]
    assert [float(row["bandwidth"]) for row in rows[::6]] == [row.bandwidth for row in library.course]
    assert [float(row["angle"]) for row in rows[-6:]] == library.end.problem.angles.tolist()


def test_a_failed_descent_leaves_no_trace(kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kdegrad("descend", TWO_SIDED, "--optimizer", "adm", "--trace", tmp_path / "t.csv").code == 2
    monkeypatch.setattr("kdegrad.descent.Coordinates.problem", lambda *_: 1 / 0)
    assert kdegrad("descend", TWO_SIDED, "--trace", tmp_path / "t.csv").code == 4
    assert list(tmp_path.iterdir()) == []


def test_the_bandwidth_at_the_end_is_said(kdegrad) -> None:
    done = kdegrad("descend", TWO_SIDED, "--wrt", "bandwidth", "--steps", "3", "--format", "csv")
    bandwidth = kg.descend(kg.load(TWO_SIDED), wrt=("bandwidth",), steps=3).end.problem.kernel.bandwidth
    assert done.err == f"note: the points belong to --bandwidth {bandwidth!r}\n"


def test_a_descent_shows_what_moves(kdegrad) -> None:
    """That of the bandwidth selects none, says so, and leaves the points where they are."""
    out = kdegrad("descend", TWO_SIDED, "--wrt", "bandwidth", "--steps", "3").out
    assert "it does not select a bandwidth for a sample" in " ".join(out.split())
    assert "bandwidth 10 → " in out
    assert "far left" not in out
    angles = kdegrad("descend", TWO_SIDED, "--wrt", "angles", "--steps", "3").out
    assert "bandwidth 10 → " not in angles
    assert angles.count("at the end") == 1


def test_infinite_losses_exit_3(kdegrad) -> None:
    done = kdegrad("descend", TWO_SIDED, "--kernel", "epa")
    assert (done.code, done.out) == (3, "")
    assert "the density is 0 at 360 of 360 nodes" in done.err
    flags = ["--kernel", "epa", "--bandwidth", "60", "--wrt", "angles", "--rate", "100", "--format", "json"]
    done = kdegrad("descend", TWO_SIDED, *flags)
    assert done.code == 3
    assert math.isfinite(done.json["loss"])
    assert "smaller rate" in done.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--wrt logit", "--wrt: unknown 'logit'"),
        ("--optimizer adm", "--optimizer: unknown 'adm'"),
        ("--optimizer em --wrt angles", "--wrt: em moves the logits alone"),
        ("--optimizer em --rate 1", "--rate: em has none"),
        ("--rate 0", "--rate: 0.0 is out of range"),
        ("--rate nan", "--rate: 'nan' is not a number"),
        ("--steps -1", "--steps: -1 is out of range"),
        ("--steps 2.5", "--steps: '2.5' is not an integer"),
        ("--tolerance -1", "--tolerance: -1.0 is out of range"),
        (f"--output {SAMPLES / 'two_sided.csv'}", "would overwrite the input"),
        (f"--trace {SAMPLES / 'two_sided.yaml'}", "--trace: "),
        ("--output same.csv --trace same.csv", "is what --output writes to"),
        ("--trace no/where.csv", "--trace: the folder 'no' does not exist"),
    ],
)
def test_wrong_descents_are_refused(kdegrad, flags: str, said: str) -> None:
    done = kdegrad("descend", TWO_SIDED, *flags.split())
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_hostile_labels_survive_a_descent(kdegrad, tmp_path: Path) -> None:
    path, end = tmp_path / "p.csv", tmp_path / "end.csv"
    path.write_text('angle,label\n0,[red]\n10,"a ""b"", c"\n20,"\x1b[31mred"\n30,"two\nlines"\n')
    done = kdegrad("descend", path, "--target", "0", "90", "--bandwidth", "20", "--output", end)
    assert "\x1b" not in done.out
    assert "[red]" in done.out
    assert kg.load(end, target=(0, 90)).labels == ("[red]", 'a "b", c', "\x1b[31mred", "two\nlines")


# --- progress --------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("total", "counted"), [(None, ""), (3, "2/3")])
@pytest.mark.parametrize(
    ("terminal", "wanted", "shown"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_work_is_named_on_a_terminal_unless_it_writes_there_itself(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, wanted: bool, shown: bool, total: int | None, counted: str
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("kdegrad.cli.terminal.PATIENCE", 0.0)
    with Progress("summing", total, shown=wanted) as advance:
        advance()
        advance("a piece of work")
        deadline = time.monotonic() + (30 if shown else 0.05)
        while "summing" not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert ("summing" in stream.getvalue()) == shown
    assert (counted in stream.getvalue()) == (shown or not counted)


@pytest.mark.parametrize("total", [None, 2])
def test_work_of_less_than_a_second_shows_nothing(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    assert PATIENCE == 1.0
    threads = threading.active_count()
    with Progress("summing", total) as advance:
        advance()
    assert stream.getvalue() == ""
    assert threading.active_count() == threads


def test_a_step_on_a_real_terminal_vanishes_when_it_is_over() -> None:
    """The command waits for its input, which comes once the terminal shows that it waits."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "loss", "-", "--target", "0", "9", "--format", "json"], env=os.environ | {"TERM": "xterm"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=its,
    )  # fmt: skip
    os.close(its)
    shown = b""
    while b"reading" not in shown:
        shown += os.read(ours, 4096)
    out, _ = process.communicate(b"angle,logit\n1,0\n5,0.5\n")
    with suppress(OSError):  # how a terminal ends
        while more := os.read(ours, 4096):
            shown += more
    os.close(ours)
    assert process.returncode == 0
    assert json.loads(out)["loss"] == kg.loss([1, 5], [0, 0.5], target=(0, 9))
    assert shown.rstrip(b"\r").endswith((b"\x1b[2K", b"\x1b[K"))  # the line is erased


def test_nothing_but_data_reaches_a_pipe(kdegrad) -> None:
    assert kdegrad(*DISTANCE, "--format", "csv").err == ""
    assert os.linesep not in kdegrad("descend", TWO_SIDED, "--format", "csv").err


@pytest.mark.parametrize(
    "command", ["grad", "descend --steps 1", "sweep --over distance --from 1e18 --to 1e18 --steps 1 --kernel gaussian"]
)
def test_what_the_rounding_of_the_angles_may_do_is_said(kdegrad, tmp_path: Path, command: str) -> None:
    """At 10⁷ an angle is known to ε 10⁷, by which log K of the gaussian with h = 10 changes by ε 10⁷ · 10⁷/10²."""
    path = tmp_path / "far.csv"
    path.write_text("angle\n-1e7\n-1e7\n1e7\n")
    name, *flags = command.split()
    said = kdegrad(name, path, "--target", "-30", "30", "--bandwidth", "10", "--kernel", "gaussian", *flags).err
    assert "the rounding of the angles to float64 alone may change a responsibility by a factor of exp(±" in said
    if name == "grad":
        assert "exp(±0.00022);" in said
