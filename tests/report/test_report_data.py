"""The records of a project are summarized and turned into next steps."""

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


def test_a_new_project_has_report_data(project: ProjectFolder) -> None:
    report_data = _workflows.load_latest_report_data(project)
    assert summarize_run(report_data) == "No evaluation yet."
    assert describe_test_set(report_data) == "There is no test set."
    assert suggest_next_steps(report_data) == []


def test_serious_findings_come_first_among_the_next_steps(report_data: ReportData) -> None:
    leak = Finding(
        "target_leakage", "error", "x alone explains 99% of the target", "x", advice="drop it"
    )
    suggestions = suggest_next_steps(replace(report_data, findings=[leak]))
    assert suggestions[0].startswith(
        "Review the findings, first: X alone explains 99% of the target. Drop it."
    )


def test_an_accepted_finding_is_not_open(finished_project: ProjectFolder) -> None:
    project_file.apply_edits(
        finished_project.file_path, [ConfigEdit(("audit", "accept"), ["constant:same"])]
    )
    report_data = _workflows.load_latest_report_data(finished_project)
    assert "constant:same" in {f.accept_key for f in report_data.findings}
    assert "constant:same" not in {f.accept_key for f in report_data.open_findings()}


def test_a_wide_interval_suggests_more_rows(report_data: ReportData) -> None:
    main_metric = report_data.champion["metrics"][report_data.evaluation["metric"]]
    main_metric.update(value=0.8, low=0.6, high=0.95)
    assert relative_interval_width(report_data) == pytest.approx(0.4375)
    assert any("more rows" in step for step in suggest_next_steps(report_data))


def test_the_learning_curve_diagnosis_is_among_the_next_steps(report_data: ReportData) -> None:
    diagnosis = {
        "verdict": "not_converged",
        "reason": "it was falling",
        "recommendation": "raise model.epochs",
    }
    report_data.evaluation["learning_curve_diagnosis"] = diagnosis
    suggestion = "The network is not converged: it was falling; raise model.epochs."
    assert suggestion in suggest_next_steps(report_data)
    report_data.evaluation["learning_curve_diagnosis"] = {**diagnosis, "verdict": "good"}
    assert suggestion not in suggest_next_steps(report_data)


def test_exceeded_limits_low_recall_and_miscalibration_are_reported(
    report_data: ReportData,
) -> None:
    report_data.champion["metrics"]["recall"]["value"] = 0.2
    report_data.champion["metrics"]["ece"]["value"] = 0.2
    limits = {"exceeded": ["latency is 9 ms a row, allowed 5"]}
    suggestions = suggest_next_steps(replace(report_data, package={"limits": limits}))
    assert any("Recall is only 20%" in step for step in suggestions)
    assert any("calibration error is 20.0%" in step for step in suggestions)
    assert "Limit exceeded: latency is 9 ms a row, allowed 5." in suggestions


def test_only_significant_gaps_between_groups_are_reported(report_data: ReportData) -> None:
    gap = {"highest_group": "a", "lowest_group": "b", "value": 0.2, "low": 0.05, "high": 0.3}
    metric = report_data.evaluation["metric"]
    group = {"column": "city", "metric_titles": {metric: "ROC AUC"}, "max_gaps": {metric: gap}}
    report_data.evaluation["group_metrics"] = [group]
    assert any(
        "ROC AUC differs between city a and b" in step for step in suggest_next_steps(report_data)
    )
    for low in (-0.01, None):
        group["max_gaps"] = {metric: {**gap, "low": low}}
        assert not any("differs between city" in step for step in suggest_next_steps(report_data))


def test_a_constant_champion_suggests_more_columns(report_data: ReportData) -> None:
    report_data.evaluation["champion"] = "constant"
    assert any("more predictive columns" in step for step in suggest_next_steps(report_data))


def test_the_headline_says_whether_the_goal_is_met(report_data: ReportData) -> None:
    report_data.evaluation["goal"] = {"target": 0.8, "verdict": "met"}
    assert summarize_run(report_data).endswith("Goal 0.8000: met.")


def test_the_final_evaluation_is_suggested_until_it_is_done(
    finished_project: ProjectFolder,
) -> None:
    before = _workflows.load_latest_report_data(finished_project)
    assert any("evaluate --final" in step for step in suggest_next_steps(before))
    after = _workflows.run_final_evaluation(finished_project, _workflows.NullCallbacks(), None)
    assert not any("evaluate --final" in step for step in suggest_next_steps(after))


def test_report_data_does_not_depend_on_the_path_of_the_project(
    report_data: ReportData, finished_project_folder: Path
) -> None:
    assert (
        _workflows.load_latest_report_data(
            ProjectFolder(finished_project_folder / "project")
        ).evaluation
        == report_data.evaluation
    )
