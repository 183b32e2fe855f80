"""Writing a report: standard output and what it can show, or a file that is written completely or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TextIO

from kdegrad.errors import InputError, SettingError
from kdegrad.text import NARROWEST, WIDEST, safe_text

_STANDARD: Final = {"/dev/stdout": 1, "/dev/stderr": 2, "/dev/fd/1": 1, "/dev/fd/2": 2}
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Look:
    """How a table is shown.

    Attributes
    ----------
    width
        In columns.
    unicode, colour
        Whether with Unicode characters, and whether in colour.
    is_terminal
        Whether it is shown on a terminal, which its user can widen.
    """

    width: int = 80
    unicode: bool = True
    colour: bool = False
    is_terminal: bool = False


def look_of_stdout(width: int | None = None) -> Look:
    """Return how tables are shown on standard output, in so many columns; None: as the environment or the terminal."""
    if sys.stdout is None:
        return Look(width or Look.width)
    terminal = sys.stdout.isatty()
    if width is None:
        asked = os.environ.get("COLUMNS", "")
        width = int(asked[:6]) if asked.isdecimal() and asked.isascii() else 0
        width = width or (shutil.get_terminal_size().columns if terminal else Look.width)
    return Look(
        width=min(max(width, NARROWEST), WIDEST),  # a narrower terminal folds the lines itself
        unicode=(sys.stdout.encoding or "ascii").lower().replace("-", "") in ("utf8", "utf16", "utf32"),
        colour=is_coloured(sys.stdout),
        is_terminal=terminal,
    )


def is_coloured(stream: TextIO) -> bool:
    """Return whether to write in colour: NO_COLOR forbids it, FORCE_COLOR asks for it; else on a terminal that can."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def check_outputs(outputs: Mapping[str, str | None], source: str | None = None) -> None:
    """Refuse outputs that could not be written, before anything is computed.

    Parameters
    ----------
    outputs
        Option → file, or None where the option is not given.
    source
        The file that is read; ``-`` for standard input.

    Raises
    ------
    SettingError
        For a directory, a folder that does not exist, a file that is the `source`, or one that is named twice.
    """
    taken: dict[str, str] = {}
    for option, output in outputs.items():
        if output is None:
            continue
        path = Path(output)
        if output in ("", "-"):
            remedy = "name a file, or omit the option for standard output"
            raise SettingError(option, f"{output!r} is not a file name: {remedy}")
        if path.is_dir():
            raise SettingError(option, f"{output!r} is a directory: name a file in it")
        if is_folder_name(output):
            raise SettingError(option, f"{output!r} is the name of a folder: name a file")
        real = os.path.realpath(path)
        folder = os.path.dirname(real if path.is_symlink() else path) or "."
        if not os.path.isdir(folder):
            raise SettingError(option, f"the folder {folder!r} does not exist: create it first")
        with suppress(OSError):  # the input does not exist, or standard input is closed
            if source is not None and path.is_file() and os.path.samefile(path, 0 if source == "-" else source):
                raise SettingError(option, f"{output!r} would overwrite the input: name another file")
        if real in taken and (path.is_file() or not path.exists()):
            raise SettingError(option, f"{output!r} is what --{taken[real]} writes to: name another file")
        taken[real] = option


def is_folder_name(name: str) -> bool:
    """Return whether a name can be that of a folder alone: it ends in a slash, or in a dot for one."""
    return os.path.basename(name) in ("", os.curdir, os.pardir)


def check_folder(option: str, folder: str, source: str | None = None) -> None:
    """Refuse a folder that parts cannot be written to: its parent must exist, and it must be new or empty.

    Nor may it be the folder `source`, or below it, where it would be read as parts itself.

    Raises
    ------
    SettingError
        For such a folder.
    PermissionError
        If nothing can be made where it is.
    """
    bare = folder.rstrip(os.sep + (os.altsep or ""))
    parent = os.path.dirname(bare) or os.curdir
    if not folder or folder == "-":
        raise SettingError(option, f"{folder!r} is not the name of a folder: name a new or empty one")
    if not os.path.isdir(parent):
        raise SettingError(option, f"the folder {parent!r} does not exist: create it first")
    if source is not None and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(source)):
        raise SettingError(
            option, f"{folder!r} is in the folder of the parts, {source or os.curdir!r}: name a folder outside of it"
        )
    if os.path.islink(bare) and not os.path.exists(bare):
        raise SettingError(option, f"{folder!r} is a link to nothing: name a new or empty folder")
    if os.path.lexists(bare) and not os.path.isdir(bare):
        raise SettingError(option, f"{folder!r} is a file, and parts go to a folder: name a new or empty one")
    if os.path.isdir(folder) and os.listdir(folder):
        raise SettingError(
            option,
            f"the folder {folder!r} is not empty: name a new or empty one, or remove it if a killed run left it",
        )
    if not os.access(folder if os.path.isdir(folder) else parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)


