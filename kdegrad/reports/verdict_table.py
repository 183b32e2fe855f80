"""The checks of ``verify-props`` for people: a table by family, the failures in full, the skips explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from rich.text import Text

from kdegrad.kernel import KERNELS
from kdegrad.output import Look
from kdegrad.reports.tables import Column, fitted, printed, words
from kdegrad.reports.verdicts import Row, counts, expectations, rows, summary
from kdegrad.text import five_digits, safe_text

if TYPE_CHECKING:
    from kdegrad.properties import Property, Verdict

TITLES: Final = {
    "claim": "the note's claims",
    "sharper": "the sharper statements behind them",
    "ground": "the ground under them",
}
STYLES: Final = {"pass": "bright_blue", "fail": "bold dark_orange", "skip": "dim"}
FAILURES_SHOWN: Final = 10
WIDE: Final = 130  # columns from which on the statements stand in the table
STATEMENT: Final = {"statement": 50}
DISPENSABLE: Final = {
    "statement": 6,
    "tolerance": 5,
    "expected": 4,
    "observed": 3,
    "pass/\nskip": 2,
    "worst\nresidual": 1,
}


def verdicts(checks: Sequence[Verdict], properties: Sequence[Property], look: Look) -> Iterator[str]:
    """Yield a table for each family, the failures in full, why what was never checked was not, and the summary."""
    everything = rows(checks, properties)
    for family, title in TITLES.items():
        members = [row for row in everything if row.of.family == family]
        if members:
            yield from printed(look, Text(title, style="bold"))
            yield from fitted(look, _columns(members, look))
    yield from _skips(everything, look)
    yield from _failures(checks, look)
    style = STYLES["fail"] if counts(checks)["failed"] or not counts(checks)["passed"] else STYLES["pass"]
    yield from printed(look, Text(summary(checks), style=style))
    if look.width < WIDE:
        yield from printed(look, Text("the statements in full: kdegrad verify-props --list", style="dim"))


def listing(properties: Sequence[Property], look: Look) -> Iterator[str]:
    """Yield each property with its statement, its precondition, and what to expect of which kernels."""
    for property_ in properties:
        yield from printed(
            look, Text(property_.id, style="bold").append(f"  {TITLES[property_.family]}", style="dim not bold")
        )
        yield from printed(look, words(look, f"  {property_.statement}."))
        yield from printed(look, words(look, f"  Needs {property_.precondition}.", "dim"))
        for expectation, kernels in _kernels_by_expectation(property_).items():
            yield from printed(look, words(look, f"  {expectation}: {kernels}"))
        yield "\n"


def _columns(members: Sequence[Row], look: Look) -> list[Column]:
    worst = [row.worst for row in members]
    residuals = ["-" if check is None or check.residual is None else f"{check.residual:.1e}" for check in worst]
    tolerances = ["-" if check is None or check.tolerance is None else f"{check.tolerance:.1e}" for check in worst]
    cells = {
        "property": [row.of.id for row in members],
        "statement": [row.of.statement for row in members],
        "expected": [row.distinct("expectation") for row in members],
        "observed": [row.distinct("observed") for row in members],
        "worst\nresidual": residuals,
        "tolerance": tolerances,
        "pass/\nskip": [f"{row.count('pass')}/{row.count('skip')}" for row in members],
    }
    if look.width < WIDE:
        del cells["statement"]
    texts = ("property", "statement", "expected", "observed")
    columns = [
        Column(
            title,
            [words(look, text) for text in column],
            DISPENSABLE.get(title, 0),
            right=title not in texts,
            widest=STATEMENT.get(title),
        )
        for title, column in cells.items()
    ]
    columns.append(Column("", [Text(row.verdict, style=STYLES[row.verdict]) for row in members], right=False))
    return columns


def _skips(everything: Sequence[Row], look: Look) -> Iterator[str]:
    """Yield why a property was checked in no case: its commonest reason."""
    for row in everything:
        if row.verdict == "skip":
            reason, _ = Counter(check.reason for check in row.checks).most_common(1)[0]
            yield from printed(look, words(look, f"{row.of.id} was never checked: {reason}", "dim"))


def _failures(checks: Sequence[Verdict], look: Look) -> Iterator[str]:
    failed = [check for check in checks if check.verdict == "fail"]
    for check in failed[:FAILURES_SHOWN]:
        text = Text("FAILED ", style=STYLES["fail"]).append(
            f"{check.property}, case {safe_text(check.case)}", style="not dim"
        )
        yield from printed(look, text)
        yield from printed(look, words(look, f"  {safe_text(check.reason)}"))
        if check.residual is not None and check.tolerance is not None:
            yield from printed(
                look, Text(f"  residual {five_digits(check.residual)}, tolerance {five_digits(check.tolerance)}")
            )
        yield from printed(look, words(look, f"  {safe_text(check.reproduce)}", "dim"))
    if len(failed) > FAILURES_SHOWN:
        yield from printed(look, Text(f"... and {len(failed) - FAILURES_SHOWN} more failures (--format csv has all)"))


def _kernels_by_expectation(property_: Property) -> dict[str, str]:
    """Return the kernels of each expectation, with the domain where the two domains differ."""
    kernels: dict[str, list[str]] = {}
    found = {place: expectation.split(":")[0] for place, expectation in expectations(property_).items()}
    for kind in KERNELS:
        domains = {place.split(", ")[1]: found[place] for place in found if place.split(", ")[0] == kind.name}
        if len(set(domains.values())) == 1:
            kernels.setdefault(next(iter(domains.values())), []).append(kind.name)
        else:
            for domain, expectation in domains.items():
                kernels.setdefault(expectation, []).append(f"{kind.name} on the {domain}")
    return {expectation: _all_or_named(names) for expectation, names in kernels.items()}


def _all_or_named(names: list[str]) -> str:
    """Return the names; ``every kernel`` where they are all of them, with the domain if it is one."""
    domains = {name.partition(" on the ")[2] for name in names} - {""}
    if len(names) < len(KERNELS) or len(domains) > 1:
        return ", ".join(names)
    return " on the ".join(["every kernel", *domains])
