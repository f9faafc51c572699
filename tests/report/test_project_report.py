"""The report shows the records in one file without external resources."""

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
    describe_decision_rule,
    render_report,
    select_class_metrics,
    summarize_confusion_matrix,
)
from fieldcraft.report.report_data import ReportData
from fieldcraft.stages import _pipeline, _workflows

VOID_TAGS = {"meta", "br", "path", "rect", "line", "link", "img", "hr", "input"}


class TagBalanceParser(HTMLParser):
    """Checks that tags are balanced, and collects the text."""

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


def test_the_report_is_well_formed_and_self_contained(report_data: ReportData) -> None:
    text = render_report(report_data)
    visible_text(text)
    assert not re.findall(r'(?:src|href)="(?!#)[^"]+"', text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_the_report_has_all_sections(report_data: ReportData) -> None:
    text = visible_text(render_report(report_data))
    for part in (
        report_data.evaluation["summary"],
        "Next steps",
        "Model comparison",
        "fit time (s)",
        "Paired comparison with the champion",
        "Data findings",
        "Feature importance (permutation)",
        "Confusion matrix actual \\ predicted",
        "Largest errors",
        "36 test rows have never been used",
        "fieldcraft verify",
        report_data.ledger_head[:16],
    ):
        assert part in text


def test_every_metric_of_the_champion_has_its_interval(
    report_data: ReportData,
) -> None:
    text = visible_text(render_report(report_data))
    for metric in report_data.champion["metrics"].values():
        assert f"{format_number(metric['low'])} to {format_number(metric['high'])}" in text


def test_accuracy_without_the_least_confident_rows_is_shown(report_data: ReportData) -> None:
    accuracy = {
        point["reject_fraction"]: point["accuracy"]
        for point in report_data.evaluation["diagnostics"]["rejection"]
    }
    assert f"{accuracy[0.05]:.1%} without the 5 % least confident rows" in visible_text(
        render_report(report_data)
    )


def test_charts_use_the_colors_of_the_page(report_data: ReportData) -> None:
    text = render_report(report_data)
    assert text.count("<svg") >= 4
    assert "var(--main)" in text
    assert not re.findall(r"#0[1-5]0[1-5]0[1-5]", text)


def test_cells_of_the_table_cannot_become_markup(finished_project: ProjectFolder) -> None:
    report_data = _workflows.load_latest_report_data(finished_project)
    error = report_data.evaluation["largest_errors"][0]
    error["cells"]["city"] = "<script>alert(1)</script>"
    error["prediction"] = "<b>bold</b>"
    text = render_report(report_data)
    assert "<script>" not in text
    assert "&lt;b&gt;bold" in text


def test_an_audited_project_has_a_report(project: ProjectFolder) -> None:
    report_data = _workflows.run_project(project, _workflows.NullCallbacks(), until="audit")
    text = visible_text(project.report_path.read_text(encoding="utf-8"))
    assert report_data.evaluation == {}
    assert "No evaluation yet." in text
    assert "most frequent values" in text


def test_a_regression_project_has_a_report(tmp_path: Path) -> None:
    from tests.conftest import create_project, mixed_table

    mixed_table(120).write_csv(tmp_path / "t.csv")
    project = create_project(tmp_path / "p", tmp_path / "t.csv", "age")
    assert _pipeline.STEPS
    text = visible_text(render_report(_workflows.run_project(project, _workflows.NullCallbacks())))
    assert "RMSE" in text
    assert "perfect predictions" in text


def test_a_large_confusion_matrix_is_summarized_by_its_top_confusions() -> None:
    size = 40
    table = [[10 if i == j else 0 for j in range(size)] for i in range(size)]
    table[3][5] = 7
    summary = summarize_confusion_matrix(
        {"confusion_matrix": table, "classes": [f"c{i}" for i in range(size)]}
    )
    assert summary["counts"] == []
    assert summary["confusions"][0] == {"actual": "c3", "predicted": "c5", "rows": 7}


def test_of_very_many_classes_those_with_the_lowest_recall_are_shown() -> None:
    per_class = [{"class": f"c{i}", "recall": i / 50} for i in range(50)]
    per_class[3]["recall"] = None  # no row of it
    shown = select_class_metrics({"per_class": per_class})
    assert [item["class"] for item in shown[:4]] == ["c0", "c1", "c2", "c4"]
    assert len(shown) == MAX_CLASSES_SHOWN
    assert select_class_metrics({"per_class": per_class[:5]}) == per_class[:5]
    assert select_class_metrics({}) == []


def test_augmented_examples_are_shown_where_there_are_any(
    report_data: ReportData,
) -> None:
    assert "Augmented examples" not in render_report(report_data)
    photo, text = "data:image/jpeg;base64,AA", "good <b>lamp</b>"
    sheets = [
        {
            "column": "photo", "are_images": True,
            "rows": [{"original": photo, "variants": [photo] * 4}],
        },
        {
            "column": "words", "are_images": False,
            "rows": [{"original": text, "variants": ["good"]}],
        },
    ]  # fmt: skip
    html = render_report(replace(report_data, augmentation_examples=sheets))
    visible_text(html)
    assert html.count(f'src="{photo}"') == 5
    assert "good &lt;b&gt;lamp&lt;/b&gt;" in html
    assert "<p><small>words</small></p>" in html
    assert "<p><small>photo</small></p>" not in render_report(
        replace(report_data, augmentation_examples=sheets[:1])
    )


def test_numeric_thresholds_are_not_called_tuned(report_data: ReportData) -> None:
    report_data = replace(report_data, evaluation={"calibration": {"threshold": 0.3}})
    for threshold, reason in ((0.3, "as set by"), ("f1", "chosen for the best f1")):
        problem = report_data.settings.problem.model_copy(update={"threshold": threshold})
        settings = report_data.settings.model_copy(update={"problem": problem})
        assert reason in describe_decision_rule(replace(report_data, settings=settings))
