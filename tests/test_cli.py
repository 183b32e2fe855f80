"""Pins down the command line: flags over files, every form of report read back, exit codes, where text goes."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kdegrad as kg
from tests.conftest import COMMAND
from tests.readme import ROOT

SAMPLES = ROOT / "sample_inputs"
TWO_SIDED = str(SAMPLES / "two_sided.yaml")
MALLARDS = [
    str(SAMPLES / "mallards.csv"),
    *["--target", "270", "360", "--circular", "--kernel", "von-mises", "--bandwidth", "20", "--bins", "90"],
]
POINTS = "angle,logit,label\n-75,0.4,left\n50,-0.2,right\n"


@pytest.fixture
def points(tmp_path: Path) -> str:
    path = tmp_path / "points.csv"
    path.write_text(POINTS)
    return str(path)


# --- what is computed ------------------------------------------------------------------------------------------------


def test_loss_of_the_mallards_is_the_library_s(kdegrad) -> None:
    problem = kg.load(SAMPLES / "mallards.yaml")
    done = kdegrad("loss", *MALLARDS, "--format", "json")
    assert done.code == 0
    assert done.json["loss"] == kg.evaluate(problem).loss
    assert done.json["kl"] == pytest.approx(done.json["loss"] - math.log(90), abs=1e-15)
    assert done.json["quadrature_error"] is None
    assert done.json["problem"]["points"] == 18
    assert done.json["problem"]["target"] == [270, 360]
    assert done.json["problem"]["domain"] == "circle"


@pytest.mark.parametrize("sample", ["mallards", "turtles", "wind", "two_sided"])
def test_grad_in_json_and_csv_reads_back_to_the_same_float64(kdegrad, sample: str) -> None:
    path = str(SAMPLES / f"{sample}.yaml")
    evaluation = kg.evaluate(kg.load(path), wrt=("logits", "angles", "bandwidth"))
    expected = {
        "angle": evaluation.problem.angles,
        "logit": evaluation.problem.logits,
        "weight": evaluation.weights,
        "responsibility": evaluation.responsibilities,
        "gradient": evaluation.gradients.logits,
        "gradient_per_weight": evaluation.gradients.per_weight,
        "gradient_angle": evaluation.gradients.angles,
    }
    as_json = kdegrad("grad", path, "--wrt", "logits,angles,bandwidth", "--format", "json").json
    as_csv = kdegrad("grad", path, "--wrt", "logits,angles,bandwidth", "--format", "csv").rows
    for name, values in expected.items():
        assert [point[name] for point in as_json["points"]] == values.tolist()
        assert [float(row[name]) for row in as_csv] == values.tolist()
    assert as_json["gradient_log_bandwidth"] == evaluation.gradients.log_bandwidth
    assert as_json["sum"] == pytest.approx(0.0, abs=1e-14)
    assert as_json["norms"]["l1"] == pytest.approx(np.abs(evaluation.gradients.logits).sum())
    assert as_json["norms"]["l2"] == pytest.approx(np.linalg.norm(evaluation.gradients.logits))
    assert as_json["norms"]["max"] == np.abs(evaluation.gradients.logits).max()


def test_csv_columns_are_those_of_the_contract(kdegrad, points: str) -> None:
    target = ("--target", "-30", "30", "--bandwidth", "10", "--format", "csv")
    header = kdegrad("loss", points, *target).out.splitlines()[0]
    assert header == "loss,kl,points,kernel,bandwidth,low,high,rule,bins"
    header = kdegrad("grad", points, *target).out.splitlines()[0]
    assert header == "angle,logit,label,weight,responsibility,gradient,gradient_per_weight"
    header = kdegrad("grad", points, *target, "--wrt", "angles").out.splitlines()[0]
    assert header.endswith(",gradient_per_weight,gradient_angle")
    header = kdegrad("grad", points, *target, "--per-bin").out.splitlines()[0]
    assert header == "bin,node,point,angle,responsibility,gradient"


def test_per_bin_rows_average_to_the_gradient(kdegrad) -> None:
    rows = kdegrad("grad", TWO_SIDED, "--bins", "8", "--per-bin", "--format", "csv").rows
    assert len(rows) == 8 * 6
    mean = np.array([float(row["gradient"]) for row in rows]).reshape(8, 6).mean(axis=0)
    expected = [
        point["gradient"] for point in kdegrad("grad", TWO_SIDED, "--bins", "8", "--format", "json").json["points"]
    ]
    np.testing.assert_allclose(mean, expected, rtol=0, atol=1e-15)
    per_bin = kdegrad("grad", TWO_SIDED, "--bins", "8", "--per-bin", "--format", "json").json["per_bin"]
    assert [row["gradient"] for row in per_bin] == [float(row["gradient"]) for row in rows]


def test_top_shows_the_largest_first(kdegrad) -> None:
    gradients = [
        abs(p["gradient"]) for p in kdegrad("grad", TWO_SIDED, "--top", "3", "--format", "json").json["points"]
    ]
    everything = [abs(p["gradient"]) for p in kdegrad("grad", TWO_SIDED, "--format", "json").json["points"]]
    assert gradients == sorted(everything, reverse=True)[:3]
    assert "the 3 largest of 6 points" in kdegrad("grad", TWO_SIDED, "--top", "3").out


def test_single_bin_needs_no_target_and_has_no_kl(kdegrad, points: str) -> None:
    done = kdegrad("grad", points, "--at", "0", "--bandwidth", "10", "--format", "json")
    assert done.json["kl"] is None
    assert done.json["problem"]["target"] is None
    assert (done.json["problem"]["rule"], done.json["problem"]["bins"]) == ("at", 1)
    share = math.exp(0.4 - 7.5) / (math.exp(0.4 - 7.5) + math.exp(-0.2 - 5.0))
    weight = math.exp(0.4) / (math.exp(0.4) + math.exp(-0.2))
    assert done.json["points"][0]["gradient"] == pytest.approx(weight - share, rel=1e-14)


def test_without_input_the_example_is_used_and_said(kdegrad) -> None:
    done = kdegrad("loss", "--format", "json")
    assert done.json["loss"] == kg.evaluate(kg.load(TWO_SIDED)).loss
    assert "two_sided.yaml" in done.err


def test_masked_point_is_minus_infinity_in_csv_and_null_in_json(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "masked.csv"
    path.write_text("angle,logit\n0,-inf\n10,0\n")
    assert kdegrad("grad", path, "--target", "0", "20", "--format", "csv").rows[0]["logit"] == "-inf"
    first = kdegrad("grad", path, "--target", "0", "20", "--format", "json").json["points"][0]
    assert first["logit"] is None
    assert (first["weight"], first["gradient"]) == (0.0, 0.0)
    assert math.isfinite(first["gradient_per_weight"])


# --- flags and files together ----------------------------------------------------------------------------------------


def test_a_flag_wins_over_the_file(kdegrad) -> None:
    done = kdegrad(
        "loss", TWO_SIDED, "--kernel", "t", "--df", "4", "--target", "-10", "10", "--bins", "7", "--format", "json"
    )
    problem = done.json["problem"]
    assert (problem["kernel"], problem["df"], problem["target"], problem["bins"]) == ("student-t", 4, [-10, 10], 7)
    assert problem["bandwidth"] == 10


def test_at_sets_the_file_s_bins_aside_and_refuses_the_flags(kdegrad) -> None:
    assert kdegrad("loss", TWO_SIDED, "--at", "3", "--format", "json").json["problem"]["bins"] == 1
    for flag in (["--bins", "5"], ["--rule", "gauss"]):
        done = kdegrad("loss", TWO_SIDED, "--at", "3", *flag)
        assert (done.code, done.out) == (2, "")
        assert flag[0] in done.err


def test_period_implies_circular_and_no_circular_undoes_a_file_s(kdegrad, points: str) -> None:
    done = kdegrad("loss", points, "--target", "0", "90", "--period", "400", "--format", "json")
    assert (done.json["problem"]["domain"], done.json["problem"]["period"]) == ("circle", 400)
    wind = str(SAMPLES / "wind.yaml")
    assert kdegrad("loss", wind, "--no-circular", "--format", "json").json["problem"]["domain"] == "line"
    assert kdegrad("loss", wind, "--no-circular", "--period", "4").code == 2


@pytest.mark.parametrize("text", ["nan", "inf", "1_0", "0x10", "1,5", "", "ten", "1e400"])
def test_numbers_on_the_command_line_obey_the_grammar(kdegrad, points: str, text: str) -> None:
    done = kdegrad("loss", points, "--target", "0", "90", "--bandwidth", text)
    assert (done.code, done.out) == (2, "")
    assert "--bandwidth" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--target 30 -30", "--target: low 30 is not below high -30"),
        ("--target 0 0", "--target"),
        ("--target 0 400 --circular", "wider than the circle"),
        ("--target 0 9 --bandwidth 0", "--bandwidth: 0.0"),
        ("--target 0 9 --bandwidth -3", "--bandwidth: -3.0"),
        ("--target 0 9 --bins 0", "--bins: 0 is out of range"),
        ("--target 0 9 --bins 10000001", "--bins"),
        ("--target 0 9 --bins 2.5", "--bins: '2.5' is not an integer"),
        ("--target 0 9 --bins 10001 --rule gauss", "10000 for the rule gauss"),
        ("--target 0 9 --bins 1e3", "--bins: '1e3' is not an integer (write digits: 1000)"),
        ("--target 0 9 --kernel lapalce", "did you mean 'laplace'? "),
        ("--target 0 9 --rule gaus", "did you mean 'gauss'"),
        ("--target 0 9 --scale 0", "--scale: 0.0"),
        ("--target 0 9 --background 1", "--background: 1.0"),
        ("--at 0 --background 0.1", "background"),
        ("--target 0 9 --kernel gausian", "did you mean 'gaussian'"),
        ("--target 0 9 --kernel von-mises", "--kernel: von-mises is defined on a circle only: add --circular"),
        ("--target 0 9 --unit gradians --circular", "did you mean 'radians'"),
        ("--target 0 9 --sums quick", "--sums"),
        ("--target 0 9 --period 0", "--period"),
        ("--target 0 9 --kernel t --df 0", "--df"),
        ("", "--target LOW HIGH"),
        ("--target 0", "--target"),
        ("--bandwith 3", "--bandwidth"),
        ("--target 0 9 --format xml", "--format"),
        ("--target 0 9 --exact --format csv", "--exact: CSV has no column for it: leave it out, or give --format json"),
        ("--at 0 --exact", "--exact: compares bins with the integral"),
        ("--target 0 9 --rule exact --exact", "--exact: compares bins with the integral"),
        ("--target 0 9 --angle-column direction", "direction"),
    ],
)
def test_wrong_usage_is_one_clear_message_and_exit_2(kdegrad, points: str, flags: str, said: str) -> None:
    done = kdegrad("loss", points, *flags.split())
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_degrees_of_freedom_without_a_student_t_are_said_to_do_nothing(kdegrad) -> None:
    noted = kdegrad("loss", TWO_SIDED, "--df", "2")
    assert (noted.code, noted.err) == (0, "note: --df is ignored: laplace does not use it\n")
    assert noted.out == kdegrad("loss", TWO_SIDED).out
    assert kdegrad("loss", TWO_SIDED, "--df", "2", "--kernel", "t").err == ""


@pytest.mark.parametrize(
    ("angles", "flags", "said"),
    [
        (
            "0.1 3.1 -2.7",
            "--circular",
            "angles lie within ±2π, and the unit is degrees: are they radians? give --unit radians",
        ),
        ("0 6.283186 1", "--period 360", "are they radians? give --unit radians"),
        ("0.1 3.1 -2.7", "--circular --unit degrees", None),
        ("0.1 3.1 -2.7", "--circular --unit rad", None),
        ("0.1 3.1 -2.7", "--period 24", None),
        ("0.1 3.1 -2.7", "--unit rad", "--unit radians changes no number on a line: --circular or --period P makes"),
        ("0 3 -2", "--circular", None),
        ("0.1 6.3 -2.7", "--circular", None),
        (
            "0.1 344 -2.7",
            "--circular --unit rad",
            "angles reach 344, and a turn in radians is 6.28319: are they degrees?",
        ),
        ("0.1 12.5 -2.7", "--circular --unit rad", None),
        ("0.1 12.7 -2.7", "--circular --unit rad", "give --unit degrees"),
        ("0.1 3.1 -2.7", "--circular --unit turns", "angles reach 3.1, and a turn in turns is 1: are they radians?"),
        ("0.1 344 -2.7", "--circular --unit turns", "give --unit degrees"),
    ],
)
def test_angles_of_another_unit_are_noticed(kdegrad, tmp_path: Path, angles: str, flags: str, said: str | None) -> None:
    path = tmp_path / "points.csv"
    path.write_text("\n".join(["angle,logit", *(f"{angle},0" for angle in angles.split())]))
    done = kdegrad("loss", path, "--target", "0", "0.5", "--bandwidth", "0.1", "--format", "csv", *flags.split())
    assert done.code == 0
    assert (said in done.err and done.err.count("\n") == 1) if said else done.err == ""


def test_bins_beside_the_exact_rule_are_said_to_do_nothing(kdegrad) -> None:
    noted = kdegrad("loss", TWO_SIDED, "--rule", "exact", "--bins", "10")
    assert (noted.code, noted.err.count("note: --bins is for midpoint and gauss")) == (0, 1)
    assert noted.out == kdegrad("loss", TWO_SIDED, "--rule", "exact").out


def test_a_problem_in_yaml_on_standard_input_is_told_of_its_format(kdegrad, tmp_path: Path) -> None:
    problem = tmp_path / "problem.csv"
    problem.write_text("target: [0, 1]\npoints: swarm.csv\n")
    assert "or give --input-format yaml" in kdegrad("loss", problem).err
    problem.write_text("direction\n3\n")
    assert "or give the character between the columns with --delimiter" in kdegrad("loss", problem).err


def test_the_norm_of_tiny_gradients_is_a_number(kdegrad) -> None:
    flags = "--kernel gaussian --bandwidth 0.4 --background 0.5"
    norms = kdegrad("grad", TWO_SIDED, *flags.split(), "--format", "json").json["norms"]
    assert 0.0 < norms["max"] <= norms["l2"] <= norms["l1"]
    assert norms["max"] < 1e-162  # the square is 0 as a float64


@pytest.mark.parametrize("command", ["grad", "grad --per-bin --bins 2"])
def test_a_narrow_table_folds_its_labels_and_drops_columns(
    kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    points = tmp_path / "points.csv"
    points.write_text("angle,logit,label\n-123.456,0.25,a label of very many letters\n23.456789,-1.5,b\n")
    monkeypatch.setenv("COLUMNS", "40")
    done = kdegrad(*command.split(), str(points), "--target", "-30", "30", "--bandwidth", "10")
    assert max(map(len, done.out.splitlines())) <= 40


@pytest.mark.parametrize(
    "flags", ["--wrt logit", "--wrt", "--top 0", "--top x", "--top 3 --per-bin", "--per-bin --wrt angles"]
)
def test_wrong_options_of_grad_are_refused(kdegrad, flags: str) -> None:
    done = kdegrad("grad", TWO_SIDED, *flags.split())
    assert (done.code, done.out) == (2, "")


def test_a_range_fault_in_a_file_is_reported_at_its_line(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("target: [-30, 30]\nbandwidth: -2\npoints: [{angle: 1}]\n")
    done = kdegrad("loss", path)
    assert done.code == 2
    assert "p.yaml:2:" in done.err


# --- exit codes ------------------------------------------------------------------------------------------------------


def test_uncovered_bins_exit_3_with_the_nodes(kdegrad) -> None:
    done = kdegrad("loss", TWO_SIDED, "--kernel", "epa", "--format", "json")
    assert done.code == 3
    assert (done.json["loss"], done.json["kl"]) == (None, None)
    assert done.json["uncovered"]["count"] == 360
    assert done.json["uncovered"]["nodes"] == kg.load(TWO_SIDED).rule.nodes[:20].tolist()
    assert kdegrad("loss", TWO_SIDED, "--kernel", "epa").code == 3
    row = kdegrad("loss", TWO_SIDED, "--kernel", "epa", "--format", "csv").rows[0]
    assert (row["loss"], row["kl"]) == ("", "")


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_grad_of_an_infinite_loss_prints_no_report(kdegrad, form: str) -> None:
    done = kdegrad("grad", TWO_SIDED, "--kernel", "epa", "--format", form)
    assert (done.code, done.out) == (3, "")
    assert "the density is 0 at 360 of 360 nodes" in done.err


def test_an_error_of_our_own_exits_4_in_one_line(kdegrad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdegrad.objective.evaluate", lambda *_, **__: 1 / 0)
    done = kdegrad("loss", TWO_SIDED)
    assert (done.code, done.out) == (4, "")
    assert done.err == "error: an error of kdegrad's own, ZeroDivisionError: division by zero (--debug shows where)\n"
    assert "Traceback" in kdegrad("loss", TWO_SIDED, "--debug").err


# --- where text goes -------------------------------------------------------------------------------------------------


def test_output_appears_whole_with_the_usual_mode(kdegrad, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    done = kdegrad("grad", TWO_SIDED, "--format", "json", "--output", output)
    assert (done.code, done.out) == (0, "")
    assert json.loads(output.read_text())["loss"] == kg.evaluate(kg.load(TWO_SIDED)).loss
    umask = os.umask(0)
    os.umask(umask)
    assert output.stat().st_mode & 0o777 == 0o666 & ~umask


def test_output_follows_links_and_keeps_the_mode(kdegrad, tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    assert kdegrad("loss", TWO_SIDED, "--format", "csv", "--output", link).code == 0
    assert link.is_symlink()
    assert real.read_text().startswith("loss,kl")
    assert real.stat().st_mode & 0o777 == 0o640


def test_outputs_that_cannot_be_are_refused(kdegrad, points: str, tmp_path: Path) -> None:
    for output, said in (
        (points, "overwrite"),
        (tmp_path, "directory"),
        (tmp_path / "no" / "out.csv", "does not exist"),
    ):
        done = kdegrad("loss", points, "--target", "0", "90", "--output", output)
        assert (done.code, done.out) == (2, "")
        assert said in done.err
    assert Path(points).read_text() == POINTS


def test_labels_are_text_not_markup_nor_escapes(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "[bold]p[oops].csv"
    path.write_text('angle,label\n0,[red]\n10,[/oops]\n20,"\x1b[31mred"\n30,"a\u202eb"\n40,"two\nlines"\n')
    done = kdegrad("grad", path, "--target", "0", "90", "--bandwidth", "20")
    assert done.code == 0
    for shown in ("[red]", "[/oops]", "\\x1b[31mred", "a\\u202eb", "two\\nlines"):
        assert shown in done.out
    assert "\x1b" not in done.out
    labels = [row["label"] for row in kdegrad("grad", path, "--target", "0", "90", "--format", "csv").rows]
    assert labels == ["[red]", "[/oops]", "\x1b[31mred", "a\u202eb", "two\nlines"]


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120])
def test_tables_never_cut_a_number_and_name_what_they_drop(
    kdegrad, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = kdegrad("grad", TWO_SIDED, "--wrt", "logits,angles")
    assert "…" not in done.out
    gradients = [f"{p['gradient']:.5g}" for p in kdegrad("grad", TWO_SIDED, "--format", "json").json["points"]]
    for number in gradients:
        assert number in done.out
    if columns < 100:
        assert "not shown" in done.out
    if columns >= 60:
        assert max(map(len, done.out.splitlines())) <= columns


def test_the_columns_left_out_are_named_in_the_table_s_order(kdegrad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert "not shown at 60 columns: logit, gradient per weight, bars (" in " ".join(
        kdegrad("grad", TWO_SIDED).out.split()
    )


def test_wrt_says_what_is_sorted_and_shown(kdegrad) -> None:
    """--top takes the largest of what --wrt names first; weights and responsibilities belong to the logits."""
    every = kdegrad("grad", TWO_SIDED, "--wrt", "logits,angles", "--format", "json").json["points"]
    for wrt, field in (("angles", "gradient_angle"), ("logits,angles", "gradient")):
        largest = sorted(every, key=lambda point: -abs(point[field]))[:2]
        done = kdegrad("grad", TWO_SIDED, "--wrt", wrt, "--top", "2", "--format", "json")
        assert [point["angle"] for point in done.json["points"]] == [point["angle"] for point in largest]
    angles = kdegrad("grad", TWO_SIDED, "--wrt", "angles").out
    assert "gradient of the angles" in angles
    assert "responsibility" not in angles
    assert "sum" not in angles
    bandwidth = kdegrad("grad", TWO_SIDED, "--wrt", "bandwidth").out
    assert "gradient of log h" in bandwidth
    assert "far left" not in bandwidth
    grouped = ("--group-by", "image_id", "--target-columns", "low,high", "--circular", "--bandwidth", "10")
    groups = kdegrad("grad", SAMPLES / "headings.csv", *grouped, "--wrt", "angles", "--top", "1").out
    assert "img" in groups
    assert "responsibility" not in groups


def test_counts_are_named_beside_the_points(kdegrad) -> None:
    """714 mallards were seen, in 18 directions."""
    mallards = SAMPLES / "mallards.yaml"
    assert "18 points (714 counted)" in kdegrad("loss", mallards).out
    assert kdegrad("loss", mallards, "--format", "json").json["problem"]["counted"] == 714
    assert "6 points · " in kdegrad("loss", TWO_SIDED).out


def test_a_sum_that_is_rounding_reads_as_zero(kdegrad) -> None:
    line = next(line for line in kdegrad("grad", TWO_SIDED).out.splitlines() if line.startswith("gradient   sum"))
    assert line.startswith("gradient   sum 0   l1 1.1923 ")


def test_a_gradient_of_rounding_has_neither_bar_nor_mark(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("angle,logit\n10,0\n")
    out = kdegrad("grad", path, "--target", "0", "360", "--circular").out
    assert "█" not in out[out.index("pulled up") :]


def test_names_are_taken_in_any_case_and_gauss_has_nodes(kdegrad, points: str) -> None:
    target = ["--target", "-30", "30", "--bandwidth", "10"]
    done = kdegrad(
        "loss", points, *target, "--rule", "Exact", "--sums", "Fast", "--unit", "DEGREES", "--format", "json"
    )
    assert done.json["problem"]["rule"] == "exact"
    assert "these nodes are off by" in kdegrad("loss", points, *target, "--rule", "GAUSS").out
    assert "these bins are off by" in kdegrad("loss", points, *target).out


def test_kernels_lists_them_all(kdegrad) -> None:
    from kdegrad.kernel import KERNELS

    names = [kind.name for kind in KERNELS]
    assert [kernel["name"] for kernel in kdegrad("kernels", "--format", "json").json["kernels"]] == names
    assert [row["name"] for row in kdegrad("kernels", "--format", "csv").rows] == names
    assert all(name in kdegrad("kernels").out for name in names)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("angle,Logits", "a column that is not used: 'Logits' (--logit-column Logits?)"),
        ("angle,x,weights", "columns that are not used: 'x', 'weights' (--weight-column weights?)"),
        ("angle,score", "a column that is not used: 'score' (--logit-column score or --weight-column score?)"),
        ("a score,angle,my score", "columns that are not used: 'a score', 'my score'"),
        ("angle,size,n,p", "columns that are not used: 'size', 'n', 'p' (--weight-column n or --weight-column p?)"),
        (
            f"angle,{','.join('abcdefghij')}",
            "columns that are not used: 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', and 2 more",
        ),
        (
            "image_id,angle,x,low,high",
            "columns that are not used: 'image_id', 'x', 'low', 'high'; all rows are taken as one problem: loss and "
            "grad with --group-by image_id --target-columns low,high take a problem of each",
        ),
    ],
)
def test_a_column_that_may_have_been_meant_for_weights_is_named(kdegrad, tmp_path, header, said):
    points = tmp_path / "points.csv"
    points.write_text(f"{header}\n" + ",".join("1" * len(header.split(","))) + "\n")
    done = kdegrad("loss", points, "--target", "0", "9")
    assert done.code == 0
    assert done.err == f"note: {points} has neither logits nor weights: all points weigh the same; it has {said}\n"


@pytest.mark.parametrize("flag", ["--help", "-h", "--version", "-V"])
def test_help_and_version_need_neither_numpy_nor_rich(flag: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "kdegrad", flag], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not {"numpy", "yaml", "rich.table", "rich.console"} & imported
    assert done.stdout == f"kdegrad {kg.__version__}\n" if flag in ("--version", "-V") else "loss" in done.stdout


@pytest.mark.parametrize("command", ["", "loss", "grad", "verify-props", "sweep", "descend", "kernels"])
def test_help_fits_80_columns_and_cuts_nothing(kdegrad, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = kdegrad(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 80
    assert "..." not in done.out.replace("COMMAND [ARGS]...", "").replace("[INPUT...]", "")
    assert not re.search(r"\[default:$", done.out, flags=re.MULTILINE)
    assert "-h, --help" in done.out


def test_help_begins_with_the_command_s_own_options(kdegrad) -> None:
    headings = re.findall(r"^(\w+):$", kdegrad("sweep", "--help").out, flags=re.MULTILINE)
    assert headings == ["Arguments", "Sweep", "Target", "Problem", "Reading", "Report", "Options"]


# --- completion ------------------------------------------------------------------------------------------------------

COMPLETED = {
    "": ["descend", "grad", "kernels", "loss", "sweep", "verify-props"],
    "loss --ban": ["--bandwidth"],
    "sweep --st": ["--steps"],
    "loss --kernel wr": ["wrapped-cauchy", "wrapped-gaussian", "wrapped-laplace"],
    "grad --rule g": ["gauss"],
    "grad --unit t": ["turns"],
    "grad --sums ": ["auto", "dense", "fast"],
    "grad --wrt b": ["bandwidth"],
    "loss --input-format y": ["yaml"],
    "sweep --over b": ["background", "bandwidth", "bins"],
    "descend --optimizer a": ["adam"],
    "verify-props --only far": ["far-field", "far-start"],
    "verify-props --format j": ["json", "junit"],
}


ASK = """
import os, sys
os.environ["_KDEGRAD_COMPLETE"] = "complete_bash"
from kdegrad.cli import app
for typed in sys.argv[1:]:
    os.environ |= {"COMP_WORDS": "kdegrad " + typed, "COMP_CWORD": str(1 + typed.count(" "))}
    try:
        app.run([])
    except SystemExit as end:
        print(end.code, "end")
