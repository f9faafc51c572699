"""A model without a project is data: bytes that give back what was trained."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.api.model import PROVED, Model, Question, train_model
from fieldcraft.api.rows import develop
from fieldcraft.api.table import schema_of
from fieldcraft.core import catalogue
from fieldcraft.core.errors import BundleError
from fieldcraft.develop.members import Effort
from tests.conftest import mixed_table

QUESTION = Question("binary", {"classes": ["no", "yes"]}, ["bought"])


def trained(rows: int = 120) -> tuple[Model, pl.DataFrame]:
    table = mixed_table(rows)
    frame, y = table.drop("bought"), (table["bought"] == "yes").cast(pl.Int64).to_numpy()
    learner = catalogue.load("learners", "linear")
    development = develop(frame, y, schema_of(frame, {}, numbers=False), QUESTION, None, 0)
    return train_model(learner, learner.options(), development, ["bought"], Effort()), frame


def test_it_is_made_of_files_of_data_alone() -> None:
    model, _ = trained()
    assert {Path(name).suffix for name in model.files} == {".json", ".safetensors"}
    assert {name.split("/")[0] for name in model.files} == {*"01234", "model.json"}


def test_it_keeps_few_rows_and_only_the_columns_it_reads() -> None:
    model, _ = trained(900)
    proof = pl.read_parquet(io.BytesIO(model.proof))
    assert proof.height == PROVED
    assert proof.columns == ["age", "city", "member", "seen"]


def test_members_are_averaged() -> None:
    model, frame = trained()
    values = model.schema.apply(frame)
    mean = np.mean([member.outputs(values) for member in model.members], axis=0)
    task = catalogue.load("tasks", "binary")
    np.testing.assert_array_equal(
        model.said(frame).outputs, task.calibrated(mean, model.calibration)
    )


def test_a_bundle_that_does_not_predict_the_same_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = trained()
    member = model.members[0].fitted
    outputs = member.outputs
    monkeypatch.setattr(member, "outputs", lambda rows: outputs(rows) + 1e-3)
    for name in ("bundle", "bundle.zip"):
        with pytest.raises(BundleError, match="does not predict what the trained model predicts"):
            model.write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
