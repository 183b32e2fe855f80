"""The checks of ``verify-props`` for a CI: JUnit XML, annotations of GitHub's log, and a summary of a job there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kdegrad import __version__
from kdegrad.reports.records import Checks, counts, summary
from kdegrad.text import counted, safe_text

if TYPE_CHECKING:
    from kdegrad.properties import Verdict

GITHUB_CAP: Final = 10  # annotations of a kind that GitHub shows for a step
SUMMARY_CAP: Final = 20  # failures in the summary of a job, which GitHub shows up to 1 MiB of
_MARKDOWN: Final = re.compile(r"[\\`*_\[\]<>#|~&$]")
_NOT_IN_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(run: Checks) -> Iterator[str]:
    """Yield JUnit XML: a testsuite for each family, a testcase for each property and case.

    Where nothing was checked, one more testcase is an error.
    """
    from xml.sax.saxutils import escape  # it loads urllib and ssl, which no other report needs

    checks, properties, judged, unchecked = run.verdicts, run.properties, _judged(run), run.verdicts.unchecked
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f"<testsuites name={_quoted('kdegrad verify-props' + judged)} {_tally(checks, errors=int(unchecked))}>\n"
    for family in dict.fromkeys(property_.family for property_ in properties):
        ids = {property_.id for property_ in properties if property_.family == family}
        members = [check for check in checks if check.property in ids]
        yield f'  <testsuite name="{family}" {_tally(members)}>\n'
        yield from _properties(run)
        for check in members:
            named = f'classname="kdegrad.{family}.{check.property}" name={_quoted(check.case)}'
            place = run.place(check)
            if place is not None:
                named += f" file={_quoted(_in_repository(place[0]))}" + (
                    "" if place[1] is None else f' line="{place[1]}"'
                )
            yield f"    <testcase {named} time={_time([check])}"
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
        yield f"      <error message={_quoted(summary(run))}/>\n    </testcase>\n  </testsuite>\n"
    yield "</testsuites>\n"


def _properties(run: Checks) -> Iterator[str]:
    """Yield what a testsuite was made with."""
    facts: dict[str, Any] = {
        "kdegrad": __version__,
        "seed": run.verdicts.seed,
        "kernel": ", ".join(run.verdicts.kernels),
    }
    facts |= {"input": ", ".join(run.inputs) or None}
    if run.loss is not None:
        facts |= {"loss": run.loss["name"]}
        facts |= {name: run.loss[name] for name in ("backend", "dtype", "floor", "kernel", "bandwidth", "period")}
        facts["bandwidth"] = ", ".join(map(str, run.verdicts.bandwidths)) or run.loss["bandwidth"]
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
    """Return all that is known of a failed check."""
    told = (f"case {check.case}: {check.reason}", check.about, check.reproduce)
    explained = (check.details.rstrip("\n"), check.example)
    return "\n".join(filter(None, (check.said() if check.difference else "", *told, *explained)))


def _tally(checks: Sequence[Verdict], errors: int = 0) -> str:
    number = counts(checks)
    made = f'tests="{len(checks) + errors}" failures="{number["failed"]}" errors="{errors}"'
    return f'{made} skipped="{number["skipped"]}" time={_time(checks)}'


def _time(checks: Sequence[Verdict]) -> str:
    """Return the seconds that checks took, as the value of an attribute."""
    return f'"{sum(check.seconds for check in checks):.6f}"'


def _quoted(text: str) -> str:
    """Return text as the value of an attribute."""
    from xml.sax.saxutils import quoteattr

    return quoteattr(_NOT_IN_XML.sub("\ufffd", text))


def github(run: Checks) -> Iterator[str]:
    """Yield workflow commands: an error for a failed check, as many as GitHub shows, and a notice with the counts.

    Of a judged loss each property that fails is one, the most telling first. Where nothing was checked, that is an
    error too.
    """
    judged, failed = _judged(run), run.reported
    shown = failed if len(failed) <= GITHUB_CAP else failed[: GITHUB_CAP - 1]
    for check in shown:
        place, where = run.place(check), ""
        if place is not None:
            where = f"file={_value(_in_repository(place[0]))}," + ("" if place[1] is None else f"line={place[1]},")
        yield f"::error {where}title={_value(f'kdegrad {check.property}{judged}')}::{_escaped(_in_full(check))}\n"
    if len(shown) < len(failed):
        more = counted(len(failed) - len(shown), "more check" if run.loss is None else "more property")
        yield f"::error title=kdegrad::{more} failed (--format csv has all)\n"
    for name, reason in run.unchecked.items():
        where = f"file={_value(_in_repository(run.files[name]))}," if name in run.files else ""
        title = _value(f"kdegrad verify-props{judged}")
        yield f"::warning {where}title={title}::{_escaped(f'nothing of {name} was checked: {reason}')}\n"
    level = "error" if run.verdicts.unchecked else "notice"
    yield f"::{level} title={_value(f'kdegrad verify-props{judged}')}::{_escaped(summary(run))}\n"


def markdown(run: Checks) -> Iterator[str]:
    """Yield the summary of a job: a table of the families and the properties that failed, and how to see them again.

    Of a judged loss each property that fails is told once, the most telling first.
    """
    from kdegrad.reports.checks_table import TITLES  # it loads rich, which no other report of a CI needs

    of = run.loss["name"] if run.loss is not None else ", ".join(run.verdicts.inputs) or "random problems"
    result = "passed" if run.verdicts.passed else "failed"
    yield f"### kdegrad verify-props: {_plain(of)} {result}\n\n"
    kernels = ", ".join(run.verdicts.kernels)
    yield f"{_plain(summary(run))} ({_plain(kernels)}, seed {run.verdicts.seed}, kdegrad {__version__})\n\n"
    for name, reason in run.unchecked.items():
        yield f"**Nothing of {_plain(name)} was checked**: {_plain(reason)}\n\n"
    yield "| | passed | failed | skipped |\n|---|---|---|---|\n"
    for family, properties in groupby(run.properties, lambda property_: property_.family):
        members = {property_.id: [c for c in run.verdicts if c.property == property_.id] for property_ in properties}
        rows = {family: [check for checks in members.values() for check in checks]}
        rows |= {id_: checks for id_, checks in members.items() if counts(checks)["failed"]}
        for name, checks in rows.items():
            if checks:
                title = f"**{TITLES[family]}**" if name == family else _plain(name)
                yield f"| {title} | {' | '.join(map(str, counts(checks).values()))} |\n"
    for check in run.reported[:SUMMARY_CAP]:
        yield f"\n**{_plain(check.property)}** in {_plain(check.case)}: {_plain(check.said())}\n"
        if check.reproduce:
            fence = "`" * (1 + max([2, *map(len, re.findall("`+", check.reproduce))]))
            yield f"\n{fence}console\n{safe_text(check.reproduce)}\n{fence}\n"
    more = len(run.failed) - len(run.reported[:SUMMARY_CAP])
    if more:
        yield f"\nand {counted(more, 'more failure')}\n"
    yield "\n"


def refused(message: str) -> Iterator[str]:
    """Yield workflow commands for the lines of a message that says why nothing was done."""
    for line in message.splitlines():
        yield f"::error title=kdegrad::{_escaped(line)}\n"


def _in_repository(file: str) -> str:
    """Return the path of a file as GitHub wants it, from the root of the repository; as it is where it is not there."""
    root = os.environ.get("GITHUB_WORKSPACE")
    with suppress(OSError, ValueError):
        folder, name = os.path.split(os.path.abspath(file))
        return str(Path(os.path.realpath(folder), name).relative_to(os.path.realpath(root or ""))) if root else file
    return file


def _plain(text: str) -> str:
    """Return data as text in Markdown, in which it means nothing else."""
    return _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", safe_text(text))


def _value(text: str) -> str:
    """Return text as the value of a property of a workflow command."""
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _escaped(text: str) -> str:
    return safe_text(text, "\r\n").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
