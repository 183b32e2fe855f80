"""Pins down the pages in HTML and what a notebook shows: whole, self-contained, with the numbers, and safe.

Safe: whatever stands in a file is text on the page, and nothing of what a notebook shows changes the notebook's own
page or meets the ids of another figure.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kdegrad as kg
from kdegrad.reports import html_parts, html_style, in_notebook
from tests.readme import ROOT

SAMPLES = ROOT / "sample_inputs"
TWO_SIDED = str(SAMPLES / "two_sided.yaml")
HEADINGS = [str(SAMPLES / "headings.csv"), "--group-by", "image_id", "--target-columns", "low,high"]
HEADINGS += ["--circular", "--bandwidth", "10"]
COMMANDS = {
    "loss": ["loss", TWO_SIDED],
    "grad": ["grad", str(SAMPLES / "mallards.yaml"), "--wrt", "logits,angles,bandwidth"],
    "grad --per-bin": ["grad", TWO_SIDED, "--per-bin", "--bins", "5"],
    "loss --group-by": ["loss", *HEADINGS],
    "grad --group-by": ["grad", *HEADINGS],
    "sweep": ["sweep", TWO_SIDED, "--over", "bandwidth", "--from", "5", "--to", "20", "--steps", "3"],
    "descend": ["descend", TWO_SIDED, "--steps", "3"],
    "kernels": ["kernels"],
    "verify-props": ["verify-props", TWO_SIDED, "--cases", "1", "--only", "merge,zero-sum,one-hot"],
    "verify-props --list": ["verify-props", "--list"],
}
EMPTY = {"meta", "br"}  # elements that have no end
HOSTILE = "</td></style><img src=x onerror=\"alert('1')\"><script>&lt;\x1b[31m\u202e"
POINTS = [-75.0, 10.0, 50.0]


class Page(HTMLParser):
    """Its elements, each with the elements that it stands in; an end that fits no start is an error."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.texts: list[tuple[str, tuple[str, ...]]] = []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open  # in HTML itself the slash means nothing
        self.elements.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((data, tuple(self.open)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes, _ in self.elements if attribute in attributes]

    def text(self, *inside: str) -> str:
        """Return what stands in elements of these names, one within the other."""
        return "".join(words for words, within in self.texts if set(inside) <= set(within) and "style" not in within)


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return {}


@pytest.fixture
def markup_of(kdegrad, made: dict[str, str]) -> Callable[[str], str]:
    """Give the page of a command, which is run once for all tests."""

    def markup(command: str) -> str:
        if command not in made:
            done = kdegrad(*COMMANDS[command], "--format", "html")
            assert (done.code, done.err) == (0, "")
            made[command] = done.out
        return made[command]

    return markup


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_is_one_whole_file_without_scripts(markup_of, command: str) -> None:
    markup = markup_of(command)
    page = Page(markup)
    assert markup.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert re.search(r"https?:|//|@import|url\((?!#kd)", markup.replace("data:image", "")) is None
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _, _ in page.elements}
    assert not [name for _, attributes, _ in page.elements for name in attributes if name.startswith("on")]
    assert any("width=device-width" in (meta.get("content") or "") for meta in page.all("meta"))
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.text("title").endswith("(kdegrad)")
    assert {cell.get("scope") for cell in page.all("th")} <= {"col"}
    assert len(page.all("caption")) == len(page.all("table"))
    assert f"kdegrad {kg.__version__}" in page.text("footer")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("kernels", "verify-props --list")])
def test_the_figure_is_part_of_the_page(markup_of, command: str) -> None:
    markup = markup_of(command)
    page = Page(markup)
    (svg,) = page.all("svg")
    assert svg["role"] == "img"
    assert (svg["aria-label"] or "").startswith("Figure: ")
    assert svg.keys() & {"width", "height"} == set()
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r"url\(#([^)]+)\)", markup)) | {link[1:] for link in page.values("xlink:href")}
    assert {name for name in referred if not name.startswith("ata:")} <= set(ids)


