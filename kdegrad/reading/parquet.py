"""Parquet files → points. pyarrow (the extra ``parquet``) is imported inside functions only.

The columns are chosen from the schema, and only those are decoded, a block of rows at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np

from kdegrad.arrays import FloatArray, Texts
from kdegrad.errors import InputError, SettingError
from kdegrad.reading import files
from kdegrad.reading.columns import flag_of
from kdegrad.reading.faults import Faults
from kdegrad.reading.points import TEXTS, Cells, Collector, Source, coded, text_of
from kdegrad.settings import ReadingOptions
from kdegrad.text import option_text, shown

if TYPE_CHECKING:
    import pyarrow

    Chosen = dict[str, pyarrow.Field]  # role → column

_ROWS: Final = 1 << 16  # that are decoded at once
_BUFFER: Final = 1 << 20  # bytes; without one Arrow reads all pages of a row group at once


def read_parquet(path: str, name: str, options: ReadingOptions, *, of_target: bool = False) -> Source:
    """Return the points of the Parquet file `name`; InputError as for a table of text, with rows counted from 1."""
    for points, _ in _taken(path, name, options, of_target=of_target):  # noqa: B007  # the last has all
        pass
    if not points.count:
        raise InputError(f"{name}: columns but no points: write a row for each point")
    return points.source()


def parts_of_parquet(
    path: str, name: str, options: ReadingOptions, rows: int, watch: Callable[[float], None], are_whole: bool
) -> Iterator[Source]:
    """Yield the points of a Parquet file in parts of about so many rows, the last of which has the notes.

    `watch` is told the share of the file that is done, when the next part is asked for; `are_whole` is that of
    `Collector.part`.
    """
    for points, share in _taken(path, name, options, rows):  # the last one is used below
        if 2 * points.held >= rows:  # a block of rows ends with its row group
            yield points.part()
            watch(share)
    yield points.part(is_last=True, are_whole=are_whole)


def _taken(
    path: str, name: str, options: ReadingOptions, rows: int = _ROWS, *, of_target: bool = False
) -> Iterator[tuple[Collector, float]]:
    """Yield the points of a file that are taken so far and their share, at the begin and after each block of rows."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{name}: Parquet needs pyarrow: pip install 'kdegrad[parquet]', or save as CSV") from None
    with _opened(path) as file:
        try:
            # no threads: one that releases a buffer while Python exits aborts the process
            parquet = pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER)
            count = parquet.metadata.num_rows
            fields, faults = list(parquet.schema_arrow), Faults(name)
            found = [field.name.strip() for field in fields]
            points = Collector(found, options, faults, name, of_target=of_target, row_noun="row")
            chosen = {role: fields[found.index(column)] for role, column in points.roles.items()}
            _refuse_types(chosen, points, name, of_target)
            names = list({field.name for field in chosen.values()})
            yield points, 0.0
            for block in parquet.iter_batches(rows, columns=names, use_threads=False):
                _take(block, chosen, points, faults)
                yield points, points.count / max(count, 1)
            if points.count != count:
                raise pyarrow.ArrowInvalid(f"it says that it has {count} rows, and has {points.count}")
        except MemoryError:  # that of Arrow is an ArrowException too
            raise
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(f"{name}: {_cause(file, error)}") from None


def refuse_options_of_text(name: str, options: ReadingOptions) -> None:
    """Refuse the options that say how a table of text is written."""
    for option, what in ((options.delimiter, "delimiter"), (options.decimal, "decimal")):
        if option is not None:
            raise SettingError(what, f"{name} is Parquet, which is not text: remove it")


def _opened(path: str) -> pyarrow.NativeFile:
    """Return a file in which Arrow can seek: by its name, or copied into Arrow's memory if it is a pipe."""
    import pyarrow

    if path != "-" and os.path.isfile(path):
        with suppress(OSError):  # `files.raw` says why it cannot be read
            return pyarrow.OSFile(os.fsencode(path))
    copy = pyarrow.BufferOutputStream()
    copy.write(files.raw(path))
    return pyarrow.BufferReader(copy.getvalue())


