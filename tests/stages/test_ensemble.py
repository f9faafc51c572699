"""Models are combined where that is better; an ensemble is evaluated and packaged like a model."""

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
    y: Array, counted: Array | None = None, /, **outputs: Array
) -> dict[str, float]:
    """The weights of planted outputs on the validation rows, which may have weights."""
    all_rows, empty = np.arange(len(y)), pl.DataFrame()
    task = catalog.load_plugin("tasks", "regression")
    folds = [Fold(all_rows[:0], all_rows, all_rows[:0])]
    rows = ModelingDataset(empty, empty, y, [], folds, Schema(()), task, {}, "", counted)
    return select_weights(
        {name: model_outputs[:, None] for name, model_outputs in outputs.items()}, rows
    )


def draw_noise(seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=ROWS)


def test_one_good_model_stays_alone(y: Array) -> None:
    assert select_planted_weights(y, good=y + 0.1 * draw_noise(1), bad=draw_noise(2)) == {
        "good": 1.0
    }


def test_models_with_independent_errors_get_about_equal_weights(y: Array) -> None:
    found = select_planted_weights(
        y, one=y + 0.5 * draw_noise(1), other=y + 0.5 * draw_noise(2), bad=3 * draw_noise(3)
    )
    assert set(found) == {"one", "other"}
    assert sum(found.values()) == pytest.approx(1)
    assert found["one"] == pytest.approx(0.5, abs=0.15)


def test_the_better_of_two_weighs_more(y: Array) -> None:
    found = select_planted_weights(y, one=y + 0.4 * draw_noise(1), other=y + 0.7 * draw_noise(2))
    best = 0.7**2 / (0.4**2 + 0.7**2)  # weights go by precision
    assert found["one"] == pytest.approx(best, abs=0.1)


def test_copies_of_a_model_bring_no_gain(y: Array) -> None:
    same = y + 0.5 * draw_noise(1)
    assert len(select_planted_weights(y, one=same, copy=same)) == 1


@pytest.mark.parametrize(
    ("errors", "weights_"),
    [
        ({"one": 1.0, "other": -1.0}, {"one": 0.5, "other": 0.5}),
        # One, other, one, one, other, ...: each turn what brings the sum of errors nearest to 0.
        ({"one": 1.0, "other": -2.0}, {"one": 0.7, "other": 0.3}),
        ({"one": 1.0, "other": 2.0, "third": 3.0}, {"one": 1.0}),
        ({"other": -3.5, "one": 1.0}, {"other": 0.2, "one": 0.8}),
    ],
)
def test_weights_are_how_often_a_model_was_chosen_of_ten_times(
    errors: dict[str, float], weights_: dict[str, float], y: Array
) -> None:
    """With errors that are the same in each row, every resample ends in the same choice."""
    found = select_planted_weights(y, **{name: y + error for name, error in errors.items()})
    assert found == pytest.approx(weights_)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_each_choice_is_the_one_that_most_improves_the_mean(seed: int, models: int) -> None:
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


def test_rows_count_by_their_weights_in_the_choice_and_in_the_gain() -> None:
    truth = np.zeros(400)
    heavy = np.arange(400) < 200
    here, there = np.where(heavy, 0.1, 5.0), np.where(heavy, 5.0, 0.1)
    counted = np.where(heavy, 1.0, 1e-9)
    assert select_planted_weights(truth, counted, here=here, there=there) == {"here": 1.0}
    assert select_planted_weights(truth, counted[::-1].copy(), here=here, there=there) == {
        "there": 1.0
    }


def test_no_part_is_so_light_that_it_is_not_worth_carrying(y: Array) -> None:
    found = select_planted_weights(y, one=y + 0.2 * draw_noise(1), other=y + 0.9 * draw_noise(2))
    assert all(weight >= 0.1 for weight in found.values())


def test_a_model_that_is_alone_anyway_is_weighed_too(y: Array) -> None:
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


def test_models_that_know_one_half_each_make_a_champion_together(report_data: ReportData) -> None:
    assert report_data.evaluation["champion"] == "ensemble"
    parts = files.read_json(model_folders(report_data)["ensemble"] / "model.json")[
        "ensemble_weights"
    ]
    titles = {"lightgbm": "LightGBM", "linear": "linear model"}
    assert set(parts) == {"lightgbm", "linear"}
    verdicts = {item["model_b"]: item["verdict"] for item in report_data.evaluation["comparisons"]}
    assert verdicts["lightgbm"] == verdicts["linear"] == "better"
    assert report_data.champion["title"] == "ensemble of 2 models"
    words = [f"{share:.0%} {titles[name]}" for name, share in parts.items()]
    assert project_report.describe_ensemble(report_data) == " and ".join(words)


