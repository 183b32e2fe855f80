"""Malformed files, made by rules from good ones, and an independent reader that says what each contains.

`python -m tests.malformed` runs the command with all of them and prints the counts of exit codes and the most time and
memory that one of them takes.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml
from hypothesis import HealthCheck, settings

from kdegrad.cli import app

SECONDS, MEGABYTES = 5.0, 500  # that one file may take, of processor time and memory
ARGUMENTS = (
    "--at",
    "0",
    "--format",
    "json",
)  # a report with the points as they were read, and a loss that `loss` gives too

GOOD: dict[str, bytes] = {
    "labels.csv": 'angle,logit,label\n-75,0.4,left\n50,-2e-1,"right, naïve"\n12.5,-inf,\n'.encode(),
    "weights.csv": b"# counts\nid;angle;weight\n1;10;3\n2;-20.5;0\n\n3;+.5;1e2\n",
    "tabs.tsv": b'angle\tlabel\n1\ta\n-2.25\t"b\nc"\n',
    "list.yaml": (
        b"target: [-30, 30]\nkernel: laplace\nbandwidth: 10\nbins: 36\n"
        b"points:\n  - {angle: -75, logit: 0.4, label: left}\n  - {angle: 50, logit: -.inf}\n  - {angle: 1, logit: 0}\n"
    ),
    "lists.yaml": b"kernel: {name: t, df: 4}\npoints:\n  angle: [1.5, -2]\n  weight: ['3', 0]\n",
}


# KDEGRAD_EXPLORE=100 draws a hundred times as many examples as KDEGRAD_EXPLORE=1, and new ones.
FUZZ = settings(
    max_examples=300 * int(os.environ.get("KDEGRAD_EXPLORE") or 1),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class Point(NamedTuple):
    """A point as an independent reader reads it; None where the file says nothing."""

    angle: float
    logit: float | None
    label: str | None


# --- rules: each makes many files from one ---------------------------------------------------------------------------


def cuts(data: bytes) -> Iterator[bytes]:
    yield from (data[:end] for end in range(len(data)))


def flips(data: bytes) -> Iterator[bytes]:
    for place, byte in enumerate(data):
        yield data[:place] + bytes([byte ^ 1 << place % 8]) + data[place + 1 :]


def losses(data: bytes) -> Iterator[bytes]:
    yield from (data[:place] + data[place + 1 :] for place in range(len(data)))


def strays(data: bytes) -> Iterator[bytes]:
    """Insert a byte with a meaning at each place, taking these bytes in turn."""
    meaning = b"\"\0,\r#\n\xff; \t[:&{'*!-|%\x1b\x85"
    yield from (data[:place] + meaning[place % 22 : place % 22 + 1] + data[place:] for place in range(len(data) + 1))


def rows_doubled(data: bytes) -> Iterator[bytes]:
    rows = data.splitlines(keepends=True)
    yield from (b"".join([*rows[:row], rows[row], *rows[row:]]) for row in range(len(rows)))


def rows_dropped(data: bytes) -> Iterator[bytes]:
    rows = data.splitlines(keepends=True)
    yield from (b"".join(rows[:row] + rows[row + 1 :]) for row in range(len(rows)))


def columns_changed(data: bytes) -> Iterator[bytes]:
    """Drop, double or leave unclosed each cell between commas, semicolons or tabs, in all lines or in one."""
    lines = [re.split(rb"([,;\t])", line) for line in data.split(b"\n")]
    for column in range(0, max(map(len, lines)), 2):
        yield b"\n".join(b"".join(line[:column] + line[column + 2 :]) for line in lines)
        yield b"\n".join(b"".join([*line[: column + 1], b",", *line[column:]]) for line in lines)
        for row in range(len(lines)):
            changed = [*lines[row][:column], b'"', *lines[row][column:]]
            yield b"\n".join(b"".join(changed if line is lines[row] else line) for line in lines)


def encodings(data: bytes) -> Iterator[bytes]:
    text = data.decode()
    for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-7", "cp037"):
        yield text.encode(name)
    yield ("\ufeff\ufeff" + text).encode()
    yield text.replace("a", "а").encode()  # Cyrillic


def line_ends(data: bytes) -> Iterator[bytes]:
    rows = data.split(b"\n")
    yield b"\r".join(rows)
    yield b"\r\n".join(rows)
    yield b"".join(row + end for row, end in zip(rows, [b"\r\n", b"\n", b"\r"] * len(rows), strict=False))
    for end in (b"\n\n", b"\n\r", b"\x0b", b"\x0c", b"\x85", "\u2028".encode(), b" \n", b"\t\n", b",\n"):
        yield end.join(rows)


RULES: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    rule.__name__: rule
    for rule in (cuts, flips, losses, strays, rows_doubled, rows_dropped, columns_changed, encodings, line_ends)
}


# --- an independent reader -------------------------------------------------------------------------------------------

NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)


def table(data: bytes, mark: str | None = None) -> list[Point] | None:
    """Return the points of a table; None if it must be refused."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    before = mark or ",;\t|"  # rows of these alone are blank
    readings = [_records(text, mark, before) for mark in ([mark] if mark else list(",;\t|"))]
    for rows in sorted(filter(None, readings), key=lambda rows: -len(rows[0])):
        names = _roles([_bare(name) for name in rows[0]])
        if "angle" in names:
            return _points(names, rows[1:])
    return None


