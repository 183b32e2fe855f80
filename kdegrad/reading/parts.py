"""A folder or a pattern → the files that are the parts of one table, and the points of each in blocks of rows."""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Final, final

from kdegrad.errors import InputError
from kdegrad.reading import delimited, files, parquet
from kdegrad.reading.columns import require_groups
from kdegrad.reading.points import Source
from kdegrad.settings import INPUT_FORMATS, ReadingOptions
from kdegrad.text import counted, enumerated, option_text, shown

FORMATS: Final = ("csv", "tsv", "parquet")  # that can be read and written part by part
ROWS: Final = 1 << 18  # rows in a block: its arrays are of 2 MiB each

_LISTED: Final = ", ".join(f".{suffix}" for suffix in FORMATS)
_HIDDEN: Final = (".", "_")  # what names of no data begin with, such as _SUCCESS
# Suffixes of other files that may hold data, which a user may think are read.
_COMPRESSED: Final = ("gz", "bz2", "xz", "zst", "zip")
_OTHER_DATA: Final = {*INPUT_FORMATS, *("yml", "ndjson", "txt", "dat"), *_COMPRESSED}
_OTHER_DATA.update(("pq", "parq", "arrow", "feather", "orc", "avro", "h5", "npy", "npz", "xlsx"))
NAMED: Final = 5  # files that a note names
_LOOKED_AT: Final = 1000  # folders below one that are searched for parts, only to say that there are some


@final
@dataclass(frozen=True)
class Part:
    """A file that is a part of a table.

    Attributes
    ----------
    path
        The file, or ``-`` for standard input.
    name
        The path below the folder that all parts are in, under which `grad` writes it; of what can be read once, and is
        not written, how messages call it.
    format
        One of `FORMATS`.
    size, modified
        In bytes, and in ns since 1970, when the parts were listed.
    again
        Whether it can be read again; standard input and pipes cannot.
    """

    path: str
    name: str
    format: str
    size: int
    modified: int
    again: bool = True

    def require_unchanged(self) -> None:
        """Raise an InputError if the file is gone, or is not what it was when the parts were listed."""
        if not self.again:
            return
        shown_name = files.display_name(self.path)
        try:
            now = os.stat(self.path)
        except OSError as error:
            is_gone = isinstance(error, (FileNotFoundError, NotADirectoryError))
            said = "is gone" if is_gone else f"cannot be reached ({error.strerror})"
            raise InputError(f"{shown_name}: {said}: it was there when the parts were listed: run again") from None
        if (now.st_size, now.st_mtime_ns) != (self.size, self.modified):
            is_same_size = now.st_size == self.size
            said = "in its time" if is_same_size else f"from {self.size} to {counted(now.st_size, 'byte')}"
            raise InputError(
                f"{shown_name}: has changed since the parts were listed ({said}): run again when nothing writes to it"
            )


def are_parts(path: str) -> bool:
    """Return whether INPUT names parts: a folder, or a pattern that is no file's name."""
    return os.path.isdir(path) or (glob.has_magic(path) and not os.path.lexists(path))


def base_of(path: str) -> str:
    """Return the folder that the names of parts begin below.

    It is the folder that is named, that of a single file, or of a pattern the path before its first sign; empty for
    the current one.
    """
    if os.path.isdir(path):
        return path
    if not are_parts(path):
        return os.path.dirname(path)
    return os.path.join("", *takewhile(lambda name: not glob.has_magic(name), Path(path).parts))


def may_match(pattern: str, folder: str) -> bool:
    """Return whether the files below a folder may be files of a pattern, by the first of its signs."""
    base = base_of(pattern)
    sign, *others = Path(pattern).parts[len(Path(base).parts) :] or ("",)
    root, below = Path(os.path.realpath(base)), Path(os.path.realpath(folder))
    if sign == "**" or not others or not below.is_relative_to(root):
        return sign == "**"
    return fnmatch.fnmatch(below.relative_to(root).parts[0], sign) if below != root else True


