"""The checks of ``verify-props`` for people: what passed in short, what failed in full, why some are skipped.

The report ends as pytest's does: one line for each failure, and the counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from kdegrad import __version__
from kdegrad.kernel import KERNELS
from kdegrad.output import Look
from kdegrad.reports.headline import domain_text
from kdegrad.reports.records import Checks, Record, counts
from kdegrad.reports.tables import Column, fitted, hanging, paragraph, printed, words
from kdegrad.text import counted, five_digits, safe_text

if TYPE_CHECKING:
    from kdegrad.properties import Property, Verdict

TITLES: Final = {
    "claim": "the note's claims",
    "sharper": "the sharper statements behind them",
    "ground": "basic properties of any correct implementation",
    "training": "what a loss needs to be trained with",
}
STYLES: Final = {"pass": "bright_blue", "fail": "bold dark_orange", "xfail": "dim", "skip": "dim"}
FAILURES_SHOWN: Final = 10  # in full
FAILURES_LISTED: Final = 20  # in a line each
INPUTS_SHOWN: Final = 4
WIDE: Final = 130  # columns from which on the statements are in the table


@dataclass(frozen=True)
class Row:
    """What the cases say about one property together."""

    of: Property
    checks: Sequence[Verdict]

    @property
    def verdict(self) -> str:
        """``fail`` if one case fails, ``xfail`` if one fails as expected, ``pass`` if one passes, else ``skip``."""
        seen = {"xfail" if _is_expected_failure(check) else check.verdict for check in self.checks}
        return next(verdict for verdict in ("fail", "xfail", "pass", "skip") if verdict in seen)

    def distinct(self, field: str) -> str:
        """Return a field's value over the cases that were checked; ``both`` if it holds in some and breaks in some."""
        values = {getattr(check, field) for check in self.checks} - {""}  # of a skip nothing was observed
        values = {value if value in ("holds", "breaks") else "error" for value in values}
        return "both" if values == {"holds", "breaks"} else ", ".join(sorted(values)) or "-"

    def worst(self, number: str) -> str:
        """Return residual or tolerance of the case to look at: failed, else nearest to failing in its tolerance."""
        measured = [
            (check.verdict == "fail", ratio if check.expectation == "holds" else -ratio, getattr(check, number))
            for check in self.checks
            if check.residual is not None and check.tolerance
            for ratio in [check.residual / check.tolerance]
        ]
        return f"{max(measured, key=lambda found: found[:2])[2]:.1e}" if measured else "-"


def rows_of(run: Checks) -> list[Row]:
    """Return the properties that were checked, each with its checks."""
    checks: dict[str, list[Verdict]] = {}
    for check in run.verdicts:
        checks.setdefault(check.property, []).append(check)
    return [Row(of, checks[of.id]) for of in run.properties if of.id in checks]


def _is_expected_failure(check: Verdict) -> bool:
    """Return whether a check failed and was expected to; of other skips nothing was observed."""
    return check.verdict == "skip" and check.observed != ""


def checks_text(record: Record, look: Look) -> Iterator[str]:
    """Yield what was checked, the properties by family, the failures in full, then in a line each, and the counts.

    The passing properties of a family are one line; a row for each, where that is asked for. A brief report has the
    counts alone, with the names of what failed.
    """
    run: Checks = record.result
    rows = rows_of(run)
    if not run.brief:
        yield from _report(rows, run, look)
    yield from paragraph(look, _tally(rows, run), STYLES["pass" if run.verdicts.passed else "fail"])


def _report(rows: Sequence[Row], run: Checks, look: Look) -> Iterator[str]:
    """Yield the report but for the counts."""
    yield from paragraph(look, _headline(run), "bold")
    if run.full:
        yield from _tables(rows, look)
    elif run.loss is None or not run.failed:
        yield from _folded(rows, look)
    yield from _failures(run, look) if run.loss is None else _failures_of_loss(run, look)
    for row in rows:
        if row.verdict == "xfail":
            first = next(check for check in row.checks if _is_expected_failure(check))
            yield from _item("XFAIL", f"{row.of.id}  ", safe_text(first.reason), look)
    if look.width < WIDE or not run.full:
        more = "" if run.full else "; every property: -v"
        yield from paragraph(look, f"the statements in full: kdegrad verify-props --list{more}", "dim")
    for check in run.failed[:FAILURES_LISTED]:
        said = f"{check.property} [{check.case}] {check.difference or check.reason}"
        yield from _unfolded(words(look, f"FAILED {safe_text(said)}", STYLES["fail"]), look)
    if len(run.failed) > FAILURES_LISTED:
        yield from paragraph(look, f"... and {len(run.failed) - FAILURES_LISTED} more")


