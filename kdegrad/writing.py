"""Where a report goes: standard output, or a file that appears whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kdegrad.errors import SettingError


def check_output(output: str, *inputs: str) -> None:
    """Refuse an output that could not be written well, before anything is computed.

    Raises
    ------
    SettingError
        For a directory, a folder that does not exist, or a file that is one of `inputs`.
    """
    path = Path(output)
    if path.is_dir():
        raise SettingError("output", f"{output!r} is a directory: name a file in it", "--output")
    if not path.parent.is_dir():
        raise SettingError("output", f"the folder {str(path.parent)!r} does not exist: make it first", "--output")
    for source in inputs:
        if path.exists() and os.path.exists(source) and os.path.samefile(path, source):
            raise SettingError("output", f"{output!r} would overwrite the input: name another file", "--output")


def write_file(output: str, pieces: Iterable[str]) -> None:
    """Write `pieces` to the file `output` as UTF-8: all of it, or nothing."""
    with replacing(output) as stream:
        stream.writelines(piece.encode("utf-8") for piece in pieces)


def write_stdout(pieces: Iterable[str], *, for_people: bool) -> None:
    """Write `pieces` to standard output, in the terminal's encoding if they are for people, else in UTF-8.

    A reader that goes away has read enough: the rest is not written, and that is no error.
    """
    encoding = (sys.stdout.encoding or "ascii") if for_people else "utf-8"
    try:
        for piece in pieces:
            sys.stdout.buffer.write(piece.encode(encoding, errors="replace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left for the flush at exit


@contextmanager
def replacing(output: str) -> Iterator[IO[bytes]]:
    """Yield a binary stream whose content becomes the file `output` when the block ends well.

    A temporary file in the same folder is renamed over it: links are followed, an existing file's mode is kept, a
    new one's is the usual one. A device or a pipe is written to as it is.
    """
    path = Path(os.path.realpath(output))
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
        return
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _mode(path: Path) -> int:
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