@pytest.mark.parametrize("command", ["loss", "grad", "grad --per-bin", "sweep", "descend", "loss --group-by"])
def test_figures_have_the_colours_of_the_page(markup_of, command: str) -> None:
    page = Page(markup_of(command))
    assert [style for style in page.values("style") if re.search("#[0-9a-fA-F]{3}", style)] == []
    used = set(re.findall(r"var\(--kd-(\w+)\)", " ".join(page.values("style"))))
    assert {"ink"} <= used <= html_style.DARK.keys() == html_style.LIGHT.keys() == html_style.IN_NOTEBOOK.keys()


def test_every_page_has_its_numbers(kdegrad, markup_of) -> None:
    evaluation = kg.evaluate(kg.load(TWO_SIDED))
    page = Page(kdegrad("grad", TWO_SIDED, "--format", "html").out)
    table = page.text("table")
    for number in (*evaluation.gradients.logits, *evaluation.weights, *evaluation.responsibilities):
        assert f"{number:.5g}" in table
    assert f"{evaluation.loss:.12g} nats" in page.text("dl")
    assert f"max {np.abs(evaluation.gradients.logits).max():.5g}" in page.text("dl")
    per_bin = kdegrad("grad", TWO_SIDED, "--per-bin", "--bins", "5", "--format", "csv").rows
    table = Page(markup_of("grad --per-bin")).text("table")
    assert all(f"{float(row['gradient']):.5g}" in table for row in per_bin)
    groups = kdegrad(*COMMANDS["loss --group-by"], "--format", "csv").rows
    table = Page(markup_of("loss --group-by")).text("table")
    largest_first = sorted(groups, key=lambda row: -float(row["loss"]))
    places = [table.index(f"{float(row['loss']):.5g}") for row in largest_first]
    assert places == sorted(places)
    steps = kdegrad(*COMMANDS["sweep"], "--format", "csv").rows
    table = Page(markup_of("sweep")).text("table")
    assert all(f"{float(row['loss']):.5g}" in table and f"{float(row['l1']):.5g}" in table for row in steps)
    done = kdegrad(*COMMANDS["descend"], "--format", "json").json
    page = Page(markup_of("descend"))
    assert f"{done['loss']:.10g} nats" in page.text("dl")
    assert all(f"{point['weight']:.5g}" in page.text("table") for point in done["points"])
    assert all(f"{step['norm']:.5g}" in page.text("details", "table") for step in done["course"])
    kernels = kdegrad("kernels", "--format", "json").json["kernels"]
    assert all(kernel["formula"] in Page(markup_of("kernels")).text("td") for kernel in kernels)


def test_the_same_result_gives_the_same_page(kdegrad, markup_of) -> None:
    assert kdegrad(*COMMANDS["loss"], "--format", "html").out == markup_of("loss")


def test_a_long_table_says_what_it_leaves_out(kdegrad, tmp_path: Path) -> None:
    file = tmp_path / "many.csv"
    file.write_text("angle\n" + "".join(f"{place / 10}\n" for place in range(1_200)))
    page = Page(kdegrad("grad", file, "--target", "-30", "30", "--bandwidth", "10", "--format", "html").out)
    assert len(page.all("tr")) == 1 + 1_000
    assert "the largest 1000 of 1200 points (--format csv has all)" in page.text("caption")
    evaluation = kg.evaluate(kg.load(file, target=(-30, 30), bandwidth=10))
    size = np.abs(evaluation.gradients.logits)
    largest = evaluation.problem.angles[np.argsort(-size, kind="stable")[:1_000]]
    angles = [words for words, within in page.texts if within[-2:] == ("tr", "td")][:: len(page.all("th")) - 1]
    assert [float(angle) for angle in angles] == largest.tolist()


# --- checks ----------------------------------------------------------------------------------------------------------