def _roles(names: list[str]) -> list[str]:
    """Return the names of columns, those of roles without capitals where a role has that one column alone."""
    lower = [name.lower() for name in names]
    weighed = {"logit", "weight"} & set(names)
    for role in {"angle", "logit", "weight", "label"} - set(names) - ({"logit", "weight"} if weighed else set()):
        if lower.count(role) == 1:
            names = [role if name.lower() == role else name for name in names]
    return names


def _records(text: str, mark: str, before: str) -> list[list[str]]:
    """Return the cells of each record; nothing if one of them is malformed."""
    end, blank = r"(?:\r\n|\r|\n|\Z)", " " if mark == "\t" else " \t"
    mark = re.escape(mark)
    cell = rf'(?:"(?:[^"]|"")*"|[^"\r\n{mark}][^\r\n{mark}]*|)'
    record = re.compile(rf"({cell}(?:{mark}{cell})*){end}")
    rows, at = [], 0
    while at < len(text):
        found = re.compile(rf"(?:[{blank}]*#[^\r\n]*|[ \t{mark if rows else before}]*){end}").match(text, at)
        if found is None:
            found = record.match(text, at)
            if found is None:
                return []
            rows.append(re.findall(rf"(?:^|{mark})({cell})", found[1]))
        at = found.end()
    return [[_unquoted(cell) for cell in row] for row in rows]


def _points(names: list[str], rows: list[list[str]]) -> list[Point] | None:
    named = [name for name in names if name]
    if len(set(named)) < len(named) or {"logit", "weight"} <= set(names) or not rows:
        return None
    if any(len(row) != len(names) for row in rows):
        return None
    columns = {name: [row[index] for row in rows] for index, name in enumerate(names)}
    return points(columns["angle"], columns.get("logit"), columns.get("weight"), columns.get("label"))


def points(
    angles: list[str], logits: list[str] | None, weights: list[str] | None, labels: list[str] | None
) -> list[Point] | None:
    """Return points of columns of text; None if a cell must be refused, or if all weights are 0."""
    try:
        z: list[float] | None = None
        if logits is not None:
            z = [-math.inf if re.fullmatch(r"-\.?inf", _bare(t), re.I | re.A) else _number(t) for t in logits]
        if weights is not None:
            z = [math.log(weight) if (weight := _number(text)) else -math.inf for text in weights]
        x = [_number(text) for text in angles]
    except ValueError:  # log(-1) too
        return None
    if z is not None and max(z) == -math.inf:
        return None
    names = None if labels is None else [re.sub(r"\A'(?='*[=+@\t\r\n＝＋－＠-])", "", label) for label in labels]
    return [Point(x[i], z and z[i], names and names[i]) for i in range(len(x))]