"""


def test_a_shell_is_told_what_may_follow() -> None:
    """All is asked of one process, as bash asks; the shells themselves are asked below."""
    done = subprocess.run([sys.executable, "-c", ASK, *COMPLETED], capture_output=True, text=True, check=True)
    answers = [sorted(answer.split()) for answer in done.stdout.split("0 end\n")]
    assert dict(zip(COMPLETED, answers, strict=False)) == COMPLETED


SHELLS = {
    "bash": 'eval "$(kdegrad --show-completion)"; COMP_WORDS=(kdegrad loss --ker); COMP_CWORD=2; '
    'complete -p kdegrad >/dev/null && _kdegrad_completion kdegrad && echo "${COMPREPLY[@]}"',
    "zsh": 'autoload -Uz compinit && compinit -D; eval "$(kdegrad --show-completion)"; words=(kdegrad loss --ker); '
    '[[ -n $_comps[kdegrad] ]] && _arguments() { echo "$@"; } && CURRENT=3 && $_comps[kdegrad]',
    "fish": "kdegrad --show-completion | source; complete --do-complete 'kdegrad loss --ker'",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_works_in_the_shell(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"  # a file, so that the shell is the parent whose name is looked for
    script.write_text(SHELLS[shell])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "HOME": str(tmp_path)}
    done = subprocess.run([shell, script], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--kernel" in done.stdout
    assert "--bandwidth" not in done.stdout


def test_completion_is_installed_where_the_shell_reads_it(tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} --install-completion; true"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert "bash completion installed" in done.stdout
    assert "_KDEGRAD_COMPLETE=complete_bash" in (tmp_path / ".bash_completions" / "kdegrad.sh").read_text()
    assert "kdegrad.sh" in (tmp_path / ".bashrc").read_text()


def test_an_unknown_shell_is_no_failed_property(kdegrad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: None)
    assert kdegrad("--show-completion").code == 2


def test_no_command_prints_the_help_and_exits_2(kdegrad) -> None:
    done = kdegrad()
    assert (done.code, done.out) == (2, "")
    assert "Commands:" in done.err
