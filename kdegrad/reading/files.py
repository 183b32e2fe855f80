"""A path or standard input → bytes that are UTF-8 text without a byte order mark, without NULs; or a clear refusal."""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path
from typing import Final

from kdegrad.errors import InputError
from kdegrad.text import nearest, shown

STANDARD_INPUT: Final = "-"

# UTF-32 of the little-endian kind begins as UTF-16 does.
_WIDE_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_WIDE_REMEDY: Final = "save it as UTF-8 (iconv -f UTF-16 -t UTF-8, or 'CSV UTF-8' in a spreadsheet)"


def is_standard_input(path: str | os.PathLike[str]) -> bool:
    """Return whether `path` is ``-``."""
    return os.fspath(path) == STANDARD_INPUT


def display_name(path: str | os.PathLike[str]) -> str:
    """Return the name of a file as messages show it: as it stands, or quoted if it would not print on one line."""
    if is_standard_input(path):
        return "standard input"
    text = os.fspath(path)
    return text if text.isprintable() and text else shown(text, longest=len(text))


def ending(path: str | os.PathLike[str]) -> str:
    """Return the ending of a file's name in lower case, without its point: ``csv``."""
    return os.path.splitext(os.fspath(path))[1][1:].lower()


def contents(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file: UTF-8, without byte order mark or NUL.

    Raises
    ------
    InputError
        If there is no such file, if it cannot be read, or if it is no UTF-8 text.
    """
    return _text_bytes(raw(path), display_name(path))


def refuse_if_absent(path: str | os.PathLike[str]) -> None:
    """Raise the error of a file that is missing, or of a folder, if `path` is one."""
    if os.path.isdir(path):
        raise InputError(f"{display_name(path)}: is a folder: name a file in it")
    if not os.path.lexists(path):
        raise InputError(_absent(path))


def line_of(data: bytes, offset: int) -> int:
    """Return the number of the line that holds the byte at `offset`, as an editor counts lines."""
    head = data[:offset]
    return 1 + head.count(b"\n") + head.count(b"\r") - head.count(b"\r\n")


def raw(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file as they are.

    Raises
    ------
    InputError
        If there is no such file, or if it cannot be read.
    """
    name = display_name(path)
    try:
        if is_standard_input(path):
            if sys.stdin is None:
                raise InputError(f"{name}: is closed: name a file")
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise InputError(_absent(path)) from None
    except IsADirectoryError:
        raise InputError(f"{name}: is a folder: name a file in it") from None
    except PermissionError:
        raise InputError(f"{name}: may not be read: its permissions are closed to you (chmod u+r)") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None
    except InputError:
        raise
    except ValueError:
        raise InputError(f"{name}: is no name that a file can have: it holds a NUL character") from None


def _absent(path: str | os.PathLike[str]) -> str:
    """Return the message for a file that is missing, with what there is instead."""
    name = display_name(path)
    if not os.fspath(path):
        return "the name of the input file is empty: name a .csv, .tsv or .yaml file"
    folder = Path(path).parent
    try:
        if folder.is_dir():
            near = nearest(Path(path).name, sorted(os.listdir(folder)))
            return f"{name}: no such file in the folder {shown(str(folder))}{near or ': check its name'}"
        asked = folder
        while not folder.is_dir():
            folder = folder.parent
    except (OSError, ValueError):  # a folder that may not be listed, a NUL in the name
        return f"{name}: no such file: check its name"
    return f"{name}: its folder {shown(str(asked))} does not exist (the nearest that does: {shown(str(folder))})"


def _text_bytes(data: bytes, name: str) -> bytes:
    """Return `data` without its byte order mark, once it is known to be UTF-8 without NULs."""
    if data.startswith(_WIDE_MARKS):
        raise InputError(f"{name}: is UTF-16 or UTF-32 text (by its byte order mark): {_WIDE_REMEDY}")
    nul = data.find(b"\0")
    if nul >= 0:
        start = data[:1000]
        if 4 * start.count(b"\0") >= len(start):
            raise InputError(f"{name}: looks like UTF-16 text (every other byte is NUL): {_WIDE_REMEDY}")
        place = f"{name}:{line_of(data, nul)}"
        raise InputError(f"{place}: a NUL character (byte {nul + 1} of the file): no text file, or a damaged one")
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            place = f"{name}:{line_of(data, error.start)}"
            byte = f"0x{data[error.start]:02X} (byte {error.start + 1} of the file)"
            raise InputError(f"{place}: the byte {byte} is not UTF-8: save the file as UTF-8") from None
    return data.removeprefix(codecs.BOM_UTF8)