def _number(text: str) -> float:
    if not NUMBER.fullmatch(_bare(text)) or math.isinf(float(_bare(text))):
        raise ValueError(text)
    return float(_bare(text))


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # the two differ in what they refuse


def document(data: bytes) -> list[Point] | None:
    """Return the points of a YAML problem that is read, as PyYAML's own constructor has them."""
    held = yaml.load(data.decode("utf-8-sig"), Loader=_LOADER)["points"]
    if isinstance(held, list):
        has_labels = any("label" in point for point in held)
        roles = {role: [point[role] for point in held] for role in ("angle", "logit", "weight") if role in held[0]}
        labels = [point.get("label", "") for point in held] if has_labels else None
    else:
        roles, labels = held, held.get("label")
    return points(roles["angle"], roles.get("logit"), roles.get("weight"), labels)


def loss(swarm: list[Point]) -> float:
    """Return -log Σ_j S_j exp(-|x_j|)/2, the loss at the bin 0 under the kernel laplace of bandwidth 1."""
    logits = [point.logit or 0.0 for point in swarm]
    top = max(logits)
    total = math.fsum(math.exp(logit - top) for logit in logits)
    terms = [logit - top - abs(point.angle) for logit, point in zip(logits, swarm, strict=True)]
    largest = max(terms)
    return -(largest + math.log(math.fsum(math.exp(term - largest) for term in terms)) - math.log(2.0 * total))


# --- files that could need much time or memory -----------------------------------------------------------------------

MANY, KEYS = 10**5, 3 * 10**4
POINTS = b"points: {angle: [1]}\n"
_BOMB = b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n" % (b, b, *[a] * 8)
    for a, b in zip(b"abcdefgh", b"bcdefghi", strict=True)
)
HUNGRY: dict[str, tuple[Callable[[], bytes], int, str]] = {
    # name: the file, the exit code, what the message says
    "columns.csv": (lambda: _wide(b"angle", b"c%d") + b"\n" + b",".join([b"1"] * (MANY + 1)), 0, "neither logits"),
    "columns-unlike.csv": (lambda: _wide(b"angel", b"angle%d") + b"\n1", 2, "no column 'angle'"),
    "columns-missing.csv": (lambda: _wide(b"angle", b"c%d") + b"\n1" * MANY, 2, "1 cell in '1'"),
    "columns-alike.csv": (lambda: b",".join([b"angle"] * MANY) + b"\n1\n", 2, "'angle' appears twice"),
    "long-name.csv": (lambda: b"a" * 10**7 + b"\n1\n", 2, "more than 131072 characters"),
    "long-cell.csv": (lambda: b"angle,label\n1," + b"a" * 10**7 + b"\n", 2, "more than 131072 characters"),
    "long-number.csv": (lambda: b"angle\n" + b"9" * 10**7 + b"\n", 2, "more than 131072 characters"),
    "digits.csv": (lambda: b"angle\n" + b"9" * 5000 + b"\n", 2, "(5000 characters) is outside the range"),
    "decimals.csv": (lambda: b"angle\n." + b"3" * 5000 + b"\n", 0, "neither logits"),
    "exponent.csv": (lambda: b"angle\n1e" + b"9" * 5000 + b"\n", 2, "(5002 characters) is outside the range"),
    "no-numbers.csv": (lambda: b"angle\n" + b"x\n" * MANY + b"1\n", 2, f"({MANY} in all)"),
    "no-number.csv": (lambda: b"angle\n" + b"x\n" * MANY, 2, f"none of the {MANY} cells is a number ('x', ...)"),
    "ragged.csv": (lambda: b"angle\n" + b"1,2\n" * MANY, 2, f"({MANY} in all)"),
    "quotes.csv": (lambda: b"angle,label\n" + b'1,"' * MANY, 2, "text behind the closing quote"),
    "open-quote.csv": (lambda: b'angle,label\n1,"' + b"a\n" * MANY, 2, "more than 131072 characters"),
    "blank.csv": (lambda: b"\n" * 10**6, 2, "is empty"),
    "spaces.csv": (lambda: b" " * 10**7, 2, "is empty"),
    "comments.csv": (lambda: b"#\n" * 10**6 + b"angle\n1\n", 0, "neither logits"),
    "keys.yaml": (lambda: POINTS + b"".join(b"bandwith%d: 1\n" % i for i in range(KEYS)), 2, f"({KEYS} in all)"),
    "keys-of-points.yaml": (
        lambda: b"points:\n" + b"".join(b"- {angel%d: 1}\n" % i for i in range(KEYS)), 2, f"({KEYS} in all)"
    ),
    "keys-of-kernel.yaml": (
        lambda: POINTS + b"kernel: {" + b", ".join(b"nam%d: 1" % i for i in range(KEYS)) + b"}", 2, f"({KEYS} in all)"
    ),
    "lists.yaml": (lambda: b"[" * 10**6, 2, "nest"),
    "dashes.yaml": (lambda: b"- " * 10**6, 2, "nested more than 20 levels"),
    "questions.yaml": (lambda: b"? " * 10**6, 2, "a mapping as a key"),
    "bomb.yaml": (lambda: b"a: &a [x]\n" + _BOMB, 2, "the anchor &a"),
    "digits.yaml": (lambda: POINTS + b"bins: " + b"9" * 10**6, 2, "(1000000 characters) is not an integer"),
    "tag.yaml": (lambda: b"points: !!python/object/apply:os.system ['exit 1']", 2, "tags are not supported"),
    "text.parquet": (lambda: b"PAR1" + b"\xff" * 10**6 + b"PAR1", 2, "a damaged Parquet file"),
}  # fmt: skip


