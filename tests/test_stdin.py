"""Pins down a command line without INPUT: data that wait on standard input are refused, and nothing else is.

What commands inherit from cron, a CI, a caller or a loop must not be taken for data.
"""

from __future__ import annotations

import io
import os
import shlex
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import installed

TABLE = b"angle,logit\n10,0.5\n20,0\n"


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Give a function that makes standard input what its argument says."""
    with ExitStack() as stack:

        def become(kind: str) -> None:
            path = Path("/dev/null") if kind == "/dev/null" else tmp_path / "stdin"
            if "pipe" in kind:
                number, writing = os.pipe()
                writer = stack.enter_context(os.fdopen(writing, "wb", buffering=0))
                if "data" in kind:
                    writer.write(TABLE)
                if "ended" in kind:
                    writer.close()
            elif "socket" in kind:
                ours, theirs = socket.socketpair()
                stack.enter_context(theirs)
                theirs.sendall(TABLE)
                theirs.shutdown(socket.SHUT_WR)
                number = ours.detach()
            elif kind == "terminal":
                controller, number = os.openpty()
                stack.callback(os.close, controller)
                os.write(controller, TABLE)
            else:
                if "file" in kind:
                    path.write_bytes(b"" if "empty" in kind else TABLE)
                number = os.open(path, os.O_RDONLY)
                if "its end" in kind:
                    os.lseek(number, 0, os.SEEK_END)
            monkeypatch.setattr(sys, "stdin", stack.enter_context(io.TextIOWrapper(io.FileIO(number))))

        yield become


@pytest.mark.parametrize("kind", ["ended pipe with data", "socket with data", "file"])
@pytest.mark.parametrize("command", ["loss --target 10 40", "verify-props --cases 1"])
def test_data_that_wait_are_refused(kdegrad, standard_input, monkeypatch, kind: str, command: str) -> None:
    words = [*command.split(), "--label-column", "the name"]
    standard_input(kind)
    monkeypatch.setattr(sys, "argv", ["kdegrad", *words])
    done = kdegrad(*words)
    assert (done.code, done.out) == (2, "")
    fixed = shlex.join(["kdegrad", words[0], "-", *words[1:]])
    assert done.err.startswith("error: data waits on standard input, and no INPUT is given: did you mean '-'? ")
    assert fixed in done.err
    assert done.err.count("\n") == 1
    assert sys.stdin.read() == TABLE.decode()  # nothing was read: in a loop over lines it is the loop's


@pytest.mark.parametrize("kind", ["terminal", "/dev/null", "ended pipe", "empty file", "file that was read to its end"])
def test_no_data_are_no_mistake(kdegrad, standard_input, kind: str) -> None:
    standard_input(kind)
    done = kdegrad("loss", "--format", "csv")
    assert (done.code, done.err) == (0, "note: no INPUT: the packaged example two_sided.yaml is used\n")


@pytest.mark.parametrize("stdin", [None, object()])
def test_standard_input_that_is_closed_or_no_file(kdegrad, monkeypatch, stdin: object) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    assert kdegrad("loss", "--format", "csv").code == 0


def test_an_open_pipe_without_data_is_named_in_the_note(kdegrad, standard_input) -> None:
    """A caller may have left it open, or what writes to it is slow: that cannot be told."""
    standard_input("open pipe")
    done = kdegrad("loss", "--format", "csv")
    assert done.code == 0
    assert done.err.endswith("two_sided.yaml is used, and standard input is not read ('-' reads it)\n")


@pytest.mark.parametrize("words", ["verify-props --list", "kernels"])
def test_commands_that_need_no_input(kdegrad, standard_input, words: str) -> None:
    standard_input("pipe with data")
    assert kdegrad(*words.split()).code == 0


def test_data_that_are_read_do_not_wait(kdegrad, standard_input) -> None:
    standard_input("ended pipe with data")
    assert kdegrad("loss", "-", "--target", "0", "9").code == 0
    standard_input("ended pipe with data")
    assert kdegrad("loss", "--target-points", "-").code == 0


def test_a_loss_that_is_judged_leaves_them_alone(kdegrad, standard_input, folder: Path) -> None:
    """It needs no INPUT, and stands in loops over lines and in hooks of git, which have data on standard input."""
    (folder / "mine.py").write_text(
        "import kdegrad as kg\n\n\ndef loss(angles, logits, target, **options):\n"
        "    return kg.loss(angles, logits, target=target, **options)\n"
    )
    standard_input("pipe with data")
    done = kdegrad("verify-props", "--loss", "mine:loss", "--only", "agrees", "--cases", "1", "--bandwidth", "10")
    assert done.code in (0, 1)
    assert "random problems are checked, and standard input is not read ('-' reads it)" in done.err


def test_the_command_line_is_named_as_it_was_typed(tmp_path: Path) -> None:
    path = tmp_path / "preds.csv"
    path.write_bytes(TABLE)
    with path.open() as stdin:
        done = installed("grad", "--target", "10", "40", stdin=stdin)
    assert done.returncode == 2
    assert b"kdegrad grad - --target 10 40 (" in done.stderr
