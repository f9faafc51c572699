"""A model without a project consists of data files, from which it is restored."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.api.dataset import build_dataset
from fieldcraft.api.model import MAX_PARITY_ROWS, InMemoryModel, ProblemSpec, train_model
from fieldcraft.api.table import infer_schema
from fieldcraft.core import catalog
from fieldcraft.core.errors import BundleError
from fieldcraft.modeling.fold_models import TrainingLimits
from tests.conftest import mixed_table

PROBLEM = ProblemSpec("binary", {"classes": ["no", "yes"]}, ["bought"])


def train_linear_model(rows: int = 120) -> tuple[InMemoryModel, pl.DataFrame]:
    table = mixed_table(rows)
    frame, y = table.drop("bought"), (table["bought"] == "yes").cast(pl.Int64).to_numpy()
    learner = catalog.load_plugin("learners", "linear")
    dataset = build_dataset(frame, y, infer_schema(frame, {}, is_numeric=False), PROBLEM, None, 0)
    return train_model(learner, learner.options(), dataset, ["bought"], TrainingLimits()), frame


def test_a_model_consists_of_data_files() -> None:
    model, _ = train_linear_model()
    assert {Path(name).suffix for name in model.files} == {".json", ".safetensors"}
    assert {name.split("/")[0] for name in model.files} == {*"01234", "model.json"}


def test_parity_rows_are_few_and_have_only_feature_columns() -> None:
    model, _ = train_linear_model(900)
    parity_rows = pl.read_parquet(io.BytesIO(model.parity_rows))
    assert parity_rows.height == MAX_PARITY_ROWS
    assert parity_rows.columns == ["age", "city", "member", "seen"]


def test_outputs_of_fold_models_are_averaged() -> None:
    model, frame = train_linear_model()
    values = model.schema.apply(frame)
    mean = np.mean([fold_model.outputs(values) for fold_model in model.fold_models], axis=0)
    task = catalog.load_plugin("tasks", "binary")
    np.testing.assert_array_equal(
        model.predict(frame).outputs, task.apply_calibration(mean, model.calibration)
    )


def test_a_bundle_that_does_not_predict_the_same_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = train_linear_model()
    member = model.fold_models[0].fitted
    outputs = member.outputs
    monkeypatch.setattr(member, "outputs", lambda rows: outputs(rows) + 1e-3)
    for name in ("bundle", "bundle.zip"):
        with pytest.raises(BundleError, match="predict differently"):
            model.write_bundle(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
