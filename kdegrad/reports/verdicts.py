"""The report of ``kdegrad verify-props`` in every form: for people and programs, as JUnit, as GitHub's annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, assert_never

from kdegrad.errors import SettingError
from kdegrad.output import Look
from kdegrad.reports import VerdictFormat
from kdegrad.text import safe_text

if TYPE_CHECKING:
    from kdegrad.properties import Property, Verdict

FIELDS: Final = (
    "property",
    "case",
    "expectation",
    "observed",
    "residual",
    "tolerance",
    "verdict",
    "reason",
    "reproduce",
)
GITHUB_CAP: Final = 10  # annotations of a kind that GitHub shows for a step


def verdicts(
    checks: Sequence[Verdict], properties: Sequence[Property], passed: bool, form: VerdictFormat, look: Look
) -> Iterator[str]:
    """Yield the report of the checks of `properties`; `passed` is the answer of the whole run."""
    match form:
        case VerdictFormat.table:
            from kdegrad.reports import verdict_table

            return verdict_table.verdicts(checks, properties, look)
        case VerdictFormat.json:
            from kdegrad.reports import as_json

            return as_json.document({"passed": passed, "counts": counts(checks)}, {"checks": map(asdict, checks)})
        case VerdictFormat.csv:
            from kdegrad.reports import as_csv

            return as_csv.table(FIELDS, (asdict(check).values() for check in checks))
        case VerdictFormat.junit:
            return junit(checks, properties)
        case VerdictFormat.github:
            return github(checks)
        case _:
            assert_never(form)


def counts(checks: Sequence[Verdict]) -> dict[str, int]:
    """Return how many checks passed, failed and were skipped."""
    tally = Counter(check.verdict for check in checks)
    return {"passed": tally["pass"], "failed": tally["fail"], "skipped": tally["skip"]}


def summary(checks: Sequence[Verdict]) -> str:
    """Return the counts in a sentence."""
    number = counts(checks)
    tally = f"{number['passed']} checks passed, {number['failed']} failed, {number['skipped']} skipped"
    return f"{tally}: nothing was checked" if _nothing_checked(checks) else tally


def _nothing_checked(checks: Sequence[Verdict]) -> bool:
    return all(check.verdict == "skip" for check in checks)


def junit(checks: Sequence[Verdict], properties: Sequence[Property]) -> Iterator[str]:
    """Yield JUnit XML: a testcase for each property and case, a testsuite for each family."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    unchecked = _nothing_checked(checks)
    yield f'<testsuites name="kdegrad verify-props" {_tally(checks, errors=int(unchecked))}>\n'
    for family in dict.fromkeys(property_.family for property_ in properties):
        ids = {property_.id for property_ in properties if property_.family == family}
        members = [check for check in checks if check.property in ids]
        yield f'  <testsuite name="{family}" {_tally(members)}>\n'
        for check in members:
            yield from _testcase(check, family)
        yield "  </testsuite>\n"
    if unchecked:
        yield f'  <testsuite name="verify-props" {_tally([], errors=1)}>\n'
        yield '    <testcase classname="kdegrad.verify-props" name="something was checked" time="0">\n'
        yield f"      <error message={_attribute(summary(checks))}/>\n    </testcase>\n  </testsuite>\n"
    yield "</testsuites>\n"


def _tally(checks: Sequence[Verdict], errors: int = 0) -> str:
    number = counts(checks)
    return (
        f'tests="{len(checks) + errors}" failures="{number["failed"]}" errors="{errors}" '
        f'skipped="{number["skipped"]}" time="0"'
    )


def _testcase(check: Verdict, family: str) -> Iterator[str]:
    from xml.sax.saxutils import escape  # it loads urllib and ssl, which no other report waits for

    yield f'    <testcase classname="kdegrad.{family}.{check.property}" name={_attribute(check.case)} time="0"'
    if check.verdict == "pass":
        yield "/>\n"
        return
    tag = "failure" if check.verdict == "fail" else "skipped"
    body = escape(legal_xml(f"{check.reason}\n{check.reproduce}")) if check.verdict == "fail" else ""
    yield f">\n      <{tag} message={_attribute(check.reason)}>{body}</{tag}>\n    </testcase>\n"


