"""The command line that runs one check of a run again, alone."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from kdegrad.cli.options import Flags
from kdegrad.option import Row
from kdegrad.settings import CheckOptions, JudgedOptions, ReadingOptions, Settings, TargetOptions

if TYPE_CHECKING:
    from kdegrad.properties import Verdict, Verdicts

_STAYING: Final = {row.name: row for group in (TargetOptions, Settings, ReadingOptions, JudgedOptions)
                   for row in group.rows}  # fmt: skip
_OF_CHECKS: Final = {row.name: row for row in CheckOptions.rows}


def command_line(flags: Flags, run: Verdicts, check: Verdict) -> str:
    """Return the command line by which a check of a run is made alone, quoted for a shell.

    It has the INPUT that the check is about, and the flags that make the problem, or the loss. What passed in every
    case, and was expected to fail, is checked in all of them.
    """
    words, of = ["kdegrad", "verify-props"], flags.of(CheckOptions)
    needed = _inputs(flags, run, check) if check.about else flags.inputs
    # not as an option
    words += [os.path.join(os.curdir, file) if file.startswith("-") and file != "-" else file for file in needed]
    for name, row in _STAYING.items():
        if name in flags.values:
            words += _words(row, flags.values[name])
    chosen: dict[str, Any] = {"seed": of.seed, "case": check.case, "only": (check.property,), "tolerance": of.tolerance}
    if not check.about:
        chosen |= {"case": None, "cases": of.cases, "expect_fail": of.expect_fail}
    for name, value in chosen.items():
        if value is not None:
            words += _words(_OF_CHECKS[name], value)
    return shlex.join(words)


def _inputs(flags: Flags, run: Verdicts, check: Verdict) -> tuple[str, ...]:
    """Return the INPUT that a check needs: its own, or for a random problem the first.

    All are needed where files of several kernels take turns in the random problems, and where a file's name alone
    would not tell it from another.
    """
    if not flags.inputs or len({os.path.basename(file) for file in flags.inputs}) < len(flags.inputs):
        return flags.inputs
    if check.case in run.inputs:
        return (flags.inputs[run.inputs.index(check.case)],)
    return flags.inputs if len(run.kernels) > 1 else flags.inputs[:1]


def _words(row: Row, value: Any) -> Iterator[str]:
    """Yield the words of a flag with its value."""
    flag = f"--{row.spelled}"
    if row.type is bool:
        yield flag if value else f"--no-{row.spelled}"
    elif isinstance(value, tuple) and row.option.is_text:
        for text in value:
            yield from (flag, text)
    elif isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        yield from (flag, ",".join(value))
    else:
        texts = [_text(part) for part in (value if isinstance(value, tuple) else (value,))]
        yield from (f"{flag}={texts[0]}",) if len(texts) == 1 and texts[0].startswith("--") else (flag, *texts)


def _text(value: object) -> str:
    """Return a value as it is read back: 10, not 10.0."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
