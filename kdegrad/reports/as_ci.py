"""The checks of ``verify-props`` for a CI: as JUnit XML, and as the annotations of GitHub's log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from kdegrad import __version__
from kdegrad.reports.records import Checks, counts, summary
from kdegrad.text import safe_text

if TYPE_CHECKING:
    from kdegrad.properties import Verdict

GITHUB_CAP: Final = 10  # annotations of a kind that GitHub shows for a step
_NOT_IN_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(run: Checks) -> Iterator[str]:
    """Yield JUnit XML: a testsuite for each family, a testcase for each property and case.

    Where nothing was checked, one more testcase is an error.
    """
    from xml.sax.saxutils import escape  # it loads urllib and ssl, which no other report needs

    checks, properties, judged = run.verdicts, run.properties, _judged(run)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    unchecked = counts(checks)["skipped"] == len(checks)
    yield f"<testsuites name={_quoted('kdegrad verify-props' + judged)} {_tally(checks, errors=int(unchecked))}>\n"
    for family in dict.fromkeys(property_.family for property_ in properties):
        ids = {property_.id for property_ in properties if property_.family == family}
        members = [check for check in checks if check.property in ids]
        yield f'  <testsuite name="{family}" {_tally(members)}>\n'
        yield from _properties(run)
        for check in members:
            yield f'    <testcase classname="kdegrad.{family}.{check.property}" name={_quoted(check.case)} time="0"'
            if check.verdict == "pass":
                yield "/>\n"
            elif check.verdict == "skip":
                yield f">\n      <skipped message={_quoted(check.reason)}></skipped>\n    </testcase>\n"
            else:
                body = escape(_NOT_IN_XML.sub("\ufffd", _in_full(check)))
                yield f">\n      <failure message={_quoted(check.said())}>{body}</failure>\n    </testcase>\n"
        yield "  </testsuite>\n"
    if unchecked:
        yield f'  <testsuite name="verify-props" {_tally([], errors=1)}>\n'
        yield '    <testcase classname="kdegrad.verify-props" name="something was checked" time="0">\n'
        yield f"      <error message={_quoted(summary(checks))}/>\n    </testcase>\n  </testsuite>\n"
    yield "</testsuites>\n"


def _properties(run: Checks) -> Iterator[str]:
    """Yield what a testsuite was made with."""
    facts: dict[str, Any] = {"kdegrad": __version__, "seed": run.seed}
    if run.loss is not None:
        facts |= {"loss": run.loss["name"]}
        facts |= {name: run.loss[name] for name in ("backend", "dtype", "floor", "kernel", "bandwidth", "period")}
        facts |= {"batched": True} if run.loss["batched"] else {}
    yield "    <properties>\n"
    for name, value in facts.items():
        if value is not None:
            yield f'      <property name="{name}" value={_quoted(str(value))}/>\n'
    yield "    </properties>\n"


def _judged(run: Checks) -> str:
    """Return the name of the loss in brackets; nothing for kdegrad's own."""
    return "" if run.loss is None else f" ({run.loss['name']})"


def _in_full(check: Verdict) -> str:
    """Return all that is known of a failed check; of kdegrad's own it is one line."""
    told = f"case {check.case}: {check.reason} ({check.reproduce})"
    return "\n".join(
        filter(None, (check.said() if check.difference else "", told, check.details.rstrip("\n"), check.example))
    )


def _tally(checks: Sequence[Verdict], errors: int = 0) -> str:
    number = counts(checks)
    made = f'tests="{len(checks) + errors}" failures="{number["failed"]}" errors="{errors}"'
    return f'{made} skipped="{number["skipped"]}" time="0"'


def _quoted(text: str) -> str:
    """Return text as the value of an attribute."""
    from xml.sax.saxutils import quoteattr

    return quoteattr(_NOT_IN_XML.sub("\ufffd", text))


def github(run: Checks) -> Iterator[str]:
    """Yield workflow commands: an error for a failed check, as many as GitHub shows, and a notice with the counts.

    Of a judged loss each property that fails is one, the most telling first. Where nothing was checked, that is an
    error too.
    """
    from kdegrad.properties.explanation import failures_in_order

    judged = _judged(run)
    failed = run.failed if run.loss is None else failures_in_order(run.failed)
    shown = failed if len(failed) <= GITHUB_CAP else failed[: GITHUB_CAP - 1]
    for check in shown:
        yield f"::error title={_title(f'kdegrad {check.property}{judged}')}::{_escaped(_in_full(check))}\n"
    if len(shown) < len(failed):
        kind = "checks" if run.loss is None else "properties"
        yield f"::error title=kdegrad::{len(failed) - len(shown)} more {kind} failed (--format csv has all)\n"
    level = "error" if counts(run.verdicts)["skipped"] == len(run.verdicts) else "notice"
    yield f"::{level} title={_title(f'kdegrad verify-props{judged}')}::{_escaped(summary(run.verdicts))}\n"


def _title(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _escaped(text: str) -> str:
    return safe_text(text, "\r\n").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
