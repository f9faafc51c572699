"""The report tells what the ledger knows, in one file that needs nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fieldcraft.core.formatting import format_number
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report.project_report import (
    MAX_CLASSES_SHOWN,
    render_report,
    select_class_metrics,
    summarize_confusion_matrix,
)
from fieldcraft.report.report_data import ReportData
from fieldcraft.stages import _pipeline, _workflows

VOID_TAGS = {"meta", "br", "path", "rect", "line", "link", "img", "hr", "input"}


class TagBalanceParser(HTMLParser):
    """Reads a page and remembers the tags that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open_tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID_TAGS:
            self.open_tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID_TAGS:
            assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def visible_text(text: str) -> str:
    parser = TagBalanceParser()
    parser.feed(text)
    assert parser.open_tags == []
    return " ".join(" ".join(parser.text).split())


@pytest.fixture(scope="module")
def report_data(finished_project_folder: Path) -> ReportData:
    return _workflows.load_latest_report_data(ProjectFolder(finished_project_folder / "project"))


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(report_data: ReportData) -> None:
    text = render_report(report_data)
    visible_text(text)
    assert not re.findall(r'(?:src|href)="(?!#)[^"]+"', text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_it_says_what_matters(report_data: ReportData) -> None:
    text = visible_text(render_report(report_data))
    for part in (
        report_data.evaluation["sentence"],
        "What to do next",
        "Learners compared",
        "Paired tests",
        "What was found in the data",
        "The worst errors",
        "36 test rows have never been looked at",
        "fieldcraft verify",
        report_data.ledger_head[:16],
    ):
        assert part in text


def test_every_figure_of_the_champion_stands_there_with_its_interval(
    report_data: ReportData,
) -> None:
    text = visible_text(render_report(report_data))
    for measure in report_data.champion["measures"].values():
        assert f"{format_number(measure['low'])} to {format_number(measure['high'])}" in text


def test_it_says_how_much_is_right_without_the_least_sure(report_data: ReportData) -> None:
    right = {
        part["rejected"]: part["right"] for part in report_data.evaluation["evidence"]["rejection"]
    }
    assert f"{right[0.05]:.1%} without the least sure twentieth" in visible_text(
        render_report(report_data)
    )


def test_charts_take_the_pages_colours(report_data: ReportData) -> None:
    text = render_report(report_data)
    assert text.count("<svg") >= 4
    assert "var(--main)" in text
    assert not re.findall(r"#0[1-5]0[1-5]0[1-5]", text)


def test_cells_of_the_table_cannot_become_markup(finished_project: ProjectFolder) -> None:
    story = _workflows.load_latest_report_data(finished_project)
    story.evaluation["worst"][0]["cells"]["city"] = "<script>alert(1)</script>"
    story.evaluation["worst"][0]["prediction"] = "<b>bold</b>"
    text = render_report(story)
    assert "<script>" not in text
    assert "&lt;b&gt;bold" in text


def test_a_project_that_has_only_been_audited_has_a_report_too(project: ProjectFolder) -> None:
    story = _workflows.run_project(project, _workflows.NullCallbacks(), until="audit")
    text = visible_text(project.report_path.read_text(encoding="utf-8"))
    assert story.evaluation == {}
    assert "Nothing has been evaluated yet." in text
    assert "The columns" in text


def test_a_project_on_an_amount_has_a_report_too(tmp_path: Path) -> None:
    from tests.conftest import create_project, mixed_table

    mixed_table(120).write_csv(tmp_path / "t.csv")
    project = create_project(tmp_path / "p", tmp_path / "t.csv", "age")
    assert _pipeline.STEPS
    text = visible_text(render_report(_workflows.run_project(project, _workflows.NullCallbacks())))
    assert "RMSE" in text
    assert "predictions are right" in text


def test_a_large_confusion_table_is_told_by_its_commonest_mix_ups() -> None:
    size = 40
    table = [[10 if i == j else 0 for j in range(size)] for i in range(size)]
    table[3][5] = 7
    summary = summarize_confusion_matrix(
        {"confusion": table, "classes": [f"c{i}" for i in range(size)]}
    )
    assert summary["table"] == []
    assert summary["mixed"][0] == {"true": "c3", "decided": "c5", "rows": 7}


def test_of_very_many_classes_those_are_shown_that_are_found_least() -> None:
    per_class = [{"class": f"c{i}", "recall": i / 50} for i in range(50)]
    per_class[3]["recall"] = None  # no row of it
    shown = select_class_metrics({"per_class": per_class})
    assert [item["class"] for item in shown[:4]] == ["c0", "c1", "c2", "c4"]
    assert len(shown) == MAX_CLASSES_SHOWN
    assert select_class_metrics({"per_class": per_class[:5]}) == per_class[:5]
    assert select_class_metrics({}) == []


def test_training_rows_are_shown_as_training_changes_them_if_it_does(
    report_data: ReportData,
) -> None:
    assert "as training changes them" not in render_report(report_data)
    photo, text = "data:image/jpeg;base64,AA", "good <b>lamp</b>"
    sheets = [
        {"column": "photo", "pictures": True, "rows": [{"original": photo, "forms": [photo] * 4}]},
        {"column": "words", "pictures": False, "rows": [{"original": text, "forms": ["good"]}]},
    ]
    html = render_report(replace(report_data, augmentation_examples=sheets))
    visible_text(html)
    assert html.count(f'src="{photo}"') == 5
    assert "good &lt;b&gt;lamp&lt;/b&gt;" in html
    assert "<p><small>words</small></p>" in html
    assert "<p><small>photo</small></p>" not in render_report(
        replace(report_data, augmentation_examples=sheets[:1])
    )
