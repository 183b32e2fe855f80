"""The checks of ``verify-props`` for people: a table for each family, the failures in full, the reasons of skips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text

from kdegrad.kernel import KERNELS
from kdegrad.output import Look
from kdegrad.reports.records import Record, counts, summary
from kdegrad.reports.tables import Column, fitted, paragraph, printed
from kdegrad.text import five_digits, safe_text

if TYPE_CHECKING:
    from kdegrad.properties import Property, Verdict

TITLES: Final = {
    "claim": "the note's claims",
    "sharper": "the sharper statements behind them",
    "ground": "basic properties of any correct implementation",
    "training": "what a loss must do that is trained with",
}
STYLES: Final = {"pass": "bright_blue", "fail": "bold dark_orange", "skip": "dim"}
FAILURES_SHOWN: Final = 10
WIDE: Final = 130  # columns from which on the statements are in the table


@dataclass(frozen=True)
class Row:
    """What the cases say about one property together."""

    of: Property
    checks: Sequence[Verdict]

    @property
    def verdict(self) -> str:
        """``fail`` if one case fails, ``pass`` if one passes, else ``skip``."""
        seen = {check.verdict for check in self.checks}
        return next((verdict for verdict in ("fail", "pass") if verdict in seen), "skip")

    def distinct(self, field: str) -> str:
        """Return a field's value over the cases that were checked; ``both`` if it holds in some and breaks in some."""
        values = {getattr(check, field) for check in self.checks if check.verdict != "skip"}
        values = {value if value in ("", "holds", "breaks") else "error" for value in values}
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


def checks_text(record: Record, look: Look) -> Iterator[str]:
    """Yield a table for each family, the failures in full, the reason why one was never checked, and the summary."""
    checks, properties = record.result
    members = {p.id: [check for check in checks if check.property == p.id] for p in properties}
    everything = [Row(p, members[p.id]) for p in properties if members[p.id]]
    for family, title in TITLES.items():
        rows = [row for row in everything if row.of.family == family]
        if rows:
            yield from paragraph(look, title, "bold")
            yield from fitted(look, _columns(rows, look))
    for row in everything:
        if row.verdict == "skip":
            reason, _ = Counter(check.reason for check in row.checks).most_common(1)[0]
            yield from paragraph(look, f"{row.of.id} was never checked: {reason}", "dim")
    failed = [check for check in checks if check.verdict == "fail"]
    for check in failed[:FAILURES_SHOWN]:
        case = f"{check.property}, case {safe_text(check.case)}"
        yield from printed(look, Text("FAILED ", style=STYLES["fail"]).append(case, style="not dim"))
        yield from paragraph(look, f"  {safe_text(check.reason)}")
        if check.residual is not None and check.tolerance is not None:
            residual, tolerance = five_digits(check.residual), five_digits(check.tolerance)
            yield from paragraph(look, f"  residual {residual}, tolerance {tolerance}")
        yield from paragraph(look, f"  {safe_text(check.reproduce)}", "dim")
    if len(failed) > FAILURES_SHOWN:
        yield from paragraph(look, f"... and {len(failed) - FAILURES_SHOWN} more failures (--format csv has all)")
    style = STYLES["fail"] if failed or not counts(checks)["passed"] else STYLES["pass"]
    yield from paragraph(look, summary(checks), style)
    if look.width < WIDE:
        yield from paragraph(look, "the statements in full: kdegrad verify-props --list", "dim")


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
        Column("pass/\nskip", [f"{number['passed']}/{number['skipped']}" for number in numbers], 2),
        Column("", [Text(row.verdict, style=STYLES[row.verdict]) for row in rows], right=False),
    ]


def properties_text(record: Record, look: Look) -> Iterator[str]:
    """Yield each property with its statement, its precondition, and what to expect of which kernels."""
    for property_ in record.result:
        title = Text(property_.id, style="bold").append(f"  {TITLES[property_.family]}", style="dim not bold")
        yield from printed(look, title)
        yield from paragraph(look, f"  {property_.statement}.")
        yield from paragraph(look, f"  Needs {property_.precondition}.", "dim")
        for expectation, kernels in _kernels_by_expectation(property_).items():
            yield from paragraph(look, f"  {expectation}: {kernels}")
        yield "\n"


def _kernels_by_expectation(property_: Property) -> dict[str, str]:
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
