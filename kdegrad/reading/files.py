"""A path or standard input → bytes that are UTF-8 text without byte order mark and NULs."""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path
from typing import Final

from kdegrad.errors import InputError
from kdegrad.text import nearest, shown

# The little-endian mark of UTF-32 begins with that of UTF-16.
_WIDE_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_WIDE_REMEDY: Final = "save it as UTF-8 (iconv -f UTF-16 -t UTF-8, or 'CSV UTF-8' in a spreadsheet)"


def display_name(path: str) -> str:
    """Return the name of a file for messages: unchanged, or quoted if it cannot be printed on one line."""
    if path == "-":
        return "standard input"
    return path if path.isprintable() and path else shown(path, longest=len(path))


def suffix(path: str) -> str:
    """Return the suffix of a file's name in lower case, without its point: ``csv``."""
    return os.path.splitext(path)[1][1:].lower()


def raw(path: str) -> bytes:
    """Return the bytes of a file unchanged; InputError if it does not exist or cannot be read."""
    name = display_name(path)
    if path == "-" and sys.stdin is None:
        raise InputError(f"{name}: is closed: name a file")
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise InputError(absent(path)) from None
    except IsADirectoryError:
        raise InputError(f"{name}: is a folder: name a file in it") from None
    except PermissionError:
        raise InputError(f"{name}: cannot be read: permission denied (chmod u+r)") from None
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise InputError(f"{name}: is not a possible file name: it contains a NUL character") from None


def contents(path: str) -> bytes:
    """Return the bytes of a file of text, without byte order mark; InputError also if it is not UTF-8 or has a NUL."""
    data, name = raw(path), display_name(path)
    if data.startswith(_WIDE_MARKS):
        raise InputError(f"{name}: is UTF-16 or UTF-32 text (by its byte order mark): {_WIDE_REMEDY}")
    nul = data.find(b"\0")
    if nul >= 0:
        if 4 * data[:1000].count(b"\0") >= len(data[:1000]):
            raise InputError(f"{name}: looks like UTF-16 text (every other byte is NUL): {_WIDE_REMEDY}")
        where = f"{name}:{_line_of(data, nul)}"
        raise InputError(f"{where}: a NUL character (byte {nul + 1} of the file): not a text file, or a damaged one")
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            where = f"{name}:{_line_of(data, error.start)}"
            byte = f"0x{data[error.start]:02X} (byte {error.start + 1} of the file)"
            raise InputError(f"{where}: the byte {byte} is not UTF-8: save the file as UTF-8") from None
    return data.removeprefix(codecs.BOM_UTF8)


def absent(path: str) -> str:
    """Return the message for a missing file, with similar names or the nearest folder that exists."""
    name = display_name(path)
    if not path:
        return "the name of the input file is empty: name a .csv, .tsv or .yaml file"
    folder = Path(path).parent
    try:
        if folder.is_dir():
            near = nearest(Path(path).name, sorted(os.listdir(folder)))
            return f"{name}: no such file in the folder {shown(str(folder))}{near or ': check its name'}"
        missing = folder
        while not folder.is_dir():
            folder = folder.parent
    except (OSError, ValueError):  # a folder that cannot be listed, a NUL in the name
        return f"{name}: no such file: check its name"
    return f"{name}: its folder {shown(str(missing))} does not exist (the nearest that does: {shown(str(folder))})"


def _line_of(data: bytes, offset: int) -> int:
    """Return the number of the line with the byte at `offset`, counted as an editor counts lines."""
    head = data[:offset]
    return 1 + head.count(b"\n") + head.count(b"\r") - head.count(b"\r\n")
