"""Pins down ``loss`` and ``grad`` with ``--group-by``: every number is that of the group as a problem of its own.

Rows may stand in any order and come out in the file's; a group with an infinite loss leaves cells empty and the rest as
it is, with exit code 3; what is for one problem alone is refused.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

import kdegrad as kg
from kdegrad.overview import FAR, FULL_RATE, Distances

SHARES = 1e-12  # of a point's weight or responsibility: both are sums of shares, by another scheme
NAMES = ["10", "a b", "=1+1", 'quo"te,d', "é", "010", "z"]
HOSTILE = "\x1b[31mred"


class Table:
    """A file of grouped rows in shuffled order, and its groups by name in order of first appearance."""

    def __init__(self, path: Path, *, period: float | None = None) -> None:
        rng = np.random.default_rng(7)
        self.path, self.rows = path, []
        for number, name in enumerate(NAMES):
            middle = rng.uniform(0, 360)
            low = middle - rng.uniform(5, 30)
            for point in range(1 + 3 * number):
                angle = middle + rng.normal(0, 40)
                row = {"id": name, "angle": angle, "logit": rng.normal(0, 2), "label": f"{name}/{point}"}
                self.rows.append(row | {"low": low, "high": 2 * middle - low})
        rng.shuffle(self.rows)
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        self.groups: dict[str, list[dict]] = {}
        for row in self.rows:
            self.groups.setdefault(row["id"], []).append(row)

    def evaluations(self, wrt: tuple[str, ...] = ("logits",), **options: object) -> dict[str, kg.Evaluation]:
        """Return each group evaluated on its own."""
        found = {}
        for name, rows in self.groups.items():
            target = {} if {"target", "at"} & options.keys() else {"target": (rows[0]["low"], rows[0]["high"])}
            points = ([row[column] for row in rows] for column in ("angle", "logit"))
            found[name] = kg.evaluate(kg.Problem(*points, **target | options), wrt)
        return found


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path / "shuffled.csv")


GROUPED = ("--group-by", "id", "--target-columns", "low,high")
SETTINGS = [
    {"kernel": "laplace", "bandwidth": 10.0, "bins": 36},
    {"kernel": "gaussian", "bandwidth": 12.0, "bins": 20, "circular": True},
    {"kernel": "student-t", "bandwidth": 5.0, "df": 2.5, "background": 0.25, "rule": "gauss", "bins": 12},
    {"kernel": "cauchy", "bandwidth": 8.0, "rule": "exact"},
]


def flags(options: dict[str, object]) -> list[str]:
    return [
        word
        for name, value in options.items()
        for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
    ]


def numbers(cells: list[str | float | None]) -> list[float]:
    """Return cells as numbers: NaN for one that is empty, or null."""
    return [math.nan if cell in ("", None) else float(cell) for cell in cells]


@pytest.mark.parametrize("options", SETTINGS, ids=lambda options: options["kernel"])
def test_losses_are_those_of_the_groups_alone(kdegrad, table: Table, options: dict[str, object]) -> None:
    alone = table.evaluations((), **options)
    done = kdegrad("loss", table.path, *GROUPED, *flags(options), "--format", "csv")
    assert done.code == 0
    assert done.out.splitlines()[0] == "group,points,loss,kl"
    assert [row["group"] for row in done.rows] == [f"'{name}" if name == "=1+1" else name for name in table.groups]
    assert [int(row["points"]) for row in done.rows] == [len(rows) for rows in table.groups.values()]
    losses = [evaluation.loss for evaluation in alone.values()]
    assert numbers([row["loss"] for row in done.rows]) == pytest.approx(losses, rel=1e-12)
    assert numbers([row["kl"] for row in done.rows]) == pytest.approx([e.kl for e in alone.values()], abs=1e-11)

    report = kdegrad("loss", table.path, *GROUPED, *flags(options), "--format", "json").json
    assert [group["group"] for group in report["groups"]] == list(table.groups)
    assert [group["loss"] for group in report["groups"]] == [float(row["loss"]) for row in done.rows]
    assert report["loss"] == pytest.approx(np.mean(losses), rel=1e-12)
    assert report["problem"]["groups"] == len(NAMES)
    assert report["problem"]["points"] == len(table.rows)
    assert report["problem"]["target"] is None
    assert report["problem"]["kernel"] == options["kernel"]


@pytest.mark.parametrize("options", SETTINGS, ids=lambda options: options["kernel"])
def test_gradients_are_those_of_the_groups_alone_in_the_order_of_the_rows(
    kdegrad, table: Table, options: dict[str, object]
) -> None:
    alone = table.evaluations(("logits", "angles", "bandwidth"), **options)
    arguments = ("grad", table.path, *GROUPED, *flags(options), "--wrt", "logits,angles,bandwidth", "--format")
    done, report = kdegrad(*arguments, "csv"), kdegrad(*arguments, "json").json
    header = "group,angle,logit,label,weight,responsibility,gradient,gradient_per_weight,gradient_angle"
    assert done.out.splitlines()[0] == header
    assert "gradient of log h, which each group has: --format json has it" in done.err
    rows = done.rows
    assert [(row["group"].removeprefix("'"), row["label"].removeprefix("'")) for row in rows] == [
        (row["id"], row["label"]) for row in table.rows
    ]
    expected: dict[str, list[float]] = {name: [] for name in header.split(",")[4:]}
    taken = dict.fromkeys(NAMES, 0)
    for row in table.rows:
        evaluation, place = alone[row["id"]], taken[row["id"]]
        taken[row["id"]] += 1
        gradients = evaluation.gradients
        arrays = (evaluation.weights, gradients.responsibilities, gradients.logits, gradients.per_weight)
        for name, values in zip(expected, (*arrays, gradients.angles), strict=True):
            expected[name].append(float(values[place]))
    for name, values in expected.items():
        assert numbers([row[name] for row in rows]) == pytest.approx(values, rel=1e-10, abs=SHARES), name
        assert [point[name] for point in report["points"]] == [float(row[name]) for row in rows]
    assert [point["group"] for point in report["points"]] == [row["id"] for row in table.rows]
    slopes = [group["gradient_log_bandwidth"] for group in report["groups"]]
    assert slopes == pytest.approx([e.gradients.log_bandwidth for e in alone.values()], rel=1e-10, abs=SHARES)


@pytest.mark.parametrize(
    ("given", "options", "target"),
    [
        (("--target", "100", "150"), {"target": (100, 150)}, [100, 150]),
        (("--at", "120"), {"at": 120}, None),
        (("--target", "100", "150", "--at", "120"), {"target": (100, 150), "at": 120}, [100, 150]),
    ],
)
def test_one_target_for_all(kdegrad, table: Table, given: tuple, options: dict, target: list | None) -> None:
    report = kdegrad("loss", table.path, "--group-by", "id", *given, "--bandwidth", "9", "--format", "json").json
    alone = table.evaluations((), bandwidth=9, **options)
    assert [group["loss"] for group in report["groups"]] == pytest.approx([e.loss for e in alone.values()], rel=1e-12)
    assert [group["kl"] for group in report["groups"]] == pytest.approx([e.kl for e in alone.values()], abs=1e-11)
    assert report["problem"]["target"] == target


def test_an_observed_angle_in_each_group(kdegrad, table: Table) -> None:
    done = kdegrad("loss", table.path, "--group-by", "id", "--target-columns", "low", "--bandwidth", "9")
    assert done.code == 0
    assert "1 target point each" in " ".join(done.out.replace("│", "").split())
    report = kdegrad(
        *("loss", table.path, "--group-by", "id", "--target-columns", "low", "--bandwidth", "9", "--format", "json")
    ).json
    losses = {
        name: kg.loss([row["angle"] for row in rows], [row["logit"] for row in rows], at=rows[0]["low"], bandwidth=9)
        for name, rows in table.groups.items()
    }
    assert {group["group"]: group["loss"] for group in report["groups"]} == pytest.approx(losses, rel=1e-12)
    assert {group["kl"] for group in report["groups"]} == {None}
    assert (report["kl"], report["problem"]["target_points"], report["problem"]["rule"]) == (None, 1, "points")


def test_target_points_for_all(kdegrad, table: Table) -> None:
    points = table.path.with_name("points.csv")
    points.write_text("angle,weight\n100,1\n120,3\n5000,0\n")
    options = ("--group-by", "id", "--target-points", points, "--bandwidth", "9")
    target = kg.Points([100, 120], [1, 3])
    alone = table.evaluations((), target=target, bandwidth=9)
    report = kdegrad("loss", table.path, *options, "--format", "json").json
    assert [group["loss"] for group in report["groups"]] == pytest.approx([e.loss for e in alone.values()], rel=1e-12)
    assert (report["problem"]["rule"], report["problem"]["target_points"]) == ("points", 3)
    shown = " ".join(kdegrad("loss", table.path, *options).out.replace("│", "").split())
    assert "3 target points · line" in shown
    assert "targets of their own" not in shown
    done = kdegrad("loss", table.path, *options, "--kernel", "uniform")
    assert done.code == 3
    assert "use a kernel without an edge" in done.err
    assert "--background" not in done.err  # which target points on a line cannot have


def test_a_yaml_problem_may_be_grouped(kdegrad, table: Table) -> None:
    problem = table.path.with_suffix(".yaml")
    problem.write_text(
        f"group-by: id\ntarget-columns: [low, high]\nbandwidth: 10\nbins: 36\npoints: {table.path.name}\n", "utf-8"
    )
    flagged = kdegrad("loss", table.path, *GROUPED, "--bandwidth", "10", "--bins", "36", "--format", "csv")
    assert kdegrad("loss", problem, "--format", "csv").out == flagged.out


def test_parquet_has_the_columns_of_the_csv_and_texts_as_they_are(kdegrad, table: Table, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for command in ("loss", "grad"):
        file = tmp_path / f"{command}.parquet"
        arguments = (command, table.path, *GROUPED, "--bandwidth", "10")
        assert kdegrad(*arguments, "--output", file).code == 0
        read = parquet.read_table(file).to_pydict()
        rows = kdegrad(*arguments, "--format", "csv").rows
        assert list(read) == list(rows[0])
        assert read["group"] == [row["group"].removeprefix("'") for row in rows]
        for name in set(read) - {"group", "label"}:
            assert read[name] == [float(row[name]) for row in rows]


# --- a loss that is not finite ---------------------------------------------------------------------------------------


@pytest.fixture
def gaps(tmp_path: Path) -> Path:
    """Three groups, of which b and c leave a part of the target uncovered by a compact kernel of bandwidth 10."""
    path = tmp_path / "gaps.csv"
    path.write_text("g,angle,logit\nb,50,0\na,0,0\nb,52,0\nc,500,0\na,4,0\nc,90,0\n")
    return path


COMPACT = ("--group-by", "g", "--target", "-4", "4", "--kernel", "epanechnikov", "--bandwidth", "10", "--bins", "8")


def test_an_infinite_loss_leaves_the_other_groups(kdegrad, gaps: Path) -> None:
    done = kdegrad("loss", gaps, *COMPACT, "--format", "csv")
    assert done.code == 3
    loss = kg.loss([0, 4], target=(-4, 4), kernel="epanechnikov", bandwidth=10, bins=8)
    assert [row["loss"] for row in done.rows] == ["", repr(loss), ""]
    assert [row["kl"] for row in done.rows] == ["", repr(loss - math.log(8)), ""]
    first, second = done.err.splitlines()
    assert first == "error: 2 of 3 groups have no finite result: 'b', 'c'"
    assert second.startswith("error: group 'b': the density is 0 at 8 of 8 nodes")
    assert "--background" in second

    done = kdegrad("loss", gaps, *COMPACT, "--format", "json")
    assert (done.code, done.json["loss"], done.json["kl"], done.json["summary"]["infinite"]) == (3, None, None, 2)
    assert [group["loss"] for group in done.json["groups"]] == [None, loss, None]
    assert done.json["summary"]["mean"] == loss


def test_the_gradient_of_an_infinite_loss_is_empty(kdegrad, gaps: Path, tmp_path: Path) -> None:
    wrt = ("--wrt", "logits,angles,bandwidth")
    done = kdegrad("grad", gaps, *COMPACT, *wrt, "--format", "csv")
    assert done.code == 3
    alone = kg.grad([0, 4], target=(-4, 4), kernel="epanechnikov", bandwidth=10, bins=8).tolist()
    assert numbers([row["gradient"] for row in done.rows]) == pytest.approx(
        [math.nan, alone[0], math.nan, math.nan, alone[1], math.nan], abs=1e-15, nan_ok=True
    )
    assert [row["weight"] for row in done.rows if row["group"] == "b"] == ["0.5", "0.5"]
    report = kdegrad("grad", gaps, *COMPACT, *wrt, "--format", "json")
    assert report.code == 3
    for name in ("responsibility", "gradient", "gradient_per_weight", "gradient_angle"):
        missing = [point["group"] for point in report.json["points"] if point[name] is None]
        assert missing == ["b", "b", "c", "c"]
    slopes = [group["gradient_log_bandwidth"] is None for group in report.json["groups"]]
    assert slopes == [True, False, True]
    parquet = pytest.importorskip("pyarrow.parquet")
    assert kdegrad("grad", gaps, *COMPACT, "--output", tmp_path / "p.parquet").code == 3
    assert parquet.read_table(tmp_path / "p.parquet")["gradient"].null_count == 4


@pytest.mark.parametrize("name", ["b", "b" * 300])  # a long text is written row by row
def test_every_way_of_writing_csv_leaves_cells_empty(kdegrad, gaps: Path, name: str) -> None:
    gaps.write_text(gaps.read_text().replace("b,", f"{name},"))
    cells = [line.split(",") for line in kdegrad("grad", gaps, *COMPACT, "--format", "csv").out.splitlines()]
    assert cells[1] == [name, "50.0", "0.0", "0.5", "", "", ""]
    assert cells[2][:4] == ["a", "0.0", "0.0", "0.5"]
    assert float(cells[2][4]) > 0.5
    assert cells[4][0] == "c"


def test_a_gradient_that_overflows_is_no_result(kdegrad, tmp_path: Path) -> None:
    """At a distance of 0.1 and h = 1e-309 the loss is 1e308, and its gradient 1/h is beyond the largest float64."""
    path = tmp_path / "tiny.csv"
    path.write_text("g,angle\na,0\nb,0.1\n")
    options = ("--group-by", "g", "--at", "0", "--bandwidth", "1e-309", "--wrt", "angles", "--format", "csv")
    done = kdegrad("grad", path, *options)
    assert done.code == 3
    assert (
        "1 of 2 groups has no finite result: 'b'\nerror: group 'b': a number is outside the range of float64"
        in done.err
    )
    assert [row["gradient_angle"] for row in done.rows] == ["0.0", ""]
    assert kdegrad("loss", path, *options[:-4], "--format", "csv").code == 0


def test_tables_say_which_groups_have_no_loss(kdegrad, gaps: Path) -> None:
    done = kdegrad("loss", gaps, *COMPACT)
    assert done.code == 3
    assert "2 of 3 groups have no finite result: 'b', 'c'" in done.out
    listed = [line.split()[:3] for line in done.out.splitlines() if line.split()[:1] in (["a"], ["b"], ["c"])]
    assert listed[:2] == [["b", "2", "inf"], ["c", "2", "inf"]]
    assert listed[2][0] == "a"
    done = kdegrad("grad", gaps, *COMPACT, "--wrt", "bandwidth")
    assert done.code == 3
    assert "nan" not in done.out
    slope = kg.grad([0, 4], target=(-4, 4), kernel="epanechnikov", bandwidth=10, bins=8, wrt="bandwidth")
    assert f"gradient of log h   mean {slope:.5g} " in done.out  # over the groups that have one


# --- what people are told --------------------------------------------------------------------------------------------


def expected_summary(evaluations: list[kg.Evaluation], targets: list[tuple[float, float]]) -> dict[str, float]:
    """Return the facts of the summary, one point after another."""
    losses = [evaluation.loss for evaluation in evaluations]
    quartiles = np.percentile(losses, [25, 50, 75])
    points = far = full = alone = 0
    for evaluation, (low, high) in zip(evaluations, targets, strict=True):
        problem, near = evaluation.problem, 0
        period = problem.settings.circumference
        for angle, logit, rate in zip(problem.angles, problem.logits, evaluation.gradients.per_weight, strict=True):
            if logit == -math.inf:
                continue
            turns = (0,) if period is None else range(-3, 4)
            outside = min(max(low - (angle + k * (period or 0)), angle + k * (period or 0) - high, 0.0) for k in turns)
            is_far = outside > FAR * problem.kernel.bandwidth
            points, far, near = points + 1, far + is_far, near + (not is_far)
            full += is_far and abs(rate) >= FULL_RATE
        alone += not near
    return {
        "mean": np.mean(losses),
        "deviation": np.std(losses),
        "smallest": min(losses),
        "lower_quartile": quartiles[0],
        "median": quartiles[1],
        "upper_quartile": quartiles[2],
        "largest": max(losses),
        "infinite": 0,
        "points": points,
        "far_points": far,
        "far_points_judged": far,
        "far_points_at_full_rate": full,
        "far_groups": alone,
    }


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("bandwidth", [0.5, 4.0, 20.0])
def test_the_summary_counts_far_points_and_those_that_learn(
    kdegrad, table: Table, bandwidth: float, circular: bool
) -> None:
    options = {"kernel": "laplace", "bandwidth": bandwidth, "bins": 30} | ({"circular": True} if circular else {})
    evaluations = list(table.evaluations(**options).values())
    targets = [(rows[0]["low"], rows[0]["high"]) for rows in table.groups.values()]
    for command in ("loss", "grad"):
        report = kdegrad(command, table.path, *GROUPED, *flags(options), "--format", "json").json
        assert report["summary"] == pytest.approx(expected_summary(evaluations, targets), rel=1e-12)
    assert 0 < report["summary"]["far_points"] < report["summary"]["points"] or bandwidth == 20.0


def test_distances_on_a_circle_are_those_to_the_nearer_end() -> None:
    batch = kg.Batch([[30, 330, 200, 0, 740]], target=([340], [380]), circular=True, bandwidth=10)
    points = Distances(kg.evaluate(batch))
    assert points.distances.tolist() == [10, 10, 140, 0, 0]
    assert points.is_far.tolist() == [False, False, True, False, False]
    assert points.nearest.tolist() == [3]


def test_masked_points_are_not_counted(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "masked.csv"
    path.write_text("g,angle,logit\na,100,0\na,0,-inf\nb,200,-inf\nb,1,0\nb,90,1\n")
    options = ("--group-by", "g", "--target", "-5", "5", "--bandwidth", "10")
    found = kdegrad("loss", path, *options, "--format", "json").json["summary"]
    assert (found["points"], found["far_points"], found["far_groups"]) == (3, 2, 1)
    shown = kdegrad("loss", path, *options).out
    assert "66.7 % of the points are far (more than 3 bandwidths outside their target)" in " ".join(shown.split())
    assert "1 group has no point within 3 bandwidths of its target" in " ".join(shown.split())
    row = next(line.split() for line in shown.splitlines() if line.split()[:1] == ["a"])
    assert row[-3:] == ["100", "95", "9.5"]  # the nearest angle that is not masked


def test_the_table_shows_the_largest_ten_and_top_more_or_fewer(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("g,angle\n" + "".join(f"g{number},{10 * number}\n" for number in range(12)))
    options = ("--group-by", "g", "--target", "-5", "5", "--bandwidth", "10")

    def shown(*more: str) -> list[str]:
        out = kdegrad("loss", path, *options, *more).out
        return [line.split()[0] for line in out.splitlines() if line.split()[:1] and line.split()[0][0] == "g"][1:]

    assert shown() == [f"g{number}" for number in range(11, 1, -1)]
    assert shown("--top", "3") == ["g11", "g10", "g9"]
    assert shown("--top", "50") == [f"g{number}" for number in range(11, -1, -1)]
    rows = kdegrad("loss", path, *options, "--top", "2", "--format", "csv").rows
    assert [row["group"] for row in rows] == ["g11", "g10"]
    assert "the 10 largest of 12 groups" in kdegrad("loss", path, *options).out
    assert "the largest of 12 groups" in kdegrad("loss", path, *options, "--top", "1").out


@pytest.mark.parametrize("width", ["42", "47", "53", "60"])
def test_no_line_is_broken_between_a_number_and_its_name_or_unit(kdegrad, table: Table, width: str) -> None:
    out = kdegrad("grad", table.path, *GROUPED, "--bandwidth", "2", "--width", width).out
    lines = [line.strip("│ ") for line in out.splitlines()]
    assert not [line for line in lines if line.endswith(("KL", "mean", "mean loss"))]
    assert not [line for line in lines if line.startswith(("%", "nats", "bandwidths", "KL"))]
    assert [line for line in lines if "mean KL" in line]


def test_what_a_narrow_table_leaves_out_is_where_it_says(kdegrad, table: Table) -> None:
    """The nearest point of a group is in JSON, as a search finds it; CSV keeps its columns."""
    options = (table.path, *GROUPED, "--bandwidth", "10")
    out = " ".join(kdegrad("loss", *options, "--width", "40").out.split())
    assert "nearest angle (--width" in out
    assert "or --format json)" in out
    for command in ("loss", "grad"):
        for group in kdegrad(command, *options, "--format", "json").json["groups"]:
            rows = table.groups[group["group"]]
            low, high = rows[0]["low"], rows[0]["high"]
            nearest = min((row["angle"] for row in rows), key=lambda angle: abs(angle - 0.5 * (low + high)))
            assert group["nearest_angle"] == nearest
            assert group["distance"] == pytest.approx(max(low - nearest, nearest - high, 0.0), abs=1e-12)
    assert "nearest<br>angle" in kdegrad("loss", *options, "--format", "html").out


def test_top_of_grad_is_over_all_groups(kdegrad, table: Table) -> None:
    arguments = ("grad", table.path, *GROUPED, "--bandwidth", "10", "--format", "csv")
    rows = kdegrad(*arguments).rows
    largest = sorted(rows, key=lambda row: -abs(float(row["gradient"])))[:5]
    assert kdegrad(*arguments, "--top", "5").rows == largest
    assert len({row["group"] for row in largest}) > 1
    shown = kdegrad("grad", table.path, *GROUPED, "--bandwidth", "10", "--top", "5").out
    assert f"the 5 largest of {len(rows)} points" in shown
    assert f"the first 40 of {len(rows)} points" in kdegrad("grad", table.path, *GROUPED, "--bandwidth", "10").out


@pytest.mark.parametrize("command", ["loss", "grad"])
@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_tables_fit_their_width(kdegrad, table: Table, command: str, columns: str, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    done = kdegrad(command, table.path, *GROUPED, "--bandwidth", "10")
    assert max(map(len, done.out.splitlines())) <= max(int(columns), 54 if command == "grad" else 40)
    assert f"{len(NAMES)} groups" in done.out


def test_names_of_groups_are_text(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "hostile.csv"
    path.write_text(f"g,angle\n{HOSTILE},1\n[bold]x,2\n", "utf-8")
    options = ("--group-by", "g", "--target", "-5", "5", "--kernel", "uniform", "--bandwidth", "0.5")
    done = kdegrad("loss", path, *options)
    assert done.code == 3
    for text in (done.out, done.err):
        assert "\x1b" not in text
        assert "\\x1b[31mred" in text
    assert "[bold]x" in done.out
    report = kdegrad("loss", path, *options, "--format", "json").json
    assert [group["group"] for group in report["groups"]] == [HOSTILE, "[bold]x"]


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["grad", *GROUPED, "--per-bin"], "--per-bin: lists the bins of one problem: leave it out, or --group-by"),
        (["loss", *GROUPED, "--exact"], "--exact: compares the bins of one problem with the integral"),
        (["loss", "--target", "0", "9", "--top", "3"], "--top: is for the groups of largest loss"),
        (["loss", *GROUPED, "--top", "0"], "--top: "),
        (["sweep", *GROUPED, "--over", "kernel"], "--group-by"),
        (["loss", "--group-by", "iid", "--target", "0", "9"], "did you mean 'id'?"),
        (["loss", "--group-by", "id"], "no target is given"),
        (["loss", "--group-by", "id", "--target", "9", "0"], "group '"),
    ],
)
def test_what_is_for_one_problem_is_refused(
    kdegrad, table: Table, tmp_path: Path, arguments: list[str], said: str
) -> None:
    file = tmp_path / "out.csv"
    command, *rest = arguments
    done = kdegrad(command, table.path, *rest, "--bandwidth", "10", "--output", file)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not file.exists()


def test_no_exact_asks_for_nothing(kdegrad, table: Table) -> None:
    assert kdegrad("loss", table.path, *GROUPED, "--bandwidth", "10", "--no-exact").code == 0


def test_notes_are_those_of_a_single_problem(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "far.csv"
    path.write_text("g,angle,logit\na,1e12,0\na,1000000000001,0\nb,0,0\nb,3,0\n")
    done = kdegrad("grad", path, "--group-by", "g", "--target", "-5", "5", "--df", "3", "--kernel", "laplace")
    assert "note: --df is ignored: laplace does not use it" in done.err
    assert "warning: the rounding of the angles to float64" in done.err


# --- figures and size ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["loss", "grad"])
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_figure_is_drawn_and_the_same_each_time(
    kdegrad, table: Table, tmp_path: Path, command: str, suffix: str
) -> None:
    pytest.importorskip("matplotlib")
    drawn = []
    for number in range(2):
        file = tmp_path / f"{number}.{suffix}"
        done = kdegrad(command, table.path, *GROUPED, "--bandwidth", "10", "--format", "csv", "--plot", file)
        assert done.code == 0
        drawn.append(file.read_bytes())
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) > 1000


def test_a_figure_is_drawn_where_losses_are_infinite(kdegrad, gaps: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "gaps.svg"
    assert kdegrad("grad", gaps, *COMPACT, "--plot", file).code == 3
    none = (*COMPACT[:-4], "--bandwidth", "0.001", "--bins", "8")
    assert kdegrad("grad", gaps, *none, "--plot", tmp_path / "none.svg").code == 3
    assert file.exists()
    assert (tmp_path / "none.svg").exists()


@pytest.mark.parametrize("rows", ["g,1\n", "g,1e300\nh,-1e300\nh,7\n", "g,0\n" * 3001])
def test_any_points_are_drawn_and_described(kdegrad, tmp_path: Path, rows: str) -> None:
    pytest.importorskip("matplotlib")
    path, file = tmp_path / "points.csv", tmp_path / "figure.svg"
    path.write_text(f"group,angle\n{rows}")
    done = kdegrad("loss", path, "--group-by", "group", "--target", "-5", "5", "--plot", file)
    assert done.code == 0
    assert "Warning" not in done.err
    assert file.exists()


def test_a_hundred_thousand_rows(kdegrad, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    codes, angles = rng.permutation(np.repeat(np.arange(10_000), 10)), rng.normal(0, 60, 100_000).round(2)
    path, file = tmp_path / "large.csv", tmp_path / "out.csv"
    path.write_text("g,angle\n" + "".join(f"i{g},{x}\n" for g, x in zip(codes, angles.tolist(), strict=True)))
    options = ("--group-by", "g", "--target", "-20", "20", "--bandwidth", "10", "--bins", "36")
    assert kdegrad("grad", path, *options, "--output", file, "--format", "csv", "--plot", tmp_path / "p.png").code == 0
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["group"] for row in rows] == [f"i{g}" for g in codes]
    one = np.flatnonzero(codes == codes[-1])
    expected = kg.grad(angles[one], target=(-20, 20), bandwidth=10, bins=36)
    assert numbers([rows[place]["gradient"] for place in one]) == pytest.approx(expected.tolist(), abs=1e-12)
    table = kdegrad("loss", path, *options)
    assert "10000 groups · 100000 points" in table.out
    assert json.loads(kdegrad("loss", path, *options, "--format", "json").out)["problem"]["groups"] == 10_000