def _headline(run: Checks) -> str:
    """Return what was checked or judged, in how many cases, and by which version."""
    names = [safe_text(name) for name in run.verdicts.inputs]
    if len(names) > INPUTS_SHOWN:
        names = [*names[: INPUTS_SHOWN - 1], f"{len(names) - INPUTS_SHOWN + 1} more"]
    of = ", ".join(names)
    if run.loss is not None:
        return f"{_judged(run.loss)}{of and ', '}{of}, {_cases(run)}, kdegrad {__version__}"
    kernels = ", ".join(run.verdicts.kernels)
    return f"Checked {of or 'random problems'}: {kernels}, {_cases(run)}, kdegrad {__version__}"


def _judged(loss: dict[str, Any]) -> str:
    """Return which loss was judged, and what it is meant to be."""
    parts = [value if name in ("kernel", "domain") else f"{name} {value}" for name, value in meant(loss).items()]
    how = ", ".join([loss["backend"], loss["dtype"], *(["batched"] if loss["batched"] else [])])
    return f"Judged {safe_text(loss['name'])} ({how}): {', '.join(parts)}"


def meant(loss: dict[str, Any]) -> dict[str, str]:
    """Return what a judged loss is meant to be, by names, without what is as usual."""
    found = {"kernel": loss["kernel"], "bandwidth": f"{loss['bandwidth']:g}"}
    if loss["df"] is not None:
        found["df"] = f"{loss['df']:g}"
    found["domain"] = domain_text(loss["period"])
    usual = {"scale": 1.0, "background": 0.0, "floor": None}
    return found | {name: f"{loss[name]:g}" for name, value in usual.items() if loss[name] != value}


def _cases(run: Checks) -> str:
    """Return in how many cases it was checked, and the seed that they are drawn by."""
    return f"{counted(len(run.verdicts.cases), 'case')}, seed {run.verdicts.seed}"


def _tables(rows: Sequence[Row], look: Look) -> Iterator[str]:
    """Yield a table for each family."""
    for family, title in TITLES.items():
        members = [row for row in rows if row.of.family == family]
        if members:
            yield from paragraph(look, title, "bold")
            yield from fitted(look, _columns(members, look))


def _folded(rows: Sequence[Row], look: Look) -> Iterator[str]:
    """Yield a line for the passing properties of each family, and a table of those that fail."""
    for family, title in TITLES.items():
        ids = [row.of.id for row in rows if row.of.family == family and row.verdict == "pass"]
        if ids:
            yield from _item("pass", f"{title}: ", ", ".join(ids), look)
    failing = [row for row in rows if row.verdict == "fail"]
    if failing:
        yield from fitted(look, _columns(failing, look))


def _failures(run: Checks, look: Look) -> Iterator[str]:
    """Yield the failed checks of kdegrad's own loss, in full: the user's own points first."""
    for check in run.failed[:FAILURES_SHOWN]:
        yield from hanging(look, words(look, f"{check.property} [{safe_text(check.case)}]", STYLES["fail"]), 4)
        yield from _numbers(check, look)
    if len(run.failed) > FAILURES_SHOWN:
        yield from paragraph(look, f"... and {len(run.failed) - FAILURES_SHOWN} more failures (--format csv has all)")


def _failures_of_loss(run: Checks, look: Look) -> Iterator[str]:
    """Yield what is wrong with a judged loss: the most telling failure in full, of the others what they mean."""
    shown: dict[str, list[str]] = {}  # by the difference, the properties that fail with it
    for number, check in enumerate(run.reported):
        like = shown.setdefault(check.difference, [])
        like.append(check.property)
        if not run.full and check.difference and len(like) > 1:
            continue  # told below: its sentence would only repeat the numbers
        yield from _item("FAILED", f"{check.property}  ", safe_text(check.said()), look)
        if run.full and check.difference:
            yield from _numbers(check, look)
        if number > 0 and not run.full:
            continue
        for line in check.details.splitlines():
            if "  " in line:  # the row of a table: folded, its columns would not stand below each other
                yield from _unfolded(words(look, f"    {safe_text(line)}"), look)
            else:
                yield from hanging(look, words(look, f"    {safe_text(line)}"), 4)
        for line in check.example.splitlines():  # it is there to be pasted
            yield from _unfolded(words(look, safe_text(line)), look)
        if not run.full:
            yield from _reproduced(check, look)
    for first, *others in () if run.full else shown.values():
        if others:
            yield from _item("FAILED", f"{', '.join(others)}  ", f"by the numbers of {first}", look)


def _numbers(check: Verdict, look: Look) -> Iterator[str]:
    """Yield what was compared in a failed check, and what reproduces it."""
    yield from hanging(look, words(look, f"    {safe_text(check.reason)}"), 4)
    if check.residual is not None and check.tolerance is not None:
        residual, tolerance = five_digits(check.residual), five_digits(check.tolerance)
        yield from hanging(look, words(look, f"    residual {residual}, tolerance {tolerance}"), 4)
    if check.about:
        yield from hanging(look, words(look, f"    {safe_text(check.about)}", "dim"), 4)
    yield from _reproduced(check, look)


