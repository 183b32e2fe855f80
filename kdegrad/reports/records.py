"""What a command reports, once for all formats: a record of named facts, and of tables with named columns.

The names are those of JSON and CSV, and are part of the interface: others may be added, none is renamed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from kdegrad.arrays import FloatArray, Texts, euclidean_norm, largest_first, stretches
from kdegrad.batch import Batch
from kdegrad.crossentropy import Gradients
from kdegrad.evaluation import BatchEvaluation, Evaluation
from kdegrad.kernel import BY_NAME, KERNELS
from kdegrad.objective import nodes_of, responsibilities_by_bin
from kdegrad.overview import group_names
from kdegrad.problem import Problem
from kdegrad.quadrature import Rule
from kdegrad.settings import PROBLEM, WRT
from kdegrad.text import counted

if TYPE_CHECKING:
    from kdegrad.descent import Descent, DescentStep
    from kdegrad.properties import Property, Verdict, Verdicts
    from kdegrad.properties.evaluators import Judged
    from kdegrad.settings import Settings
    from kdegrad.sweeps import Sweep

Command = Literal[
    "loss", "grad", "grad --per-bin", "loss --group-by", "grad --group-by", "loss --stream", "grad --stream",
    "sweep", "descend", "kernels", "verify-props", "verify-props --list",
]  # fmt: skip

_UNCOVERED_SHOWN: Final = 20
_ROWS_IN_BLOCK: Final = 2**16  # rows of the bins' table: small enough for memory, large enough to vectorise


Values = NDArray[Any] | Texts  # of a column
Block = tuple[Values | Sequence[Any], ...]


@dataclass(frozen=True, eq=False)
class Table:
    """Rows under named columns, as blocks: a table of N·B rows is never held as a whole.

    A block has an array, texts or a sequence for each column, with NaN in arrays and None in sequences where there is
    no value.
    """

    name: str  # in JSON
    header: tuple[str, ...]
    blocks: Callable[[], Iterator[Block]]  # yields at least one


@dataclass(frozen=True, eq=False)
class Checks:
    """What a run of ``verify-props`` gave.

    Attributes
    ----------
    verdicts
        By case, and in a case by property.
    loss
        The facts of the loss that was judged (`loss_facts`); None: kdegrad's own.
    full
        Whether people are shown a row for every property, and every failure in full.
    brief
        Whether they are shown the counts alone, and the names of what failed.
    files
        The paths of the files that were checked, by the names of their cases.
    unchecked
        Why nothing was checked of some of what was given, by the names of their cases.
    """

    verdicts: Verdicts
    loss: dict[str, Any] | None = None
    full: bool = False
    brief: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    unchecked: Mapping[str, str] = field(default_factory=dict)

    @property
    def properties(self) -> Sequence[Property]:
        """All that there are, in the order of reports."""
        from kdegrad.properties import PROPERTIES

        return PROPERTIES

    @property
    def inputs(self) -> list[str]:
        """What was checked: the paths of files, the names of what is none."""
        return [self.files.get(name, name) for name in self.verdicts.inputs]

    @property
    def failed(self) -> list[Verdict]:
        """The checks that failed."""
        return self.verdicts.failed

    @property
    def reported(self) -> list[Verdict]:
        """Those of them that are told in turn: of a judged loss one for each property, the most telling first."""
        from kdegrad.properties.explanation import failures_in_order

        return self.failed if self.loss is None else failures_in_order(self.failed)

    def place(self, check: Verdict) -> tuple[str, int | None] | None:
        """Return the file and the line that a check is about: a judged loss's, or its own or the first INPUT's."""
        if self.loss is not None:
            return None if self.loss["file"] is None else (self.loss["file"], self.loss["line"])
        inputs = self.verdicts.inputs
        file = self.files.get(check.case if check.case in inputs else next(iter(inputs), ""))
        return None if file is None else (file, None)


def rows_of(block: Block) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a block as Python's own numbers and text, which are made for a part of it at a time."""
    for some in stretches(len(block[0])):
        columns = (column[some] for column in block)
        yield from zip(
            *(column.tolist() if isinstance(column, (np.ndarray, Texts)) else column for column in columns), strict=True
        )


@dataclass(frozen=True, eq=False)
class Record:
    """What a command reports."""

    command: Command
    facts: dict[str, Any]  # values in JSON's types, in the order of JSON
    tables: tuple[Table, ...]  # what JSON lists after the facts
    rows: Table  # the one table of CSV and Parquet
    result: Any = None  # for the table for people: evaluation, `Overview` of groups, sweep, descent, `Checks`
    top: int | None = None  # how many points of largest gradient, or groups of largest loss, were asked for
    integral: float | None = None  # what the bins of a loss approximate, where it is known
    input: str | list[str] | None = None  # the name of the file, or of each of several; None: arrays, or no points
    log: bool = False  # whether the figure of a sweep has logarithmic axes