def parts_of(path: str, options: ReadingOptions) -> tuple[Part, ...]:
    """Return the parts that a folder, a pattern or a single file is, in the order of their names.

    Of a folder these are its files that can be read; hidden ones, and names that begin with an underscore, are none.

    Raises
    ------
    InputError
        If there are none, or if they are not all of one format.
    SettingError
        For an option that does not fit them.
    """
    require_groups(options)
    if path == "-":
        found = ["-"]
    elif os.path.isdir(path):
        found = [os.path.join(path, name) for name in _visible(path) if options.input_format or _is_part(name)]
        found = [file for file in found if not os.path.isdir(file)]
    elif are_parts(path):
        found = _matches(path)
    else:
        found = [path]
    if not found:
        raise InputError(_without_parts(path))
    base = base_of(path)
    parts = tuple(_part(file, base, options) for file in sorted(found))
    _require_different(parts)
    formats = sorted({part.format for part in parts})
    if len(formats) > 1:
        listed = ", ".join(f".{name}" for name in formats)
        raise InputError(f"{files.display_name(path)}: has parts of several formats ({listed}): name a pattern of one")
    if formats == ["parquet"]:
        parquet.refuse_options_of_text(files.display_name(path), options)
    return parts


def _require_different(parts: Iterable[Part]) -> None:
    """Refuse two names of one file, whose points would count twice."""
    seen: dict[tuple[int, int], str] = {}
    for part in parts:
        if part.again:
            status = os.stat(part.path)
            first = seen.setdefault((status.st_dev, status.st_ino), part.path)
            # Some file systems number no files.
            if first != part.path and os.path.samefile(first, part.path) and status.st_ino:
                here, there = files.display_name(part.path), files.display_name(first)
                raise InputError(f"{here}: is the same file as {there}, and would count twice: remove the link to it")


def overlooked(path: str, options: ReadingOptions) -> list[str]:
    """Return what the user should know of the contents of a folder that are no parts, though they may be data."""
    if not os.path.isdir(path):
        return []
    names, said = _visible(path), []
    others = [name for name in names if files.suffix(name) in _OTHER_DATA and not _is_part(name)]
    if others and not options.input_format:
        said.append(f"has files that are no parts and are not read: {enumerated(others, NAMED)}")
    if deeper := _below(path):
        said.append(f"has parts in subfolders too, which are not read: the pattern {deeper} takes them all")
    return said


def blocks_of(
    part: Part,
    options: ReadingOptions,
    watch: Callable[[int], None] = lambda size: None,
    rows: int | None = None,
    *,
    are_whole: bool = True,
) -> Iterator[Source]:
    """Yield the points of a part in blocks of about so many rows, else `ROWS`; the last has the notes.

    `watch` is told how many bytes of the file are done since it was last told; `are_whole` says whether
    the rows of each group are in one part alone.

    Raises
    ------
    InputError
        For a file that cannot be used, as `kdegrad.reading.read` raises; but a part without rows is one.
    """
    rows = rows or ROWS
    done = 0

    def tell(now: int) -> None:
        nonlocal done
        watch(now - done)
        done = now

    part.require_unchanged()  # since the parts were listed, or since the pass before
    name = files.display_name(part.path)
    try:
        if part.format == "parquet":
            yield from parquet.parts_of_parquet(
                part.path, name, options, rows, lambda share: tell(int(share * part.size)), are_whole
            )
        else:
            usual = delimited.DELIMITER_OF_FORMAT[part.format]
            text = _watched(files.blocks(part.path), tell)
            yield from delimited.parts_of_table(text, name, options, usual, rows, are_whole)
    except InputError:
        part.require_unchanged()  # else a file that is being written is called damaged
        raise
    part.require_unchanged()  # while it was read
    tell(max(part.size, done))


def whole_of(
    part: Part, options: ReadingOptions, watch: Callable[[int], None] = lambda size: None, *, are_whole: bool = True
) -> Source:
    """Return the one block that a part is, with its groups where the options name their column; as `blocks_of`."""
    (found,) = blocks_of(part, options, watch, sys.maxsize, are_whole=are_whole)
    return found


def _watched(blocks: Iterable[files.Block], tell: Callable[[int], None]) -> Iterator[files.Block]:
    """Yield blocks, and tell how many bytes there were when the next is asked for."""
    done = 0
    for block in blocks:
        yield block
        done += len(block.data)
        tell(done)


def _visible(folder: str) -> list[str]:
    """Return the names in a folder but for those that are hidden."""
    return [name for name in _names(folder) if not name.startswith(_HIDDEN)]


def _is_part(name: str) -> bool:
    return files.suffix(name) in FORMATS


def _matches(pattern: str) -> list[str]:
    """Return the files of a pattern."""
    return [path for path in _paths(pattern) if not os.path.isdir(path)]


