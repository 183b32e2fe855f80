"""The command line: arguments → a command (`commands.py`) → an exit code (`terminal.py`)."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from kdegrad import __version__, output
from kdegrad.cli.commands import COMMANDS
from kdegrad.cli.options import COMPLETING
from kdegrad.cli.terminal import DONE, INTERRUPTED, MACHINE_FAILED, WRONG_INPUT, machine_error, say
from kdegrad.errors import KdegradError, SettingError
from kdegrad.text import safe_text, speaking_of_flags


class GroupedCommand(TyperCommand):
    """A command whose help lists its options under the headings of their groups, in plain text."""

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
        print(f"kdegrad {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Compute the gradient of the cross-entropy between a uniform target and a weighted kernel density."""
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(WRONG_INPUT)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; the only place that catches errors."""
    with speaking_of_flags():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
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
        say("\n".join(f"error: {line}" for line in str(error).splitlines()))
        return WRONG_INPUT
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
            say(_usage(error, arguments))
            return WRONG_INPUT
        behind = error.__cause__ or error.__context__  # an interrupt while a class was being made
        if isinstance(error, KeyboardInterrupt) or isinstance(behind, KeyboardInterrupt):
            say("interrupted")
            return INTERRUPTED
        debug = "--debug" in arguments
        if debug:
            traceback.print_exc()
        say(f"error: {machine_error(error)}" + ("" if debug else " (--debug shows where)"))
        return MACHINE_FAILED


def _usage(error: Any, arguments: Sequence[str]) -> str:
    """Return what is wrong with the command line, what to write instead, and where help is."""
    option = getattr(error, "param", None)
    if option is not None:  # a number that cannot be read
        return f"error: {option.opts[0]}: {error.message}"
    first, *rest = arguments
    said, remedy = safe_text(error.format_message()).rstrip("."), ""
    flag = getattr(error, "option_name", "")
    takers = {
        command.name: row
        for command in COMMANDS.values()
        for _, row in command.rows.values()
        if flag == f"--{row.spelled}"
    }
    if first in takers and takers[first].option.metavar:  # its argument is missing
        remedy = f": write {flag} {takers[first].option.metavar}"
    elif takers and first in COMMANDS and first not in takers:
        said, remedy = f"No such option: {flag}", f": it belongs to {', '.join(takers)}"
    if first not in COMMANDS and not getattr(error, "possibilities", None):
        named = next((word for word in rest if word in COMMANDS), None)
        if named is not None or first.startswith("-") or "." in first:
            remedy = f": put the command first: kdegrad {named or [*takers, 'loss'][0]} {safe_text(first)}"
    path = f"kdegrad {first}" if first in COMMANDS else "kdegrad"
    return f"error: {said}{remedy}\nTry '{path} --help'."
