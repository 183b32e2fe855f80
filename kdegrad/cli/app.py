"""The command line: arguments → a command (`commands.py`) → an exit code (`terminal.py`)."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from kdegrad import __version__, output
from kdegrad.cli.commands import COMMANDS
from kdegrad.cli.options import COMPLETING
from kdegrad.cli.terminal import (
    DONE,
    INTERRUPTED,
    MACHINE_FAILED,
    WRONG_INPUT,
    machine_error,
    say,
    say_error,
    without_notes,
)
from kdegrad.cli.usage import explained, in_usual_spelling
from kdegrad.errors import InputError, KdegradError, SettingError
from kdegrad.text import speaking_of_flags

VERSION: Final = f"kdegrad {__version__}"


class GroupedCommand(TyperCommand):
    """A command whose help lists its options under the headings of their groups, in plain text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, in spellings of other programs too; refuse what may be given only once."""
        if not ctx.resilient_parsing:  # else a shell asks what may follow
            command = COMMANDS[str(self.name)]
            args = in_usual_spelling(args, (row for _, row in command.rows.values()))
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            command.refuse_repeated(parameter.name for parameter in order)
        rest: list[str] = super().parse_args(ctx, args)
        given = ctx.params.get("input_") or ()
        for word in [given] if isinstance(given, str) else given:
            if word in COMMANDS and not os.path.lexists(word):
                raise InputError(f"{word}: is a command, and {self.name} takes a file: name one, or run {word} alone")
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command, without notes if that is asked for."""
        with without_notes(bool(ctx.params.get("quiet"))):
            return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section a panel."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "rich_help_panel", None) or "Options"
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


app = typer.Typer(
    name="kdegrad",
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help starts faster, pipes well, and needs no rich
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a property failed, 2 wrong usage or input, 3 the result is not finite, "
    "4 the machine failed, 130 interrupted.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(VERSION)
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", "-V", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Compute the gradient of the cross-entropy between a uniform target and a weighted kernel density."""
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(WRONG_INPUT)


def _refused(message: str, arguments: Sequence[str]) -> int:
    """Say in GitHub's log too what is wrong with the usage or the input, if the report is meant for it."""
    is_asked_for = "--format=github" in arguments or ("--format", "github") in pairwise(arguments)
    elsewhere = any(word.startswith(("--output", "-o")) for word in arguments)
    if is_asked_for and arguments[0] == "verify-props" and not elsewhere:
        from kdegrad.reports import as_ci

        with suppress(OSError):  # standard error has it
            output.write_stdout(as_ci.refused(message), for_people=False)
    return WRONG_INPUT


@speaking_of_flags()
def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; the only place that catches errors."""
    try:
        app.registered_commands.clear()
        for name in [name for name in arguments[:1] if name in COMMANDS] or COMMANDS:  # one alone starts sooner
            app.command(name, cls=GroupedCommand)(COMMANDS[name].function())
        application: Any = typer.main.get_command(app)
        if COMPLETING:
            application.main(prog_name="kdegrad")
        # As click's own `main`, in which a closed pipe would exit with 1.
        with application.make_context("kdegrad", list(arguments)) as context:
            return application.invoke(context) or DONE
    except KdegradError as error:
        if isinstance(error, SettingError) and error.place is None:
            error = error.at(f"--{error.name}")
        say_error(str(error))
        return _refused(str(error), arguments)
    except typer.Exit as done:  # Typer exits with 1 where it finds no shell to complete for
        return WRONG_INPUT if done.exit_code else DONE
    except BrokenPipeError:  # raised by --help and --version, which click prints
        output.discard_stdout()
        return DONE
    except (
        KeyboardInterrupt,
        Exception,
    ) as error:  # every other error is the machine's or our own, and 1 must mean a failed property
        if hasattr(error, "format_message"):  # click's usage errors, whose class Typer does not export
            if getattr(error, "option_name", "") in ("-V", "--version"):  # after a command, which has no such option
                print(VERSION)
                return DONE
            message = explained(error, arguments, COMMANDS)
            say(f"error: {message}")
            return _refused(message, arguments)
        behind = error.__cause__ or error.__context__  # an interrupt while a class was being made
        if isinstance(error, KeyboardInterrupt) or isinstance(behind, KeyboardInterrupt):
            say("interrupted")
            return INTERRUPTED
        debug = "--debug" in arguments
        if debug:
            traceback.print_exc()
        told = debug or isinstance(error, OSError)  # which names the file
        say(f"error: {machine_error(error)}" + ("" if told else " (--debug shows where)"))
        return MACHINE_FAILED
