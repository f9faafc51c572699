"""Predictions are explained by the fold models that were not trained on the row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.types import Array, Json
from fieldcraft.modeling.candidate import fit_fold_calibration, load_candidate
from fieldcraft.modeling.dataset import ModelingDataset, load_dataset
from fieldcraft.modeling.feature_importance import WeightedEnsemble
from fieldcraft.modeling.local_explanations import explain_rows, replace_cells, typical_spread
from fieldcraft.modeling.packaging import EnsemblePart, load_fold_models
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows
from tests.conftest import create_project, mixed_table, set_settings


class ExplainingKind:
    """A kind whose explanation holds the scores of three values."""

    used = True

    def explain(self, value: Any, predict: Any) -> Json:
        scores: Array = predict([value, 10.0, 70.0])
        return {"spans": [["x", 1.0]], "max_effect": 1.0, "scores": scores.tolist()}


@pytest.fixture
def explained_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        catalog.load_plugin("kinds", "number"), "explain", ExplainingKind().explain, raising=False
    )


def make_ensembles(rows: ModelingDataset, model_folder: Path) -> list[WeightedEnsemble]:
    table = pl.read_parquet(model_folder / "predictions.parquet")
    members = load_fold_models(EnsemblePart(model_folder), rows)
    return [
        WeightedEnsemble([[(member, 1.0)]], fit_fold_calibration(table, rows, number))
        for number, member in enumerate(members)
    ]


def explain_some(
    project: ProjectFolder, learner: str, count: int = 6
) -> tuple[ModelingDataset, list[Json], Any]:
    folders = _workflows.load_latest_report_data(project).folders
    rows = load_dataset(folders["split"], project.load_settings())
    model_folder = folders["baseline"] / learner
    evaluation = np.concatenate([fold.evaluation for fold in rows.folds])
    chosen = evaluation[:: len(evaluation) // count].tolist()
    explanations = explain_rows(
        make_ensembles(rows, model_folder), rows, chosen, lambda message, fraction: None
    )
    return rows, explanations, (load_candidate(model_folder, rows), evaluation)


@pytest.mark.usefixtures("explained_numbers")
def test_the_score_is_the_out_of_fold_prediction(finished_project_folder: Path) -> None:
    rows, explanations, (candidate, evaluation) = explain_some(
        ProjectFolder(finished_project_folder / "project"), "linear"
    )
    decisions = rows.task.to_frame(candidate.predictions, rows.target_spec)["prediction"].to_list()
    for item in explanations:
        index = int(np.flatnonzero(evaluation == item["position"])[0])
        assert item["class_or_label"] == decisions[index]
        assert item["score"] == pytest.approx(candidate.predictions.outputs[index].max(), abs=1e-6)
        scores = item["columns"]["age"]["scores"]
        assert scores[0] == pytest.approx(item["score"], abs=1e-6)
        assert (scores[2] > scores[1]) == (
            item["class_or_label"] == "yes"
        )  # age increases the score of yes
        assert list(item["columns"]) == ["age"]


def test_kinds_without_explanations_are_left_out(finished_project_folder: Path) -> None:
    _, explanations, _ = explain_some(
        ProjectFolder(finished_project_folder / "project"), "linear", 2
    )
    assert all(item["columns"] == {} for item in explanations)


@pytest.mark.usefixtures("explained_numbers")
def test_regression_scores_are_in_the_unit_of_the_target(ensemble_project_folder: Path) -> None:
    rows, explanations, _ = explain_some(
        ProjectFolder(ensemble_project_folder / "project"), "linear", 2
    )
    assert explanations[0]["class_or_label"] is None
    assert explanations[0]["score_scale"] == pytest.approx(1.35 * rows.y.std(), rel=0.3)
    assert explanations[0]["columns"]["floor"]["scores"][0] == pytest.approx(
        explanations[0]["score"]
    )


@pytest.mark.usefixtures("explained_numbers")
def test_the_label_with_the_largest_error_is_explained(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = mixed_table(160).with_columns(
        old=pl.col("age").fill_null(0) + draw.normal(0, 9, 160) > 45,
        rome=(pl.col("city") == "Rome") ^ pl.Series(draw.random(160) < 0.3),
    )
    table.drop("bought", "same", "key").write_csv(tmp_path / "t.csv")
    project = create_project(tmp_path / "p", tmp_path / "t.csv", ("old", "rome"))
    set_settings(project, {"model": {"learner": "linear"}})
    _workflows.run_project(project, _workflows.NullCallbacks(), until="baseline")
    folders = _workflows.load_latest_report_data(project).folders
    rows = load_dataset(folders["split"], project.load_settings())
    chosen = [int(rows.folds[0].evaluation[0])]
    model_folder = folders["baseline"] / "constant"
    (item,) = explain_rows(
        make_ensembles(rows, model_folder), rows, chosen, lambda message, fraction: None
    )
    truth = dict(zip(rows.target_spec["labels"], rows.y[chosen[0]], strict=True))
    assert abs(truth[item["class_or_label"]] - item["score"]) > 0.3


def test_the_score_scale_is_robust_to_outliers() -> None:
    assert typical_spread(np.array([1.0, 2.0, 3.0, 4.0, 1e9])) == 2.0
    assert typical_spread(np.array([0.0] * 9 + [3.0])) == pytest.approx(0.9)
    assert typical_spread(np.ones(3)) == 1.0


def test_replacing_cells_changes_one_column_only() -> None:
    row = pl.DataFrame({"a": [1.5], "b": ["x"]})

    def cells(name: str, values: Sequence[Any]) -> list[Any]:
        return replace_cells(row, name, values).rows()

    assert cells("b", ["y", None]) == [(1.5, "y"), (1.5, None)]
    assert cells("a", [2.5]) == [(2.5, "x")]
