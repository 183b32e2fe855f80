"""The pictures of the README pages: ``python -m tests.gallery`` (``make gallery``) draws them by the commands there.

An indented line of a page that runs ``kdegrad`` with ``--plot sample_inputs/gallery/...`` is the command of the picture
of that name; there is no other list of them.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.readme import PAGES, ROOT

FOLDER = Path("sample_inputs/gallery")
_LINE = re.compile(rf"^    kdegrad (.*--plot ({FOLDER}/\S+).*)$", re.MULTILINE)


@dataclass(frozen=True)
class Picture:
    """A picture and the arguments of ``kdegrad`` that make it."""

    file: str
    arguments: tuple[str, ...]

    def draw(self, file: str) -> int:
        """Draw the picture to another file, and return the exit code."""
        from kdegrad.cli import app

        return app.run([file if argument == self.file else argument for argument in self.arguments])


def pictures(pages: Iterable[Path] = PAGES) -> list[Picture]:
    """Return the pictures in the order of the pages."""
    found = [match for page in pages for match in _LINE.findall(page.read_text("utf-8"))]
    return [Picture(file, tuple(shlex.split(line))) for line, file in found]


def main() -> int:
    """Draw all pictures and return the largest exit code."""
    os.chdir(ROOT)
    FOLDER.mkdir(exist_ok=True)
    codes = [picture.draw(picture.file) for picture in pictures()]
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