def test_failures_are_open_and_families_folded(kdegrad) -> None:
    flags = ["--cases", "1", "--only", "merge,zero-sum", "--tolerance", "1e-30"]
    done = kdegrad("verify-props", TWO_SIDED, *flags, "--format", "html")
    checks = kdegrad("verify-props", TWO_SIDED, *flags, "--format", "json").json["checks"]
    failed = [check for check in checks if check["verdict"] == "fail"]
    assert done.code == 1
    assert {check["property"] for check in failed} == {"merge", "zero-sum"}
    page = Page(done.out)
    is_open = [words for words, within in page.texts if "section" in within and "details" not in within]
    for name in ("merge", "zero-sum"):
        first = next(check for check in failed if check["property"] == name)
        for said in (name, f"case {first['case']}: {first['about']}", first["reason"], f"{first['residual']:.5g}"):
            assert said in is_open
    assert all(check["reproduce"] in page.text("pre") for check in failed)
    assert "FAILED" in page.text("p")
    assert page.all("details")[-1] == {}  # not open
    assert "basic properties of any correct implementation: 2 failed" in page.text("summary")
    assert "zero-sum" in page.text("details", "table")


# --- what comes from a file is text ----------------------------------------------------------------------------------


def hostile_elements(page: Page) -> list[str]:
    return [tag for tag, attributes, _ in page.elements if tag in ("img", "script") or "onerror" in attributes]


def test_labels_groups_and_reasons_are_text(kdegrad, tmp_path: Path) -> None:
    problem = kg.Problem(POINTS, labels=[HOSTILE, "b", "c"], target=(-30, 30), bandwidth=10)
    groups = kg.Batch(POINTS, offsets=[0, 1, 3], names=[HOSTILE, "b"], target=(-30, 30), bandwidth=10)
    for result in (kg.evaluate(problem), kg.descend(problem, steps=2), kg.evaluate(groups, wrt=())):
        markup = in_notebook(result)
        assert hostile_elements(Page(markup)) == []
        assert "\x1b" not in markup
        assert "\u202e" not in markup
        assert r"<img src=x onerror=" in Page(markup).text()
        assert r"\x1b[31m\u202e" in Page(markup).text("td")
    file = tmp_path / "<b>&'.csv"
    file.write_text('angle,logit,label\n10,0,"<script>alert(1)</script>"\n20,1,</title>\n')
    done = kdegrad("grad", file, "--target", "0", "30", "--bandwidth", "10", "--format", "html")
    page = Page(done.out)
    assert hostile_elements(page) == []
    assert "<script>alert(1)</script>" in page.text("td")
    assert not page.all("b")
    assert "<b>&'.csv" in page.text("h1")
    assert "<b>&'.csv" in page.text("title")


