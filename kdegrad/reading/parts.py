"""A folder or a pattern → the files that are the parts of one table, and the points of each in blocks of rows."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from kdegrad.errors import InputError
from kdegrad.reading import delimited, files
from kdegrad.reading.points import Source
from kdegrad.settings import ReadingOptions
from kdegrad.text import enumerated, shown

FORMATS: Final = ("csv", "tsv", "parquet")  # that can be read and written part by part
ROWS: Final = 1 << 18  # rows in a block: its arrays are of 2 MiB each

_HIDDEN: Final = (".", "_")  # what names of no data begin with, such as _SUCCESS


@final
@dataclass(frozen=True)
class Part:
    """A file that is a part of a table.

    Attributes
    ----------
    path
        The file.
    name
        The path below the folder that all parts are in.
    format
        One of `FORMATS`.
    size, modified
        In bytes, and in ns since 1970, when the parts were listed.
    """

    path: str
    name: str
    format: str
    size: int
    modified: int

    def require_unchanged(self) -> None:
        """Raise an InputError if the file is gone, or is not what it was when the parts were listed."""
        shown_name = files.display_name(self.path)
        try:
            now = os.stat(self.path)
        except FileNotFoundError:
            raise InputError(f"{shown_name}: is gone: it was there when the parts were listed: run again") from None
        if (now.st_size, now.st_mtime_ns) != (self.size, self.modified):
            said = f"from {self.size} to {now.st_size} bytes" if now.st_size != self.size else "in its time"
            raise InputError(
                f"{shown_name}: has changed while the parts were read ({said}): run again when it is whole"
            )


def are_parts(path: str) -> bool:
    """Return whether INPUT names parts: a folder, or a pattern that is no file's name."""
    return os.path.isdir(path) or (glob.has_magic(path) and not os.path.exists(path))


def parts_of(path: str, options: ReadingOptions) -> tuple[Part, ...]:
    """Return the parts that a folder, a pattern or a single file is, in the order of their names.

    Of a folder these are its files that can be read; hidden ones, and names that begin with an underscore, are none.

    Raises
    ------
    InputError
        If there are none, or if they are not all of one format.
    """
    if os.path.isdir(path):
        found = [os.path.join(path, name) for name in os.listdir(path) if files.suffix(name) in FORMATS]
    elif are_parts(path):
        found = glob.glob(path, recursive=True)
    else:
        found = [path]
    visible = [file for file in found if not os.path.basename(file).startswith(_HIDDEN) and not os.path.isdir(file)]
    if len(found) == 1:
        visible = found
    shown_name = files.display_name(path)
    if not visible:
        raise InputError(f"{shown_name}: no parts are there: name a folder or a pattern of {_listed()} files")
    parts = [_part(file, visible, options) for file in sorted(visible)]
    formats = sorted({part.format for part in parts})
    if len(formats) > 1:
        raise InputError(f"{shown_name}: has parts of several formats ({enumerated(formats)}): name a pattern of one")
    return tuple(parts)


def blocks_of(part: Part, options: ReadingOptions, rows: int = ROWS) -> Iterator[Source]:
    """Yield the points of a part in blocks of about so many rows, the last of which has the notes.

    Raises
    ------
    InputError
        For a file that cannot be used, as `kdegrad.reading.read` raises; but a part without rows is one.
    """
    name = files.display_name(part.path)
    part.require_unchanged()
    if part.format == "parquet":
        from kdegrad.reading import parquet

        yield from parquet.parts_of_parquet(part.path, name, options, rows)
    else:
        usual = delimited.DELIMITER_OF_FORMAT[part.format]
        yield from delimited.parts_of_table(files.blocks(part.path), name, options, usual, rows)
    part.require_unchanged()


def _part(file: str, all_files: list[str], options: ReadingOptions) -> Part:
    format_ = options.input_format or files.suffix(file)
    name = files.display_name(file)
    if format_ not in FORMATS:
        raise InputError(f"{name}: the suffix {shown('.' + format_)} is not that of a part: name {_listed()} files")
    try:
        status = os.stat(file)
    except OSError:
        raise InputError(files.absent(file)) from None
    folder = os.path.dirname(file) if len(all_files) == 1 else os.path.commonpath(map(os.path.dirname, all_files))
    return Part(file, str(Path(os.path.relpath(file, folder or "."))), format_, status.st_size, status.st_mtime_ns)


def _listed() -> str:
    return enumerated([f".{suffix}" for suffix in FORMATS])
