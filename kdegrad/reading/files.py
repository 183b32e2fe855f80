"""A path or standard input → lines of UTF-8 text, as bytes, without byte order mark and NULs; block by block."""

from __future__ import annotations

import codecs
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from kdegrad.errors import InputError
from kdegrad.text import nearest, shown, spoken

# The little-endian mark of UTF-32 begins with that of UTF-16.
_WIDE_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_WIDE_REMEDY: Final = "save it as UTF-8 (iconv -f UTF-16 -t UTF-8, or 'CSV UTF-8' in a spreadsheet)"
_FIGURES: Final = "name the table that it was made of, a .csv"
_ARRAYS: Final = "load it in Python and call kdegrad.loss(angles, logits), or save a CSV with a column angle"
# What a file is by its suffix that begins as a zip archive does.
_ZIPPED: Final = {
    **dict.fromkeys(("xlsx", "xlsm", "ods"), "a spreadsheet: export the sheet as CSV UTF-8"),
    "npz": f"arrays of NumPy: {_ARRAYS}",
}
# What a file begins with that is no text, and what to do with it.
_MAGIC: Final = {
    b"PAR1\x15": "Parquet (by its first bytes): name it .parquet, or give {parquet}",
    b"PK\3\4": "a zip archive, or a spreadsheet such as .xlsx or .ods: unpack it, or export the sheet as CSV UTF-8",
    b"\x89PNG\r\n": f"a picture (PNG): {_FIGURES}",
    b"\xff\xd8\xff": f"a picture (JPEG): {_FIGURES}",
    b"GIF8": f"a picture (GIF): {_FIGURES}",
    b"%PDF": f"a PDF: {_FIGURES}",
    b"\x93NUMPY": f"an array of NumPy: {_ARRAYS}",
    b"MATLAB 5.0": f"a file of MATLAB: {_ARRAYS}",
    b"\x89HDF\r\n": f"HDF5, as .h5 and .mat are: {_ARRAYS}",
    b"ARROW1": "Arrow (Feather): save it as Parquet or CSV",
    b"SQLite format 3": "a database of SQLite: export the table as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of the old kind (.xls), or a like document: export the sheet as CSV UTF-8",
    b"\x1f\x8b": "compressed by gzip: unpack it (gunzip, or gunzip -c FILE | kdegrad ... -)",
    b"BZh91AY&SY": "compressed by bzip2: unpack it (bunzip2)",
    b"\xfd7zXZ": "compressed by xz: unpack it (unxz)",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it (unzstd)",
}
SIZE: Final = 1 << 20  # bytes that are read, checked and converted at once; more than that a file needs no memory


def display_name(path: str) -> str:
    """Return the name of a file for messages: unchanged, or quoted if it cannot be printed on one line."""
    if path == "-":
        return "standard input"
    return path if path.isprintable() and path else shown(path, longest=len(path))


def suffix(path: str) -> str:
    """Return the suffix of a file's name in lower case, without its point: ``csv``."""
    return os.path.splitext(path)[1][1:].lower()


class Block(NamedTuple):
    """Whole lines of a file, and the number of the first of them."""

    line: int
    data: bytes


def raw(path: str) -> bytes:
    """Return the bytes of a file unchanged; InputError if it does not exist or cannot be read."""
    return b"".join(_pieces(path))


def contents(path: str) -> bytes:
    """Return the bytes of a file of text, without byte order mark; InputError as for `blocks`."""
    return b"".join(block.data for block in blocks(path))


