"""The report tells what the ledger knows, in one file that needs nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fieldcraft.core.words import figure
from fieldcraft.project.folder import Folder
from fieldcraft.report.html import MOST_CLASSES, classes, confusion, page
from fieldcraft.report.story import Story
from fieldcraft.stages import _flow, _plan

VOID = {"meta", "br", "path", "rect", "line", "link", "img", "hr", "input"}


class Balance(HTMLParser):
    """Reads a page and remembers the tags that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def words(text: str) -> str:
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    return " ".join(" ".join(parser.text).split())


@pytest.fixture(scope="module")
def story(finished_once: Path) -> Story:
    return _flow.latest(Folder(finished_once / "project"))


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(story: Story) -> None:
    text = page(story)
    words(text)
    assert not re.findall(r'(?:src|href)="(?!#)[^"]+"', text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_it_says_what_matters(story: Story) -> None:
    said = words(page(story))
    for part in (
        story.evaluation["sentence"],
        "What to do next",
        "Learners compared",
        "Paired tests",
        "What was found in the data",
        "The worst errors",
        "36 test rows have never been looked at",
        "fieldcraft verify",
        story.head[:16],
    ):
        assert part in said


def test_every_figure_of_the_champion_stands_there_with_its_interval(story: Story) -> None:
    said = words(page(story))
    for measure in story.champion["measures"].values():
        assert f"{figure(measure['low'])} to {figure(measure['high'])}" in said


def test_it_says_how_much_is_right_without_the_least_sure(story: Story) -> None:
    right = {part["rejected"]: part["right"] for part in story.evaluation["evidence"]["rejection"]}
    assert f"{right[0.05]:.1%} without the least sure twentieth" in words(page(story))


def test_charts_take_the_pages_colours(story: Story) -> None:
    text = page(story)
    assert text.count("<svg") >= 4
    assert "var(--main)" in text
    assert not re.findall(r"#0[1-5]0[1-5]0[1-5]", text)


def test_cells_of_the_table_cannot_become_markup(finished: Folder) -> None:
    story = _flow.latest(finished)
    story.evaluation["worst"][0]["cells"]["city"] = "<script>alert(1)</script>"
    story.evaluation["worst"][0]["prediction"] = "<b>bold</b>"
    text = page(story)
    assert "<script>" not in text
    assert "&lt;b&gt;bold" in text


def test_a_project_that_has_only_been_audited_has_a_report_too(project: Folder) -> None:
    story = _flow.run_project(project, _flow.Unwatched(), until="audit")
    said = words(project.report.read_text(encoding="utf-8"))
    assert story.evaluation == {}
    assert "Nothing has been evaluated yet." in said
    assert "The columns" in said


def test_a_project_on_an_amount_has_a_report_too(tmp_path: Path) -> None:
    from tests.conftest import mixed_table, start

    mixed_table(120).write_csv(tmp_path / "t.csv")
    project = start(tmp_path / "p", tmp_path / "t.csv", "age")
    assert _plan.STEPS
    said = words(page(_flow.run_project(project, _flow.Unwatched())))
    assert "RMSE" in said
    assert "predictions are right" in said


def test_a_large_confusion_table_is_told_by_its_commonest_mix_ups() -> None:
    size = 40
    table = [[10 if i == j else 0 for j in range(size)] for i in range(size)]
    table[3][5] = 7
    found = confusion({"confusion": table, "classes": [f"c{i}" for i in range(size)]})
    assert found["table"] == []
    assert found["mixed"][0] == {"true": "c3", "decided": "c5", "rows": 7}


def test_of_very_many_classes_those_are_shown_that_are_found_least() -> None:
    per_class = [{"class": f"c{i}", "recall": i / 50} for i in range(50)]
    per_class[3]["recall"] = None  # no row of it
    shown = classes({"per_class": per_class})
    assert [item["class"] for item in shown[:4]] == ["c0", "c1", "c2", "c4"]
    assert len(shown) == MOST_CLASSES
    assert classes({"per_class": per_class[:5]}) == per_class[:5]
    assert classes({}) == []


def test_training_rows_are_shown_as_training_changes_them_if_it_does(story: Story) -> None:
    assert "as training changes them" not in page(story)
    photo, text = "data:image/jpeg;base64,AA", "good <b>lamp</b>"
    sheets = [
        {"column": "photo", "pictures": True, "rows": [{"original": photo, "forms": [photo] * 4}]},
        {"column": "words", "pictures": False, "rows": [{"original": text, "forms": ["good"]}]},
    ]
    found = page(replace(story, augmented=sheets))
    words(found)
    assert found.count(f'src="{photo}"') == 5
    assert "good &lt;b&gt;lamp&lt;/b&gt;" in found
    assert "<p><small>words</small></p>" in found
    assert "<p><small>photo</small></p>" not in page(replace(story, augmented=sheets[:1]))
