"""Single predictions are explained by the members that had not seen the row."""

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
    """A kind that can say what a model makes of three values."""

    used = True

    def explain(self, value: Any, said: Any) -> Json:
        scores: Array = said([value, 10.0, 70.0])
        return {"spans": [["x", 1.0]], "max_effect": 1.0, "scores": scores.tolist()}


@pytest.fixture
def numbers_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        catalog.load_plugin("kinds", "number"), "explain", ExplainingKind().explain, raising=False
    )


def make_ensembles(rows: ModelingDataset, place: Path) -> list[WeightedEnsemble]:
    table = pl.read_parquet(place / "predictions.parquet")
    members = load_fold_models(EnsemblePart(place), rows)
    return [
        WeightedEnsemble([[(member, 1.0)]], fit_fold_calibration(table, rows, number))
        for number, member in enumerate(members)
    ]


def explain_some(
    project: ProjectFolder, learner: str, count: int = 6
) -> tuple[ModelingDataset, list[Json], Any]:
    folders = _workflows.load_latest_report_data(project).folders
    rows = load_dataset(folders["split"], project.load_settings())
    place = folders["baseline"] / learner
    judge = np.concatenate([fold.evaluation for fold in rows.folds])
    chosen = judge[:: len(judge) // count].tolist()
    found = explain_rows(make_ensembles(rows, place), rows, chosen, lambda message, fraction: None)
    return rows, found, (load_candidate(place, rows), judge)


@pytest.mark.usefixtures("numbers_are_explained")
def test_the_score_is_what_the_judged_member_said(finished_project_folder: Path) -> None:
    rows, found, (candidate, judge) = explain_some(
        ProjectFolder(finished_project_folder / "project"), "linear"
    )
    decided = rows.task.to_frame(candidate.predictions, rows.target_spec)["prediction"].to_list()
    for item in found:
        at = int(np.flatnonzero(judge == item["position"])[0])
        assert item["class_or_label"] == decided[at]
        assert item["score"] == pytest.approx(candidate.predictions.outputs[at].max(), abs=1e-6)
        scores = item["columns"]["age"]["scores"]
        assert scores[0] == pytest.approx(item["score"], abs=1e-6)
        assert (scores[2] > scores[1]) == (item["class_or_label"] == "yes")  # age speaks for yes
        assert list(item["columns"]) == ["age"]


def test_kinds_that_explain_nothing_are_left_out(finished_project_folder: Path) -> None:
    _, found, _ = explain_some(ProjectFolder(finished_project_folder / "project"), "linear", 2)
    assert all(item["columns"] == {} for item in found)


@pytest.mark.usefixtures("numbers_are_explained")
def test_of_an_amount_the_value_is_explained_in_its_unit(ensemble_project_folder: Path) -> None:
    rows, found, _ = explain_some(ProjectFolder(ensemble_project_folder / "project"), "linear", 2)
    assert found[0]["class_or_label"] is None
    assert found[0]["score_scale"] == pytest.approx(1.35 * rows.y.std(), rel=0.3)
    assert found[0]["columns"]["floor"]["scores"][0] == pytest.approx(found[0]["score"])


@pytest.mark.usefixtures("numbers_are_explained")
def test_of_labels_the_one_that_is_furthest_from_the_truth_is_explained(tmp_path: Path) -> None:
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
    place = folders["baseline"] / "constant"
    (item,) = explain_rows(
        make_ensembles(rows, place), rows, chosen, lambda message, fraction: None
    )
    truth = dict(zip(rows.target_spec["labels"], rows.y[chosen[0]], strict=True))
    assert abs(truth[item["class_or_label"]] - item["score"]) > 0.3


def test_no_single_value_blows_up_the_unit() -> None:
    assert typical_spread(np.array([1.0, 2.0, 3.0, 4.0, 1e9])) == 2.0
    assert typical_spread(np.array([0.0] * 9 + [3.0])) == pytest.approx(0.9)
    assert typical_spread(np.ones(3)) == 1.0


def test_cells_take_the_place_of_one_column_only() -> None:
    row = pl.DataFrame({"a": [1.5], "b": ["x"]})

    def cells(name: str, values: Sequence[Any]) -> list[Any]:
        return replace_cells(row, name, values).rows()

    assert cells("b", ["y", None]) == [(1.5, "y"), (1.5, None)]
    assert cells("a", [2.5]) == [(2.5, "x")]
