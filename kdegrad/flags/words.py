"""What the options of the command line are made of: how one is declared, and what its text means.

Everything arrives as text: numbers obey the grammar that files obey too (`kdegrad.grammar`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import typer

from kdegrad import grammar
from kdegrad.errors import SettingError


def option(name: str, panel: str, help_: str, metavar: str | None = None) -> Any:
    """Return the declaration of an option whose default its help names itself."""
    return typer.Option(name, help=help_, metavar=metavar, rich_help_panel=panel, show_default=False)


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


def names(text: str) -> list[str]:
    """Return the names that a text lists, separated by commas."""
    return [name.strip() for name in text.split(",")]


def count(name: str, text: str | None) -> int | None:
    """Return the whole number ≥ 1 that an option writes, None if it is not given."""
    if text is None:
        return None
    value: int = parsed(name, grammar.integer, text)
    if value < 1:
        raise SettingError(name, f"{value} is out of range: give 1 or more", f"--{name}")
    return value


@contextmanager
def placed(**places: str) -> Iterator[None]:
    """Let an error about an option say which flag gave it: ``--name``, or what `places` has for the name."""
    try:
        yield
    except SettingError as error:
        raise error.at(error.place or places.get(error.name, f"--{error.name}")) from None


def flattened(command: Callable[..., int]) -> Callable[..., int]:
    """Return `command` with one parameter for each field of its dataclass parameters, as Typer wants them."""
    groups: dict[str, Any] = {name: hint for name, hint in get_type_hints(command).items() if is_dataclass(hint)}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            parameters.append(parameter.replace(annotation=get_type_hints(command, include_extras=True)[name]))
            continue
        hints = get_type_hints(groups[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
            )
            for field in fields(groups[name])
        ]

    def run(**values: Any) -> int:
        built = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**built, **values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # functions take one; typeshed does not say so
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    )
    return run
