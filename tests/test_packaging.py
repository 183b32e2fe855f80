"""Pins down what other projects' CIs use: the action for GitHub, pre-commit's hook, and the files to copy.

The files follow the published schemas. The action hands its inputs on as they are, runs nothing that stands in them,
and ends with the exit code of verify-props. `make dist` has pre-commit run the hook, and the action install kdegrad.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

import kdegrad as kg
from tests.action import FOLDER, Action, project
from tests.conftest import installed
from tests.readme import README, ROOT, blocks, ran

BIN = Path(sys.executable).parent
HOSTILE = "a 'b' \"c\" $(touch ran) `touch ran` ; touch ran #\\ é"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTION = Action()
GITHUB, PRE_COMMIT = blocks(README.read_text("utf-8"), "yaml")
[GITLAB] = blocks((ROOT / "kdegrad/properties/README.md").read_text("utf-8"), "yaml")
[HOOK] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))


def follows(schema: str, *files: Path) -> bool:
    """Whether files follow a schema that check-jsonschema ships."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    return subprocess.run(command, check=False).returncode == 0


def test_the_workflows_and_the_action_follow_the_schemas_of_github() -> None:
    assert follows("github-workflows", *WORKFLOWS)
    assert follows("github-actions", ACTION.folder / "action.yml")


def test_the_files_to_copy_follow_the_schemas(tmp_path: Path) -> None:
    for schema, text in (("github-workflows", GITHUB), ("gitlab-ci", GITLAB)):
        file = tmp_path / f"{schema}.yml"
        file.write_text(text, "utf-8")
        assert follows(schema, file)


def test_a_misspelt_key_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "action.yml"
    wrong.write_text(ACTION.text.replace("shell:", "shel:"), "utf-8")
    assert not follows("github-actions", wrong)


def test_the_hook_runs_the_command_when_a_loss_or_points_change() -> None:
    assert HOOK.keys() == {"id", "name", "description", "entry", "language", "pass_filenames", "files"}
    assert (HOOK["id"], HOOK["language"], HOOK["pass_filenames"]) == ("kdegrad-verify-props", "python", False)
    assert ran(f"{HOOK['entry']} --list").returncode == 0
    for name in ("losses.py", "mypkg/losses.py", "points.csv", "points.tsv", "p.yaml", "p.yml", "p.parquet"):
        assert re.search(HOOK["files"], name)
    for name in ("README.md", "losses.pyc", "csv", "logo.svg"):
        assert not re.search(HOOK["files"], name)


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """Return a folder with a command `kdegrad` that writes its words as JSON."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "kdegrad"
    command.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    command.chmod(0o755)
    return folder


def test_no_text_of_an_input_is_part_of_a_script() -> None:
    for step in ACTION.steps:
        assert "${{" not in str(step["run"])


def test_inputs_reach_the_command_as_they_are(recorder: Path, tmp_path: Path) -> None:
    inputs = {"loss": HOSTILE, "kernel": "--version", "bandwidth": 10, "input": "-" + HOSTILE}
    done = ACTION.run(ACTION.check, inputs, tmp_path, recorder)
    options = ["--format=github", f"--loss={HOSTILE}", "--kernel=--version", "--bandwidth=10"]
    assert json.loads(done.stdout) == ["verify-props", *options, "--", f"-{HOSTILE}"]
    assert not (tmp_path / "ran").exists()


def test_an_input_may_be_several_files_and_patterns(recorder: Path, tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml", "*.csv", "c.csv"):
        (tmp_path / name).touch()
    done = ACTION.run(ACTION.check, {"input": "*.yaml\n*.csv\nnone-*.json\n"}, tmp_path, recorder)
    assert json.loads(done.stdout)[2:] == ["--", "a.yaml", "b.yaml", "*.csv", "none-*.json"]


def test_without_inputs_there_are_no_empty_words(recorder: Path, tmp_path: Path) -> None:
    done = ACTION.run(ACTION.check, {}, tmp_path, recorder)
    assert json.loads(done.stdout) == ["verify-props", "--format=github"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--cases 3\n  --only zero-sum,unit\n", ["--cases", "3", "--only", "zero-sum,unit"]),
        ("--expect-fail 'far-*=a clamp is wanted'", ["--expect-fail", "far-*=a clamp is wanted"]),
        ("* $(touch ran) `touch ran` ; touch ran", ["*", "$(touch", "ran)", "`touch", "ran`", ";", "touch", "ran"]),
    ],
)
def test_args_are_split_into_words_and_nothing_more(
    recorder: Path, tmp_path: Path, args: str, words: list[str]
) -> None:
    done = ACTION.run(ACTION.check, {"args": args}, tmp_path, recorder)
    assert json.loads(done.stdout)[2:] == words
    assert not (tmp_path / "ran").exists()


def test_an_open_quote_is_one_clear_error(recorder: Path, tmp_path: Path) -> None:
    done = ACTION.run(ACTION.check, {"args": "--only 'unit"}, tmp_path, recorder)
    assert done.returncode == 2
    assert re.fullmatch(r"::error title=[\w -]+::.*args.*quot.*\n", done.stdout)


@pytest.mark.parametrize(
    ("inputs", "code", "part"),
    [
        ({"input": "my points.yaml", "args": "--cases 0"}, 0, "::notice title=kdegrad verify-props::"),
        ({"args": "--only zero-sum --cases 1 --tolerance 1e-300"}, 1, "::error title=kdegrad zero-sum::case"),
        ({"kernel": "no-such"}, 2, "no-such"),
        ({"input": "none.yaml"}, 2, "no such file"),
    ],
)
def test_annotations_and_the_exit_code_go_through(tmp_path: Path, inputs: dict[str, str], code: int, part: str) -> None:
    shutil.copy(ROOT / "sample_inputs/two_sided.csv", tmp_path)
    shutil.copy(ROOT / "sample_inputs/two_sided.yaml", tmp_path / "my points.yaml")
    done = ACTION.run(ACTION.check, inputs, tmp_path, BIN)
    assert done.returncode == code, done.stdout
    assert part in done.stdout


@pytest.mark.parametrize("version", ["", "0.1.0", "0.1.0 $(touch ran)"])
def test_what_is_installed(tmp_path: Path, version: str) -> None:
    """The step calls a `pip` that writes its words: a version from the index, or the action's own checkout."""
    (tmp_path / "pip.py").write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    done = ACTION.run(ACTION.install, {"version": version}, tmp_path, BIN, PYTHONPATH=str(tmp_path))
    command, wanted = json.loads(done.stdout)
    assert command == "install"
    assert wanted == f"kdegrad=={version}" if version else Path(wanted).samefile(ROOT)
    assert not (tmp_path / "ran").exists()