def _reproduced(check: Verdict, look: Look) -> Iterator[str]:
    """Yield the line that makes the check again, as it is there to be pasted."""
    if check.reproduce:
        yield from _unfolded(words(look, f"    {safe_text(check.reproduce)}", "dim"), look)


def _unfolded(text: Text, look: Look) -> Iterator[str]:
    """Yield a line as it is, however long."""
    yield from printed(replace(look, width=max(look.width, text.cell_len)), text)


def _item(verdict: str, name: str, text: str, look: Look) -> Iterator[str]:
    """Yield a verdict, what it is about, and what is to say about that, all lines but the first indented."""
    style = STYLES[{"FAILED": "fail", "XFAIL": "xfail"}.get(verdict, verdict)]
    yield from hanging(look, Text().append(verdict, style).append(f" {name}", "bold").append(words(look, text)), 4)


def _tally(rows: Sequence[Row], run: Checks) -> str:
    """Return how many properties passed, failed and were not checked, and why those were not."""
    number = Counter(row.verdict for row in rows)
    more = [counted(len(run.failed), "check")] if len(run.failed) > number["fail"] else []
    if run.brief and run.failed:  # else the report has a line for each
        more.append(", ".join(row.of.id for row in rows if row.verdict == "fail"))
    failed = f" ({': '.join(more)})" if more else ""
    told = [f"{counted(number['pass'], 'property')} passed", f"{number['fail']} failed{failed}"]
    told += [f"{number['xfail']} failed as expected"] if number["xfail"] else []
    told += [f"{number['skip']} skipped"]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict == "skip":
            (reason, _), *_ = Counter(check.reason for check in row.checks).most_common(1)
            reasons.setdefault(safe_text(reason), []).append(row.of.id)
    why = "; ".join(f"{', '.join(ids)}: {reason}" for reason, ids in reasons.items())
    beside = f" ({why})" if why else ""
    if run.loss is not None and not run.loss["gives"] and run.failed:
        beside += ": the first call ended the run"
    elif run.verdicts.left_out:
        beside += f"; stopped at the first failure: {len(run.verdicts)} of {run.verdicts.planned} checks done"
    nothing = ": nothing was checked" if run.verdicts.unchecked else ""
    nothing += "".join(f"; nothing of {safe_text(name)} was checked: {why}" for name, why in run.unchecked.items())
    begin = f"{_cases(run)}: " if run.loss is None else ""
    return f"{begin}{', '.join(told)}{beside}{nothing}"


def _columns(rows: Sequence[Row], look: Look) -> list[Column]:
    statement = Column("statement", [row.of.statement for row in rows], 6, right=False, widest=50)
    numbers = [counts(row.checks) for row in rows]
    return [
        Column("property", [row.of.id for row in rows], right=False),
        *([statement] if look.width >= WIDE else []),
        Column("expected", [row.distinct("expectation") for row in rows], 4, right=False),
        Column("observed", [row.distinct("observed") for row in rows], 3, right=False),
        Column("worst\nresidual", [row.worst("residual") for row in rows], 1),
        Column("tolerance", [row.worst("tolerance") for row in rows], 5),
        Column("pass/fail\n/skip", ["/".join(map(str, number.values())) for number in numbers], 2),
        Column("", [Text(row.verdict, style=STYLES[row.verdict]) for row in rows], right=False),
    ]


def properties_text(record: Record, look: Look) -> Iterator[str]:
    """Yield each property with its statement, its precondition, and what to expect of which kernels."""
    for property_ in record.result:
        title = Text(property_.id, style="bold").append(f"  {TITLES[property_.family]}", style="dim not bold")
        yield from printed(look, title)
        yield from paragraph(look, f"  {property_.statement}.")
        yield from paragraph(look, f"  Needs {property_.precondition}.", "dim")
        for expectation, kernels in kernels_by_expectation(property_).items():
            yield from paragraph(look, f"  {expectation}: {kernels}")
        yield "\n"


def kernels_by_expectation(property_: Property) -> dict[str, str]:
    """Return the kernels of each expectation, with the domain where the two domains differ."""
    found: dict[str, dict[str, str]] = {}  # expectation → kernel with its domain → the domain's part of it
    for kind in KERNELS:
        theory = {d: property_.theory(kind.name, d, background=False) for d in kind.domains}
        expected = {d: says if isinstance(says, str) else "skipped" for d, says in theory.items()}
        for domain, expectation in expected.items():
            on = "" if len(set(expected.values())) == 1 else f" on the {domain}"
            found.setdefault(expectation, {})[kind.name + on] = on
    named = {}
    for expectation, kernels in found.items():
        domains = set(kernels.values()) - {""}
        every = len(kernels) == len(KERNELS) and len(domains) <= 1
        named[expectation] = "".join(["every kernel", *domains]) if every else ", ".join(kernels)
    return named