def _cause(file: pyarrow.NativeFile, error: Exception) -> str:
    """Return why Arrow could not read `file`."""
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read: {os.strerror(error.errno)}"
    file.seek(0)
    begin = file.read(4)
    file.seek(max(file.size() - 4, 0))
    end, said = file.read(4), str(error).partition("\n")[0]
    if not begin:
        return "is empty, and no Parquet file: save it anew"
    if begin == b"PARE" or "decrypt" in said:
        return "an encrypted Parquet file, or one with an encrypted column: save it without encryption"
    if begin != b"PAR1":
        said = f"it begins with {begin!r}, not with b'PAR1'"
        return f"not a Parquet file ({said}): name its format with {option_text('input-format')}"
    if end != b"PAR1":
        said = "its end is missing"
    return f"a damaged Parquet file ({said}): copy or save it anew"


def _refuse_types(chosen: Chosen, points: Collector, name: str, of_target: bool) -> None:
    """Raise an InputError for a column of numbers, such as the angles, whose type is not that of numbers or texts."""
    from pyarrow import types

    without_numbers, refused = (types.is_temporal, types.is_nested, types.is_boolean), []
    for role, field in chosen.items():
        if role not in TEXTS and any(holds(field.type) for holds in without_numbers):
            column, kind = shown(points.roles[role]), shown(str(field.type))
            remedy = "convert it to numbers"
            if not of_target:
                remedy += f", or name another column with {flag_of(role)}"
            refused.append(f"{name}: column {column} has the type {kind}, which has no numbers: {remedy}")
    if refused:
        raise InputError(refused)


def _take(rows: pyarrow.RecordBatch, chosen: Chosen, points: Collector, faults: Faults) -> None:
    """Add a block of rows to the points."""
    from pyarrow import ArrowInvalid, types

    before = points.count
    cells: dict[str, Cells] = {}
    for role, field in chosen.items():
        column = rows.column(field.name)
        try:
            column.validate(full=True)  # text that is not UTF-8, a dictionary index out of range
        except ArrowInvalid as error:
            raise ArrowInvalid(f"column {shown(points.roles[role])}: {error}") from None
        if role not in TEXTS and (types.is_floating(column.type) or types.is_integer(column.type)):
            cells[role] = _numbers(column)
        else:
            cells[role] = _coded(column)
    for role in TEXTS & cells.keys():
        texts = coded(cells[role])
        if "\0" in "".join(texts.each):
            for row, text in enumerate(texts.tolist()):
                if "\0" in text:
                    said = f"column {shown(points.roles[role])}: {shown(text)} contains a NUL character: remove it"
                    faults.add((before + row + 1,), said)
    points.take(cells, lambda _, row: (before + row + 1,))


def _numbers(column: pyarrow.Array) -> FloatArray:
    """Return a column of numbers, NaN for a null."""
    from pyarrow import types

    if column.null_count:
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    # `to_numpy` imports pandas, which takes as long as ten million rows
    kind = "f" if types.is_floating(column.type) else "u" if types.is_unsigned_integer(column.type) else "i"
    width = column.type.bit_width // 8
    _, values = column.buffers()
    plain = np.frombuffer(values or b"", f"{kind}{width}", len(column), column.offset * width)
    return plain.astype(np.float64, copy=False)


def _coded(column: pyarrow.Array) -> Texts:
    """Return the cells of a column as text, of which equal ones are converted once; a null is empty."""
    from pyarrow import types

    kinds = (types.is_string, types.is_large_string, types.is_integer, types.is_dictionary)
    if not any(holds(column.type) for holds in kinds):
        return coded(_texts(column))
    encoded = column.dictionary_encode()
    texts = _texts(encoded.dictionary)
    codes = encoded.indices.cast("int64").fill_null(len(texts))
    return Texts([*texts, ""], codes.to_numpy())


def _texts(column: pyarrow.Array) -> list[str]:
    """Return the cells of a column as text; a null is empty."""
    from pyarrow import types

    if types.is_string(column.type) and not column.null_count:
        return list(column.to_pylist())
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):  # Python has no such value: a date beyond the year 9999, nanoseconds
        values = [_value(column.slice(row, 1)) for row in range(len(column))]
    return ["" if value is None else _text(value) for value in values]


def _value(cell: pyarrow.Array) -> object:
    """Return the value of a column of one cell; as Arrow writes it, if Python has no such value."""
    try:
        return cell[0].as_py()
    except (ValueError, OverflowError):
        return " ".join(cell.to_string()[1:-1].split())


def _text(value: object) -> str:
    """Return a value as text: bytes in hexadecimal, if they are not UTF-8."""
    if not isinstance(value, bytes):
        return text_of(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"0x{value.hex()}"