def test_the_workflow_to_copy_passes_here() -> None:
    [job] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"].values()
    [step] = [step for step in job["steps"] if step.get("uses", "").startswith("./")]
    assert (ROOT / step["uses"]).samefile(ACTION.folder)
    done = ACTION.run(ACTION.check, step["with"], ROOT, BIN)
    assert done.returncode == 0, done.stdout


def test_the_job_for_github_checks_the_loss(tmp_path: Path) -> None:
    *_, step = yaml.safe_load(GITHUB)["jobs"]["verify-props"]["steps"]
    assert step["uses"] == f"OWNER/kdegrad/{FOLDER}@v{kg.__version__}"
    done = ACTION.run(ACTION.check, step["with"], project(tmp_path), BIN)
    assert done.returncode == 0, done.stdout
    assert "::notice title=" in done.stdout


def test_the_configuration_of_pre_commit_checks_the_loss(tmp_path: Path) -> None:
    [repository] = yaml.safe_load(PRE_COMMIT)["repos"]
    [hook] = repository["hooks"]
    assert (repository["rev"], hook["id"]) == (f"v{kg.__version__}", HOOK["id"])
    done = installed(*HOOK["entry"].split()[1:], *hook["args"], cwd=project(tmp_path))
    assert done.returncode == 0, done.stdout


def test_the_job_for_gitlab_writes_what_it_reports(tmp_path: Path) -> None:
    job = yaml.safe_load(GITLAB)["verify-props"]
    [line] = [line for line in job["script"] if line.startswith("kdegrad ")]
    done = ran(line, project(tmp_path))
    assert done.returncode == 0, done.stdout
    assert ET.parse(tmp_path / job["artifacts"]["reports"]["junit"]).getroot().find(".//testcase") is not None


@pytest.mark.parametrize("loss", ["my_loss", "floored"])
def test_the_projects_losses_are_right_and_wrong(loss: str, tmp_path: Path) -> None:
    """So that a CI which checks nothing is noticed."""
    inputs = {"loss": f"mypkg.losses:{loss}", "kernel": "gaussian", "bandwidth": 10, "args": "--only far-start"}
    done = ACTION.run(ACTION.check, inputs, project(tmp_path), BIN)
    assert (done.returncode == 1) == (loss == "floored"), done.stdout
    assert ("title=kdegrad far-start" in done.stdout) == (loss == "floored")
    assert ("::error file=mypkg/losses.py,line=" in done.stdout) == (loss == "floored")
