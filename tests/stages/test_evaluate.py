"""Models are evaluated on the same rows; decision settings change without new training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core import files
from fieldcraft.ledger.store import Ledger
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.project.settings import ProblemSettings
from fieldcraft.stages import _pipeline, _workflows
from fieldcraft.stages.evaluate import check_goal
from fieldcraft.statistics.classification_metrics import LOG_LOSS, ROC_AUC
from fieldcraft.statistics.metrics import Metric
from tests.conftest import mixed_table, set_settings

LEARNERS = {"constant", "rule", "linear", "lightgbm", "network"}


def run_evaluation(project: ProjectFolder) -> tuple[dict[str, Any], pl.DataFrame]:
    outcome = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="evaluate")
    folder = outcome.folders["evaluate"]
    return files.read_json(folder / "evaluation.json"), pl.read_parquet(
        folder / "evaluation_predictions.parquet"
    )


def count_trainings(project: ProjectFolder) -> int:
    done = Ledger(project.ledger_path).entries(kind="step_completed")
    return sum(entry.stage in ("baseline", "train", "ensemble") for entry in done)


def test_every_metric_has_an_interval_row_count_and_digests(
    finished_project: ProjectFolder,
) -> None:
    metrics = [e.body for e in Ledger(finished_project.ledger_path).entries(kind="metric")]
    assert {m["model"] for m in metrics} - {"ensemble"} == LEARNERS
    for metric in metrics:
        if metric["value"] is None:
            continue  # such as precision without positive predictions
        if metric["metric"] != "ece":  # its resamples are biased upward
            assert metric["low"] <= metric["value"] + 1e-9
        assert metric["value"] <= metric["high"] + 1e-9
        assert metric["n_rows"] == 204
        assert len(metric["data_digest"]) == len(metric["model_digest"]) == 64


def test_the_predictions_of_the_champion_are_saved(finished_project: ProjectFolder) -> None:
    predictions = run_evaluation(finished_project)[1]
    assert predictions.height == 204
    assert predictions["line"].n_unique() == 204
    assert {"prediction", "probability_no", "probability_yes"} <= set(predictions.columns)


def test_the_diagnostics_cover_all_evaluation_rows(finished_project: ProjectFolder) -> None:
    evaluation = run_evaluation(finished_project)[0]
    diagnostics = evaluation["diagnostics"]
    assert sum(map(sum, diagnostics["confusion_matrix"])) == 204
    assert sum(point["rows"] for point in diagnostics["reliability"]) == 204
    hits = sum(diagnostics["confusion_matrix"][i][i] for i in range(2)) / 204
    champion = next(x for x in evaluation["models"] if x["name"] == evaluation["champion"])
    assert champion["metrics"]["accuracy"]["value"] == pytest.approx(hits)
    assert len(evaluation["largest_errors"]) == 20
    assert all("key" in row["cells"] for row in evaluation["largest_errors"])


def test_the_largest_errors_are_the_most_confident_mistakes(
    finished_project: ProjectFolder,
) -> None:
    evaluation, predictions = run_evaluation(finished_project)
    table = mixed_table()
    lines = [row["line"] for row in evaluation["largest_errors"]]
    for row in evaluation["largest_errors"]:
        assert table["key"][row["line"] - 1] == row["cells"]["key"]
    assert (
        evaluation["largest_errors"][0]["prediction"]
        != evaluation["largest_errors"][0]["cells"]["bought"]
    )
    truth = table["bought"].gather(predictions["line"] - 1)
    true_class_probability = np.where(
        truth == "yes", predictions["probability_yes"], predictions["probability_no"]
    )
    assert sorted(lines[:3]) == sorted(
        predictions["line"].gather(np.argsort(true_class_probability)[:3]).to_list()
    )


@pytest.mark.parametrize(
    ("metric", "goal", "drawn", "verdict"),
    [
        (ROC_AUC, 0.6, [0.8, 0.7, 0.9], "met"),
        (ROC_AUC, 0.75, [0.8, 0.7, 0.9], "met, not significant"),
        (ROC_AUC, 0.85, [0.8, 0.7, 0.9], "missed"),
        (LOG_LOSS, 1.0, [0.8, 0.7, 0.9], "met"),
        (LOG_LOSS, 0.85, [0.8, 0.7, 0.9], "met, not significant"),
        (LOG_LOSS, 0.6, [0.8, 0.7, 0.9], "missed"),
    ],
)
def test_the_goal_is_met_significantly_if_the_whole_interval_is(
    metric: Metric, goal: float, drawn: list[float], verdict: str
) -> None:
    problem = ProblemSettings(target="y", task="binary", goal=goal)
    result = check_goal(problem, metric, np.array([drawn[0], *drawn[1:] * 50]))
    assert result is not None
    assert result["verdict"] == verdict
    assert result["target"] == goal


def test_without_a_goal_there_is_no_verdict() -> None:
    assert check_goal(ProblemSettings(target="y", task="binary"), ROC_AUC, np.ones(3)) is None


def test_the_goal_is_in_the_evaluation_and_the_ledger(
    ensemble_project: ProjectFolder,
) -> None:
    assert run_evaluation(ensemble_project)[0]["goal"]["verdict"] == "met"
    set_settings(ensemble_project, {"problem.goal": 0.1})
    before = count_trainings(ensemble_project)
    assert run_evaluation(ensemble_project)[0]["goal"]["verdict"] == "missed"
    assert count_trainings(ensemble_project) == before
    (*_, last) = Ledger(ensemble_project.ledger_path).entries(kind="decision", stage="evaluate")
    assert last.body["goal"]["verdict"] == "missed"


def test_metrics_are_reported_for_each_sensitive_group(ensemble_project: ProjectFolder) -> None:
    (group_metrics,) = run_evaluation(ensemble_project)[0]["group_metrics"]
    assert group_metrics["column"] == "district"
    assert {item["group"] for item in group_metrics["groups"]} == {f"d{i}" for i in range(6)}
    recorded = [e.body for e in Ledger(ensemble_project.ledger_path).entries(kind="group_metrics")]
    assert recorded == [group_metrics]


def test_the_learning_curves_of_the_network_are_diagnosed(
    finished_project: ProjectFolder, ensemble_project: ProjectFolder
) -> None:
    assert run_evaluation(finished_project)[0]["learning_curve_diagnosis"]["verdict"] in (
        "not_converged",
        "underfit",
        "good",
    )
    assert (
        run_evaluation(ensemble_project)[0]["learning_curve_diagnosis"] is None
    )  # a linear model has no curves


def test_a_threshold_changes_decisions_without_training(
    finished_project: ProjectFolder,
) -> None:
    before, training = run_evaluation(finished_project)[1], count_trainings(finished_project)
    set_settings(finished_project, {"problem.threshold": 0.9})
    _workflows.run_project(finished_project, _workflows.NullCallbacks())
    after = run_evaluation(finished_project)[1]
    assert count_trainings(finished_project) == training
    assert after["probability_yes"].equals(before["probability_yes"])
    assert (after["prediction"] == "yes").sum() < (before["prediction"] == "yes").sum()
    assert ((after["prediction"] == "yes") == (after["probability_yes"] >= 0.9)).all()
    predictions = load_bundle(finished_project.bundle_path).predict(mixed_table(60, seed=5))
    assert ((predictions["prediction"] == "yes") == (predictions["probability_yes"] >= 0.9)).all()


def test_a_threshold_can_be_chosen_by_a_metric(
    finished_project: ProjectFolder,
) -> None:
    before = run_evaluation(finished_project)[0]
    set_settings(finished_project, {"problem.threshold": "f1"})
    after, predictions = run_evaluation(finished_project)
    chosen = after["calibration"]["threshold"]
    assert 0 < chosen < 1
    assert before["calibration"]["threshold"] is None
    assert predictions["prediction"].n_unique() == 2


def test_costs_change_decisions_without_training(finished_project: ProjectFolder) -> None:
    training = count_trainings(finished_project)
    set_settings(finished_project, {"problem.costs": {"yes": {"no": 9}, "no": {"yes": 1}}})
    evaluation, predictions = run_evaluation(finished_project)
    assert count_trainings(finished_project) == training
    # A false "no" costs nine times a false "yes": the threshold is 0.1.
    clear = (predictions["probability_yes"] - 0.1).abs() > 1e-6
    assert (
        ((predictions["prediction"] == "yes") == (predictions["probability_yes"] > 0.1))
        .filter(clear)
        .all()
    )
    assert evaluation["diagnostics"]["confusion_matrix"][1][0] <= 5


def test_higher_coverage_gives_larger_sets_without_training(
    finished_project: ProjectFolder,
) -> None:
    training, sizes = count_trainings(finished_project), []
    for coverage in (0.6, 0.99):
        set_settings(finished_project, {"problem.coverage": coverage})
        predictions = run_evaluation(finished_project)[1]
        n_classes = predictions["prediction_set"].str.count_matches(r"\|").fill_null(0).mean()
        sizes.append(float(n_classes))  # type: ignore[arg-type]
    assert sizes[0] < sizes[1]
    assert count_trainings(finished_project) == training


def test_the_same_rows_give_the_same_evaluation(
    finished_project: ProjectFolder, finished_project_folder: Path
) -> None:
    assert (
        run_evaluation(finished_project)[0]
        == run_evaluation(ProjectFolder(finished_project_folder / "project"))[0]
    )
