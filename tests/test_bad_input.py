"""Pins down what the command does with thousands of bad files, made by rules from good ones (`tests.malformed`).

Each ends with exit code 0 or 2, fast and in little memory: with 2 and nothing but messages on standard error, or with
0 and the numbers that an independent reader finds. A table is refused if and only if that reader refuses it.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdegrad.errors import KdegradError
from kdegrad.reading import read
from kdegrad.settings import ReadingOptions
from tests import malformed
from tests.malformed import ARGUMENTS, FUZZ, GOOD, HUNGRY, MEGABYTES, RULES, SECONDS, Point


def same(found: list[Point], expected: list[Point]) -> bool:
    """Return whether points are the same; a logarithm may be off by a rounding."""
    return len(found) == len(expected) and all(
        (f.angle, f.label) == (e.angle, e.label)
        and (f.logit == e.logit or (f.logit is not None and f.logit == pytest.approx(e.logit, rel=1e-15)))
        for f, e in zip(found, expected, strict=True)
    )


def assert_refused(code: int, out: str, err: str, path: object) -> None:
    """Check the contract of exit code 2: only lines that say what is wrong, the first with the place."""
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[0].startswith("error: ")
    assert str(path) in lines[0] or "--" in lines[0]
    assert all(line.startswith("error: ") and line.isprintable() for line in lines)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("rule", RULES)
def test_files_made_by_rule(kdegrad, tmp_path: Path, rule: str, name: str) -> None:
    path = tmp_path / name
    ending = path.suffix
    for data in RULES[rule](GOOD[name]):
        path.write_bytes(data)
        start = time.process_time()
        done = kdegrad("grad", path, *ARGUMENTS)
        assert time.process_time() - start < SECONDS, data
        expected = None if ending == ".yaml" else malformed.table(data, "\t" if ending == ".tsv" else None)
        if done.code:
            assert_refused(done.code, done.out, done.err, path)
            assert expected is None, data
            continue
        if ending == ".yaml":
            expected = malformed.document(data)
        assert expected is not None, data
        given_logits = expected[0].logit is not None
        found = [
            Point(p["angle"], (-np.inf if p["logit"] is None else p["logit"]) if given_logits else None, p.get("label"))
            for p in done.json["points"]
        ]
        assert same(found, expected), data
        if ending != ".yaml":  # which may say more about the problem than its points
            assert done.json["loss"] == pytest.approx(malformed.loss(expected), rel=1e-13), data


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak of memory")
@pytest.mark.parametrize("name", HUNGRY)
def test_files_that_could_need_much_time_or_memory(tmp_path: Path, name: str) -> None:
    make, code, said = HUNGRY[name]
    path = tmp_path / name
    path.write_bytes(make())
    done = malformed.measured(path)
    assert done.code == code
    assert said in done.err
    assert (done.out == b"") == (code == 2)
    assert "Traceback" not in done.err
    assert done.seconds < SECONDS
    assert done.megabytes < MEGABYTES


READ = """
import re, sys, time
from kdegrad.errors import InputError
from kdegrad.reading import read
from kdegrad.settings import ReadingOptions
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
before, start = peak(), time.process_time()
try:
    read(sys.argv[1], ReadingOptions())
except InputError as error:
    print(error.total, end=" ")
