"""The README's commands and their outputs: found, run, compared, and (``python -m tests.readme``) written anew.

A block that opens with ```console holds commands behind ``$`` and, below each, what it prints on either stream. A
line ``...`` in an output stands for any lines. Commands run at the top of the repository; ``kdegrad`` is the installed
one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_NUMBER = re.compile(r" *(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])")
_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A command of the README and the output printed below it."""

    line: str
    output: str

    def run(self) -> str:
        """Return what the command prints today, on both streams."""
        folder = str(Path(sys.executable).parent)
        environment = os.environ | {
            "PATH": folder + os.pathsep + os.environ["PATH"],
            "COLUMNS": "80",
            "PYTHONUTF8": "1",
        }
        done = subprocess.run(
            ["bash", "-c", self.line], cwd=ROOT, env=environment, text=True, encoding="utf-8", check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.stdout

    def agrees_with(self, printed: str) -> bool:
        """Whether `printed` is the output of the README: the same words, and numbers as near as machines agree.

        ``...`` stands for any lines, and then the words alone are compared.
        """
        words, values = _apart(self.output)
        pieces = (re.escape(piece) for piece in re.split(r"^\.\.\.\n", words, flags=re.MULTILINE))
        printed_words, printed_values = _apart(printed)
        if "..." in words:
            return re.fullmatch(r"(?:.*\n)*?".join(pieces), printed_words) is not None
        return words == printed_words and all(map(_close, values, printed_values))


def _apart(text: str) -> tuple[str, list[float]]:
    """Return the text with its numbers (and the padding before them) taken out, and the numbers."""
    values = [float(match) for match in _NUMBER.findall(text)]
    return _NUMBER.sub("#", text), values


def _close(value: float, other: float) -> bool:
    return value == other or abs(value - other) <= 1e-9 * abs(value) or max(abs(value), abs(other)) < 1e-11


def commands(text: str) -> Iterator[Command]:
    """Yield the commands of every console block."""
    for language, body in _BLOCK.findall(text):
        if language == "console":
            for entry in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                line, _, output = entry.partition("\n")
                yield Command(line, output)


def python_blocks(text: str) -> list[str]:
    """Return the code of every python block, to be run one after the other."""
    return [body for language, body in _BLOCK.findall(text) if language == "python"]


def rewritten(text: str) -> str:
    """Return the README with every output as it is printed today, but for those with a ``...`` that still agree."""
    for command in commands(text):
        if not command.line.startswith("make "):
            printed = command.run()
            if not command.agrees_with(printed):
                text = text.replace(f"$ {command.line}\n{command.output}", f"$ {command.line}\n{printed}", 1)
    return text


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text("utf-8")), "utf-8")
