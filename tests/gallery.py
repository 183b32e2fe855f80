"""The pictures of the README pages: ``python -m tests.gallery`` (``make gallery``) draws them by the commands there.

An indented line of a page that runs ``kdegrad`` or ``python -m MODULE`` with ``--plot sample_inputs/gallery/...`` is
the command of the picture of that name; there is no other list of them. One that needs PyTorch is left as it is where
that is not installed.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from tests.readme import PAGES, ROOT, framework

FOLDER = Path("sample_inputs/gallery")
_LINE = re.compile(rf"^    (?:kdegrad|python -m (\S+)) (.*--plot ({FOLDER}/\S+).*)$", re.MULTILINE)


@dataclass(frozen=True)
class Picture:
    """A picture and what makes it: the arguments of ``kdegrad``, or of ``main`` of the module that is named."""

    file: str
    arguments: tuple[str, ...]
    module: str = ""

    @property
    def needs(self) -> str:
        """The framework that the picture needs; empty if none."""
        return framework(f"python -m {self.module}")

    def draw(self, file: str) -> int:
        """Draw the picture to another file, and return the exit code."""
        arguments = [file if argument == self.file else argument for argument in self.arguments]
        if self.module:
            import_module(self.module).main(arguments)
            return 0
        from kdegrad.cli import app

        return app.run(arguments)


def pictures(pages: Iterable[Path] = PAGES) -> list[Picture]:
    """Return the pictures in the order of the pages."""
    found = [match for page in pages for match in _LINE.findall(page.read_text("utf-8"))]
    return [Picture(file, tuple(shlex.split(line)), module) for module, line, file in found]


def main() -> int:
    """Draw all pictures that can be drawn here and return the largest exit code."""
    os.chdir(ROOT)
    FOLDER.mkdir(exist_ok=True)
    codes = [0]
    for picture in pictures():
        if picture.needs and find_spec(picture.needs) is None:
            print(f"{picture.file} is left as it is: it needs {picture.needs}", file=sys.stderr)
        else:
            codes.append(picture.draw(picture.file))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
