"""A bundle must predict the same as the trained models, or packaging fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core import catalog, files
from fieldcraft.core.errors import BundleError
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from fieldcraft.data.splitting import Fold
from fieldcraft.modeling.dataset import ModelingDataset, load_dataset
from fieldcraft.modeling.packaging import (
    EnsemblePart,
    check_parity,
    count_changed_decisions,
    export_fold_models,
    load_ensemble_parts,
    make_reference_profile,
    max_output_difference,
    restrict_columns,
    write_bundle,
)
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows

MANIFEST_BODY = {
    "targets": ["bought"],
    "column_names": [],
    "tables": [],
    "calibration": {"temperature": 1.0, "threshold": None, "set_threshold": 0.9},
    "lineage": {},
}


def load_dataset_and_models(project: ProjectFolder) -> tuple[ModelingDataset, dict[str, Path]]:
    folders = _workflows.load_latest_report_data(project).folders
    rows = load_dataset(folders["split"], project.load_settings())
    models = {p.name: p for step in ("baseline", "train") for p in folders[step].iterdir()}
    return rows, {name: path for name, path in models.items() if path.is_dir()}


@pytest.mark.parametrize("learner", ["constant", "linear", "lightgbm", "network"])
def test_bundles_of_every_learner_pass_the_parity_check(
    finished_project: ProjectFolder, tmp_path: Path, learner: str
) -> None:
    rows, models = load_dataset_and_models(finished_project)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    predictions = pl.read_parquet(
        _workflows.load_latest_report_data(finished_project).folders["evaluate"]
        / "evaluation_predictions.parquet"
    )
    manifest = write_bundle(
        bundle,
        [EnsemblePart(models[learner])],
        rows,
        predictions,
        None,
        MANIFEST_BODY,
        lambda message, fraction: None,
    )
    assert check_parity(bundle, [EnsemblePart(models[learner])], rows) <= 1e-5
    members = [(m["folder"], m["fold"], m["weight"]) for m in manifest["members"]]
    assert members == [(f"members/{learner}-{i}", i, 1 / 5) for i in range(len(rows.folds))]
    assert len(list(bundle.rglob("*.onnx"))) == 5
    assert load_bundle(bundle).predict(rows.frame).height == len(rows.y)


def test_a_bundle_that_fails_the_parity_check_is_refused(finished_project: ProjectFolder) -> None:
    rows, models = load_dataset_and_models(finished_project)
    champion = files.read_json(finished_project.bundle_path / "manifest.json")["model"]
    table = models[champion] / "predictions.parquet"
    pl.read_parquet(table).with_columns(pl.col("output_1") + 1e-4).write_parquet(table)
    with pytest.raises(BundleError, match="predict differently"):
        check_parity(finished_project.bundle_path, [EnsemblePart(models[champion])], rows)


def test_the_reference_profile_counts_rows_not_used_for_training(
    finished_project: ProjectFolder,
) -> None:
    profile = files.read_json(finished_project.bundle_path / "profile.json")
    assert set(profile["columns"]) == {"age", "city", "member", "seen"}
    city, age = (profile["columns"][name]["value"] for name in ("city", "age"))
    assert set(city["categories"]) == set(city["known_categories"]) == {"Bern", "Oslo", "Rome"}
    assert age["min"] < age["bin_edges"][0] < age["bin_edges"][-1] < age["max"]
    assert sum(age["bin_counts"]) == sum(city["bin_counts"]) == profile["n_reference_rows"]
    predicted = profile["predictions"]
    assert sum(predicted["prediction"]["bin_counts"]) == profile["n_predictions"] > 0
    assert {"probability_no", "probability_yes"} <= set(predicted)


def test_members_share_the_weight_of_their_model(
    finished_project: ProjectFolder, tmp_path: Path
) -> None:
    rows, models = load_dataset_and_models(finished_project)
    parts = [EnsemblePart(models["constant"], 0.75), EnsemblePart(models["rule"], 0.25)]
    packed = export_fold_models(tmp_path, parts, rows, lambda message, fraction: None)
    weights = [(m["folder"], m["fold"], m["weight"]) for m in packed]
    assert weights == [
        *[(f"members/constant-{i}", i, 0.15) for i in range(5)],
        *[(f"members/rule-{i}", i, 0.05) for i in range(5)],
    ]


def max_difference_of(
    packaged: list[float], expected: list[float], deviation: float | None = None
) -> float:
    """Compare a packaged member with a trained one, by their probability of the second class."""

    def outputs(chances: list[float]) -> Array:
        return np.stack([1 - np.array(chances), np.array(chances)], axis=1)

    unchanged: Any = SimpleNamespace(
        join_tables=lambda frame: frame, schema=SimpleNamespace(apply=lambda frame: frame),
        task=SimpleNamespace(output="probabilities"),
    )  # fmt: skip
    packed: Any = SimpleNamespace(
        encoders=SimpleNamespace(precompute=lambda values: values["row"].to_list()),
        outputs=lambda read, task: outputs(packaged)[read],
        target_scale={} if deviation is None else {"std": deviation},
    )
    reversed_rows = list(reversed(range(len(expected))))  # rows are matched by their position
    trained = pl.DataFrame(
        outputs(expected)[reversed_rows], schema=["output_0", "output_1"]
    ).with_columns(position=pl.Series(reversed_rows))
    rows: Any = SimpleNamespace(frame=pl.DataFrame({"row": range(len(expected))}))
    return max_output_difference(unchanged, packed, trained, rows, "model, member 0")


@pytest.mark.parametrize(
    ("difference", "deviation", "allowed"),
    [
        (0.0, None, True), (0.95e-5, None, True), (-0.95e-5, None, True), (1.05e-5, None, False),
        (-1.05e-5, None, False), (float("nan"), None, False), (1.9e-5, 2.0, True),
        (2.1e-5, 2.0, False),
    ],
)  # fmt: skip
def test_outputs_may_differ_by_one_hundred_thousandth(
    difference: float, deviation: float | None, allowed: bool
) -> None:
    packaged, expected = [0.1, 0.25 + difference, 0.9], [0.1, 0.25, 0.9]
    if allowed:
        unit = deviation or 1.0
        assert max_difference_of(packaged, expected, deviation) == pytest.approx(
            abs(difference) / unit
        )
    else:
        with pytest.raises(BundleError, match=r"model, member 0: .*limit 1e-05"):
            max_difference_of(packaged, expected, deviation)


@pytest.mark.parametrize(
    ("output", "expected", "packaged", "changed"),
    [
        # Decisions within 2e-5 of a tie may change.
        ("probabilities", [[0.5, 0.3, 0.2]] * 2, [[0.3, 0.5, 0.2], [0.5, 0.2, 0.3]], 1),
        ("probabilities", [[0.40003, 0.4, 0.2]], [[0.4, 0.40003, 0.2]], 1),
        ("probabilities", [[0.40001, 0.4, 0.2]], [[0.4, 0.40001, 0.2]], 0),
        ("labels", [[0.50003, 0.50001, 0.49997, 0.9]], [[0.4, 0.4, 0.6, 0.6]], 2),
        ("value", [[1.0]], [[2.0]], 0),
    ],
)
def test_changed_decisions_are_counted_except_for_ties(
    output: str, expected: list[list[float]], packaged: list[list[float]], changed: int
) -> None:
    bundle: Any = SimpleNamespace(task=SimpleNamespace(output=output))
    assert count_changed_decisions(bundle, np.array(packaged), np.array(expected)) == changed


def test_the_reference_profile_bins_training_rows_and_counts_held_out_rows() -> None:
    values = pl.DataFrame({"a": [0.0, 10, 20, 30, 40, 50, 5, 15, 60, 70]})
    fold = Fold(np.arange(6), np.array([6, 7]), np.array([8, 9]))
    schema, task = Schema((Column("a", "number"),)), catalog.load_plugin("tasks", "regression")
    rows = ModelingDataset(values, values, np.zeros(10), [], [fold], schema, task, {}, "")
    predictions = pl.DataFrame({"prediction": [1.0, 2.0]})
    profile = make_reference_profile(rows, predictions)
    statistic = profile["columns"]["a"]["value"]
    assert (profile["n_reference_rows"], profile["n_folds"], profile["n_predictions"]) == (4, 1, 2)
    assert (statistic["min"], statistic["max"]) == (0, 50)
    assert sum(statistic["bin_counts"]) == 4
    assert (statistic["quantiles"][0], statistic["quantiles"][-1]) == (5, 70)
    assert sum(profile["predictions"]["prediction"]["bin_counts"]) == 2


def test_an_ensemble_needs_the_columns_of_all_its_models(tmp_path: Path) -> None:
    columns_by_model = {"a": ["age"], "b": ["city"], "all": None, "mix": None}
    for name, columns in columns_by_model.items():
        metadata: dict[str, Any] = {} if columns is None else {"columns": columns}
        if name == "mix":
            metadata = {"ensemble_weights": {"a": 0.75, "b": 0.25}}
        (tmp_path / name).mkdir()
        files.atomic_write_json(tmp_path / name / "model.json", metadata)
    folders = {name: tmp_path / name for name in columns_by_model}
    parts = load_ensemble_parts(folders["mix"], folders)
    assert parts == [EnsemblePart(folders["a"], 0.75), EnsemblePart(folders["b"], 0.25)]
    assert load_ensemble_parts(folders["all"], folders) == [EnsemblePart(folders["all"], 1.0)]
    frame = pl.DataFrame({"age": [1], "city": ["x"], "member": [True]})
    schema = Schema(tuple(Column(name, "category") for name in frame.columns))
    task = catalog.load_plugin("tasks", "binary")
    rows = ModelingDataset(frame, frame, np.zeros(1), [], [], schema, task, {}, "")
    assert restrict_columns(parts, rows).features.columns == ["age", "city"]
    assert restrict_columns([*parts, EnsemblePart(folders["all"])], rows) is rows