# --- loss and gradient -----------------------------------------------------------------------------------------------


def loss_record(evaluation: Evaluation, integral: float | None = None) -> Record:
    """Return the record of ``kdegrad loss``: as CSV one row, without loss and KL where the loss is infinite.

    With the `integral` that the bins approximate, the error of the quadrature is what they are off by.
    """
    facts = _loss_facts(evaluation)
    if integral is not None:
        facts["quadrature_error"] = evaluation.loss - integral
    rows = row_of_loss(facts, is_finite=evaluation.is_finite)
    return Record("loss", facts, (), rows, evaluation, integral=integral, input=evaluation.problem.name)


def row_of_loss(facts: dict[str, Any], *, is_finite: bool) -> Table:
    """Return the one row of CSV of the facts of a loss."""
    problem = facts["problem"]
    low, high = problem["target"] or (None, None)
    row = {name: facts[name] if is_finite else None for name in ("loss", "kl")}
    row |= {name: problem[name] for name in ("points", "kernel", "bandwidth")}
    row |= {"low": low, "high": high, "rule": problem["rule"], "bins": problem["bins"]}
    return _table_of_rows("loss", [row])


def gradient_record(evaluation: Evaluation, top: int | None = None, *, per_bin: bool = False) -> Record:
    """Return the record of ``kdegrad grad``: a row for each point, or with `per_bin` for each bin and point.

    With `top` only so many points, those of largest absolute gradient, the largest first.
    """
    gradients, error = evaluation.require_gradients(), evaluation.gradient_error
    size = np.abs(gradients.logits)
    facts = _loss_facts(evaluation) | {
        "sum": float(gradients.logits.sum()),
        "norms": {"l1": float(size.sum()), "l2": euclidean_norm(gradients.logits), "max": float(size.max())},
        "gradient_error": None if error is None else asdict(error),
    }
    if gradients.log_bandwidth is not None:
        facts["gradient_log_bandwidth"] = gradients.log_bandwidth
    columns = point_columns(evaluation, top)
    points = table_of_columns("points", without_infinities(columns))
    name = evaluation.problem.name
    if not per_bin:
        return Record("grad", facts, (points,), points, evaluation, top, input=name)
    header = ("bin", "node", "point", "angle", "responsibility", "gradient")
    bins = Table("per_bin", header, lambda: _blocks_of_bins(evaluation))
    return Record("grad --per-bin", facts, (points, bins), bins, evaluation, input=name)


def point_columns(evaluation: Evaluation | BatchEvaluation, top: int | None = None) -> dict[str, Values]:
    """Return the columns of the points of `gradient_record`."""
    of = evaluation.batch if isinstance(evaluation, BatchEvaluation) else evaluation.problem
    gradients = evaluation.require_gradients()
    _, sorted_by = gradients.first_of_points or ("logits", gradients.logits)
    order = slice(None) if top is None else largest_first(sorted_by.ravel(), top)
    measured = measured_columns(evaluation.weights, gradients)
    columns = _end_columns(of) | {name: column.ravel() for name, column in measured.items()}
    return {name: column[order] for name, column in columns.items()}


def measured_columns(weights: FloatArray, gradients: Gradients) -> dict[str, FloatArray]:
    """Return the columns of points that ``grad`` computes, of weights S and the gradients that were asked for."""
    columns = {
        "weight": weights,
        "responsibility": gradients.responsibilities,
        "gradient": gradients.logits,
        "gradient_per_weight": gradients.per_weight,
    }
    return columns if gradients.angles is None else columns | {"gradient_angle": gradients.angles}


def without_infinities(columns: dict[str, Values]) -> dict[str, Values]:
    """Return the columns with NaN, no value, in place of numbers that are not finite, but for a logit of -inf."""
    return {
        name: column
        if isinstance(column, Texts) or name == "logit" or np.isfinite(column).all()
        else np.where(np.isfinite(column), column, np.nan)
        for name, column in columns.items()
    }


