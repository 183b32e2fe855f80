"""The README pages' commands, outputs, code and links; ``python -m tests.readme`` rewrites the outputs.

A ``console`` block holds commands behind ``$`` and, below each, what it prints on either stream. A line ``...`` in an
output stands for any lines. Commands run at the top of the repository; ``kdegrad`` is the installed one. In a block
that begins with ``cd "$(mktemp -d)"`` each runs after those above it, in a folder that is removed. A ``python`` block
is run, or is the file that its first line names; a ``yaml`` block is for a CI (`tests/test_packaging.py` runs it), and
nothing is run of a ``text`` block. What needs PyTorch or JAX is run where these are installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = tuple(
    ROOT / page
    for page in (
        "README.md",
        "kdegrad/README.md",
        "kdegrad/properties/README.md",
        "sample_inputs/README.md",
        "tests/benchmarks/README.md",
    )
)
LANGUAGES = {"console", "python", "yaml", "text"}
FRAMEWORKS = {
    "torch": re.compile(r"--backend torch\b|^import torch\b|-m sample_inputs\.training\b", re.MULTILINE),
    "jax": re.compile(r"--backend jax\b|^import jax\b", re.MULTILINE),
}
NOT_RUN = ("make ", "pip ", "source ")  # `make` is tested by its recipe; the others change an environment
SESSION = 'cd "$(mktemp -d)"'
_NUMBER = re.compile(r" *(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED_FILE = re.compile(r"# (\S+\.py)\n(.*)", re.DOTALL)
_LINK = re.compile(r"(?<!`)!?\[[^]]*\]\(([^)\s]+)\)")


def framework(text: str) -> str:
    """Return the framework that a command or a block of Python needs; empty if none."""
    return next((name for name, pattern in FRAMEWORKS.items() if pattern.search(text)), "")


@dataclass(frozen=True)
class Command:
    """A command of a page and the output printed below it."""

    line: str
    output: str
    before: str = ""  # in a session, the commands above it

    @property
    def needs(self) -> str:
        """The framework that the command needs; empty if none."""
        return framework(self.line)

    def run(self, folder: Path = ROOT) -> str:
        """Return what the command prints today, on both streams."""
        line = f"{{ {self.before}; }} >/dev/null 2>&1 && {self.line}" if self.before else self.line
        with tempfile.TemporaryDirectory() as scratch:  # where `mktemp` makes folders
            return ran(f"export TMPDIR='{scratch}'; {line}", folder).stdout

    def agrees_with(self, printed: str) -> bool:
        """Whether `printed` is the output of the page: the same words, and numbers as near as machines agree.

        ``...`` stands for any lines, and then the words alone are compared.
        """
        words, values = _apart(self.output)
        pieces = (re.escape(piece) for piece in re.split(r"^\.\.\.\n", words, flags=re.MULTILINE))
        printed_words, printed_values = _apart(printed)
        if "..." in words:
            return re.fullmatch(r"(?:.*\n)*?".join(pieces), printed_words) is not None
        return words == printed_words and all(map(_close, values, printed_values))


def ran(line: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a shell line in `folder` with this Python's commands first on the path, 80 columns wide."""
    environment = os.environ | {
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        "COLUMNS": "80",
        "PYTHONUTF8": "1",
    }
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, text=True, encoding="utf-8", check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _apart(text: str) -> tuple[str, list[float]]:
    """Return the text with its numbers (and the padding before them) taken out, and the numbers."""
    values = [float(match) for match in _NUMBER.findall(text)]
    return _NUMBER.sub("#", text), values


def _close(value: float, other: float) -> bool:
    return value == other or abs(value - other) <= 1e-9 * abs(value) or max(abs(value), abs(other)) < 1e-11


def title(page: Path) -> str:
    """Return the page's path from the top of the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> list[str]:
    """Return the bodies of the fenced blocks in `language`."""
    return [body for found, body in _BLOCK.findall(text) if found == language]


def files(text: str) -> dict[str, str]:
    """Return the bodies of the Python blocks that begin with the name of a file, by that name."""
    return {found[1]: found[2] for body in blocks(text, "python") if (found := _NAMED_FILE.fullmatch(body))}


def scripts(text: str) -> list[str]:
    """Return the Python blocks that are run: those that are not files."""
    return [body for body in blocks(text, "python") if not _NAMED_FILE.fullmatch(body)]


def languages(text: str) -> set[str]:
    """Return the languages of the fenced blocks."""
    return {language for language, _ in _BLOCK.findall(text)}


def prose(text: str) -> str:
    """Return the page without its fenced blocks."""
    return _BLOCK.sub("", text)


def commands(text: str) -> Iterator[Command]:
    """Yield the commands of every console block that a test can run."""
    for body in blocks(text, "console"):
        before: list[str] = []
        for entry in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            line, _, output = entry.partition("\n")
            if not line.startswith(NOT_RUN):
                yield Command(line, output, " && ".join(before))
            if before or line.startswith(SESSION):
                before.append(line)


def links(page: Path) -> list[str]:
    """Return where the page's links and pictures point that stay in the repository."""
    return [link for link in _LINK.findall(prose(page.read_text("utf-8"))) if not re.match(r"\w+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page.read_text("utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rewritten(text: str) -> str:
    """Return the page with every output as it is printed today, but for those with a ``...`` that still agree."""
    for command in commands(text):
        if command.needs and find_spec(command.needs) is None:
            continue
        printed = command.run()
        if not command.agrees_with(printed):
            text = text.replace(f"$ {command.line}\n{command.output}", f"$ {command.line}\n{printed}", 1)
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(rewritten(page.read_text("utf-8")), "utf-8")