def test_text_is_safe_in_an_attribute_too() -> None:
    (element,) = Page(f'<p title="{html_parts.text(HOSTILE)}"></p>').elements
    assert element == ("p", {"title": HOSTILE.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")}, ())


def test_text_in_a_figure_is_left_alone() -> None:
    said = "url(#x) #222222 id=&quot;x&quot;"
    svg = f'<svg id="x"><g id="y" style="fill: #222222; clip: url(#x)"><text>{said}</text></g></svg>'
    markup = html_parts.figure(svg, "a figure")
    page = Page(markup)
    assert f"<text>{said}</text>" in markup
    (x,) = page.values("id")
    assert page.values("style") == [f"fill: var(--kd-ink); clip: url(#{x})"]


# --- a notebook ------------------------------------------------------------------------------------------------------


@cache
def results() -> dict[str, Any]:
    problem = kg.Problem(POINTS, target=(-30, 30), bandwidth=10)
    batch = kg.Batch([POINTS, POINTS], target=(-30, 30), bandwidth=10)
    return {
        "gradient": kg.evaluate(problem),
        "loss": kg.evaluate(problem, wrt=()),
        "bandwidth": kg.evaluate(problem.replace(kernel="cauchy"), wrt=("bandwidth",)),
        "batch": kg.evaluate(batch),
        "sweep": kg.sweep(problem, "bandwidth", [5.0, 10.0]),
        "descent": kg.descend(problem, steps=2),
    }


def test_results_show_themselves_in_a_notebook() -> None:
    seen: set[str] = set()
    pages = {name: Page(result._repr_html_()) for name, result in results().items()}
    for name, page in pages.items():
        ids = page.values("id")
        assert page.elements[0] == ("div", {"class": "kdegrad"}, ())
        assert len(page.all("svg")) == 1
        assert len(page.all("table")) == (name not in ("loss", "bandwidth"))
        assert not seen & set(ids)
        seen |= set(ids)
        style = "".join(words for words, within in page.texts if "style" in within)
        selectors = [rule.rpartition("}")[2] for rule in style.split("{")[:-1]]
        assert all(
            re.match(r"(?:[\[.\w=\]-]+ )?\.kdegrad\b", one.strip()) for rule in selectors for one in rule.split(",")
        )
    assert f"loss {results()['loss'].loss:.12g} nats" in pages["loss"].text("p")


def test_a_problem_shows_itself_as_its_loss() -> None:
    loss = results()["loss"]
    assert loss.problem._repr_html_() == loss._repr_html_()


def test_checks_show_what_failed_in_a_notebook() -> None:
    problem = kg.Problem(POINTS, target=(-30, 30), bandwidth=10)
    verdicts = kg.verify(problem, cases=0, only=["merge", "zero-sum"], tolerance=1e-30)
    page = Page(verdicts._repr_html_())
    assert not verdicts.passed
    assert "FAILED: 2 checks, 0 passed, 2 failed, 0 skipped" in page.text("p")
    assert all(f"{check.property} failed, case {check.case}: {check.reason}" in page.text("p") for check in verdicts)
    assert len(page.all("svg")) == 1
    assert not page.all("h1") + page.all("h2")  # a notebook's headings are its author's
    passed = Page(kg.verify(problem, cases=0, only="merge")._repr_html_())
    assert "passed: 1 check, 1 passed" in passed.text("p")
    assert "nothing was checked: 0 checks" in Page(kg.verify(cases=0)._repr_html_()).text("p")


def test_a_notebook_shows_few_rows_and_says_so() -> None:
    many = kg.evaluate(kg.Problem(np.linspace(-90, 90, 500), target=(-30, 30), bandwidth=10))
    page = Page(many._repr_html_())
    assert len(page.all("tr")) == 1 + 40
    assert page.text("caption") == "the largest 40 of 500 points"


def test_an_infinite_loss_says_where() -> None:
    problem = kg.Problem([100.0], labels=["far"], target=(-30, 30), kernel="uniform", bandwidth=1)
    page = Page(kg.evaluate(problem)._repr_html_())
    assert "the density is 0 at 360 of 360 nodes" in page.text("p")
    assert "or add a background" in page.text("p")  # the keyword, not the flag
    assert len(page.all("svg")) == 1
    batch = kg.Batch([[100.0], [0.0]], target=(-30, 30), kernel="uniform", bandwidth=50)
    descent = Page(kg.descend(problem)._repr_html_())
    assert "the density is 0 at 360 of 360 nodes" in descent.text("p")
    assert len(descent.all("svg")) == 1
    page = Page(kg.evaluate(batch, wrt=())._repr_html_())
    assert "1 of 2 groups has no finite result: '0'" in page.text("p")
    assert "inf" in page.text("td")
    assert "nan" not in page.text("td")


def test_what_cannot_be_shown_is_shown_by_its_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdegrad.reports.in_notebook", lambda result: 1 / 0)
    assert results()["loss"]._repr_html_() is None


def test_without_matplotlib_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = Page(in_notebook(results()["gradient"]))
    assert not page.all("svg")
    assert "pip install 'kdegrad[plot]'" in page.text("p")
    assert len(page.all("table")) == 1


def test_long_names_of_groups_leave_room_for_the_numbers(kdegrad, tmp_path: Path) -> None:
    """A path is folded; one that is longer than that shows its ends, and is whole in its title."""
    path = tmp_path / "paths.csv"
    names = ["/data/" + "x" * 40, "/data/" + "y" * 290 + ".jpg", "/data/" + "z" * 5000]
    path.write_text("g,angle\n" + "".join(f"{name},{number}\n" for number, name in enumerate(names)))
    page = kdegrad("grad", path, "--group-by", "g", "--target", "0", "9", "--format", "html").out
    assert f'<td class="kd-long">{names[0]}</td>' in page
    for name in names[1:]:
        assert f'<td class="kd-long" title="{name}">{name[:40]}…{name[-40:]}</td>' in page
    assert re.search(r"\.kd-long \{[^}]*overflow-wrap: anywhere", page)
