"""A model is judged by what it said of each fold's rows, calibrated on that fold's tune rows."""

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
def place(finished_project: ProjectFolder) -> Path:
    return _workflows.load_latest_report_data(finished_project).folders["baseline"] / "linear"


def test_every_judge_row_is_spoken_of_once_in_the_order_of_the_folds(
    rows: ModelingDataset, place: Path
) -> None:
    found = load_candidate(place, rows)
    judge = np.concatenate([fold.evaluation for fold in rows.folds])
    assert found.predictions.outputs.shape == (len(judge), 2)
    table = pl.read_parquet(place / "predictions.parquet").filter(pl.col("part") == "evaluation")
    order = table.sort("fold", maintain_order=True)["position"].to_list()
    assert order == judge.tolist()
    assert np.allclose(found.predictions.outputs.sum(axis=1), 1)
    raw = table.sort("fold", maintain_order=True)["output_1"].to_numpy()
    np.testing.assert_array_equal(found.predictions.outputs[:, 1] > 0.5, raw > 0.5)


def test_a_fold_is_calibrated_without_the_targets_of_its_judge_rows(
    rows: ModelingDataset, place: Path
) -> None:
    """Each fold's tune rows are judge rows of another: only that fold's own may not count."""
    before = load_candidate(place, rows).predictions.outputs
    first = rows.folds[0].evaluation
    flipped = rows.y.copy()
    flipped[first] = 1 - flipped[first]
    after = load_candidate(place, replace(rows, y=flipped)).predictions.outputs
    np.testing.assert_array_equal(after[: len(first)], before[: len(first)])
    assert not np.array_equal(after[len(first) :], before[len(first) :])


def test_each_fold_is_calibrated_on_its_tune_rows_and_the_bundle_on_those_of_all(
    tmp_path: Path,
) -> None:
    fitted: list[tuple[list[float], list[float], list[float]]] = []

    def calibrate(outputs: Array, y: Array, about: Json, weights: Array) -> Json:
        fitted.append((outputs[:, 0].tolist(), y.tolist(), weights.tolist()))
        return {"number": len(fitted)}

    def read(outputs: Array, about: Json, calibration: Json) -> Predictions:
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
    found = load_candidate(tmp_path, rows)
    assert fitted == [
        ([0.4, 0.2], [4, 2], [104, 102]),
        ([1.1], [1], [101]),
        ([0.4, 0.2, 1.1], [4, 2, 1], [104, 102, 101]),
    ]
    assert (found.fold_calibrations, found.calibration) == (
        [{"number": 1}, {"number": 2}],
        {"number": 3},
    )
    assert found.predictions.outputs[:, 0].tolist() == [10.0, 10.1, 21.3]
    assert found.predictions.decisions.tolist() == [1, 1, 2]


def test_the_digest_changes_with_the_files_of_the_model(rows: ModelingDataset, place: Path) -> None:
    before = load_candidate(place, rows).digest
    assert load_candidate(place, rows).digest == before
    (place / "0" / "scale.json").write_text('{"std": 2}', encoding="utf-8")
    assert load_candidate(place, rows).digest != before


def test_outputs_come_in_the_order_of_the_fold() -> None:
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


def test_a_model_of_a_later_step_goes_before_one_of_the_same_name(tmp_path: Path) -> None:
    for name in ("baseline/linear", "baseline/rule", "train/linear", "train/unfinished"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("baseline/linear", "baseline/rule", "train/linear"):
        (tmp_path / name / "model.json").write_text("{}", encoding="utf-8")
    found = find_models({step: tmp_path / step for step in ("baseline", "train")})
    assert found == {
        "linear": tmp_path / "train" / "linear",
        "rule": tmp_path / "baseline" / "rule",
    }
