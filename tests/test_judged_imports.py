"""Pins down what ``MODULE:NAME`` imports, and the message for each way in which that fails."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from kdegrad.errors import SettingError
from kdegrad.properties.losses import Loss, imported

ANGLES, LOGITS, TARGET = np.array([1.0, 2.0, 4.0]), np.array([0.5, -0.25, 0.0]), (-1.0, 1.0)


def not_imported(text: str) -> str:
    with pytest.raises(SettingError) as error:
        imported(text)
    assert error.value.name == "loss"
    assert "\n" not in error.value.problem
    return error.value.problem


def test_a_loss_in_the_current_folder_is_found(folder: Path) -> None:
    (folder / "near.py").write_text("class Losses:\n    @staticmethod\n    def mine(a, z, t): return 7.0\n")
    for _ in range(2):
        function, name = imported(" near:Losses.mine ")
    assert name == "near:Losses.mine"
    assert Loss(function, name=name)(ANGLES, LOGITS, TARGET, {}).loss == 7.0
    assert sys.path.count(str(folder)) == 1
    assert sys.path[0] == str(folder)


def test_the_current_folder_comes_first(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "twice.py").write_text("def f(a, z, t): return 1.0\n")
    (folder / "twice.py").write_text("def f(a, z, t): return 2.0\n")
    sys.path.insert(0, str(folder))
    sys.path.insert(0, str(folder / "elsewhere"))
    function, name = imported("twice:f")
    assert Loss(function, name=name)(ANGLES, LOGITS, TARGET, {}).loss == 2.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("my_loss", "'my_loss' is not MODULE:NAME, such as mypkg.losses:my_loss"),
        ("pkg.losses.mine", "'pkg.losses.mine' is not MODULE:NAME, .*; did you mean pkg.losses:mine?"),
        ("pkg/losses.py:mine", "'pkg/losses.py:mine' is not MODULE:NAME, .*; did you mean pkg.losses:mine?"),
        ("./losses.py", "'./losses.py' is not MODULE:NAME, .*; NAME is missing, as in losses:my_loss"),
        ("losses:", "'losses:' is not MODULE:NAME, such as mypkg.losses:my_loss"),
        (":mine", "':mine' is not MODULE:NAME, such as mypkg.losses:my_loss"),
        ("a:b:c", "'a:b:c' is not MODULE:NAME, such as mypkg.losses:my_loss"),
        (".losses:mine", "'.losses:mine' is not MODULE:NAME, such as mypkg.losses:my_loss"),
        ("", "'' is not MODULE:NAME, such as mypkg.losses:my_loss"),
    ],
)
def test_a_text_of_another_form_is_refused(text: str, message: str) -> None:
    beginning, _, end = message.partition(".*")
    problem = not_imported(text)
    assert problem.startswith(beginning)
    assert problem.endswith(end)
    assert end or problem == message


def test_a_module_without_a_name_is_told_that_a_name_is_missing(folder: Path) -> None:
    """Not that a part of its own name may be meant for a function."""
    (folder / "package" / "inner").mkdir(parents=True)
    (folder / "package" / "npl.py").touch()
    for text in ("package.npl", "package.npl:", "package/npl.py", "package.inner", "package"):
        name = text.removesuffix(".py").rstrip(":").replace("/", ".")
        assert not_imported(text).endswith(f"; NAME is missing, as in {name}:my_loss")
    assert not_imported("package.other").endswith("; did you mean package:other?")


def test_modules_that_are_not_there_are_named(folder: Path) -> None:
    (folder / "losses.py").write_text("import not_there_at_all.deep\n")
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").touch()
    (folder / "package" / "circle.py").touch()
    there = f"there is no module 'loses' in the folder {folder} or installed; did you mean 'losses'?"
    assert not_imported("loses:f") == there
    assert (
        not_imported("package.circles:f") == "there is no module 'package.circles' in package; did you mean 'circle'?"
    )
    for text in ("losses:f", "losses.inner:f"):
        assert not_imported(text) == (
            f"importing {text.partition(':')[0]} needs 'not_there_at_all', which is not installed where kdegrad is: "
            "install it (losses.py, line 1)"
        )


def test_a_module_written_a_moment_ago_is_found(folder: Path) -> None:
    not_imported("fresh:f")
    before = folder.stat()
    (folder / "fresh.py").write_text("f = min\n")
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if the clock had not moved
    assert imported("fresh:f") == (min, "fresh:f")


def test_errors_while_importing_are_told_with_file_and_line(folder: Path) -> None:
    (folder / "raising.py").write_text("import json\njson.loads('{')\n")
    (folder / "leaving.py").write_text("import sys\n\ndef main():\n    sys.exit('usage')\n\nmain()\n")
    (folder / "torn.py").write_text("x = 1\ndef f(:\n")
    (folder / "tearing.py").write_text("import torn\n")
    assert not_imported("raising:f") == (
        "importing raising raises JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 "
        "(char 1) (raising.py, line 2)"
    )
    assert not_imported("leaving:f") == "importing leaving raises SystemExit: usage (leaving.py, line 4, in main)"
    assert not_imported("torn:f") == "torn cannot be imported: SyntaxError: invalid syntax (torn.py, line 2)"
    assert not_imported("tearing:f") == "tearing cannot be imported: SyntaxError: invalid syntax (torn.py, line 2)"


def test_prints_and_warnings_while_importing_stay_out_of_the_report(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "loud.py").write_text("import warnings\nprint('hello')\nwarnings.warn('old')\nf = min\n")
    imported("loud:f")
    assert capsys.readouterr() == ("", "hello\n")


def test_names_that_are_not_there_are_answered_with_the_nearest(folder: Path) -> None:
    (folder / "named.py").write_text(
        "class Losses:\n    def mine(a, z, t): ...\n\nrate = 3.0\n"
        "def __getattr__(name):\n    if name == 'lazy':\n        raise ImportError('none')\n    raise AttributeError\n"
    )
    assert not_imported("named:losess") == "named has no 'losess'; did you mean 'Losses'?"
    assert not_imported("named:gauss") == "named has no 'gauss'; it has 'Losses', 'rate'"
    assert not_imported("named:Losses.mien") == "named.Losses has no 'mien'; did you mean 'mine'?"
    assert not_imported("named:lazy") == "named.lazy raises ImportError: none (named.py, line 7, in __getattr__)"
    assert not_imported("named:rate") == "named:rate is of type float, not a function"
