"""Permutation importance ranks planted columns first and is about zero for noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.types import Json
from fieldcraft.data.schema import Schema
from fieldcraft.data.splitting import Fold
from fieldcraft.modeling import feature_importance
from fieldcraft.modeling.dataset import ModelingDataset, load_dataset
from fieldcraft.modeling.feature_importance import (
    MAX_EVALUATION_ROWS,
    MIN_COLUMNS,
    PermutationImportance,
    WeightedEnsemble,
    choose_columns_to_measure,
    compute_feature_importance,
    compute_kind_importance,
    permute_columns,
    predict_by_fold,
    round_result,
    sample_positions,
)
from fieldcraft.modeling.packaging import EnsemblePart, load_fold_models
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report.report_data import ReportData
from fieldcraft.stages import _pipeline, _workflows
from fieldcraft.statistics.metrics import Metric, Predictions
from fieldcraft.statistics.regression_metrics import R2, RMSE
from tests.conftest import create_project, set_settings


@pytest.fixture(scope="module")
def report_data(finished_project_folder: Path) -> ReportData:
    return _workflows.load_latest_report_data(ProjectFolder(finished_project_folder / "project"))


@pytest.fixture(scope="module")
def rows(report_data: ReportData) -> ModelingDataset:
    return load_dataset(report_data.folders["split"], report_data.settings)


@pytest.fixture(scope="module")
def model(report_data: ReportData, rows: ModelingDataset) -> WeightedEnsemble:
    members = load_fold_models(EnsemblePart(report_data.folders["baseline"] / "linear"), rows)
    return WeightedEnsemble([[(member, 1.0)] for member in members], {
        "temperature": 1.0, "set_threshold": 0.5,
                                                          "threshold": None})  # fmt: skip


def importance_by_column(
    model: WeightedEnsemble, rows: ModelingDataset, metric: Metric, seed: int = 0
) -> dict[str, Json]:
    importances = compute_feature_importance(
        PermutationImportance(model, rows, metric, seed), lambda message, fraction: None
    )
    return {item["column"]: item for item in importances}


@pytest.mark.parametrize("name", ["roc_auc", "log_loss"])
def test_planted_columns_come_first_and_intervals_of_noise_contain_zero(
    model: WeightedEnsemble, rows: ModelingDataset, name: str
) -> None:
    metric = next(m for m in rows.task.metrics if m.name == name)
    importances = importance_by_column(model, rows, metric)
    assert list(importances)[:2] == ["age", "city"]
    assert importances["age"]["low"] > 0  # positive means worse, for any metric
    assert importances["city"]["low"] > 0
    assert importances["seen"]["low"] <= 0 <= importances["seen"]["high"]
    values = [item["value"] for item in importances.values()]
    assert values == sorted(values, reverse=True)


def test_the_same_seed_gives_the_same_importance_and_another_a_similar_one(
    model: WeightedEnsemble, rows: ModelingDataset
) -> None:
    metric = rows.task.metrics[0]
    one, same, other = (importance_by_column(model, rows, metric, seed) for seed in (0, 0, 1))
    assert one == same
    assert one["age"]["value"] != other["age"]["value"]
    assert one["age"]["value"] == pytest.approx(other["age"]["value"], abs=0.1)


def test_progress_names_the_column_being_shuffled(
    model: WeightedEnsemble, rows: ModelingDataset
) -> None:
    progress: list[tuple[str, float | None]] = []
    metric = rows.task.metrics[0]
    compute_feature_importance(
        PermutationImportance(model, rows, metric, 0),
        lambda text, share: progress.append((text, share)),
    )
    assert progress == [
        (f"shuffling {name}", i / 4) for i, name in enumerate(rows.features.columns)
    ]


def test_each_fold_is_predicted_by_the_weighted_mean_of_its_members(
    model: WeightedEnsemble, rows: ModelingDataset
) -> None:
    tables = [rows.features[fold.evaluation.tolist()] for fold in rows.folds]
    (first, _), (second, _) = model.members_by_fold[0][0], model.members_by_fold[1][0]
    ensemble = WeightedEnsemble(
        [[(first, 3.0), (second, 1.0)], *model.members_by_fold[1:]], model.calibration
    )
    outputs = predict_by_fold(ensemble, tables)
    expected = 0.75 * first.outputs(tables[0]) + 0.25 * second.outputs(tables[0])
    np.testing.assert_allclose(outputs[: len(expected)], expected, atol=1e-7)
    rest = model.members_by_fold[1][0][0].outputs(tables[1])
    np.testing.assert_array_equal(outputs[len(expected) :][: len(rest)], rest)


def test_a_column_is_shuffled_within_each_table_and_others_are_unchanged() -> None:
    pieces = [pl.DataFrame({"a": range(i, i + 50), "b": range(50)}) for i in (0, 100)]
    first, second = permute_columns(pieces, ["a"], seed=1)
    assert first["a"].sort().to_list() == list(range(50))
    assert second["a"].sort().to_list() == list(range(100, 150))
    assert first["a"].to_list() != list(range(50))
    assert first["b"].equals(pieces[0]["b"])


def test_a_fold_with_many_evaluation_rows_is_sampled() -> None:
    few, many = np.arange(10, 400), np.arange(7, 9_000)
    assert sample_positions(few, 5, 0) is few
    sampled = sample_positions(many, 5, 0)
    assert len(set(sampled.tolist())) == MAX_EVALUATION_ROWS // 5
    assert set(sampled) <= set(many)
    np.testing.assert_array_equal(sampled, sample_positions(many, 5, 0))


def test_among_too_many_columns_those_that_correlate_with_outputs_are_chosen() -> None:
    draw = np.random.default_rng(0)
    values = pl.DataFrame(draw.normal(size=(200, 2_500)), schema=[f"x{i}" for i in range(2_500)])
    outputs_ = np.stack([values["x7"].to_numpy(), 0.1 * values["x9"].to_numpy()], axis=1)
    chosen = choose_columns_to_measure(values, outputs_)
    assert chosen[0] == "x7"
    assert len(chosen) == MIN_COLUMNS
    assert choose_columns_to_measure(values[["x9", "x7"]], outputs_) == ["x9", "x7"]


def test_redundant_columns_matter_when_shuffled_together(tmp_path: Path) -> None:
    """Either of two copies makes up for the other; without both, the metric drops."""
    draw = np.random.default_rng(0)
    age = draw.normal(size=240)
    table = pl.DataFrame(
        {
            "a": age + draw.normal(0, 0.01, 240),
            "b": age + draw.normal(0, 0.01, 240),
            "city": draw.choice(["Bern", "Oslo"], 240),
            "bought": np.where(age + draw.normal(0, 0.7, 240) > 0, "yes", "no"),
        }
    )
    table.write_csv(tmp_path / "t.csv")
    project = create_project(tmp_path / "p", tmp_path / "t.csv", edits=())
    set_settings(
        project,
        {
            "model": {"learner": "linear"},
            "audit.accept": ["duplicate_columns:a", "duplicate_columns:b"],
        },
    )
    folders = _pipeline.run_steps(project, _workflows.NullCallbacks(), until="baseline").folders
    rows = load_dataset(folders["split"], project.load_settings())
    members = load_fold_models(EnsemblePart(folders["baseline"] / "linear"), rows)
    model = WeightedEnsemble([[(m, 1.0)] for m in members], {
        "temperature": 1.0, "set_threshold": 0.5,
                                                  "threshold": None})  # fmt: skip
    trial = PermutationImportance(model, rows, rows.task.metrics[0], 0)
    by_column = compute_feature_importance(trial, lambda message, fraction: None)
    by_kind = compute_kind_importance(trial, by_column, lambda message, fraction: None)
    assert [item["columns"] for item in by_kind] == [["a", "b"], ["city"]]
    largest = max(item["value"] for item in by_column)
    assert by_kind[0]["value"] > largest + 0.1
    assert by_kind[0]["low"] > 0
    assert by_kind[1]["low"] <= 0 <= by_kind[1]["high"]
    assert by_kind[1]["value"] == next(i["value"] for i in by_column if i["column"] == "city")


def test_columns_shuffled_together_keep_their_rows() -> None:
    piece = pl.DataFrame({"a": range(50), "b": range(50), "c": range(50)})
    (shuffled,) = permute_columns([piece], ["a", "b"], seed=1)
    assert shuffled["a"].equals(shuffled["b"].alias("a"))
    assert not shuffled["a"].equals(piece["a"])
    assert shuffled["c"].equals(piece["c"])


def test_a_table_of_one_kind_has_no_kind_importance(
    model: WeightedEnsemble, rows: ModelingDataset
) -> None:
    few = replace(rows, schema=Schema((rows.schema.columns_of_kind("number")[0],)))
    assert (
        compute_kind_importance(
            PermutationImportance(model, few, rows.task.metrics[0], 0), [], lambda t, s: None
        )
        == []
    )


def test_rounding_errors_are_rounded_to_zero() -> None:
    assert str(round_result(-1e-16)) == "0.0"
    assert round_result(0.25) == 0.25
    assert round_result(float("nan")) is None


@pytest.mark.parametrize(
    ("metric", "expected"),
    [  # for the rows in order, reversed, and shifted by one
        (RMSE, (0 + 5**0.5 + 3**0.5) / 3),
        (R2, 1 - (1 - 3 - 1.4) / 3),
    ],
)
def test_importance_is_the_mean_drop_of_the_metric(
    metric: Metric, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, seeds = iter([[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 3, 0]] * 2), list[int]()

    def permuted(pieces: list[pl.DataFrame], names: list[str], seed: int) -> list[pl.DataFrame]:
        seeds.append(seed)
        return [pieces[0][next(orders)]]

    monkeypatch.setattr(feature_importance, "permute_columns", permuted)
    y = np.arange(4.0)
    task = SimpleNamespace(
        apply_calibration=lambda outputs, calibration: outputs + calibration["shift"],
        predictions_from_outputs=lambda outputs, target_spec, calibration: Predictions(
            outputs, outputs[:, 0], outputs
        ),
    )
    rows: Any = SimpleNamespace(
        folds=[Fold(y, y, np.arange(4))],
        features=pl.DataFrame({"a": y - 3}),
        y=y,
        task=task,
        target_spec={},
    )
    member: Any = SimpleNamespace(outputs=lambda values: values["a"].to_numpy()[:, None])
    trial = PermutationImportance(
        WeightedEnsemble([[(member, 1.0)]], {"shift": 3.0}), rows, metric, 0
    )
    importance = trial.metric_drop(["a"], "a")
    assert importance["value"] == pytest.approx(expected)
    trial.metric_drop(["a"], "b")
    assert len(set(seeds)) == 6  # each shuffle has its own seed