def _wide(first: bytes, other: bytes) -> bytes:
    return b",".join([first, *(other % column for column in range(MANY))])


_PROBE = """
import sys, time
from kdegrad.cli.app import run
code = run(sys.argv[1:])
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(time.process_time(), *peak, file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True)
class Measured:
    """What the command did with a file, and the time and memory that it took."""

    code: int
    out: bytes
    err: str
    seconds: float
    megabytes: float


def measured(path: Path) -> Measured:
    """Run the command on a file, in its own process, which reports time and memory (Linux)."""
    command = [sys.executable, "-c", _PROBE, "grad", str(path), *ARGUMENTS]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    *lines, took = done.stderr.decode().splitlines()
    seconds, kilobytes = map(float, took.split())
    return Measured(done.returncode, done.stdout, "\n".join(lines), seconds, kilobytes / 1024)


def files() -> Iterator[tuple[str, str, bytes]]:
    """Yield (rule, name of a good file, a malformed one)."""
    for rule, make in RULES.items():
        for name, data in GOOD.items():
            yield from ((rule, name, made) for made in make(data))


def main(folder: Path) -> None:
    """Print the counts of exit codes, and the most time and memory that one file takes."""
    ends: dict[str, Counter[int]] = {}
    slowest = (0.0, "")
    for rule, name, data in files():
        path = folder / name
        path.write_bytes(data)
        start = time.process_time()
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())), contextlib.redirect_stderr(io.StringIO()):
            code = app.run(["grad", str(path), *ARGUMENTS])
        slowest = max(slowest, (time.process_time() - start, f"{rule} of {name}"))
        ends.setdefault(rule, Counter())[code] += 1
    for rule, count in ends.items():
        print(
            f"{rule:16} {count.total():5} files   " + "   ".join(f"exit {c}: {n:4}" for c, n in sorted(count.items()))
        )
    print(
        f"all of them: {sum(count.total() for count in ends.values())} files, at most {slowest[0]:.2f} s ({slowest[1]})"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the one process that read them: {peak:.0f} MB")
    for name, (make, _, _) in HUNGRY.items():
        path = folder / name
        path.write_bytes(make())
        done = measured(path)
        print(f"{name:20} exit {done.code}   {done.seconds:5.2f} s   {done.megabytes:4.0f} MB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch))
