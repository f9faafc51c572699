"""Models are combined if that is better; an ensemble is evaluated and packaged like a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core import catalog, files
from fieldcraft.core.errors import BundleError
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Schema
from fieldcraft.data.splitting import Fold
from fieldcraft.ledger.store import Ledger
from fieldcraft.modeling.candidate import find_models, select_outputs
from fieldcraft.modeling.dataset import ModelingDataset, load_dataset
from fieldcraft.modeling.packaging import check_parity, load_ensemble_parts, load_fold_models
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.report import project_report
from fieldcraft.report.report_data import ReportData
from fieldcraft.stages import _pipeline, _workflows
from fieldcraft.stages.ensemble import select_greedily, select_weights
from tests.conftest import rent_table, set_settings

ROWS = 500


@pytest.fixture
def y() -> Array:
    return np.random.default_rng(0).normal(size=ROWS)


def select_planted_weights(
    y: Array, sample_weights: Array | None = None, /, **outputs: Array
) -> dict[str, float]:
    """Return the ensemble weights of planted outputs; the rows may have sample weights."""
    all_rows, empty = np.arange(len(y)), pl.DataFrame()
    task = catalog.load_plugin("tasks", "regression")
    folds = [Fold(all_rows[:0], all_rows, all_rows[:0])]
    rows = ModelingDataset(empty, empty, y, [], folds, Schema(()), task, {}, "", sample_weights)
    return select_weights(
        {name: model_outputs[:, None] for name, model_outputs in outputs.items()}, rows
    )


def draw_noise(seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=ROWS)


def test_one_good_model_makes_no_ensemble(y: Array) -> None:
    assert select_planted_weights(y, good=y + 0.1 * draw_noise(1), bad=draw_noise(2)) == {
        "good": 1.0
    }


def test_models_with_independent_errors_get_about_equal_weights(y: Array) -> None:
    weights = select_planted_weights(
        y, one=y + 0.5 * draw_noise(1), other=y + 0.5 * draw_noise(2), bad=3 * draw_noise(3)
    )
    assert set(weights) == {"one", "other"}
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["one"] == pytest.approx(0.5, abs=0.15)


def test_the_better_of_two_models_gets_the_larger_weight(y: Array) -> None:
    weights = select_planted_weights(y, one=y + 0.4 * draw_noise(1), other=y + 0.7 * draw_noise(2))
    best = 0.7**2 / (0.4**2 + 0.7**2)  # weights are proportional to precision
    assert weights["one"] == pytest.approx(best, abs=0.1)


def test_copies_of_a_model_bring_no_gain(y: Array) -> None:
    same = y + 0.5 * draw_noise(1)
    assert len(select_planted_weights(y, one=same, copy=same)) == 1


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({"one": 1.0, "other": -1.0}, {"one": 0.5, "other": 0.5}),
        # One, other, one, one, other, ...: each step brings the sum of errors closest to 0.
        ({"one": 1.0, "other": -2.0}, {"one": 0.7, "other": 0.3}),
        ({"one": 1.0, "other": 2.0, "third": 3.0}, {"one": 1.0}),
        ({"other": -3.5, "one": 1.0}, {"other": 0.2, "one": 0.8}),
    ],
)
def test_weights_are_the_fraction_of_ten_greedy_choices(
    errors: dict[str, float], expected: dict[str, float], y: Array
) -> None:
    """With the same error in every row, every resample gives the same choice."""
    weights = select_planted_weights(y, **{name: y + error for name, error in errors.items()})
    assert weights == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_each_greedy_choice_minimizes_the_loss_of_the_mean(seed: int, models: int) -> None:
    draw = np.random.default_rng(seed)
    y = draw.normal(size=6)
    outputs = {f"m{i}": y + draw.normal(size=6) for i in range(models)}

    def loss(mean: Array, truth: Array) -> float:
        return float(((mean - truth) ** 2).mean())

    chosen = select_greedily(outputs, y, loss)
    assert len(chosen) == 10
    for turn, name in enumerate(chosen):
        tried = {
            other: loss(np.mean([outputs[n] for n in [*chosen[:turn], other]], axis=0), y)
            for other in outputs
        }
        assert tried[name] == pytest.approx(min(tried.values()))


def test_selection_uses_sample_weights() -> None:
    truth = np.zeros(400)
    heavy = np.arange(400) < 200
    here, there = np.where(heavy, 0.1, 5.0), np.where(heavy, 5.0, 0.1)
    sample_weights = np.where(heavy, 1.0, 1e-9)
    assert select_planted_weights(truth, sample_weights, here=here, there=there) == {"here": 1.0}
    assert select_planted_weights(truth, sample_weights[::-1].copy(), here=here, there=there) == {
        "there": 1.0
    }


def test_negligible_weights_are_dropped(y: Array) -> None:
    weights = select_planted_weights(y, one=y + 0.2 * draw_noise(1), other=y + 0.9 * draw_noise(2))
    assert all(weight >= 0.1 for weight in weights.values())


def test_a_single_candidate_gets_all_the_weight(y: Array) -> None:
    assert select_planted_weights(y, only=draw_noise(1)) == {"only": 1.0}


@pytest.fixture(scope="module")
def report_data(ensemble_project_folder: Path) -> ReportData:
    return _workflows.load_latest_report_data(ProjectFolder(ensemble_project_folder / "project"))


@pytest.fixture(scope="module")
def dataset(report_data: ReportData) -> ModelingDataset:
    return load_dataset(report_data.folders["split"], report_data.settings)


def model_folders(report_data: ReportData) -> dict[str, Path]:
    return find_models(
        {name: report_data.folders[name] for name in ("baseline", "train", "ensemble")}
    )


def test_an_ensemble_of_complementary_models_is_the_champion(report_data: ReportData) -> None:
    assert report_data.evaluation["champion"] == "ensemble"
    weights = files.read_json(model_folders(report_data)["ensemble"] / "model.json")[
        "ensemble_weights"
    ]
    titles = {"lightgbm": "LightGBM", "linear": "linear model"}
    assert set(weights) == {"lightgbm", "linear"}
    verdicts = {item["model_b"]: item["verdict"] for item in report_data.evaluation["comparisons"]}
    assert verdicts["lightgbm"] == verdicts["linear"] == "better"
    assert report_data.champion["title"] == "ensemble of 2 models"
    shares = [f"{share:.0%} {titles[name]}" for name, share in weights.items()]
    assert project_report.describe_ensemble(report_data) == " and ".join(shares)


def test_the_outputs_of_an_ensemble_are_the_weighted_mean(
    report_data: ReportData, dataset: ModelingDataset
) -> None:
    folders = model_folders(report_data)
    weights = files.read_json(folders["ensemble"] / "model.json")["ensemble_weights"]
    tables = {name: pl.read_parquet(folders[name] / "predictions.parquet") for name in folders}
    for fold in range(len(dataset.folds)):
        expected = sum(
            w * select_outputs(tables[n], fold, "evaluation") for n, w in weights.items()
        )
        np.testing.assert_allclose(
            select_outputs(tables["ensemble"], fold, "evaluation"), expected, atol=1e-12
        )


def test_an_ensemble_is_explained_and_packaged_with_parity(
    report_data: ReportData, dataset: ModelingDataset
) -> None:
    assert report_data.importance[0]["column"] == "floor"  # used by the trees only
    assert {item["column"] for item in report_data.importance} >= {"x0", "x7", "district", "green"}
    bundle = report_data.project.bundle_path
    parts = load_ensemble_parts(model_folders(report_data)["ensemble"], model_folders(report_data))
    assert check_parity(bundle, parts, dataset) <= 1e-5
    weights = {m["folder"]: m["weight"] for m in read_manifest(bundle)["members"]}
    assert weights == {
        f"members/{part.folder.name}-{fold}": part.weight / 5 for part in parts for fold in range(5)
    }


def test_a_changed_component_of_an_ensemble_fails_the_parity_check(
    ensemble_project: ProjectFolder,
) -> None:
    report_data = _workflows.load_latest_report_data(ensemble_project)
    rows = load_dataset(report_data.folders["split"], report_data.settings)
    table = model_folders(report_data)["linear"] / "predictions.parquet"
    third = pl.when(pl.col("fold") == 3).then(1e-3).otherwise(0.0)
    pl.read_parquet(table).with_columns(pl.col("output_0") + third).write_parquet(table)
    parts = load_ensemble_parts(model_folders(report_data)["ensemble"], model_folders(report_data))
    with pytest.raises(BundleError, match=r"(?s)predict differently.*linear, fold 3"):
        check_parity(ensemble_project.bundle_path, parts, rows)


def test_the_bundle_predicts_the_weighted_mean_and_joins_its_tables(
    report_data: ReportData, dataset: ModelingDataset
) -> None:
    new = rent_table(300, seed=9)
    bundle = load_bundle(report_data.project.bundle_path)
    assert "trees" not in bundle.required_columns  # the bundle has the joined table
    assert "times" not in bundle.required_columns
    predictions = bundle.predict(new.drop("rent", "times", "flat"))
    trees = new["district"].str.strip_prefix("d").cast(pl.Int64).alias("trees")
    values = dataset.schema.apply(new.with_columns(trees))
    parts = load_ensemble_parts(model_folders(report_data)["ensemble"], model_folders(report_data))
    expected = sum(
        part.weight / sum(part.weight for part in parts) / 5 * member.outputs(values)[:, 0]
        for part in parts
        for member in load_fold_models(part, dataset)
    )
    np.testing.assert_allclose(
        predictions["prediction"].to_numpy(), expected, atol=1e-5 * dataset.y.std()
    )
    inside = (predictions["prediction_low"] <= new["rent"]) & (
        new["rent"] <= predictions["prediction_high"]
    )
    assert 0.82 < inside.mean() < 0.97  # type: ignore[operator]


def test_filtered_rows_are_unused(report_data: ReportData) -> None:
    parts = pl.read_parquet(report_data.folders["split"] / "split.parquet")
    low = rent_table()["floor"] <= -2.9
    assert low.sum() > 0
    assert ((parts["part"] == "unused") == low).all()


def test_the_ensemble_weights_are_in_the_ledger(report_data: ReportData) -> None:
    entries = Ledger(report_data.project.ledger_path).entries(kind="decision", stage="ensemble")
    (body,) = [entry.body for entry in entries]
    assert set(body["weights"]) == {"lightgbm", "linear"}


def test_disabling_the_ensemble_trains_nothing_again(
    ensemble_project: ProjectFolder,
) -> None:
    set_settings(ensemble_project, {"model.ensemble": False})
    outcome = _pipeline.run_steps(ensemble_project, _workflows.NullCallbacks(), until="evaluate")
    assert outcome.summaries["ensemble"] == {"weights": {}}
    evaluation = files.read_json(outcome.folders["evaluate"] / "evaluation.json")
    assert evaluation["champion"] in ("lightgbm", "linear")
    assert (
        len(Ledger(ensemble_project.ledger_path).entries(kind="step_completed", stage="train")) == 1
    )
