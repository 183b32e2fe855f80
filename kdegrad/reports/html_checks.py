"""The checks of ``verify-props`` as a page: what failed is open, the passing properties of a family are folded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

from kdegrad.reports.checks_table import TITLES, Row, kernels_by_expectation, meant, rows_of
from kdegrad.reports.html_parts import SENTENCE, Rows, facts, folded, paragraph, preformatted, table, text
from kdegrad.reports.records import Checks, Record, counts
from kdegrad.reports.tables import Column
from kdegrad.text import counted, five_digits

if TYPE_CHECKING:
    from kdegrad.properties import Verdict

FAILURES_SHOWN: Final = 100  # of a property
LISTED: Final = 10  # in a notebook
WORDS: Final = {"pass": "passed", "fail": "failed", "xfail": "failed as expected", "skip": "skipped"}


def checks(record: Record, figure: str) -> Iterator[str]:
    """Yield what was judged and the counts, the failures in full, the figure, and the properties by family, folded."""
    run: Checks = record.result
    yield tally(record)
    yield facts(_judged(run))
    yield from _failures(run)
    yield figure
    yield "<h2>Properties</h2>\n"
    yield from _families(run)


def checks_in_short(record: Record, figure: str) -> Iterator[str]:
    """Yield the counts, what failed in a line each, the figure, and the properties by family, folded."""
    run: Checks = record.result
    yield tally(record)
    first_of_each: dict[str, Verdict] = {}
    for check in run.failed:
        first_of_each.setdefault(check.property, check)
    for check in list(first_of_each.values())[:LISTED]:
        yield paragraph(f"{check.property} failed, case {check.case}: {check.said()}")
    if (left := len(first_of_each) - LISTED) > 0:
        yield paragraph(f"and {counted(left, 'more property')}")
    yield figure
    yield from _families(run)


def _families(run: Checks) -> Iterator[str]:
    """Yield a table for each family of properties, folded under its counts."""
    rows = rows_of(run)
    for family, title in TITLES.items():
        members = [row for row in rows if row.of.family == family]
        if members:
            number = Counter(row.verdict for row in members)
            told = ", ".join(f"{number[verdict]} {word}" for verdict, word in WORDS.items() if number[verdict])
            yield from folded(f"{title}: {told}", _family(members, title))


def tally(record: Record) -> str:
    """Return how many properties and checks passed, failed and were skipped, the verdict of all first."""
    number = counts(record.result.verdicts)
    said = ", ".join(f"{count} {word}" for word, count in number.items())
    is_good = record.facts["passed"]
    verdict = "passed" if is_good else "FAILED" if number["failed"] else "nothing was checked"
    of = counted(sum(number.values()), "check")
    if record.result.verdicts.left_out:
        said += f": stopped at the first failure, of {record.result.verdicts.planned}"
    return f'<p class="{"kd-pass" if is_good else "kd-fail"}"><strong>{verdict}</strong>: {of}, {text(said)}</p>\n'


def _judged(run: Checks) -> dict[str, str]:
    """Return which loss was judged, for what it is meant to be, and in how many cases, by names."""
    found: dict[str, str] = {}
    if (loss := run.loss) is not None:
        found["loss"] = loss["name"]
        found["called with"] = ", ".join([loss["backend"], loss["dtype"], *(["batches"] if loss["batched"] else [])])
        found |= meant(loss)
    else:
        found["kernels" if len(run.verdicts.kernels) > 1 else "kernel"] = ", ".join(run.verdicts.kernels)
    found["cases"] = str(len(run.verdicts.cases))
    found["seed"] = str(run.verdicts.seed)
    return found


def _failures(run: Checks) -> Iterator[str]:
    """Yield each property that failed: the first case of it in full, further ones folded."""
    by_property: dict[str, list[Verdict]] = {check.property: [] for check in run.reported}
    for check in run.failed:
        by_property[check.property].append(check)
    if by_property:
        yield f"<h2>Failed: {counted(len(by_property), 'property')}</h2>\n"
    for name, (first, *others) in by_property.items():
        yield f'<section class="kd-failure">\n<h3>{text(name)}</h3>\n'
        yield from _failure(first)
        if others:
            shown = others[:FAILURES_SHOWN]
            left = f", of which {len(shown)} are shown" if len(shown) < len(others) else ""
            yield from folded(f"fails in {counted(len(others), 'other case')}{left}", chain(*map(_failure, shown)))
        yield "</section>\n"


def _failure(check: Verdict) -> Iterator[str]:
    """Yield what was compared, and what reproduces it; of a judged loss what it means."""
    yield paragraph(f"case {check.case}{f': {check.about}' if check.about else ''}", "kd-quiet")
    yield paragraph(check.said())
    if check.difference:
        yield paragraph(check.reason)
    yield facts(_numbers(check))
    lines = check.details.splitlines()
    yield preformatted("\n".join(line for line in lines if "  " in line))  # the rows of a table
    yield from (paragraph(line) for line in lines if "  " not in line)
    yield preformatted(check.reproduce, "kd-wrapped")
    yield preformatted(check.example)


def _numbers(check: Verdict) -> dict[str, str]:
    """Return what was expected, observed and measured."""
    found = {"expected": check.expectation, "observed": check.observed}
    if check.residual is not None and check.tolerance is not None:
        found |= {"residual": five_digits(check.residual), "tolerance": five_digits(check.tolerance)}
    return {name: value for name, value in found.items() if value}


def _cases(row: Row) -> str:
    """Return in how many cases a property passed, failed or was skipped, or that it failed as expected."""
    told = ", ".join(f"{number} {word}" for word, number in counts(row.checks).items() if number)
    return WORDS["xfail"] if row.verdict == "xfail" else told


def _family(rows: Sequence[Row], title: str) -> Iterator[str]:
    """Yield a table of properties, and why some are skipped."""
    columns = [
        Column("property", [row.of.id for row in rows], right=False),
        Column("cases", [_cases(row) for row in rows], right=False),
        Column("expected", [row.distinct("expectation") for row in rows], right=False),
        Column("observed", [row.distinct("observed") for row in rows], right=False),
        Column("worst\nresidual", [row.worst("residual") for row in rows]),
        Column("tolerance", [row.worst("tolerance") for row in rows]),
        Column("statement", [row.of.statement for row in rows], right=False, widest=SENTENCE),
    ]
    yield from table(Rows(title, columns))
    for row in rows:
        if row.verdict in ("skip", "xfail"):
            reason = next(check.reason for check in row.checks if check.verdict == "skip")
            yield paragraph(f"{row.of.id} {WORDS[row.verdict]}: {reason}", "kd-quiet")


def properties(record: Record) -> Iterator[str]:
    """Yield each property with its statement, its precondition, and what to expect of which kernels."""
    for family, title in TITLES.items():
        members = [property_ for property_ in record.result if property_.family == family]
        if members:
            yield f"<h2>{text(title)}</h2>\n"
        for property_ in members:
            yield f"<h3>{text(property_.id)}</h3>\n{paragraph(f'{property_.statement}.')}"
            yield paragraph(f"Needs {property_.precondition}.", "kd-quiet")
            yield facts(kernels_by_expectation(property_))
