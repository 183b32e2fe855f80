"""What the options of the command line are made of: how one is declared, and what its text means.

Everything arrives as text: numbers obey the grammar that files obey too (`kdegrad.grammar`).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final, get_type_hints

import typer

from kdegrad import grammar
from kdegrad.errors import SettingError

COMPLETING: Final = "_KDEGRAD_COMPLETE" in os.environ  # a shell asks what may follow on the line


def option(name: str, panel: str, help_: str, metavar: str | None = None, *, words: str | None = None) -> Any:
    """Return the declaration of an option whose default its help names itself.

    Parameters
    ----------
    name, help_, metavar
        As help shows them.
    panel
        The heading that it stands under.
    words
        What a shell may complete its value to: a collection of names of kdegrad, ``module.NAME``.
    """
    return typer.Option(
        name,
        help=help_,
        metavar=metavar,
        rich_help_panel=panel,
        show_default=False,
        autocompletion=_completer(words) if words and COMPLETING else None,
    )


def _completer(words: str) -> Callable[[str], list[str]]:
    module, _, name = words.rpartition(".")

    def complete(incomplete: str) -> list[str]:
        return [word for word in getattr(import_module(f"kdegrad.{module}"), name) if word.startswith(incomplete)]

    return complete


def parsed(name: str, reads: Callable[[str], Any], text: str) -> Any:
    """Return the number that the text of an option writes.

    Raises
    ------
    SettingError
        With the option's name.
    """
    try:
        return reads(text)
    except ValueError as error:
        raise SettingError(name, str(error), f"--{name}") from None


def names(*texts: str) -> list[str]:
    """Return the names that texts list, separated by commas, each once."""
    return list(dict.fromkeys(name.strip() for text in texts for name in text.split(",")))


def count(name: str, text: str, *, least: int = 1) -> int:
    """Return the whole number of at least `least` that an option writes.

    Raises
    ------
    SettingError
        With the option's name.
    """
    value: int = parsed(name, grammar.integer, text)
    if value < least:
        raise SettingError(name, f"{value} is out of range: give {least} or more", f"--{name}")
    return value


def flattened(command: Callable[..., int]) -> Callable[..., int]:
    """Return `command` with one parameter for each field of its dataclass parameters, as Typer wants them."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        own = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += _parameters(groups[name]) if name in groups else [own]

    def run(**values: Any) -> int:
        built = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**built, **values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typeshed does not know of it
    return run


@cache
def _parameters(group: Any) -> list[inspect.Parameter]:
    """Return a parameter for each field of a dataclass."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(group)
    ]
