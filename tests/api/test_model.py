"""A model without a project is data: bytes that give back what was trained."""

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
    development = build_dataset(
        frame, y, infer_schema(frame, {}, is_numeric=False), PROBLEM, None, 0
    )
    return train_model(learner, learner.options(), development, ["bought"], TrainingLimits()), frame


def test_it_is_made_of_files_of_data_alone() -> None:
    model, _ = train_linear_model()
    assert {Path(name).suffix for name in model.files} == {".json", ".safetensors"}
    assert {name.split("/")[0] for name in model.files} == {*"01234", "model.json"}


def test_it_keeps_few_rows_and_only_the_columns_it_reads() -> None:
    model, _ = train_linear_model(900)
    proof = pl.read_parquet(io.BytesIO(model.parity_rows))
    assert proof.height == MAX_PARITY_ROWS
    assert proof.columns == ["age", "city", "member", "seen"]


def test_members_are_averaged() -> None:
    model, frame = train_linear_model()
    values = model.schema.apply(frame)
    mean = np.mean([member.outputs(values) for member in model.fold_models], axis=0)
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
        with pytest.raises(BundleError, match="does not predict what the trained model predicts"):
            model.write_bundle(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