def test_the_outputs_of_an_ensemble_are_the_weighted_mean(
    report_data: ReportData, dataset: ModelingDataset
) -> None:
    folders = model_folders(report_data)
    parts = files.read_json(folders["ensemble"] / "model.json")["ensemble_weights"]
    tables = {name: pl.read_parquet(folders[name] / "predictions.parquet") for name in folders}
    for fold in range(len(dataset.folds)):
        expected = sum(w * select_outputs(tables[n], fold, "evaluation") for n, w in parts.items())
        np.testing.assert_allclose(
            select_outputs(tables["ensemble"], fold, "evaluation"), expected, atol=1e-12
        )


def test_an_ensemble_is_explained_and_packaged_with_parity(
    report_data: ReportData, dataset: ModelingDataset
) -> None:
    assert report_data.importance[0]["column"] == "floor"  # what only the trees know
    assert {item["column"] for item in report_data.importance} >= {"x0", "x7", "district", "green"}
    bundle = report_data.project.bundle_path
    parts = load_ensemble_parts(model_folders(report_data)["ensemble"], model_folders(report_data))
    assert check_parity(bundle, parts, dataset) <= 1e-5
    weights = {m["folder"]: m["weight"] for m in read_manifest(bundle)["members"]}
    assert weights == {
        f"members/{part.folder.name}-{fold}": part.weight / 5 for part in parts for fold in range(5)
    }


def test_a_changed_component_of_an_ensemble_is_noticed(ensemble_project: ProjectFolder) -> None:
    story = _workflows.load_latest_report_data(ensemble_project)
    rows = load_dataset(story.folders["split"], story.settings)
    table = model_folders(story)["linear"] / "predictions.parquet"
    third = pl.when(pl.col("fold") == 3).then(1e-3).otherwise(0.0)
    pl.read_parquet(table).with_columns(pl.col("output_0") + third).write_parquet(table)
    parts = load_ensemble_parts(model_folders(story)["ensemble"], model_folders(story))
    with pytest.raises(BundleError, match=r"(?s)predict differently.*linear, fold 3"):
        check_parity(ensemble_project.bundle_path, parts, rows)


def test_its_bundle_predicts_the_weighted_mean_of_all_members_and_brings_what_it_joins(
    report_data: ReportData, dataset: ModelingDataset
) -> None:
    new = rent_table(300, seed=9)
    bundle = load_bundle(report_data.project.bundle_path)
    assert "trees" not in bundle.required_columns  # the bundle brings them
    assert "times" not in bundle.required_columns
    found = bundle.predict(new.drop("rent", "times", "flat"))
    trees = new["district"].str.strip_prefix("d").cast(pl.Int64).alias("trees")
    values = dataset.schema.apply(new.with_columns(trees))
    parts = load_ensemble_parts(model_folders(report_data)["ensemble"], model_folders(report_data))
    expected = sum(
        part.weight / sum(part.weight for part in parts) / 5 * member.outputs(values)[:, 0]
        for part in parts
        for member in load_fold_models(part, dataset)
    )
    np.testing.assert_allclose(
        found["prediction"].to_numpy(), expected, atol=1e-5 * dataset.y.std()
    )
    inside = (found["prediction_low"] <= new["rent"]) & (new["rent"] <= found["prediction_high"])
    assert 0.82 < inside.mean() < 0.97  # type: ignore[operator]


def test_rows_that_the_filter_leaves_out_are_in_no_part(report_data: ReportData) -> None:
    parts = pl.read_parquet(report_data.folders["split"] / "split.parquet")
    low = rent_table()["floor"] <= -2.9
    assert low.sum() > 0
    assert ((parts["part"] == "unused") == low).all()


def test_the_decision_is_on_record(report_data: ReportData) -> None:
    entries = Ledger(report_data.project.ledger_path).entries(kind="decision", stage="ensemble")
    (body,) = [entry.body for entry in entries]
    assert set(body["weights"]) == {"lightgbm", "linear"}


def test_without_the_setting_there_is_no_ensemble_and_nothing_is_trained_again(
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