print(time.process_time() - start, peak() - before)
"""


def reading(path: Path) -> list[float]:
    """Return the seconds and the MB that reading a file takes, behind the number of its faults if it is refused."""
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


ROWS = 1000  # different ones of a large table
LARGE = {
    "numbers": ("angle,logit", "{angle!r},{logit!r}", ""),
    "a-comment": ("angle,logit", "{angle!r},{logit!r}", "# the end"),
    "an-unused-text": ("angle,place,logit", "{angle!r},Malm\u00f6,{logit!r}", ""),
    "decimal-points-and-quotes": ("angle,logit", '"{angle!r}",{logit!r}', ""),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak of memory")
@pytest.mark.parametrize("name", LARGE)
def test_memory_is_that_of_the_points(tmp_path: Path, name: str) -> None:
    """16 bytes a point, twice when the blocks are joined, and a few MB for the block that is read."""
    header, row, end = LARGE[name]
    random, path, times = np.random.default_rng(0), tmp_path / "large.csv", 600
    rows = "".join(row.format(angle=a, logit=z) + "\n" for a, z in random.normal(size=(ROWS, 2)).tolist())
    path.write_text(header + "\n" + rows * times + end, encoding="utf-8")
    _, megabytes = reading(path)
    assert megabytes < 2 * 16e-6 * ROWS * times + 40


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="as above")
@pytest.mark.parametrize(
    ("row", "faults"),
    [("{angle!r}x,{logit!r}x", 2), ("{angle!r},{logit!r},", 1), ("NA,{logit!r}", 1)],
)
def test_a_refusal_takes_at_most_twice_as_long(tmp_path: Path, row: str, faults: int) -> None:
    """Of many faults only the first are put in words: the bound has a margin for a busy machine.

    The good rows have blank lines between them, so that they are read one by one too.
    """
    random, times = np.random.default_rng(0), 100
    seconds = {}
    for name, form in (("good", "{angle!r},{logit!r}"), ("bad", row)):
        rows = "".join(form.format(angle=a, logit=z) + "\n" for a, z in random.normal(size=(ROWS, 2)).tolist())
        path = tmp_path / f"{name}.csv"
        path.write_text("angle,logit\n1,1\n" + (rows + "\n") * times)
        took = [reading(path) for _ in range(3)]
        seconds[name] = min(numbers[-2] for numbers in took)
    assert took[0][0] == faults * ROWS * times
    assert seconds["bad"] < 3.0 * seconds["good"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b""),
        ("a.csv", b"angle\n1,2\n"),
        ("a.csv", b"\xff\xfea\0n\0"),
        ("a.tsv", b"angle\n\x1b[2J\n"),
        ("a.yaml", b"points: &a [*a]\n"),
        ("a.yaml", b"points: [{angle: 1, <<: {}}]"),
        ("a.yml", b"points: !!set {1}"),
        ("a.yaml", b"points: {angle: [!!binary aGk=]}"),
        ("a.parquet", b"PAR1"),
        ("folder.csv", None),
    ],
)
def test_the_installed_command_refuses_them(tmp_path: Path, name: str, data: bytes | None) -> None:
    path = tmp_path / name
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)
    command = Path(sys.executable).with_name("kdegrad")
    done = subprocess.run([command, "loss", path], capture_output=True, text=True, check=False, env=os.environ)
    assert_refused(done.returncode, done.stdout, done.stderr, path)


# --- Parquet -------------------------------------------------------------------------------------------------------


def test_parquet_files_made_by_rule(kdegrad, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"angle": [1.5, -2.25], "logit": [0.5, 0.25]}), path, compression="none")
    good = path.read_bytes()
    for place in range(0, len(good), 11):
        flipped = good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :]
        for data in (good[:place], flipped):
            path.write_bytes(data)
            done = kdegrad("grad", path, *ARGUMENTS)
            if done.code:
                assert_refused(done.code, done.out, done.err, path)
            else:
                held = pyarrow.parquet.read_table(path).to_pydict()
                assert [point["angle"] for point in done.json["points"]] == held["angle"], place


# --- hypothesis ----------------------------------------------------------------------------------------------------

EDIT = st.tuples(st.integers(0, 400), st.integers(0, 3), st.sampled_from(list(b'"\0,;\t\r\n #\xff:-[]{}&*!|>%1e.\x1b')))


def edited(data: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    """Return `data` with bytes inserted, or put in place of up to three others."""
    for place, taken, byte in edits:
        place %= len(data) + 1
        data = data[:place] + bytes([byte]) + data[place + taken :]
    return data


def outcome(data: bytes, name: str) -> list[Point] | None:
    """Return the points that are read; None if they are refused; any other error is raised."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try:
            source = read("-", ReadingOptions(input_format=name.split(".")[1]))
        except KdegradError as error:
            assert all(line.isprintable() for line in str(error).splitlines())  # noqa: PT017
            return None
    count = len(source.angles)
    logits = [None] * count if source.logits is None else source.logits.tolist()
    return list(map(Point, source.angles.tolist(), logits, source.labels or [None] * count))


def agrees(found: list[Point] | None, expected: list[Point] | None) -> bool:
    return found == expected if found is None or expected is None else same(found, expected)


@FUZZ
@given(st.sampled_from([name for name in GOOD if not name.endswith("yaml")]), st.lists(EDIT, min_size=1, max_size=6))
def test_tables_edited_at_random_are_read_as_by_the_independent_reader(
    name: str, edits: list[tuple[int, int, int]]
) -> None:
    data = edited(GOOD[name], edits)
    assert agrees(outcome(data, name), malformed.table(data, "\t" if name.endswith("tsv") else None)), data


@FUZZ
@given(
    st.lists(
        st.sampled_from(
            ["angle", "label", "logit", "weight", "1", "-2.5", '"', ",", ";", "\t", "\n", "\r", " ", "#", "x", "'", "="]
        )
    )
)
def test_tables_of_random_pieces_are_read_as_by_the_independent_reader(pieces: list[str]) -> None:
    data = "".join(["angle", *pieces]).encode()
    assert agrees(outcome(data, "a.csv"), malformed.table(data)), data


@FUZZ
@given(st.sampled_from([name for name in GOOD if name.endswith("yaml")]), st.lists(EDIT, min_size=1, max_size=6))
def test_problems_edited_at_random_are_read_as_by_the_independent_reader(
    name: str, edits: list[tuple[int, int, int]]
) -> None:
    data = edited(GOOD[name], edits)
    found = outcome(data, name)
    assert found is None or agrees(found, malformed.document(data)), data
