"""A command line that is not understood: what is wrong with it, and what to write instead.

Some spellings that other programs take are put into those that the parser takes; the others are named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from kdegrad import grammar
from kdegrad.cli.options import Command
from kdegrad.errors import KdegradError
from kdegrad.option import Row
from kdegrad.text import enumerated, safe_text, similar

OTHER_NAMES: Final = {  # what other programs call an option
    **dict.fromkeys(("bw", "h", "sigma", "kappa", "smoothing"), "bandwidth"),
    **dict.fromkeys(("interval", "range", "low", "high"), "target"),
    **dict.fromkeys(("nbins", "n-bins", "num-bins", "nodes"), "bins"),
    **dict.fromkeys(("nu", "dof"), "df"),
    **dict.fromkeys(("eps", "epsilon"), "background"),
    **dict.fromkeys(("circle", "wrap", "periodic"), "circular"),
    **dict.fromkeys(("radians", "degrees", "rad", "deg"), "unit"),
    **dict.fromkeys(("by", "id"), "group-by"),
    **dict.fromkeys(("sep", "separator"), "delimiter"),
    **dict.fromkeys(("fig", "figure", "save"), "plot"),
    **dict.fromkeys(("json", "csv", "html", "type"), "format"),
    **dict.fromkeys(("columns", "cols"), "width"),
    **dict.fromkeys(("silent",), "quiet"),
    **dict.fromkeys(("lr", "learning-rate", "step-size"), "rate"),
    **dict.fromkeys(("epochs", "iterations", "max-iter", "n-steps"), "steps"),
}
_INPUT_NAMES: Final = ("i", "in", "input", "file", "filename", "path", "data")  # which is no option here
_NAMED: Final = 3  # INPUTs of many
_LONGEST: Final = 100  # letters of a command line that is shown whole


def in_usual_spelling(arguments: Iterable[str], rows: Iterable[Row]) -> list[str]:
    """Return the arguments of a command with ``--target=-30,30`` and ``--target -30,30`` as ``--target -30 30``.

    Raises
    ------
    KdegradError
        For ``-output``, which the parser would read as ``-o utput``.
    """
    names = {row.spelled: row.type for row in rows} | {"help": bool}
    given, done = list(arguments), list[str]()
    while given:
        word = given.pop(0)
        if word == "--":  # what follows is INPUT
            return [*done, word, *given]
        single = re.fullmatch(r"-([a-z][a-z-]+)(=.*)?", word, flags=re.DOTALL)
        if single and single[1] in names:
            raise KdegradError(f"-{single[1]}: write it with two dashes, --{single[1]}")
        flag, sign, value = word.partition("=")
        if names.get(flag.removeprefix("--")) == tuple[float, float] and flag.startswith("--"):
            if not sign and given:
                value = given.pop(0)
            # A second text of this kind is the other end of the interval, both with decimal commas.
            ends = value.split(",") if not (given and _are_numbers(given[0].split(","))) else []
            done += [flag, *(ends if len(ends) == 2 and _are_numbers(ends) else [value] if value or sign else [])]
        else:
            done.append(word)
    return done


def _are_numbers(texts: Iterable[str]) -> bool:
    return all(map(grammar.reads_as_number, texts))


def explained(error: Any, arguments: Sequence[str], commands: Mapping[str, Command]) -> str:
    """Return what is wrong, what to write instead, and where help is.

    Parameters
    ----------
    error
        An error of usage, as the parser raised it.
    """
    option = getattr(error, "param", None)
    if option is not None:  # a number that cannot be read
        return f"{option.opts[0]}: {error.message}"
    first = arguments[0]
    command = commands.get(first)
    said, flag = safe_text(error.format_message()).rstrip("."), getattr(error, "option_name", "")
    takers = {name: row for name, one in commands.items() for _, row in one.rows.values() if flag in _spellings(row)}
    remedy = ""
    if command is not None and hasattr(error, "possibilities"):
        said, remedy = f"No such option: {safe_text(flag)}", _other_option(flag, command, takers, commands)
    elif command is not None and first in takers:  # its argument is missing, or it takes none
        remedy = f": write {flag} {takers[first].option.metavar}".rstrip()
    elif command is not None and "extra argument" in said:
        number = "several INPUTs" if command.takes_several else "one INPUT" if command.without_input else "no INPUT"
        remedy = f": {first} takes {number}"
        extra = said.partition("(s) (")[2].removesuffix(")")
        words, named = extra.split(), [word for word in arguments if os.path.isfile(word)]
        if len(words) == 2 and _are_numbers(words) and "target" in command.rows:
            remedy = f": did you mean --target {' '.join(words)}?"
        elif "stream" in command.rows and any(word in extra for word in named):
            said = f"Got {len(named)} INPUTs ({enumerated(named, _NAMED)})"
            remedy += f": of the parts of one table give the folder, or a pattern in quotes: '{_pattern(named)}'"
    elif command is None and "Did you mean" not in said:
        said = f"No such option: {safe_text(flag)}" if flag else said
        remedy = _with_command(arguments, list(takers), commands)
    return f"{said}{safe_text(remedy)}\nTry '{f'kdegrad {first}' if command else 'kdegrad'} --help'."


def _pattern(files: Sequence[str]) -> str:
    """Return a pattern of files whose names a shell may have made of another one."""
    folders, suffix = {os.path.dirname(file) for file in files}, os.path.splitext(files[0])[1]
    below = [min(folders)] if len(folders) == 1 else [os.path.commonpath(map(os.path.abspath, folders)), "**"]
    return os.path.relpath(os.path.join(*below, f"*{suffix}"))


def _spellings(row: Row) -> Iterator[str]:
    yield f"--{row.spelled}"
    if row.option.short:
        yield row.option.short
    if row.type is bool:
        yield f"--no-{row.spelled}"


def _other_option(flag: str, command: Command, takers: Mapping[str, Row], commands: Mapping[str, Command]) -> str:
    """Return the option that was meant, or the commands that have this one."""
    if takers:
        return f": it belongs to {', '.join(takers)}"
    known = [row.spelled for _, row in command.rows.values()]
    name = flag.lstrip("-").lower().replace("_", "-")
    if name in _INPUT_NAMES and command.without_input:
        return ": INPUT is written without an option"
    if grammar.reads_as_number(flag) and "target" in command.rows:  # a negative number without an option
        return ": did you mean --target LOW HIGH or --at X?"
    other = OTHER_NAMES.get(name, "")
    owners = [one.name for one in commands.values() if other in (row.spelled for _, row in one.rows.values())]
    if other not in known and owners:
        return f": did you mean --{other}, which belongs to {', '.join(owners)}?"
    begun = [full for full in known if full.startswith(name)]  # an abbreviation
    meant = [other] if other in known else begun or similar(name, known)
    return f": did you mean {' or '.join(f'--{full}' for full in meant)}?" if meant else ""


def _with_command(arguments: Sequence[str], takers: Sequence[str], commands: Mapping[str, Command]) -> str:
    """Return the command line with the command in front, where it is that which is missing there."""
    from shlex import join

    others = list(arguments)
    named = next((word for word in arguments if word in commands), None)
    if named is not None:
        others.remove(named)
    if arguments[0] == "help":
        return f": write {join(['kdegrad', *([named] if named else []), '--help'])}"
    if named is None and not takers and not any(map(_is_input, arguments)):
        return ""
    line = join(["kdegrad", named or ("loss" if "loss" in takers else [*takers, "loss"][0]), *others])
    return f": put the command first: {line if len(line) <= _LONGEST else line[:_LONGEST] + ' ...'}"


def _is_input(word: str) -> bool:
    return word == "-" or "." in word or os.path.exists(word)
