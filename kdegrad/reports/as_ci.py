"""The checks of ``verify-props`` for a CI: as JUnit XML, and as the annotations of GitHub's log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from kdegrad.reports.records import counts, summary
from kdegrad.text import safe_text

if TYPE_CHECKING:
    from kdegrad.properties import Property, Verdict

GITHUB_CAP: Final = 10  # annotations of a kind that GitHub shows for a step
_NOT_IN_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(checks: Sequence[Verdict], properties: Sequence[Property]) -> Iterator[str]:
    """Yield JUnit XML: a testsuite for each family, a testcase for each property and case.

    Where nothing was checked, one more testcase is an error.
    """
    from xml.sax.saxutils import escape  # it loads urllib and ssl, which no other report needs

    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    unchecked = counts(checks)["skipped"] == len(checks)
    yield f'<testsuites name="kdegrad verify-props" {_tally(checks, errors=int(unchecked))}>\n'
    for family in dict.fromkeys(property_.family for property_ in properties):
        ids = {property_.id for property_ in properties if property_.family == family}
        members = [check for check in checks if check.property in ids]
        yield f'  <testsuite name="{family}" {_tally(members)}>\n'
        for check in members:
            yield f'    <testcase classname="kdegrad.{family}.{check.property}" name={_quoted(check.case)} time="0"'
            if check.verdict == "pass":
                yield "/>\n"
            elif check.verdict == "skip":
                yield f">\n      <skipped message={_quoted(check.reason)}></skipped>\n    </testcase>\n"
            else:
                body = escape(_NOT_IN_XML.sub("\ufffd", f"{check.reason}\n{check.reproduce}"))
                yield f">\n      <failure message={_quoted(check.reason)}>{body}</failure>\n    </testcase>\n"
        yield "  </testsuite>\n"
    if unchecked:
        yield f'  <testsuite name="verify-props" {_tally([], errors=1)}>\n'
        yield '    <testcase classname="kdegrad.verify-props" name="something was checked" time="0">\n'
        yield f"      <error message={_quoted(summary(checks))}/>\n    </testcase>\n  </testsuite>\n"
    yield "</testsuites>\n"


def _tally(checks: Sequence[Verdict], errors: int = 0) -> str:
    number = counts(checks)
    made = f'tests="{len(checks) + errors}" failures="{number["failed"]}" errors="{errors}"'
    return f'{made} skipped="{number["skipped"]}" time="0"'


def _quoted(text: str) -> str:
    """Return text as the value of an attribute."""
    from xml.sax.saxutils import quoteattr

    return quoteattr(_NOT_IN_XML.sub("\ufffd", text))


def github(checks: Sequence[Verdict]) -> Iterator[str]:
    """Yield workflow commands: an error for a failed check, as many as GitHub shows, and a notice with the counts.

    Where nothing was checked, that is an error too.
    """
    failed = [check for check in checks if check.verdict == "fail"]
    shown = failed if len(failed) <= GITHUB_CAP else failed[: GITHUB_CAP - 1]
    for check in shown:
        title = _escaped(f"kdegrad {check.property}").replace(":", "%3A").replace(",", "%2C")
        yield f"::error title={title}::{_escaped(f'case {check.case}: {check.reason} ({check.reproduce})')}\n"
    if len(shown) < len(failed):
        yield f"::error title=kdegrad::{len(failed) - len(shown)} more checks failed (--format csv has all)\n"
    level = "error" if counts(checks)["skipped"] == len(checks) else "notice"
    yield f"::{level} title=kdegrad verify-props::{_escaped(summary(checks))}\n"


def _escaped(text: str) -> str:
    return safe_text(text, "\r\n").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