def _attribute(text: str) -> str:
    from xml.sax.saxutils import quoteattr

    return quoteattr(legal_xml(text))


def legal_xml(text: str) -> str:
    """Return `text` with the characters that XML 1.0 cannot hold replaced by U+FFFD."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd"
        for c in text
    )


def github(checks: Sequence[Verdict]) -> Iterator[str]:
    """Yield workflow commands: an error for a failed check, as many as GitHub shows, and a notice with the counts.

    Where nothing was checked, that is an error too.
    """
    failed = [check for check in checks if check.verdict == "fail"]
    shown = failed if len(failed) <= GITHUB_CAP else failed[: GITHUB_CAP - 1]
    for check in shown:
        message = f"case {check.case}: {check.reason} ({check.reproduce})"
        yield f"::error title={_github_property(f'kdegrad {check.property}')}::{_github_text(message)}\n"
    if len(shown) < len(failed):
        yield f"::error title=kdegrad::{len(failed) - len(shown)} more checks failed (--format csv has all)\n"
    level = "error" if _nothing_checked(checks) else "notice"
    yield f"::{level} title=kdegrad verify-props::{_github_text(summary(checks))}\n"


def _github_text(text: str) -> str:
    return safe_text(text, "\r\n").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_text(text).replace(":", "%3A").replace(",", "%2C")


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
        values = {getattr(check, field).split(":")[0] for check in self.checks if check.verdict != "skip"}
        if values == {"holds", "breaks"}:
            return "both"
        return ", ".join(sorted(values)) or "-"

    @property
    def worst(self) -> Verdict | None:
        """The case to look at: failed ones first, then the nearest to failing, in units of its tolerance."""
        measured = [check for check in self.checks if check.residual is not None and check.tolerance]
        return max(measured, key=_nearness_to_failure, default=None)

    def count(self, verdict: str) -> int:
        """Return how many cases ended so."""
        return sum(check.verdict == verdict for check in self.checks)


def _nearness_to_failure(check: Verdict) -> tuple[bool, float]:
    ratio = _ratio(check)
    return check.verdict == "fail", ratio if check.expectation == "holds" else -ratio


def _ratio(check: Verdict) -> float:
    assert check.residual is not None  # it was measured
    assert check.tolerance
    return check.residual / check.tolerance


def rows(checks: Sequence[Verdict], properties: Sequence[Property]) -> list[Row]:
    """Return a row for each property that was checked, in the order of `properties`."""
    by_property: dict[str, list[Verdict]] = {}
    for check in checks:
        by_property.setdefault(check.property, []).append(check)
    return [Row(property_, by_property[property_.id]) for property_ in properties if property_.id in by_property]


def listing(properties: Sequence[Property], form: VerdictFormat, look: Look) -> Iterator[str]:
    """Yield id, family, statement, precondition of each property, and what to expect for each kernel and domain.

    Raises
    ------
    SettingError
        For a form that is for checks alone.
    """
    match form:
        case VerdictFormat.table:
            from kdegrad.reports import verdict_table

            return verdict_table.listing(properties, look)
        case VerdictFormat.json:
            from kdegrad.reports import as_json

            return as_json.document({}, {"properties": map(_listed, properties)})
        case VerdictFormat.csv:
            from kdegrad.reports import as_csv

            header = ("property", "family", "statement", "precondition", *expectations(properties[0]))
            rows = ((p.id, p.family, p.statement, p.precondition, *expectations(p).values()) for p in properties)
            return as_csv.table(header, rows)
        case VerdictFormat.junit | VerdictFormat.github:
            raise SettingError(
                "format", f"{form} reports checks, and --list checks nothing: table, json or csv", "--format"
            )
        case _:
            assert_never(form)


def expectations(property_: Property) -> dict[str, str]:
    """Return what to expect of each kernel on each domain that it lives on, by ``kernel, domain``."""
    from kdegrad.kernel import KERNELS

    return {
        f"{kind.name}, {domain}": str(property_.theory(kind.name, domain, background=False))
        for kind in KERNELS
        for domain in kind.domains
    }


def _listed(property_: Property) -> dict[str, Any]:
    return {
        "property": property_.id,
        "family": property_.family,
        "statement": property_.statement,
        "precondition": property_.precondition,
        "expectations": expectations(property_),
    }
