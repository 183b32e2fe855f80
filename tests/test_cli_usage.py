"""Pins down what a wrong command line is told, and the spellings of other programs that are understood."""

from __future__ import annotations

import pytest

from kdegrad.cli.commands import COMMANDS
from kdegrad.cli.usage import OTHER_NAMES
from tests.readme import ROOT

TWO_SIDED = str(ROOT / "sample_inputs" / "two_sided.yaml")


@pytest.mark.parametrize(
    ("arguments", "said", "helped"),
    [
        ("grad f.csv --target 0", "requires 2 arguments: write --target LOW HIGH", "kdegrad grad"),
        ("grad f.csv --target=0,5,9", "requires 2 arguments: write --target LOW HIGH", "kdegrad grad"),
        ("loss --bandwidth", "'--bandwidth' requires an argument: write --bandwidth H", "kdegrad loss"),
        ("loss -o", "'-o' requires an argument: write -o FILE", "kdegrad loss"),
        ("loss --seed 3", "error: No such option: --seed: it belongs to verify-props", "kdegrad loss"),
        ("loss -v", "error: No such option: -v: it belongs to verify-props", "kdegrad loss"),
        ("grad --steps=3", "No such option: --steps: it belongs to sweep, descend", "kdegrad grad"),
        ("kernels --plot k.svg", "--plot: it belongs to loss, grad, verify-props, sweep, descend", "kdegrad kernels"),
        ("descend --debug=3", "Option '--debug' does not take a value: write --debug", "kdegrad descend"),
        ("descend --steps", "'--steps' requires an argument: write --steps K", "kdegrad descend"),
        ("loss --bandwith 3", "No such option: --bandwith: did you mean --bandwidth?", "kdegrad loss"),
        ("loss --bw 3", "No such option: --bw: did you mean --bandwidth?", "kdegrad loss"),
        ("loss --band 3", "No such option: --band: did you mean --bandwidth?", "kdegrad loss"),
        ("loss --angle phi", "No such option: --angle: did you mean --angle-column?", "kdegrad loss"),
        ("loss --target_points f", "No such option: --target_points: did you mean --target-points?", "kdegrad loss"),
        ("grad --lr 3", "No such option: --lr: did you mean --rate, which belongs to descend?", "kdegrad grad"),
        ("loss --zzz", "No such option: --zzz", "kdegrad loss"),
        ("loss -y", "No such option: -y", "kdegrad loss"),
        ("loss a.csv b.csv", "unexpected extra argument(s) (b.csv): loss takes one INPUT", "kdegrad loss"),
        ("kernels a.csv", "unexpected extra argument(s) (a.csv): kernels takes no INPUT", "kdegrad kernels"),
        ("loss a.csv 10 40", "extra argument(s) (10 40): did you mean --target 10 40?", "kdegrad loss"),
        ("loss a.csv -10 40", "No such option: -1: did you mean --target LOW HIGH or --at X?", "kdegrad loss"),
        ("grad --input a.csv", "No such option: --input: INPUT is written without an option", "kdegrad grad"),
        ("loss -b 3", "No such option: -b: did you mean --bandwidth or --bins or --background?", "kdegrad loss"),
        ("--seed 3", ": put the command first: kdegrad verify-props --seed 3", "kdegrad"),
        ("data.csv --target 0 9", ": put the command first: kdegrad loss data.csv --target 0 9", "kdegrad"),
        ("data.csv grad", ": put the command first: kdegrad grad data.csv", "kdegrad"),
        ("- --target 0 9", ": put the command first: kdegrad loss - --target 0 9", "kdegrad"),
        ("--kernel laplace sweep", ": put the command first: kdegrad sweep --kernel laplace", "kdegrad"),
        ("--target 0 9 grad f.csv", ": put the command first: kdegrad grad --target 0 9 f.csv", "kdegrad"),
        ("-q loss", "No such option: -q: put the command first: kdegrad loss -q", "kdegrad"),
        ("--bw 3 f.csv", ": put the command first: kdegrad loss --bw 3 f.csv", "kdegrad"),
        ("--zzz", "No such option: --zzz", "kdegrad"),
        ("help", "No such command 'help': write kdegrad --help", "kdegrad"),
        ("help grad", "No such command 'help': write kdegrad grad --help", "kdegrad"),
        ("los", "Did you mean 'loss'?", "kdegrad"),
        ("nonsense", "No such command 'nonsense'.", "kdegrad"),
    ],
)
def test_wrong_usage_says_what_to_write_and_whose_help_to_read(kdegrad, arguments: str, said: str, helped: str) -> None:
    done = kdegrad(*arguments.split())
    assert (done.code, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert first.startswith("error: ")
    assert first.removesuffix(".").endswith(said.removesuffix("."))
    assert second == f"Try '{helped} --help'."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("grad f.csv --target 0 --format csv", "--target: a value is missing before --format"),
        ("grad f.csv --bandwidth --format csv", "--bandwidth: a value is missing before --format"),
        ("loss f.csv --target -30,5 30,5", "--target: '-30,5' is not a number (a decimal comma? write -30.5)"),
        ("loss f.csv -output r.json", "-output: write it with two dashes, --output"),
        ("loss f.csv -kernel=gaussian", "-kernel: write it with two dashes, --kernel"),
        ("loss f.csv -k laplace -k t", "--kernel: is given more than once: give one (sweep takes several)"),
        ("grad f.csv --kernel t,laplace", "--kernel: 't,laplace' names several: give one (sweep takes several)"),
        ("verify-props --loss a:b --loss c:d", "--loss: is given more than once: give one, and run the command once"),
        ("loss f.csv --target 0 9 --target=8,9", "--target: is given more than once: a problem has one;"),
        ("loss f.csv --group-by a --group-by b", "--group-by: is given more than once: give one"),
        ("loss f.csv -o a.csv --output b.csv", "--output: is given more than once: give one"),
        ("grad f.csv --width 39", "--width: 39 is out of range: give an integer from 40 to 1000"),
    ],
)
def test_what_cannot_be_meant_is_one_message(kdegrad, arguments: str, said: str) -> None:
    done = kdegrad(*arguments.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {said}")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("written", "usual"),
    [
        ("--target=-30,20", "--target -30 20"),
        ("--target -30,20", "--target -30 20"),
        ("--target=-30 20", "--target -30 20"),
        ("-k gaussian --target 0 1e1", "--kernel gaussian --target 0 10"),
        ("--bins 7 --bins 9", "--bins 9"),  # of numbers the last one holds
    ],
)
def test_other_spellings_are_the_usual_one(kdegrad, written: str, usual: str) -> None:
    for command in ("loss", "verify-props --cases 0 --only unit"):
        base = [*command.split(), TWO_SIDED, "--format", "json"]
        one, other = kdegrad(*base, *written.split()).json, kdegrad(*base, *usual.split()).json
        for check in one.get("checks", []) + other.get("checks", []):
            del check["seconds"]
        assert one == other


