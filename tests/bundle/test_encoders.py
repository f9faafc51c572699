"""All kinds of a table are encoded side by side, and saved without a trace of code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.bundle.encoders import EncoderSet
from fieldcraft.data.table import Column, Schema
from tests.encoding import encode, fit_encode

SCHEMA = Schema(
    (
        Column("age", "number"),
        Column("city", "category"),
        Column("member", "boolean"),
        Column("seen", "datetime", {"format": "%Y-%m-%d"}),
    )
)


@pytest.fixture
def values(table: pl.DataFrame) -> pl.DataFrame:
    return SCHEMA.apply(table)


def test_saved_encoders_encode_the_same(values: pl.DataFrame, tmp_path: Path) -> None:
    encoders = EncoderSet(SCHEMA)
    fit_encode(encoders, values.head(150), np.zeros((150, 0)))
    encoders.save(tmp_path)
    again = EncoderSet.load(tmp_path)
    before, after = (encode(e, values.tail(90)) for e in (encoders, again))
    for name, array in before.tensors().items():
        np.testing.assert_array_equal(array, after.tensors()[name])
    np.testing.assert_array_equal(before.matrix().values, after.matrix().values)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".safetensors"]


def test_the_matrix_names_a_column_for_each_number(values: pl.DataFrame) -> None:
    encoded = fit_encode(EncoderSet(SCHEMA), values, np.zeros((values.height, 0)))
    matrix = encoded.matrix()
    assert matrix.values.dtype == np.float32
    assert matrix.values.shape == (values.height, len(matrix.names))
    assert len(matrix.levels) == len(matrix.names)
    assert {"age", "city", "member", "seen (days)"} <= set(matrix.names)
    assert np.isnan(matrix.values[:, matrix.names.index("age")]).sum() == values["age"].null_count()


def test_tensor_names_of_kinds_do_not_collide(values: pl.DataFrame) -> None:
    encoders = EncoderSet(SCHEMA)
    encoded = fit_encode(encoders, values, np.zeros((values.height, 0)))
    expected = {name for net in encoders.nets().values() for name in net.inputs}
    assert set(encoded.tensors()) == expected
