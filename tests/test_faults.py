"""Pins down what a fault of the machine does: the right exit code, one clear line, and only complete files.

Most tests run the installed command in its own process, where pipes, signals and limits act as they do for a user.
Where a fault must occur at one stage of the work, the function of that stage is wrapped (`STRICKEN`), without a timer.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import kdegrad as kg
from kdegrad.reading import files
from tests.conftest import COMMAND, installed
from tests.readme import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="these are faults of a Unix")

TWO_SIDED = str(ROOT / "sample_inputs" / "two_sided.yaml")
COMMANDS = {
    "loss": ["loss", TWO_SIDED],
    "grad": ["grad", TWO_SIDED],
    "verify-props": ["verify-props", TWO_SIDED, "--cases", "0", "--only", "merge"],
    "sweep": ["sweep", TWO_SIDED, "--over", "distance", "--from", "0", "--to", "9", "--steps", "2"],
    "descend": ["descend", TWO_SIDED, "--steps", "2", "--format", "csv"],
    "kernels": ["kernels"],
}
FORMS = [
    *[(name, form) for name in COMMANDS for form in ("table", "json", "csv")],
    *[("verify-props", form) for form in ("junit", "github")],
]
PER_BIN = ["grad", TWO_SIDED, "--per-bin", "--bins", "20000", "--format", "csv"]  # 8 MB of rows
TRACED = ["descend", TWO_SIDED, "--steps", "500", "--tolerance", "0", "--trace"]  # 3,006 rows
NO_SPACE = "No space left on device\n"
OUT_OF_MEMORY = "error: out of memory: fewer points or bins, or a larger machine (--debug shows where)\n"

# Runs the command, and a statement when a function is first called: argv is module, function, statement, ...
STRICKEN = """
import importlib, sys
place, name, statement = sys.argv[1:4]
del sys.argv[1:4]
module = importlib.import_module(place)
stage = getattr(module, name)
def stricken(*arguments, **options):
    setattr(module, name, stage)
    exec(statement)
    return stage(*arguments, **options)
setattr(module, name, stricken)
from kdegrad.__main__ import main
main()
"""
SAY = "import sys; print('here', file=sys.stderr, flush=True)"
# Leaves little memory, also of what Python has freed and kept for itself.
CAP = """
import resource, sys
pages = int(open("/proc/self/statm").read().split()[0])
room = pages * resource.getpagesize() + 500_000
resource.setrlimit(resource.RLIMIT_AS, (room, room))
sys.taken = []
try:
    while True:
        sys.taken.append(bytearray(200_000))
except MemoryError:
    del sys.taken[-2:]
"""


def stricken(stage: str, statement: str, *arguments: object) -> list[str]:
    module, _, name = stage.rpartition(".")
    return [sys.executable, "-c", STRICKEN, module, name, statement, *map(str, arguments)]


def reader_gone() -> int:
    """Return the writing end of a pipe without a reader."""
    reading, writing_end = os.pipe()
    os.close(reading)
    return writing_end


def without_privileges() -> None:
    """Make permissions apply to the program that is executed next, also for root."""
    read_and_write_all, read_all, drop = 1, 2, 24  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP
    libc = ctypes.CDLL(None)
    for capability in (read_and_write_all, read_all):
        libc.prctl(drop, capability, 0, 0, 0)


def with_default_signals() -> None:
    """Make signals act in the program that is executed next, also if nohup or a shell's ``&`` made them ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a file that exists before the command runs, alone in its folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "old"  # without a suffix, which would choose a format
    file.write_text("old")
    file.chmod(0o640)
    return file


def is_untouched(file: Path) -> bool:
    """Return whether the file `old` is unchanged and still alone in its folder."""
    return file.read_text() == "old" and file.stat().st_mode & 0o777 == 0o640 and os.listdir(file.parent) == [file.name]


# --- a full disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def full() -> Any:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb") as stream:
        yield stream


@pytest.mark.parametrize("arguments", [*COMMANDS.values(), PER_BIN], ids=[*COMMANDS, "rows"])
def test_standard_output_on_a_full_disk(full: Any, arguments: list[str]) -> None:
    done = installed(*arguments, stdout=full)
    assert (done.returncode, done.stderr.decode()) == (4, f"error: standard output: {NO_SPACE}")


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_on_a_full_disk(full: Any, flag: str) -> None:
    done = installed(flag, stdout=full)
    assert (done.returncode, done.stderr.decode()) == (4, f"error: output: {NO_SPACE}")


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_every_form_of_report_to_a_full_device(full: Any, kdegrad, name: str, form: str) -> None:
    done = kdegrad(*COMMANDS[name], "--format", form, "--output", "/dev/full")
    assert (done.code, done.out, done.err) == (4, "", f"error: /dev/full: {NO_SPACE}")


