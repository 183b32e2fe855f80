"""The command line: arguments → a command (`commands.py`) → an exit code (`exits.py`)."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from kdegrad import __version__, output
from kdegrad.cli.commands import COMMANDS
from kdegrad.cli.flags import COMPLETING, PROBLEM, READING, REPORT, flattened
from kdegrad.cli.terminal import DONE, INTERRUPTED, MACHINE_FAILED, WRONG_INPUT, machine_error, say
from kdegrad.errors import KdegradError, SettingError
from kdegrad.text import safe_text

TARGET_FORM = ": for example --target -30 30"
SHARED = (PROBLEM, READING, REPORT, "Options")  # headings of the options that many commands have

# Typer 0.26 took click in as a private module; click's class of usage errors is reached through a public name.
_UsageError: Any = typer.BadParameter.__mro__[1]


class GroupedCommand(TyperCommand):
    """A command whose help lists its options under the headings of their panels, its own first, in plain text."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section a panel."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "rich_help_panel", None) or "Options"
                sections.setdefault(heading, []).append(record)
        for heading in sorted(sections, key=lambda heading: SHARED.index(heading) if heading in SHARED else -1):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


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
    debug = "--debug" in arguments
    try:
        return _invoked(arguments)
    except KdegradError as error:
        if isinstance(error, SettingError) and error.place is None:
            error = error.at(f"--{error.name}")
        say("\n".join(f"error: {line}" for line in str(error).splitlines()))
        return WRONG_INPUT
    except _UsageError as error:
        return _explain_usage(error, arguments)
    except typer.Exit as done:  # Typer exits with 1 where it finds no shell to complete for
        return WRONG_INPUT if done.exit_code else DONE
    except BrokenPipeError:  # of --help and --version, which click prints
        output.discard_stdout()
        return DONE
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except Exception as error:  # every other error is the machine's or our own, and 1 must mean a failed property
        if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):  # within a class that was being made
            say("interrupted")
            return INTERRUPTED
        if debug:
            traceback.print_exc()
        say(f"error: {machine_error(error)}" + ("" if debug else " (--debug shows where)"))
        return MACHINE_FAILED


def _invoked(arguments: Sequence[str]) -> int:
    """Parse the arguments and call their command: as click's own `main` does, which would make a closed pipe exit 1."""
    application = _built_for(arguments)
    if COMPLETING:
        application.main(prog_name="kdegrad")
    with application.make_context("kdegrad", list(arguments)) as context:
        return application.invoke(context) or DONE


def _built_for(arguments: Sequence[str]) -> Any:
    """Return the application as click's object: of the command that is called alone, which starts sooner, or whole."""
    first = next(iter(arguments), "")
    app.registered_commands.clear()
    for name in [first] if first in COMMANDS else COMMANDS:
        app.command(name, cls=GroupedCommand)(flattened(COMMANDS[name]))
    return typer.main.get_command(app)


def _explain_usage(error: Any, arguments: Sequence[str]) -> int:
    """Say what is wrong with the command line, as click words it, what to write instead, and where help is."""
    first = next(iter(arguments), "")
    path = f"kdegrad {first}" if first in COMMANDS else "kdegrad"
    said, remedy = safe_text(error.format_message()), _remedy(error, arguments)
    if _lacks_high(arguments):  # click took the next option for HIGH, and stumbled over what stands behind it
        said, remedy = "Option '--target' requires 2 arguments", TARGET_FORM
    say(f"error: {said.rstrip('.') + remedy if remedy else said}\nTry '{path} --help'.")
    return WRONG_INPUT


def _lacks_high(arguments: Sequence[str]) -> bool:
    """Return whether --target is followed by another option where HIGH should be."""
    behind = list(arguments)[list(arguments).index("--target") + 1 :] if "--target" in arguments else []
    return len(behind) > 1 and behind[1].startswith("--")


def _remedy(error: Any, arguments: Sequence[str]) -> str:
    """Return what to write instead, where click's words leave it open."""
    if getattr(error, "option_name", None) == "--target":
        return TARGET_FORM
    first, *rest = arguments
    if first in COMMANDS or getattr(error, "possibilities", None):
        return ""
    named = next((word for word in rest if word in COMMANDS), None)
    if named is None and not (first.startswith("-") or "." in first):
        return ""
    return f": put the command first: kdegrad {named or 'loss'} {safe_text(first)}"
