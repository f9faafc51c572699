"""A block of rows gets the predictions of its rows, and its size fits in memory."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fieldcraft.bundle.batch_prediction import choose_block_bytes, columns_to_read, predict_block
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.project.folder import ProjectFolder
from tests.conftest import mixed_table, rent_table


@pytest.fixture(scope="module")
def loaded(linear_bundle: Path) -> Bundle:
    return load_bundle(linear_bundle)


def test_a_block_gets_the_predictions_of_its_rows(loaded: Bundle) -> None:
    rows = mixed_table(50, seed=6).cast(pl.String)
    odd = rows.with_columns(
        age=pl.when(pl.int_range(50) < 3).then(pl.lit("?!")).otherwise("age"),
        city=pl.when(pl.int_range(50) < 2).then(pl.lit("Atlantis")).otherwise("city"),
    )
    prediction = predict_block(loaded, odd, Path())
    assert prediction.predictions.equals(loaded.predict(odd))
    assert prediction.input_anomalies == {
        "unparseable": {"age": 3},
        "unseen_category": {"city": 2},
        "out_of_range": {},
    }


def test_the_id_column_comes_first(ensemble_project_folder: Path) -> None:
    bundle = load_bundle(ProjectFolder(ensemble_project_folder / "project").bundle_path)
    rows = rent_table(30, seed=2)
    prediction = predict_block(bundle, rows, Path())
    assert prediction.predictions["flat"].to_list() == rows["flat"].to_list()
    assert {"flat", "district", "trees", "x0"} <= columns_to_read(bundle)
    narrow = rows.select(name for name in rows.columns if name in columns_to_read(bundle))
    assert "rent" not in narrow.columns
    assert predict_block(bundle, narrow, Path()).predictions.equals(prediction.predictions)


def test_the_size_of_a_block_follows_from_memory_and_outputs(
    linear_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(linear_bundle)
    # Half of the memory, 16 bytes for a byte read, and beside 4 columns there are 2 outputs.
    assert choose_block_bytes(bundle, 64_000_000, 2) == 64_000_000 * 4 // (2 * 16 * 6)
    assert choose_block_bytes(bundle, 1, 8) == 1
    assert choose_block_bytes(bundle, 10**12, 1) == 1 << 22
    with monkeypatch.context() as patch:
        patch.setattr(type(bundle.largest_encoder_set.by_kind["number"]), "max_batch_rows", 100)
        assert choose_block_bytes(bundle, 64_000_000, 2) == 64_000_000 * 4 // (2 * 16 * 6 * 32)
    monkeypatch.setattr(type(bundle), "file_columns", ["photo"])
    assert choose_block_bytes(bundle, 64_000_000, 2) == 64_000_000 * 4 // (2 * 16 * 6 * 512)