@pytest.mark.parametrize("to", ["--output x.parquet", "--plot x.svg", "--plot x.png", "--plot x.pdf", "--trace x.csv"])
def test_every_kind_of_file_to_a_full_device(
    full: Any, kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    monkeypatch.chdir(tmp_path)
    option, name = to.split()
    Path(name).symlink_to("/dev/full")
    done = kdegrad(*COMMANDS["descend"], option, name, "--format", "parquet" if name == "x.parquet" else "csv")
    assert (done.code, done.err) == (4, f"error: {name}: {NO_SPACE}")
    assert os.listdir() == [name]


@pytest.mark.parametrize(
    "arguments",
    [[*PER_BIN, "--output"], TRACED],
    ids=["output", "trace"],
)
def test_a_file_that_may_not_grow_leaves_the_old_one(old: Path, arguments: list[str]) -> None:
    """RLIMIT_FSIZE stops a write in the middle, as a full disk does."""
    done = installed(*arguments, old, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
    assert done.returncode == 4
    assert done.stderr.decode() == f"error: {old}: File too large\n"
    assert is_untouched(old)


def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path) -> None:
    """A file system of 64 kB that only the process sees."""
    lines = [
        f"mount -t tmpfs -o size=64k none {tmp_path} || exit 99",
        f"cd {tmp_path}; printf old >out.csv; chmod 640 out.csv",
        f"{COMMAND} {' '.join(PER_BIN)} --output out.csv; echo $?; stat -c %a *; cat out.csv; ls -A",
    ]
    unshared = ["unshare", "--mount", "bash", "-c", "\n".join(lines)]
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    done = subprocess.run(unshared, capture_output=True, text=True, check=False)
    if done.returncode in (1, 99):
        pytest.skip(f"may not mount a file system here: {done.stderr.strip()}")
    assert done.stdout == "4\n640\noldout.csv\n"
    assert done.stderr == f"error: out.csv: {NO_SPACE}"


# --- permissions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--output", "--plot", "--trace"])
def test_a_folder_that_may_not_be_written(old: Path, option: str) -> None:
    """It is the current folder, and the name of the output has no folder in it."""
    suffix = ".svg" if option == "--plot" else ".csv"
    old.parent.chmod(0o555)
    try:
        done = installed(*COMMANDS["descend"], option, f"new{suffix}", cwd=old.parent, preexec_fn=without_privileges)
    finally:
        old.parent.chmod(0o755)
    assert done.returncode == 4
    assert done.stderr.decode() == f"error: new{suffix}: Permission denied\n"
    assert is_untouched(old)


def test_an_old_file_in_a_folder_that_may_not_be_written(old: Path) -> None:
    old.parent.chmod(0o555)
    try:
        done = installed(*COMMANDS["loss"], "--output", old, preexec_fn=without_privileges)
    finally:
        old.parent.chmod(0o755)
    assert (done.returncode, done.stdout) == (4, b"")
    assert done.stderr.decode() == f"error: {old}: Permission denied\n"
    assert is_untouched(old)


def test_a_folder_that_may_not_be_entered(old: Path) -> None:
    old.parent.chmod(0o600)
    try:
        writes = installed(*COMMANDS["loss"], "--output", old, preexec_fn=without_privileges)
        reads = installed("loss", old, "--input-format", "csv", "--target", "0", "9", preexec_fn=without_privileges)
    finally:
        old.parent.chmod(0o755)
    assert (writes.returncode, writes.stdout) == (4, b"")
    assert writes.stderr.decode() == f"error: {old}: Permission denied\n"
    assert (reads.returncode, reads.stdout) == (2, b"")
    assert "permission denied" in reads.stderr.decode()
    assert is_untouched(old)


# --- files that existed before ---------------------------------------------------------------------------------------


def test_a_failed_run_leaves_the_old_output_alone(kdegrad, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kdegrad("loss", TWO_SIDED, "--bandwidth", "0", "--output", old).code == 2
    assert kdegrad("loss", TWO_SIDED, "--output", old, "--plot", "no/where.svg").code == 2

    def broken(*_: object) -> object:
        yield "half of it"
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("kdegrad.reports.render", broken)
    done = kdegrad("loss", TWO_SIDED, "--output", old)
    assert (done.code, done.err) == (4, f"error: {old}: Input/output error\n")
    assert is_untouched(old)


def test_a_file_name_is_text_in_an_error_of_the_machine(kdegrad, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error", "\x1b[31mred")

    monkeypatch.setattr("kdegrad.objective.evaluate", broken)
    assert "'\\x1b[31mred': Input/output error" in kdegrad("loss", TWO_SIDED).err


def test_an_output_that_standard_input_comes_from_is_an_input(old: Path) -> None:
    old.write_text("angle\n1\n")
    for output in (old, old.parent / "link.csv"):
        if output != old:
            output.symlink_to(old)
        with old.open() as stdin:
            done = installed("loss", "-", "--target", "0", "9", "--output", output, stdin=stdin)
        assert (done.returncode, old.read_text()) == (2, "angle\n1\n")
        assert b"would overwrite the input" in done.stderr
    other = old.parent / "other.csv"
    with old.open() as stdin:
        assert installed("loss", "-", "--target", "0", "9", "--output", other, stdin=stdin).returncode == 0


# --- signals ---------------------------------------------------------------------------------------------------------

LONG = {
    "reading": ("kdegrad.reading.files.blocks", ["loss", "-", "--target", "0", "9"]),
    "loss": ("kdegrad.objective.evaluate", ["loss", TWO_SIDED, "--bins", "10000000", "--sums", "dense"]),
    "grad": ("kdegrad.objective.evaluate", ["grad", TWO_SIDED, "--bins", "10000000", "--sums", "dense"]),
    "writing": ("kdegrad.reports.render", [*PER_BIN, "--bins", "1000000"]),
    "verify-props": ("kdegrad.properties.verify", ["verify-props", TWO_SIDED, "--cases", "1000"]),
    "sweep": ("kdegrad.sweeps.sweep", [*COMMANDS["sweep"], "--steps", "10000"]),
    "descend": ("kdegrad.descent.descend", ["descend", TWO_SIDED, "--steps", "1000000", "--tolerance", "0"]),
    "plot": ("kdegrad.figures.line.panels", [*COMMANDS["loss"], "--plot", "figure.svg"]),
}


def struck(number: int, stage: str, *arguments: object, cwd: Path, wait: str = "") -> tuple[int, str]:
    """Send a signal at a stage; return the exit code and what was said on standard error after it.

    It is sent again where it came just before a call that waits: Python sees it only when the call is over.
    """
    process = subprocess.Popen(
        stricken(stage, SAY + wait, *arguments), cwd=cwd, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=with_default_signals,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stdin is not None
    with process.stdin, process.stderr:
        assert process.stderr.readline() == "here\n"
        for _ in range(3):
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
                break
        else:
            process.kill()
        return process.wait(), process.stderr.read()


@pytest.mark.parametrize("name", LONG)
def test_an_interrupt_exits_130_and_leaves_no_half_written_file(old: Path, name: str) -> None:
    stage, arguments = LONG[name]
    output = [] if name == "plot" else ["--output", old.name]
    for _ in range(3):  # Python drops an interrupt during some of its own callbacks while modules load
        ended = struck(signal.SIGINT, stage, *arguments, *output, cwd=old.parent)
        if ended == (130, "interrupted\n"):
            break
    assert ended == (130, "interrupted\n")
    assert is_untouched(old)


def test_an_interrupt_that_another_error_wraps_is_one(kdegrad, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Python 3.12, an interrupt while a class is created becomes the cause of a RuntimeError."""

    def evaluate(*_: object, **__: object) -> None:
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.setattr("kdegrad.objective.evaluate", evaluate)
    done = kdegrad("loss", TWO_SIDED)
    assert (done.code, done.out, done.err) == (130, "", "interrupted\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_termination_leaves_no_half_written_file(old: Path, number: int, code: int) -> None:
    stage, arguments = LONG["descend"]
    traced = [*arguments, "--trace", old.name]
    assert struck(number, stage, *traced, cwd=old.parent) == (code, "")
    assert is_untouched(old)


def test_an_interrupt_while_the_command_loads_is_no_traceback(tmp_path: Path) -> None:
    wait = "; import time; time.sleep(30)"  # so that the signal comes there: a module loads in milliseconds
    assert struck(signal.SIGINT, "typer.Typer", "--help", cwd=tmp_path, wait=wait) == (-signal.SIGINT, "")


# --- pipes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        *[[*COMMANDS[name], "--format", form] for name, form in FORMS if form in ("table", "junit")],
        [*COMMANDS["grad"], "--format", "csv"],
        [*COMMANDS["loss"], "--format", "json"],
        PER_BIN,
        ["--help"],
        ["sweep", "--help"],
        ["--version"],
        [*COMMANDS["loss"], "--output", "/dev/stdout"],
        [*TRACED, "/dev/stdout", "--output", os.devnull],
    ],
    ids=lambda arguments: " ".join(arguments).replace(TWO_SIDED, "INPUT"),
)
def test_a_reader_that_left_before_the_first_line_is_no_error(arguments: list[str]) -> None:
    pipe = reader_gone()
    done = installed(*arguments, stdout=pipe)
    os.close(pipe)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_leaves_after_the_first_line_is_no_error() -> None:
    for output in ("", "--output /dev/stdout"):
        shell = f"set -o pipefail; {COMMAND} {' '.join(PER_BIN)} {output} | head -n 2"
        done = subprocess.run(["bash", "-c", shell], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.count(b"\n") == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (COMMANDS["sweep"], 0),
        (["loss", "no.csv"], 2),
        (["loss", TWO_SIDED, "--kernel", "epa"], 3),
        ([*COMMANDS["verify-props"], "--tolerance", "1e-300", "--format", "csv"], 1),
        ([*COMMANDS["verify-props"], "--tolerance", "1e-300", "--output", "/dev/stdout"], 1),
    ],
)
def test_without_any_reader_the_exit_code_is_right(arguments: list[str], code: int) -> None:
    pipe = reader_gone()
    done = installed(*arguments, stdout=pipe, stderr=pipe)
    os.close(pipe)
    assert done.returncode == code


def test_a_named_pipe_is_read_and_written(tmp_path: Path) -> None:
    source, sink = tmp_path / "in.csv", tmp_path / "out.json"
    os.mkfifo(source)
    os.mkfifo(sink)
    feeding = threading.Thread(target=lambda: source.write_text("angle\n1\n5\n"))
    feeding.start()
    with subprocess.Popen(
        [COMMAND, "loss", source, "--target", "0", "9", "--format", "json", "--output", sink], stderr=subprocess.PIPE
    ) as process:
        text = sink.read_text()
        assert process.stderr is not None
        assert process.stderr.read().startswith(b"note: ")
    feeding.join()
    assert process.returncode == 0
    assert f'"loss": {kg.loss([1, 5], target=(0, 9))!r}' in text
    assert sink.is_fifo()


def test_a_named_pipe_whose_reader_leaves_is_no_error(tmp_path: Path) -> None:
    sink = tmp_path / "out.csv"
    os.mkfifo(sink)
    with subprocess.Popen([COMMAND, *PER_BIN, "--output", sink], stderr=subprocess.PIPE) as process:
        with open(sink, "rb") as reader:
            assert reader.readline() == b"bin,node,point,angle,responsibility,gradient\n"
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


# --- folders, and files that change ----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [*COMMANDS.values(), ["verify-props", "--list"]])
def test_a_folder_is_no_input_and_no_output(kdegrad, tmp_path: Path, arguments: list[str]) -> None:
    folder = tmp_path / "points.csv"
    folder.mkdir()
    if TWO_SIDED in arguments and arguments[0] not in ("loss", "grad"):  # these take the parts in a folder
        done = kdegrad(*(folder if argument == TWO_SIDED else argument for argument in arguments))
        assert (done.code, done.out, done.err) == (2, "", f"error: {folder}: is a folder: name a file in it\n")
    done = kdegrad(*arguments, "--output", folder)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: --output: {str(folder)!r} is a directory: name a file in it\n"


def test_a_link_to_a_folder_that_does_not_exist_is_refused_at_once(kdegrad, tmp_path: Path) -> None:
    link = tmp_path / "out.csv"
    link.symlink_to(tmp_path / "no" / "out.csv")
    done = kdegrad("loss", TWO_SIDED, "--output", link)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: --output: the folder '{tmp_path}/no' does not exist: create it first\n"


@pytest.mark.parametrize("change", ["shrinks", "vanishes", "grows"])
def test_a_file_that_changes_once_it_is_open(
    kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The content at the time of reading counts: fewer rows, all rows, or an incomplete row, which is refused."""
    path = tmp_path / "points.csv"
    rows = [f"{i},0.5" for i in range(10_000)]
    path.write_text("\n".join(["angle,logit", *rows]))

    def opened(*arguments: Any) -> Any:
        stream = open(*arguments)  # noqa: SIM115  # the reader closes it
        if change == "shrinks":
            os.truncate(path, path.read_text().index("\n7,0.5") + 1)
        elif change == "vanishes":
            path.unlink()
        else:
            with open(path, "a") as more:
                more.write("\n10000,0.5\n10001,")
        return stream

    monkeypatch.setattr(files, "open", opened, raising=False)
    done = kdegrad("loss", path, "--target", "0", "90", "--format", "json")
    if change == "grows":
        assert (done.code, done.out) == (2, "")
        assert f"{path}:10003: column 'logit': '' is a missing value" in done.err
    else:
        assert done.code == 0
        assert done.json["problem"]["points"] == {"shrinks": 7, "vanishes": 10_000}[change]


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "many.csv"
    path.write_text("angle,label\n" + "".join(f"{i % 360},name {i}\n" for i in range(100_000)))
    return path


@pytest.mark.parametrize(
    ("stage", "command"),
    [
        ("kdegrad.reading.files.blocks", "loss"),
        ("kdegrad.reading.delimited.read_table", "loss"),
        ("kdegrad.objective.evaluate", "loss"),
        ("kdegrad.objective.evaluate", "grad"),
        ("kdegrad.reports.render", "grad --format json"),
        ("kdegrad.reports.render", "grad --format csv"),
        ("kdegrad.sweeps.sweep", "sweep --over bandwidth --from 1 --to 2"),
        ("kdegrad.descent.descend", "descend"),
    ],
)
def test_memory_that_runs_out_is_one_line_and_exit_4(many: Path, old: Path, stage: str, command: str) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    name, *flags = command.split()
    arguments = [name, many, *flags, "--target", "0", "90", "--output", old]
    done = subprocess.run(stricken(stage, CAP, *arguments), capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines(keepends=True) if not line.startswith("note: ")]
    assert (done.returncode, done.stdout, said) == (4, "", [OUT_OF_MEMORY])
    assert is_untouched(old)


@pytest.mark.parametrize("error", [MemoryError(), ImportError("libx.so: failed to map segment from shared object")])
def test_out_of_memory_is_no_failed_property(kdegrad, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def measure(*_: object) -> None:
        raise error

    monkeypatch.setattr("kdegrad.properties.ground.Merge.measure", measure)
    done = kdegrad(*COMMANDS["verify-props"])
    assert (done.code, done.out, done.err) == (4, "", OUT_OF_MEMORY)


# --- the environment -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def usual() -> bytes:
    """Return the table that no environment may change."""
    return installed(*COMMANDS["grad"], env=os.environ | {"COLUMNS": "80", "PYTHONUTF8": "1"}).stdout


@pytest.mark.parametrize(
    "changes",
    [
        {"HOME": None, "USER": None, "LOGNAME": None, "TERM": None},
        {"HOME": "/no/such/home", "XDG_CONFIG_HOME": "/no/such/home", "XDG_CACHE_HOME": "/no/such/home"},
        {"TERM": "dumb", "NO_COLOR": "1"},
        {"CLICOLOR_FORCE": "1", "PY_COLORS": "1"},
        {"TZ": "no/where", "LC_NUMERIC": "de_DE.UTF-8", "LANG": "tr_TR.UTF-8"},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_the_environment_changes_nothing(usual: bytes, changes: dict[str, str | None]) -> None:
    merged = os.environ | {"COLUMNS": "80", "PYTHONUTF8": "1"} | changes
    done = installed(*COMMANDS["grad"], env={name: value for name, value in merged.items() if value is not None})
    assert (done.returncode, done.stdout, done.stderr) == (0, usual, b"")


@pytest.mark.parametrize(
    "changes",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict", "LANG": "C"},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_a_place_without_unicode_gets_ascii(tmp_path: Path, usual: bytes, changes: dict[str, str]) -> None:
    """The numbers stay; characters that the encoding lacks are replaced, also in labels, messages and file names."""
    path = tmp_path / "Größe.csv"
    path.write_text("angle,label\n0,Fuß\n", "utf-8")
    environment = os.environ | {"COLUMNS": "80"} | changes
    done = installed(*COMMANDS["grad"], env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert {word for word in usual.split() if word[-1:].isdigit()} <= set(done.stdout.replace(b"|", b" ").split())
    done = installed("grad", path, "--target", "0", "9", env=environment)
    assert (done.returncode, done.stdout.isascii(), done.stderr.isascii()) == (0, True, True)
    assert b"Fu?" in done.stdout


@pytest.mark.parametrize("columns", ["20", "500", "0", "-3", "many", "9" * 400])
@pytest.mark.parametrize("name", COMMANDS)
def test_any_width_has_all_numbers(kdegrad, monkeypatch: pytest.MonkeyPatch, name: str, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    done = kdegrad(*COMMANDS[name], "--format", "table")
    assert (done.code, done.err) == (0, "")
    assert "…" not in done.out
    if name == "loss":
        assert "7.81144871263" in done.out


def test_a_figure_needs_no_home(old: Path) -> None:
    """matplotlib, which looks for a folder for its list of fonts there, prints nothing."""
    figure = old.parent.parent / "figure.svg"
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL"))}
    old.parent.chmod(0o555)
    try:
        done = installed(
            *COMMANDS["loss"], "--format", "csv", "--plot", figure,
            env=unset | {"HOME": str(old.parent)}, preexec_fn=without_privileges,
        )  # fmt: skip
    finally:
        old.parent.chmod(0o755)
    assert (done.returncode, done.stderr) == (0, b"")
    assert figure.read_bytes().startswith(b"<?xml")
    assert is_untouched(old)


# --- closed streams --------------------------------------------------------------------------------------------------


def closed(*arguments: str, streams: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command with the streams closed that `streams` closes in a shell, as ``2>&-``."""
    shell = f'exec "$0" "$@" {streams}'
    return subprocess.run(["bash", "-c", shell, COMMAND, *arguments], capture_output=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_without_standard_error_and_input_the_report_is_the_same(kdegrad, name: str) -> None:
    done = closed(*COMMANDS[name], "--format", "json", streams="2>&- <&-")
    assert (done.returncode, done.stderr) == (0, b"")
    usual = kdegrad(*COMMANDS[name], "--format", "json").out
    found, usual = (re.sub('"seconds": [^,}]+', "", out) for out in (done.stdout.decode(), usual))
    assert found == usual


def test_closed_streams_and_what_they_are_needed_for(tmp_path: Path) -> None:
    done = closed(*COMMANDS["loss"], streams=">&-")
    assert done.returncode == 4
    assert done.stderr == b"error: standard output: Bad file descriptor\n"
    done = closed("loss", "-", streams="<&-")
    assert (done.returncode, done.stderr) == (2, b"error: standard input: is closed: name a file\n")
    output = tmp_path / "out.csv"
    done = closed(*COMMANDS["grad"], "--format", "csv", "--output", str(output), streams=">&- 2>&- <&-")
    assert done.returncode == 0
    assert output.read_text().startswith("angle,logit,label,weight")
    assert closed("loss", "no.csv", streams=">&- 2>&- <&-").returncode == 2


# --- what it reads and writes ----------------------------------------------------------------------------------------

# Runs commands in one process and reports from Python's audit events: files opened to be written, sockets, processes.
WATCHED = """
import json, os, sys
seen = []
OUT = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "urllib.", "pickle.")
def watch(event, arguments):
    if event.startswith(OUT):
        seen.append(event + str(arguments))
    if event == "open" and isinstance(arguments[0], (str, bytes)) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        seen.append("open " + os.fsdecode(arguments[0]))
sys.addaudithook(watch)
from kdegrad.cli import app
codes = [app.run(line) for line in json.loads(sys.argv[1])]
print(json.dumps([codes, seen]), file=sys.stderr)
"""


def test_it_writes_only_its_outputs_and_starts_nothing(tmp_path: Path) -> None:
    outputs = [["--output", f"{name}.csv"] for name in COMMANDS]
    lines = [*map(list.__add__, COMMANDS.values(), outputs), *COMMANDS.values(), ["loss"], ["--help"]]
    lines += [[*COMMANDS["grad"], "--output", "x.parquet"], [*COMMANDS["descend"], "--trace", "trace.csv"]]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(lines)],
        capture_output=True,
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    codes, seen = json.loads(done.stderr.splitlines()[-1])
    assert codes == [0] * len(lines)
    written = [Path(entry.removeprefix("open ")) for entry in seen]
    assert {(path.parent, path.suffix) for path in written} == {(tmp_path, ".part")}
    expected = [f"{name}.csv" for name in COMMANDS] + ["x.parquet", "trace.csv"]
    assert sorted(os.listdir(tmp_path)) == sorted(expected)
    assert len(written) == len(expected)