def _blocks_of_bins(evaluation: Evaluation) -> Iterator[Block]:
    """Yield bin, node, point, angle, responsibility and gradient, the points of a bin together."""
    nodes, angles = evaluation.rule.nodes, evaluation.problem.angles
    each, observed = responsibilities_by_bin(evaluation), evaluation.problem.observed
    numbered = None if observed is None else observed.active  # a target point keeps its number in the target
    bins_in_block = max(1, _ROWS_IN_BLOCK // len(angles))
    for start in range(0, len(nodes), bins_in_block):
        responsibilities, slopes = zip(*islice(each, bins_in_block), strict=True)
        bins = np.arange(start, start + len(slopes))
        yield (
            np.repeat(bins if numbered is None else numbered[bins], len(angles)),
            np.repeat(nodes[bins], len(angles)),
            np.tile(np.arange(len(angles)), len(bins)),
            np.tile(angles, len(bins)),
            np.concatenate(responsibilities),
            np.concatenate(slopes),
        )


def problem_facts(problem: Problem, rule: Rule) -> dict[str, Any]:
    """Return what was computed: the field ``problem``."""
    target = None if problem.target is None else list(problem.target)
    bins = rule.bins if problem.observed is None else len(problem.observed)
    return {"points": len(problem.angles), "counted": problem.counted} | facts_of(problem, target, bins)


def facts_of(problem: Problem | Batch, target: list[float] | None, bins: int | None) -> dict[str, Any]:
    """Return what was computed but for the points: the target and the settings, that of a batch where it is one."""
    settings = problem.settings
    found = {  # where that is more than what was asked for
        "at": problem.at,
        "kernel": problem.kernel.name,
        "df": settings.df if "df" in problem.kernel.parameters else None,
        "rule": problem.rule_name,
        "bins": bins,
        "circular": problem.domain.name,
        "period": settings.circumference,
    }
    return {"target": target, "target_points": bins if problem.rule_name == "points" else None} | {
        row.option.reported or row.name: found[row.name] if row.name in found else getattr(settings, row.name)
        for row in PROBLEM
        if row.name != "target"
    }


def _loss_facts(evaluation: Evaluation) -> dict[str, Any]:
    """Return the facts of a loss; with a density that is 0 somewhere also ``uncovered``."""
    facts: dict[str, Any] = {
        "loss": evaluation.loss,
        "kl": evaluation.kl,
        "quadrature_error": evaluation.diagnostics.quadrature_error if evaluation.is_finite else None,
        "problem": problem_facts(evaluation.problem, evaluation.rule) | {"sums": evaluation.diagnostics.sums},
    }
    if not evaluation.is_finite:
        facts["uncovered"] = facts_of_uncovered(evaluation.diagnostics.uncovered)
    return facts


def facts_of_uncovered(nodes: FloatArray) -> dict[str, Any]:
    """Return how many nodes have the density 0, and the first of them."""
    return {"count": len(nodes), "nodes": nodes[:_UNCOVERED_SHOWN].tolist()}


# --- sweep and descent -----------------------------------------------------------------------------------------------


def sweep_record(family: Sweep, *, log: bool = False) -> Record:
    """Return the record of ``kdegrad sweep``: a row for each kernel and value, of None where the loss is infinite.

    With `log` its figure has logarithmic axes.
    """
    values = [vars(step) for step in family.steps]
    rows = _table_of_rows("values", [{"over": family.over} | step for step in values])
    facts = {"over": family.over, "problem": problem_facts(family.problem, nodes_of(family.problem))}
    return Record("sweep", facts, (_table_of_rows("values", values),), rows, family, input=family.problem.name, log=log)


def descent_record(done: Descent) -> Record:
    """Return the record of ``kdegrad descend``: every step of the course and the points at the end, as CSV these alone.

    The points can be read as input: angle, logit, label if there are labels.
    """
    facts = {
        "loss": done.end.loss,
        "kl": done.end.kl,
        "gap": done.gap,
        "converged": done.converged,
        "stopped": done.stopped,
        "steps": len(done.course) - 1,
        "rises": done.rises,
        "optimizer": done.optimizer,
        "rate": None if done.optimizer == "em" else done.rate,
        "wrt": list(done.wrt),
        "tolerance": done.tolerance,
        "problem": problem_facts(done.end.problem, done.end.rule) | {"sums": done.end.diagnostics.sums},
    }
    columns = _end_columns(done.end.problem)
    course = _table_of_rows("course", [vars(row) for row in done.course])
    points = table_of_columns("points", columns | {"weight": done.end.weights})
    rows = table_of_columns("points", columns)
    return Record("descend", facts, (course, points), rows, done, input=done.end.problem.name)


def trace_table(now: DescentStep) -> Table:
    """Return a row for each point of one step of a descent: the numbers of the step, then those of the point."""
    columns = _end_columns(now.evaluation.problem) | {"weight": now.evaluation.weights}
    count = len(now.evaluation.weights)
    numbers = {name: [value] * count for name, value in vars(now.row()).items()}
    return table_of_columns("trace", {**numbers, "point": range(count), **columns})


def _end_columns(problem: Problem | Batch) -> dict[str, Values]:
    """Return the columns of points that can be read as input."""
    columns: dict[str, Values] = {}
    if isinstance(problem, Batch):
        columns["group"] = Texts(group_names(problem), problem.problem_of_point)
    columns |= {"angle": problem.angles.ravel(), "logit": problem.logits.ravel()}
    labels = problem.labels
    return columns if labels is None else columns | {"label": Texts(labels, np.arange(len(labels)))}


# --- kernels and properties ------------------------------------------------------------------------------------------


def kernels_record() -> Record:
    """Return the record of ``kdegrad kernels``, with the claims that hold for each on all of its domains.

    Several names in a cell of CSV are separated by spaces.
    """
    from kdegrad.properties import PROPERTIES

    claims = [property_ for property_ in PROPERTIES if property_.family == "claim"]
    listed = []
    for kind in KERNELS:
        hold = [c.id for c in claims if all(c.theory(kind.name, d, background=False) == "holds" for d in kind.domains)]
        row = {name: getattr(kind, name) for name in ("name", "aliases", "formula", "support", "tail", "domains")}
        listed.append(row | {"claims": hold})
    cells = [{name: cell if isinstance(cell, str) else " ".join(cell) for name, cell in k.items()} for k in listed]
    return Record("kernels", {}, (_table_of_rows("kernels", listed),), _table_of_rows("kernels", cells))


def checks_record(run: Checks) -> Record:
    """Return the record of ``kdegrad verify-props``."""
    from kdegrad.properties import Verdict

    names = [column.name for column in fields(Verdict)]  # a run of the library may have no checks
    table = table_of_columns("checks", {name: [getattr(check, name) for check in run.verdicts] for name in names})
    facts = {"passed": run.verdicts.passed, "counts": counts(run.verdicts)}
    facts |= {"seed": run.verdicts.seed, "loss": run.loss}
    inputs = run.inputs
    return Record("verify-props", facts, (table,), table, run, input=inputs if len(inputs) > 1 else (*inputs, None)[0])


def loss_facts(judged: Judged, like: Settings) -> dict[str, Any]:
    """Return what is judged: the loss, what it takes and gives, and the settings that it is meant to have."""
    from kdegrad.properties.losses import OPTIONS

    of, kind = judged.of, BY_NAME[like.kernel.lower()]
    return {
        **{"name": of.name, "backend": of.backend, "dtype": of.dtype, "wrt": list(of.wrt), "floor": judged.floor},
        "batched": of.batched,
        "takes": [name for name in OPTIONS if of.accepts(name)],
        "gives": [name for name in ("loss", *WRT) if name in judged.gives],
        **{"kernel": kind.name, "bandwidth": like.bandwidth, "df": like.df if "df" in kind.parameters else None},
        **{"bins": like.bins, "scale": like.scale, "background": like.background, "period": like.circumference},
        **dict(zip(("file", "line"), of.source or (None, None), strict=True)),
    }


def counts(checks: Sequence[Verdict]) -> dict[str, int]:
    """Return how many checks passed, failed and were skipped."""
    tally = Counter(check.verdict for check in checks)
    return {"passed": tally["pass"], "failed": tally["fail"], "skipped": tally["skip"]}


def summary(run: Checks) -> str:
    """Return the counts in a sentence."""
    number, left_out = counts(run.verdicts), run.verdicts.left_out
    tally = f"{counted(number['passed'], 'check')} passed, {number['failed']} failed, {number['skipped']} skipped"
    if left_out:
        tally += f", {left_out} not done after the first failure"
    return f"{tally}: nothing was checked" if run.verdicts.unchecked else tally


def properties_record(properties: Sequence[Property]) -> Record:
    """Return the record of ``kdegrad verify-props --list``: as CSV a column for each kernel and domain."""
    nested, flat = [], []
    for p in properties:
        row = {"property": p.id, "family": p.family, "statement": p.statement, "precondition": p.precondition}
        expected = {f"{k.name}, {d}": str(p.theory(k.name, d, background=False)) for k in KERNELS for d in k.domains}
        nested.append(row | {"expectations": expected})
        flat.append(row | expected)
    tables = (_table_of_rows("properties", nested),)
    return Record("verify-props --list", {}, tables, _table_of_rows("properties", flat), properties)


# --- how a table is made ---------------------------------------------------------------------------------------------


def table_of_columns(name: str, columns: dict[str, Any]) -> Table:
    """Return a table of one block, from its columns by name."""
    return Table(name, tuple(columns), lambda: iter([tuple(columns.values())]))


def _table_of_rows(name: str, rows: Sequence[dict[str, Any]]) -> Table:
    return table_of_columns(name, {key: [row[key] for row in rows] for key in rows[0]})
