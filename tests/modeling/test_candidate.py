"""A model is evaluated out of fold, with each fold calibrated on its validation rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.types import Array, Json
from fieldcraft.data.splitting import Fold
from fieldcraft.modeling.candidate import find_models, load_candidate, select_outputs
from fieldcraft.modeling.dataset import ModelingDataset, load_dataset
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _workflows
from fieldcraft.statistics.metrics import Predictions


@pytest.fixture
def rows(finished_project: ProjectFolder) -> ModelingDataset:
    return load_dataset(
        _workflows.load_latest_report_data(finished_project).folders["split"],
        finished_project.load_settings(),
    )


@pytest.fixture
def model_folder(finished_project: ProjectFolder) -> Path:
    return _workflows.load_latest_report_data(finished_project).folders["baseline"] / "linear"


def test_every_evaluation_row_is_predicted_once_in_fold_order(
    rows: ModelingDataset, model_folder: Path
) -> None:
    candidate = load_candidate(model_folder, rows)
    evaluation = np.concatenate([fold.evaluation for fold in rows.folds])
    assert candidate.predictions.outputs.shape == (len(evaluation), 2)
    table = pl.read_parquet(model_folder / "predictions.parquet").filter(
        pl.col("part") == "evaluation"
    )
    order = table.sort("fold", maintain_order=True)["position"].to_list()
    assert order == evaluation.tolist()
    assert np.allclose(candidate.predictions.outputs.sum(axis=1), 1)
    raw = table.sort("fold", maintain_order=True)["output_1"].to_numpy()
    np.testing.assert_array_equal(candidate.predictions.outputs[:, 1] > 0.5, raw > 0.5)


def test_calibration_of_a_fold_ignores_its_evaluation_targets(
    rows: ModelingDataset, model_folder: Path
) -> None:
    """Validation rows of one fold are evaluation rows of another: only its own must not count."""
    before = load_candidate(model_folder, rows).predictions.outputs
    first = rows.folds[0].evaluation
    flipped = rows.y.copy()
    flipped[first] = 1 - flipped[first]
    after = load_candidate(model_folder, replace(rows, y=flipped)).predictions.outputs
    np.testing.assert_array_equal(after[: len(first)], before[: len(first)])
    assert not np.array_equal(after[len(first) :], before[len(first) :])


def test_folds_are_calibrated_on_their_validation_rows_and_the_bundle_on_all(
    tmp_path: Path,
) -> None:
    fitted: list[tuple[list[float], list[float], list[float]]] = []

    def calibrate(outputs: Array, y: Array, target_spec: Json, weights: Array) -> Json:
        fitted.append((outputs[:, 0].tolist(), y.tolist(), weights.tolist()))
        return {"number": len(fitted)}

    def read(outputs: Array, target_spec: Json, calibration: Json) -> Predictions:
        return Predictions(outputs, np.full(len(outputs), calibration["number"]), outputs)

    task = SimpleNamespace(
        calibrate=calibrate, predictions_from_outputs=read,
        apply_calibration=lambda outputs, calibration: outputs + 10 * calibration["number"],
    )  # fmt: skip
    folds = [Fold(np.array([]), np.array([4, 2]), np.array([0, 1])),
             Fold(np.array([]), np.array([1]), np.array([3]))]  # fmt: skip
    y, weights = np.arange(5.0), 100 + np.arange(5.0)
    rows: Any = SimpleNamespace(
        task=task, folds=folds, y=y, target_spec={}, weights_at=lambda rows: weights[rows]
    )
    pl.DataFrame(
        {
            "position": [4, 2, 0, 1, 1, 3], "fold": [0, 0, 0, 0, 1, 1],
            "part": [
                "validation", "validation", "evaluation", "evaluation", "validation", "evaluation",
            ],
            "output_0": [0.4, 0.2, 0.0, 0.1, 1.1, 1.3],
        }
    ).write_parquet(tmp_path / "predictions.parquet")  # fmt: skip
    (tmp_path / "model.json").write_text("{}", encoding="utf-8")
    candidate = load_candidate(tmp_path, rows)
    assert fitted == [
        ([0.4, 0.2], [4, 2], [104, 102]),
        ([1.1], [1], [101]),
        ([0.4, 0.2, 1.1], [4, 2, 1], [104, 102, 101]),
    ]
    assert (candidate.fold_calibrations, candidate.calibration) == (
        [{"number": 1}, {"number": 2}],
        {"number": 3},
    )
    assert candidate.predictions.outputs[:, 0].tolist() == [10.0, 10.1, 21.3]
    assert candidate.predictions.decisions.tolist() == [1, 1, 2]


def test_the_digest_changes_with_the_files_of_the_model(
    rows: ModelingDataset, model_folder: Path
) -> None:
    before = load_candidate(model_folder, rows).digest
    assert load_candidate(model_folder, rows).digest == before
    (model_folder / "0" / "scale.json").write_text('{"std": 2}', encoding="utf-8")
    assert load_candidate(model_folder, rows).digest != before


def test_selected_outputs_keep_the_order_of_the_fold() -> None:
    table = pl.DataFrame(
        {
            "position": [5, 3, 4, 1],
            "fold": [0, 0, 1, 0],
            "part": ["evaluation", "evaluation", "evaluation", "validation"],
            "output_0": [0.1, 0.2, 0.3, 0.4],
            "output_1": [0.9, 0.8, 0.7, 0.6],
        }
    )
    assert select_outputs(table, 0, "evaluation").tolist() == [[0.1, 0.9], [0.2, 0.8]]
    assert select_outputs(table, 1, "validation").shape == (0, 2)


def test_a_model_of_a_later_step_replaces_one_of_the_same_name(tmp_path: Path) -> None:
    for name in ("baseline/linear", "baseline/rule", "train/linear", "train/unfinished"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("baseline/linear", "baseline/rule", "train/linear"):
        (tmp_path / name / "model.json").write_text("{}", encoding="utf-8")
    folders = find_models({step: tmp_path / step for step in ("baseline", "train")})
    assert folders == {
        "linear": tmp_path / "train" / "linear",
        "rule": tmp_path / "baseline" / "rule",
    }