def test_several_kernels_by_commas_and_repeated(kdegrad) -> None:
    sweep = ("sweep", TWO_SIDED, "--over", "scale", "--from", "1", "--to", "2", "--steps", "2", "--format", "csv")
    both = kdegrad(*sweep, "--kernel", "laplace", "--kernel", "t").out
    assert kdegrad(*sweep, "-k", "laplace,t").out == kdegrad(*sweep, "--kernel", "laplace, t").out == both
    assert both.count("student-t") == 2


@pytest.mark.parametrize("line", ["-V", "--version", "loss -V", "grad f.csv --version", "--version loss"])
def test_the_version_is_told_wherever_it_is_asked_for(kdegrad, line: str) -> None:
    from kdegrad import __version__

    done = kdegrad(*line.split())
    assert (done.code, done.out, done.err) == (0, f"kdegrad {__version__}\n", "")


def test_quiet_leaves_out_notes_and_nothing_else(kdegrad) -> None:
    noted = kdegrad("loss", "--df", "2")
    assert noted.err.count("note: ") == 2
    done = kdegrad("loss", "--df", "2", "-q")
    assert (done.code, done.out, done.err) == (0, noted.out, "")
    assert kdegrad("loss", "--quiet", "--bins", "0").err.startswith("error: --bins")
    assert "note: " in kdegrad("loss", "--df", "2").err


def test_a_command_is_no_input(kdegrad, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = kdegrad("loss", "grad")
    assert done.code == 2
    assert done.err == "error: grad: is a command, and loss takes a file: name one, or run grad alone\n"
    assert "grad: is a command, and verify-props takes" in kdegrad("verify-props", "grad").err
    (tmp_path / "grad").write_text("angle\n1\n")
    assert kdegrad("loss", "grad", "--input-format", "csv", "--at", "1").code == 0


@pytest.mark.parametrize(("unit", "h"), [("radians", "10"), ("radians", "3.15"), ("degrees", "180.5")])
def test_a_kernel_wider_than_the_circle_is_noted(kdegrad, unit: str, h: str) -> None:
    line = ("loss", TWO_SIDED, "--circular", "--target", "0", "1", "--unit", unit, "--bandwidth")
    assert f"note: bandwidth {h} on a circle of" in kdegrad(*line, h).err
    assert "wider than the circle" not in kdegrad(*line, "3.14").err
    assert "wider than" not in kdegrad("loss", TWO_SIDED, "--target", "0", "1", "--bandwidth", "1000").err


def test_other_names_lead_to_options_that_there_are() -> None:
    spelled = {row.spelled for command in COMMANDS.values() for _, row in command.rows.values()}
    assert set(OTHER_NAMES.values()) <= spelled
    assert not set(OTHER_NAMES) & spelled


def test_what_is_typed_cannot_control_the_terminal(kdegrad) -> None:
    for arguments in (["loss", "--\x1b[31m"], ["\x1b[31m.csv"], ["loss", "f.csv", "a\nb\x1b"], ["loss", "-\n"]):
        done = kdegrad(*arguments)
        assert done.code == 2
        assert "\x1b" not in done.err
        assert done.err.count("\n") == 2