def blocks(path: str) -> Iterator[Block]:
    """Return the lines of a file of text in blocks of about `SIZE` bytes, without byte order mark.

    Raises
    ------
    InputError
        At once for a file that cannot be read, or whose first bytes are not those of a text; by the iterator for a NUL
        character, and for bytes that are not UTF-8.
    """
    pieces = _pieces(path)
    first, name = next(pieces, b""), display_name(path)
    if first.startswith(_WIDE_MARKS):
        raise InputError(f"{name}: is UTF-16 or UTF-32 text (by its byte order mark): {_WIDE_REMEDY}")
    for begin, what in _MAGIC.items():  # before NULs are counted, of which such files have many
        if first.startswith(begin):
            told = _ZIPPED.get(suffix(path), what) if begin == b"PK\3\4" else what
            parquet = spoken("--input-format parquet", "input_format='parquet'")
            raise InputError(f"{name}: is {told.replace('{parquet}', parquet)}")
    even, odd = (first[start:1000:2] for start in (0, 1))
    if any(2 * one.count(0) >= len(one) > 0 and 0 not in other for one, other in ((even, odd), (odd, even))):
        raise InputError(f"{name}: looks like UTF-16 text (every other byte is NUL): {_WIDE_REMEDY}")
    return _blocks(chain([first], pieces), name)


def _pieces(path: str) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces of at most `SIZE`."""
    name = display_name(path)
    if path == "-" and sys.stdin is None:
        raise InputError(f"{name}: is closed: name a file")
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
            while piece := file.read(SIZE):
                yield piece
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


def _blocks(pieces: Iterable[bytes], name: str) -> Iterator[Block]:
    """Yield blocks of whole lines once it is known that they are text."""
    line, offset = 1, 0
    for data in _whole_lines(pieces):
        where = f"{name}:{line}"
        if not data.isascii():
            try:
                data.decode("utf-8")
            except UnicodeDecodeError as error:
                where = f"{name}:{line + _line_ends(data[: error.start])}"
                byte = f"0x{data[error.start]:02X} (byte {offset + error.start + 1} of the file)"
                raise InputError(f"{where}: the byte {byte} is not UTF-8: save the file as UTF-8") from None
        nul = data.find(b"\0")
        if nul >= 0:
            where = f"{name}:{line + _line_ends(data[:nul])}"
            byte = f"byte {offset + nul + 1} of the file"
            raise InputError(f"{where}: a NUL character ({byte}): not a text file, or a damaged one")
        yield Block(line, data if offset else data.removeprefix(codecs.BOM_UTF8))
        line, offset = line + _line_ends(data), offset + len(data)


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what `pieces` are together, cut behind ends of lines alone."""
    begun: list[bytes] = []
    for piece in pieces:
        end = 1 + max(piece.rfind(b"\n"), piece.rfind(b"\r", 0, -1))  # a \r at the end may be half of an end
        if end:
            yield b"".join([*begun, piece[:end]])
            begun = []
        begun.append(piece[end:])
    if last := b"".join(begun):
        yield last


def absent(path: str) -> str:
    """Return the message for a missing file, with similar names or the nearest folder that exists."""
    name = display_name(path)
    if not path:
        return "the name of the input file is empty: name a .csv, .yaml or .json file"
    if "://" in path:
        return f"{name}: is an address, and files alone are read: download it first"
    folder = Path(path).parent
    try:
        os.stat(path)
    except PermissionError:
        return f"{name}: cannot be reached: permission denied for its folder {display_name(str(folder))} (chmod u+x)"
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) == errno.ELOOP:
            return f"{name}: is a link that leads back to itself: link it anew, or remove it"
    try:
        if os.path.islink(path):
            return f"{name}: is a link to {shown(os.readlink(path))}, which does not exist: link it anew, or remove it"
        if folder.is_dir():
            remedy = nearest(Path(path).name, sorted(os.listdir(folder))) or ": check its name"
            if "{" in path:
                remedy = ": give a pattern of *, ? and [ ], since braces are none"
            return f"{name}: no such file in the folder {shown(str(folder))}{remedy}"
        missing = folder
        while not folder.is_dir():
            folder = folder.parent
    except (OSError, ValueError):  # a folder that cannot be listed, a NUL in the name
        return f"{name}: no such file: check its name"
    return f"{name}: its folder {shown(str(missing))} does not exist (the nearest that does: {shown(str(folder))})"


def _line_ends(data: bytes) -> int:
    """Return how many lines end in `data`, counted as an editor counts them."""
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