def _paths(pattern: str) -> list[str]:
    """Return the files and folders of a pattern; hidden ones only if it spells how their names begin.

    ``**`` stands for all folders below, each of which is taken once: links may lead to one again, or back.
    """
    base = base_of(pattern)
    signs = Path(pattern).parts[len(Path(base).parts) :]
    found = [base]
    for sign in (*signs, "*") if signs[-1] == "**" else signs:
        if sign == "**":
            done = set[str]()
            found = [folder for path in found for folder in _folders(path, done)]
        elif glob.has_magic(sign):
            found = [
                os.path.join(folder, name)
                for folder in found
                for name in fnmatch.filter(_names(folder), sign)
                if name[0] not in _HIDDEN or name[0] == sign[0]
            ]
        else:
            found = [path for folder in found if os.path.lexists(path := os.path.join(folder, sign))]
    return found


def _folders(folder: str, done: set[str]) -> Iterator[str]:
    """Yield a folder and those below it, each once, and links last; `done` are those that were yielded."""
    real = os.path.realpath(folder)
    if real in done:
        return
    done.add(real)
    yield folder
    paths = [os.path.join(folder, name) for name in _names(folder) if not name.startswith(_HIDDEN)]
    for path in sorted(filter(os.path.isdir, paths), key=os.path.islink):
        yield from _folders(path, done)


def _names(folder: str) -> list[str]:
    """Return the names in a folder; none if it is a file, or is not there."""
    try:
        return sorted(os.listdir(folder or os.curdir))
    except OSError as error:
        if not os.path.isdir(folder):
            return []
        raise InputError(f"{files.display_name(folder)}: cannot be read: {error.strerror} (chmod u+rx)") from None


def _name(file: str, base: str) -> str:
    return os.path.relpath(file, base or os.curdir)


def _below(folder: str) -> str:
    """Return the pattern of the parts in the subfolders of a folder, quoted; empty if the first ones have none."""
    for below in islice(_folders(folder, set()), 1, _LOOKED_AT):
        for name in _visible(below):
            if _is_part(name) and os.path.isfile(os.path.join(below, name)):
                return shown(os.path.join(glob.escape(folder), "**", f"*.{files.suffix(name)}"), longest=200)
    return ""


def _without_parts(path: str) -> str:
    """Return what to say of a folder or a pattern that gives no parts."""
    name = files.display_name(path)
    if not os.path.isdir(path):
        if matched := _paths(path):
            return f"{name}: the pattern matches folders alone, such as {shown(matched[0])}: name the files in them"
        return f"{name}: no file matches the pattern: {'its signs are *, ? and [ ]' if '{' in path else 'check it'}"
    if deeper := _below(path):
        return f"{name}: the parts are in subfolders: give the pattern {deeper}, in quotes"
    others = [other for other in _visible(path) if not os.path.isdir(os.path.join(path, other))]
    found = f" (files found: {enumerated(others, NAMED)})" if others else ""
    remedy = f"name a folder or a pattern of {_LISTED} files"
    if any(files.suffix(other) in _COMPRESSED for other in others):
        remedy = "parts are read as they are: unpack the compressed ones, or save them as Parquet"
    elif any(not files.suffix(other) for other in others):
        remedy += f", or the format by {option_text('input-format')}"
    return f"{name}: no parts are in this folder{found}: {remedy}"


def _part(file: str, base: str, options: ReadingOptions) -> Part:
    name = files.display_name(file)
    format_ = options.input_format or ("csv" if file == "-" else files.suffix(file))
    try:
        status = None if file == "-" else os.stat(file)
    except (OSError, ValueError):
        raise InputError(files.absent(file)) from None
    if format_ not in FORMATS:
        raise InputError(_of_other_format(name, format_))
    if status is None or not stat.S_ISREG(status.st_mode):
        if format_ == "parquet":
            raise InputError(f"{name}: Parquet is read from its end, and a pipe from its beginning: save it to a file")
        return Part(file, name, format_, size=0, modified=0, again=False)
    return Part(file, _name(file, base), format_, status.st_size, status.st_mtime_ns)


def _of_other_format(name: str, format_: str) -> str:
    """Return what to say of a file whose format, or suffix, is not that of parts."""
    if format_ in INPUT_FORMATS or format_ in ("yml", "ndjson"):
        return f"{name}: {format_.upper()} is read as a whole, not in parts: save it as CSV or Parquet"
    flag = option_text("input-format")
    if not format_:
        return f"{name}: no suffix says its format: name the format with {flag} csv"
    if format_ in _COMPRESSED:
        return f"{name}: is compressed, and parts are read as they are: unpack it first, or save it as Parquet"
    return f"{name}: the suffix {shown('.' + format_)} is not that of a part ({_LISTED}): name its format with {flag}"