@contextmanager
def filling(folder: str, names: Sequence[str]) -> Iterator[str]:
    """Make a folder, and yield a hidden one in it: its files of these names are in the folder once the block ends.

    If it ends by an error or by a signal none of them is, and what was made is removed.

    Raises
    ------
    SettingError
        If the folder is neither new nor empty, since another run may be filling it.
    """
    made: list[str] = []  # files and folders, those above before those in them
    hidden = os.path.join(folder, f".{os.urandom(4).hex()}.part")
    belows = sorted({os.path.dirname(name) for name in names} - {""})
    with exiting_on_signals(), _naming_placed(folder, hidden):
        try:
            with suppress(FileExistsError):
                os.mkdir(folder)
                made.append(folder)
            if os.listdir(folder):
                said = f"the folder {folder!r} was new or empty when this run began, and is not any more"
                raise SettingError("output", f"{said}: name one that no other run writes to")
            try:
                for below in ["", *belows]:
                    os.makedirs(os.path.join(hidden, below), exist_ok=True)
                yield hidden
                for below in belows:
                    _make_folders(folder, below, made)
                for name in names:
                    _place(hidden, folder, name)
                    made.append(os.path.join(folder, name))
            finally:
                shutil.rmtree(hidden, ignore_errors=True)
        except BaseException:
            for one in reversed(made):
                with suppress(OSError):  # a folder is not empty: something else was put there
                    os.rmdir(one) if os.path.isdir(one) else os.unlink(one)
            raise


def _place(hidden: str, folder: str, name: str) -> None:
    """Move a file from a hidden folder to that of `filling`; SettingError if one is there."""
    written, file = os.path.join(hidden, name), os.path.join(folder, name)
    try:
        os.link(written, file)  # a rename would replace what is there
    except FileExistsError:
        raise SettingError("output", f"{file!r} came into being during this run, and is not replaced") from None
    except OSError:  # the file system has no links
        os.rename(written, file)
    else:
        os.unlink(written)


@contextmanager
def _naming_placed(folder: str, hidden: str) -> Iterator[None]:
    """Make an error of a file in the hidden folder of `filling` name it as it would be placed."""

    def named(text: str) -> str:
        for path in (os.path.abspath(hidden), hidden):
            text = text.replace(path, folder.rstrip(os.sep) or folder)
        return text

    try:
        yield
    except InputError as error:
        raise InputError([named(fault) for fault in error.faults], error.total) from None
    except OSError as error:
        if isinstance(error.filename, str):
            error.filename = named(error.filename)
        raise


def _make_folders(folder: str, below: str, made: list[str]) -> None:
    """Make the folders on a path below one, and add those to `made` that were not there."""
    for name in Path(below).parts:
        folder = os.path.join(folder, name)
        with suppress(FileExistsError):
            os.mkdir(folder)
            made.append(folder)


def write_stdout(pieces: Iterable[str], *, for_people: bool) -> None:
    """Write `pieces` to standard output, in the terminal's encoding if they are for people, else in UTF-8.

    A pipe that its reader closes is not an error; the rest is not written. On a terminal, control characters in data
    are shown as escapes.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")
    encoding = (sys.stdout.encoding or "ascii") if for_people else "utf-8"
    guarded = sys.stdout.isatty() and not for_people
    try:
        with _naming("standard output"):
            for piece in (safe_text(piece, "\n\t") for piece in pieces) if guarded else pieces:
                sys.stdout.buffer.write(piece.encode(encoding, errors="replace"))
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        discard_stdout()


def discard_stdout() -> None:
    """Redirect standard output to the null device, so that the flush at exit does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_standard(file: str) -> bool:
    """Return whether what a file's name stands for is standard output or standard error."""
    return os.path.abspath(file) in _STANDARD


@contextmanager
def replacing(output: str) -> Iterator[IO[bytes]]:
    """Yield a binary stream whose content becomes the file `output` when the block ends without an error.

    A temporary file in the same folder is renamed to it: links are followed, the mode of an existing file is kept, a
    new file gets the usual mode. A device, a pipe or /dev/stdout is written to directly; a pipe that its reader closes
    is not an error.
    """
    path = Path(os.path.realpath(output))
    standard = _STANDARD.get(os.path.abspath(output))
    if standard is not None or (path.exists() and not path.is_file()):
        with (
            suppress(BrokenPipeError),
            _naming(output),
            open(path if standard is None else os.dup(standard), "wb") as stream,
        ):
            yield stream
        return
    with _naming(output), exiting_on_signals():
        temporary = path.with_name(f".{path.name[:50]}.{os.urandom(4).hex()}.part")
        # What replaces a file is private to its owner until it has the mode of that file.
        descriptor = os.open(temporary, _NEW_FILE, 0o600 if path.exists() else 0o666)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
            with suppress(FileNotFoundError):  # there is no such file yet
                shutil.copymode(path, temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def exiting_on_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP exit by an exception, so that what is incomplete is removed first."""
    import signal

    before = {}
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP; under nohup it is ignored
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            with suppress(ValueError):  # not in the main thread, where no handler can be set
                before[number] = signal.signal(
                    number, lambda number, _: sys.exit(128 + number)
                )  # as a shell reports it
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Make an OSError name `place`, not the temporary file or a descriptor."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = place, None
        raise
