"""The flags of the command line, made from the table of options (`kdegrad.settings`): one parameter of Typer a row.

Text becomes a value of the row's type here; numbers obey the grammar that files obey too (`kdegrad.grammar`). Whether
a value is allowed is for its group to check. Nothing is read or printed here.
"""

from __future__ import annotations

import inspect
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final, TypeVar, final

import typer

from kdegrad.errors import SettingError
from kdegrad.option import Group, Row
from kdegrad.settings import DebugOptions, PartsOptions
from kdegrad.text import shown

COMPLETING: Final = "_KDEGRAD_COMPLETE" in os.environ  # a shell asks what may follow on the line
_SEVERAL: Final = "give one (sweep takes several)"  # kernels
_ONCE: Final = {  # where the last one would hide data; of other options it holds, as is usual
    "kernel": _SEVERAL,
    "loss": "give one, and run the command once for each",
    "target": "a problem has one; --target-columns gives each group its own",
    **dict.fromkeys(("at", "target_points", "group_by", "output", "plot", "trace"), "give one"),
    **dict.fromkeys(("angle_column", "logit_column", "weight_column", "label_column"), "give one"),
}
_Options = TypeVar("_Options", bound=Group)


@final
@dataclass(frozen=True)
class Flags:
    """What was given on the command line."""

    inputs: tuple[str, ...]
    values: Mapping[str, Any]  # by the name of the option
    kernels: tuple[str, ...]  # all that --kernel was given with

    @property
    def input(self) -> str | None:
        """The INPUT of a command that takes one."""
        return self.inputs[0] if self.inputs else None

    def given(self, group: type[Group]) -> dict[str, Any]:
        """Return the options of a group that were given, unchecked."""
        return {row.name: self.values[row.name] for row in group.rows if row.name in self.values}

    def of(self, group: type[_Options]) -> _Options:
        """Return the options of a group, checked; those that were not given have their defaults."""
        return group(**self.given(group))


@final
@dataclass(frozen=True)
class Command:
    """A command of the command line."""

    name: str
    run: Callable[[Flags], int]  # returns the exit code
    groups: tuple[type[Group], ...]  # the options that it takes
    without_input: str = ""  # help text for a missing INPUT; empty if the command has no INPUT
    takes_several: bool = False  # whether it takes more than one INPUT

    @property
    def rows(self) -> dict[str, tuple[str, Row]]:
        """The options that it takes, by the keyword, each with the heading that it stands under in help."""
        groups: tuple[type[Group], ...] = (*self.groups, DebugOptions)
        return {
            row.name: (group.panel, row)
            for group in groups
            for row in group.rows
            if not row.option.commands or self.name in row.option.commands
        }

    def refuse_repeated(self, given: Iterable[str | None]) -> None:
        """Refuse an option that was given more than once, where all but the last would be ignored in silence."""
        for name, number in Counter(given).items():
            if number > 1 and name in _ONCE and (name, self.name) != ("kernel", "sweep"):
                raise SettingError(name.replace("_", "-"), f"is given more than once: {_ONCE[name]}")

    def function(self) -> Callable[..., int]:
        """Return the function that Typer makes the command of: it has a keyword for INPUT and one for each row."""
        declared: dict[str, tuple[Any, Any]] = {}  # type and default of each keyword
        if self.without_input:
            about = "A .csv, .tsv, .yaml, .json, .jsonl or .parquet file, or - for standard input."
            if PartsOptions in self.groups:
                about += " Of a table in parts their folder, or a pattern in quotes."
            argument = typer.Argument(
                None,
                metavar="[INPUT...]" if self.takes_several else "[INPUT]",
                rich_help_panel="Arguments",
                help=f"{about} [default: {self.without_input}]",
                show_default=False,
            )
            declared["input_"] = list[str] if self.takes_several else str, argument
        listed = set()
        for panel, row in self.rows.values():
            if row.type == tuple[str, ...]:
                listed.add(row)
            is_repeated = row.type == tuple[str, ...] or (row.name, self.name) == ("kernel", "sweep")
            declared[row.name] = list[str] if is_repeated else row.type, _declaration(row, panel)

        def run(**values: Any) -> int:
            given = {name: value for name, value in values.items() if value is not None}
            for row in listed:
                if row.name in given:  # repeated or, but for texts, by commas
                    texts = given[row.name]
                    given[row.name] = tuple(map(str.strip, texts) if row.option.is_text else _words(texts))
            named = given.get("kernel", ())
            kernels = tuple(_words(named if isinstance(named, list) else [named] if named else []))
            if len(kernels) > 1 and self.name != "sweep":
                raise SettingError("kernel", f"{shown(named)} names several: {_SEVERAL}")
            if kernels:
                given["kernel"] = kernels[0]
            inputs = given.pop("input_", ())
            return self.run(Flags((inputs,) if isinstance(inputs, str) else tuple(inputs), given, kernels))

        run.__name__, run.__doc__ = self.name, self.run.__doc__
        run.__annotations__ = {name: kind for name, (kind, _) in declared.items()}
        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (kind, default) in declared.items()
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typeshed does not know of it
        return run


def _words(texts: Iterable[str]) -> list[str]:
    return [word.strip() for text in texts for word in text.split(",")]


@cache
def _declaration(row: Row, panel: str) -> Any:
    """Return the Typer declaration of an option; the default None means not given."""
    option, flag, default = row.option, f"--{row.spelled}", row.option.default
    if row.type is bool:
        if (option.key or row.optional) and not row.name.startswith("no_"):  # --no-X: a file or the default may say X
            flag += f"/--no-{row.spelled}"
    elif not default and row.default not in (None, ""):
        names = row.default if isinstance(row.default, tuple) else (row.default,)
        default = ", ".join(name if isinstance(name, str) else f"{name:g}" for name in names)

    def parse(text: str) -> Any:
        if row.reads is not str and text.startswith("--"):  # click takes the next option for a value that is missing
            raise typer.BadParameter(f"a value is missing before {text}")
        try:
            return row.reads(text)
        except ValueError as error:  # Typer would drop its message
            raise typer.BadParameter(str(error)) from None

    def complete(beginning: str) -> list[str]:
        names = option.allowed if isinstance(option.allowed, tuple) else ()
        if option.words:
            module, _, attribute = option.words.rpartition(".")
            names = getattr(import_module(f"kdegrad.{module}"), attribute)
        return [name for name in names if name.startswith(beginning)]

    return typer.Option(
        None,
        *filter(None, (flag, option.short)),
        help=option.help + (f" [default: {default}]" if default else ""),
        metavar=option.metavar or None,
        rich_help_panel=panel,
        show_default=False,
        parser=parse,
        autocompletion=complete if COMPLETING else None,
    )
