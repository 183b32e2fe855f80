"""Pins down how JSON is read: records, JSON Lines, columns, and problems as YAML has them; and what is refused.

Expected values are those of the CSV or the YAML file with the same content, and what the standard library parses.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdegrad as kg
from kdegrad.errors import KdegradError
from kdegrad.reading import Source, json_text, load, read, read_target
from kdegrad.settings import ReadingOptions
from tests.readme import ROOT

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

RECORDS = [
    {"label": "left, naïve", "angle": -75, "logit": 0.4, "id": 7},
    {"angle": 50.25, "logit": -2e-1, "label": "=right", "id": None},
    {"angle": 12.5, "logit": -np.inf, "label": "", "id": [1]},
]
COLUMNS = {key: [record[key] for record in RECORDS] for key in ("angle", "logit", "label", "id")}
LINES = "\n".join(map(json.dumps, RECORDS))


def source_of(tmp_path: Path, text: str, name: str = "points.json", **options: object) -> Source:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read(path, ReadingOptions(**options))  # type: ignore[arg-type]


def refusal(tmp_path: Path, text: str, name: str = "points.json", **options: object) -> str:
    with pytest.raises(KdegradError) as caught:
        source_of(tmp_path, text, name, **options)
    assert all(line.isprintable() for line in str(caught.value).splitlines())
    return str(caught.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("points.json", json.dumps(RECORDS)),
        ("points.json", json.dumps(RECORDS, indent="\t", ensure_ascii=False)),
        ("points.json", "\ufeff  " + json.dumps(RECORDS, indent=2).replace("\n", "\r\n") + "\n\n"),
        ("points.json", json.dumps(COLUMNS)),
        ("points.json", json.dumps({key: dict(enumerate(values)) for key, values in COLUMNS.items()})),  # pandas'
        ("points.JSON", LINES + "\n"),  # pandas' with lines=True
        ("points.jsonl", LINES.replace("\n", "\r\n\r\n")),
        ("points.ndjson", LINES),
        ("points.jsonl", LINES.partition("\n")[0] + "\n" + LINES.partition("\n")[2]),
    ],
)
def test_forms_of_points(tmp_path: Path, name: str, text: str) -> None:
    source = source_of(tmp_path, text, name)
    assert source.angles.tolist() == [-75.0, 50.25, 12.5]
    assert source.logits is not None
    assert source.logits.tolist() == [0.4, -0.2, -np.inf]
    assert source.labels == ("left, naïve", "=right", "")


def test_numbers_are_those_of_the_one_grammar(tmp_path: Path) -> None:
    texts = ["1e-5", "-0.0", "1234567890123456789012345", "5e-324", '"12.5"', '" .5 "', '"010"']
    source = source_of(tmp_path, json.dumps({"angle": "@"}).replace('"@"', f"[{','.join(texts)}]"))
    expected = [float(text.strip('"')) for text in texts]
    assert source.angles.tolist() == expected
    said = refusal(tmp_path, '[{"angle": 1}, {"angle": 1e400}, {"angle": "1_0"}, {"angle": Infinity}, {"angle": true}]')
    for line, cell in zip(said.splitlines(), ["'1e400'", "'1_0'", "'inf'", "'true'"], strict=True):
        assert f": column 'angle': {cell} is " in line


def test_records_need_not_have_the_same_keys(tmp_path: Path) -> None:
    records = '[{"angle": 1, "logit": 2},\n {"angle": 3, "label": "b", "logit": null},\n {"angle": NaN, "logit": 1}]'
    assert refusal(tmp_path, records).splitlines() == [
        "points.json:2:2: column 'logit': '' is a missing value: write a number, or leave such rows out with --missing "
        "skip",
        "points.json:3:2: column 'angle': 'nan' is a missing value: write a number, or leave such rows out with "
        "--missing skip",
    ]
    source = source_of(tmp_path, records, missing="skip")
    assert source.notes == ("has 2 of 3 rows with a missing value: they are left out",)
    assert source.labels == ("",)


def test_groups_and_named_columns(tmp_path: Path) -> None:
    frame = ROOT / "sample_inputs" / "headings.csv"
    header, *rows = (line.split(",") for line in frame.read_text().splitlines() if line and line[0] != "#")
    records = [dict(zip(header, row, strict=True)) for row in rows]
    path = tmp_path / "headings.json"
    path.write_text(json.dumps(records))
    options = {"group_by": "image_id", "target_columns": ("low", "high"), "circular": True, "bandwidth": 10}
    assert kg.evaluate(load(path, **options)).losses.tolist() == kg.evaluate(load(frame, **options)).losses.tolist()
    assert "--group-by image_id --target-columns low,high" in source_of(tmp_path, json.dumps(records)).notes[0]
    assert source_of(tmp_path, json.dumps(records), angle_column="low").angles.tolist() == [
        float(r["low"]) for r in records
    ]


def test_a_problem(tmp_path: Path) -> None:
    problem = {
        "target": {"low": -30, "high": 30},
        "kernel": {"name": "t", "df": 4.5},
        "bandwidth": 10,
        "circular": True,
    }
    for points in (RECORDS[:1], {"angle": [-75], "logit": [0.4], "label": ["left, naïve"]}, "points.csv"):
        if points != "points.csv":
            points = json.loads(json.dumps(points).replace(', "id": 7', ""))
        (tmp_path / "points.csv").write_text("angle,logit\n-75,0.4\n")
        (tmp_path / "problem.json").write_text(json.dumps({**problem, "points": points}))
        made = load(tmp_path / "problem.json")
        assert (made.angles.tolist(), made.logits.tolist()) == ([-75.0], [0.4])
        assert made.target == (-30.0, 30.0)
        assert (made.settings.kernel, made.settings.df, made.settings.bandwidth) == ("t", 4.5, 10.0)
        assert made.domain.name == "circle"
        assert made.name == str(tmp_path / "problem.json")


def test_faults_of_a_problem_have_their_places(tmp_path: Path) -> None:
    text = '{\n  "target": [-30, "x"],\n  "bandwith": 1,\n  "df": null,\n  "points": [{"angle": 1}, {"angle": []}]\n}'
    assert [line.split(": ")[:2] for line in refusal(tmp_path, text).splitlines()] == [
        ["points.json:2:19", "target"],
        ["points.json:3:3", "unknown key 'bandwith'; did you mean 'bandwidth'?"],
        ["points.json:4:9", "df"],
        ["points.json:5:38", "points"],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "points.json: is empty: write a list of records"),
        ("[]", "points.json: a list without records"),
        ('{"angle": []}', "points.json: columns without points"),
        ("12", "points.json:1:1: '12' in place of points"),
        ("[1, 2]", "points.json:1:2: '1' in place of a record"),
        ('[{"angle": 1}, [2]]', "points.json:1:16: a list in place of a record"),
        ('[{"angle": 1},]', "points.json:1:15: not valid JSON, "),
        ('[{"angle": 1} {"angle": 2}]', "points.json:1:15: not valid JSON, "),
        ('[{"angle": 1}', "points.json:1:14: not valid JSON, "),
        ('[{"angle": 1}]\n x', "points.json:2:2: text behind the end of the JSON, 'x'"),
        ('{"angle": [1]} x', "points.json:1:16: text behind the end of the JSON, 'x'"),
        ('[{"angle": 1},\n{"angle": 01}]', "points.json:2:"),
        ("[{'angle': 1}]", "points.json:1:3: not valid JSON, "),
        ("angle,logit\n1,2\n", "points.json:1:1: not valid JSON, expecting value"),
        ('[{"angle": 1},\n {"angle": 1, "angle": 2}]', "points.json:2:2: the key 'angle' appears twice in one object"),
        ("[" * 100_000, "nested more than 20 levels deep"),
        ('{"points": ' + "[" * 30 + "]" * 30 + "}", "nested more than 20 levels deep"),
        ('[{"angle": {"deg": 1}}]', "points.json:1:2: column 'angle': an object in place of one value"),
        ('{"angle": [1,\n [2]]}', "points.json:2:2: column 'angle': a list in place of one value"),
        ('{"angle": {"0": 1,\n "1": "x"}}', "points.json:2:7: column 'angle': 'x' is not a number"),
        ('{"angle": [1], "logit": [1, 2]}', "'angle' has 1, 'logit' has 2: write one value for each point"),
        ('{"angle": {"0": 1}, "logit": {"1": 1}}', "columns of unequal length or index"),
        (
            '{"angle": [1], "bandwidth": 10}',
            "'bandwidth': '10' in place of a list: write [50, -75]; beside settings the",
        ),
        ('[{"angel": 1}]', "no column 'angle' for the angles (columns found: 'angel'; did you mean 'angel'?)"),
        ('[{"angle": 1, "label": "\\ud800"}]', "column 'label': '\\ud800' with a character that no file has"),
        ('{"target": [0, 9], "points": [{"angle": 1, "label": "\\u0000"}]}', "the character '\\x00'"),
        ('[{"angle": 1, " angle": 2}]', "the column 'angle' appears twice"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, said: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith("points.json:")
    assert said in message
    assert message.count("\n") == 0


def test_lines_that_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, '{"angle": 1}\n{"angle": "x"}\n', "a.jsonl").startswith("a.jsonl:2:1: column 'angle': 'x'")
    assert refusal(tmp_path, '{"angle": 1} {"angle": 2}', "a.jsonl").startswith("a.jsonl:1:13: text behind a record")
    assert refusal(tmp_path, '{"angle": 1}\n{"angle": 2', "a.jsonl").startswith("a.jsonl:2:12: not valid JSON")


@pytest.mark.parametrize("option", ["delimiter", "decimal"])
def test_options_of_tables_of_text(tmp_path: Path, option: str) -> None:
    assert f"{option}: " in refusal(tmp_path, json.dumps(RECORDS), **{option: ","})


def test_a_report_is_not_its_input(kdegrad, tmp_path: Path) -> None:
    for command in ("loss", "grad"):
        kdegrad(command, ROOT / "sample_inputs" / "two_sided.yaml", "--output", tmp_path / "report.json")
        said = refusal(tmp_path, (tmp_path / "report.json").read_text())
        assert said.startswith("points.json: is a report of kdegrad, not its input")


def test_standard_input_and_target_points(kdegrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "points.json"
    path.write_text(json.dumps(RECORDS))
    with path.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        done = kdegrad("grad", "-", "--input-format", "JSON", "--at", "0", "--format", "json")
    assert [point["angle"] for point in done.json["points"]] == COLUMNS["angle"]
    path.write_text('[{"angle": 1, "weight": 3}, {"angle": 2, "weight": 1}]')
    points, notes = read_target(path)
    assert (points.angles.tolist(), points.weights.tolist(), notes) == ([1.0, 2.0], [3.0, 1.0], ())


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([json.dumps(RECORDS[:2]), json.dumps({"angle": [1, 2.5], "logit": [0, 1]}), LINES]),
    st.lists(
        st.tuples(st.integers(0, 250), st.integers(0, 3), st.sampled_from('"0,:[]{}\n -1e\\')), min_size=1, max_size=4
    ),
)
def test_edited_at_random_they_are_refused_or_hold_what_the_standard_library_reads(
    text: str, edits: list[tuple[int, int, str]]
) -> None:
    for place, taken, letter in edits:
        place %= len(text) + 1
        text = text[:place] + letter + text[place + taken :]
    try:
        angles = json_text.read_json(text, "a", ReadingOptions()).angles.tolist()
    except KdegradError:
        return
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        whole = [json.loads(line) for line in text.split("\n") if line.strip()]
    held = whole["angle"] if isinstance(whole, dict) else [record["angle"] for record in whole]
    assert angles == [float(value) for value in (held.values() if isinstance(held, dict) else held)]


def test_a_table_in_json_does_not_import_yaml() -> None:
    code = "import sys; from kdegrad.reading import json_text; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
