"""What the records say, gathered for whoever tells it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import Finding
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report.report_data import (
    ReportData,
    describe_test_set,
    relative_interval_width,
    suggest_next_steps,
    summarize_run,
)
from fieldcraft.stages import _workflows


@pytest.fixture
def report_data(finished_project: ProjectFolder) -> ReportData:
    return _workflows.load_latest_report_data(finished_project)


def test_a_new_project_has_a_story_too(project: ProjectFolder) -> None:
    story = _workflows.load_latest_report_data(project)
    assert summarize_run(story) == "Nothing has been evaluated yet."
    assert describe_test_set(story) == "There is no test set."
    assert suggest_next_steps(story) == []


def test_serious_findings_come_first_among_the_next_steps(report_data: ReportData) -> None:
    leak = Finding("leak", "stop", "x alone tells 99% of the target", "x", advice="drop it")
    suggestions = suggest_next_steps(replace(report_data, findings=[leak]))
    assert suggestions[0].startswith(
        "Look at the findings, first: X alone tells 99% of the target. Drop it."
    )


def test_an_accepted_finding_is_not_open(finished_project: ProjectFolder) -> None:
    project_file.apply_edits(
        finished_project.file_path, [ConfigEdit(("audit", "accept"), ["constant:same"])]
    )
    story = _workflows.load_latest_report_data(finished_project)
    assert "constant:same" in {f.accept_key for f in story.findings}
    assert "constant:same" not in {f.accept_key for f in story.open_findings()}


def test_a_wide_interval_asks_for_more_rows(report_data: ReportData) -> None:
    main = report_data.champion["measures"][report_data.evaluation["metric"]]
    main.update(value=0.8, low=0.6, high=0.95)
    assert relative_interval_width(report_data) == pytest.approx(0.4375)
    assert any("more rows" in step for step in suggest_next_steps(report_data))


def test_what_the_curves_say_is_among_the_next_steps(report_data: ReportData) -> None:
    diagnosis = {"verdict": "unfinished", "reason": "it was falling", "step": "raise model.epochs"}
    report_data.evaluation["fitness"] = diagnosis
    suggestion = "The network is unfinished: it was falling; raise model.epochs."
    assert suggestion in suggest_next_steps(report_data)
    report_data.evaluation["fitness"] = {**diagnosis, "verdict": "good"}
    assert suggestion not in suggest_next_steps(report_data)


def test_limits_that_are_broken_and_positives_that_are_missed_are_told(
    report_data: ReportData,
) -> None:
    report_data.champion["measures"]["recall"]["value"] = 0.2
    report_data.champion["measures"]["calibration_error"]["value"] = 0.2
    limits = {"broken": ["latency is 9 ms a row, allowed 5"]}
    suggestions = suggest_next_steps(replace(report_data, package={"limits": limits}))
    assert any("Only 20% of the positives are called positive" in step for step in suggestions)
    assert any("Probabilities are off by 20.0%" in step for step in suggestions)
    assert "Over its limit: latency is 9 ms a row, allowed 5." in suggestions


def test_a_gap_between_groups_is_told_only_where_it_is_sure(report_data: ReportData) -> None:
    gap = {"highest": "a", "lowest": "b", "value": 0.2, "low": 0.05, "high": 0.3}
    metric = report_data.evaluation["metric"]
    group = {"column": "city", "metrics": {metric: "ROC AUC"}, "gaps": {metric: gap}}
    report_data.evaluation["groups"] = [group]
    assert any(
        "ROC AUC differs between city a and b" in step for step in suggest_next_steps(report_data)
    )
    for low in (-0.01, None):
        group["gaps"] = {metric: {**gap, "low": low}}
        assert not any("differs between city" in step for step in suggest_next_steps(report_data))


def test_no_better_than_guessing_asks_for_other_columns(report_data: ReportData) -> None:
    report_data.evaluation["champion"] = "constant"
    assert any(
        "look for columns that tell more" in step for step in suggest_next_steps(report_data)
    )


def test_the_headline_says_whether_the_goal_is_met(report_data: ReportData) -> None:
    report_data.evaluation["bar"] = {"wanted": 0.8, "verdict": "met"}
    assert summarize_run(report_data).endswith("The bar of 0.8000 is met.")


def test_the_seal_is_offered_until_it_is_opened(finished_project: ProjectFolder) -> None:
    before = _workflows.load_latest_report_data(finished_project)
    assert any("evaluate --final" in step for step in suggest_next_steps(before))
    after = _workflows.run_final_evaluation(finished_project, _workflows.NullCallbacks(), None)
    assert not any("evaluate --final" in step for step in suggest_next_steps(after))


def test_the_story_of_a_project_does_not_depend_on_where_it_lies(
    report_data: ReportData, finished_project_folder: Path
) -> None:
    assert (
        _workflows.load_latest_report_data(
            ProjectFolder(finished_project_folder / "project")
        ).evaluation
        == report_data.evaluation
    )
