"""The commands ``loss`` and ``grad`` where rows are grouped: many problems at once."""

from __future__ import annotations

from kdegrad import figures
from kdegrad.batch import Batch
from kdegrad.cli.delivery import deliver, format_of, warn_of_rounding
from kdegrad.cli.terminal import DONE, NOT_FINITE, Progress, say, say_error
from kdegrad.errors import SettingError
from kdegrad.objective import evaluate
from kdegrad.overview import Overview
from kdegrad.reports import ROWS, group_records
from kdegrad.settings import GradientOptions, ReportOptions


def loss(batch: Batch, report: ReportOptions) -> int:
    """Compute the loss of each group, and return the exit code."""
    if report.exact:
        raise SettingError("exact", "compares the bins of one problem with the integral: leave it out, or --group-by")
    # the gradient says how fast far points learn; a CSV does not
    wrt = () if format_of(report) in ROWS and report.plot is None else ("logits",)
    with Progress("summing"):
        evaluation = evaluate(batch, wrt)
    overview = Overview.of(evaluation)
    deliver(report, group_records.loss_record(overview, report.top))
    if report.plot is not None:
        figures.save(overview, report.plot)
    return code_of(overview, group_records.cause_of_first(evaluation))


def grad(batch: Batch, report: ReportOptions, of: GradientOptions) -> int:
    """Compute the gradient of each group's own loss, and return the exit code."""
    if of.per_bin:
        raise SettingError("per-bin", "lists the bins of one problem: leave it out, or --group-by")
    with Progress("summing"):
        evaluation = evaluate(batch, of.wrt)
    overview = Overview.of(evaluation)
    deliver(report, group_records.gradient_record(overview, report.top))
    if report.plot is not None:
        figures.save(overview, report.plot)
    warn_of_rounding(evaluation.input_rounding)
    if (form := format_of(report)) in ROWS and evaluation.log_bandwidth is not None:
        say(f"note: {form.upper()} has no column for the gradient of log h, which each group has: --format json has it")
    return code_of(overview, group_records.cause_of_first(evaluation))


def code_of(overview: Overview, cause: str) -> int:
    """Return the exit code; where groups have no finite result, say which, and the cause of the first."""
    if overview.is_finite:
        return DONE
    say_error(f"{group_records.groups_without_result(overview)}\n{cause}")
    return NOT_FINITE
