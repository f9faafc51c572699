"""Few rows are encoded bit by bit like many rows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fieldcraft.data.schema import Column
from fieldcraft.kinds.number.encode import MAX_VECTORIZED_ROWS, NumberEncoder

ROWS = 3_000


@pytest.fixture
def rows() -> pl.DataFrame:
    """Columns of various distributions, with missing values and other scales."""
    draw = np.random.default_rng(0)
    columns = {
        "even": draw.normal(size=ROWS),
        "heavy": draw.lognormal(0, 3, ROWS),
        "flat": np.full(ROWS, 7.0),
        "spiky": np.where(draw.random(ROWS) < 0.9, 0.0, draw.normal(size=ROWS)),
        "crowded": np.append(draw.normal(0, 1e-9, ROWS - 1), 1e6),
        "gaps": np.where(draw.random(ROWS) < 0.3, np.nan, draw.normal(size=ROWS)),
        "whole": draw.integers(0, 5, ROWS).astype(float),
        "standard": draw.normal(5, 2, ROWS),
        "cut": draw.standard_cauchy(ROWS),
    }
    return pl.DataFrame(columns).with_columns(pl.all().fill_nan(None))


def test_vectorized_and_row_wise_encodings_are_identical(rows: pl.DataFrame) -> None:
    options_by_column = {
        "standard": {"scale": "standard"},
        "cut": {"clip": "auto", "impute": "mean"},
    }
    columns = [Column(name, "number", options_by_column.get(name, {})) for name in rows.columns]
    encoder = NumberEncoder(columns)
    encoder.fit_transform(encoder.precompute(rows), np.zeros((ROWS, 1)))
    extreme_values = [None, 1e90, -1e90, 0.0]
    head = pl.DataFrame(
        dict.fromkeys(rows.columns, extreme_values),
        schema_overrides=dict.fromkeys(rows.columns, pl.Float64()),
    )
    whole = pl.concat([head, rows])
    many = encoder.transform(encoder.precompute(whole)).tensors()
    for start, size in (
        (0, 1),
        (0, MAX_VECTORIZED_ROWS),
        (100, 1),
        (500, 7),
        (1_000, MAX_VECTORIZED_ROWS),
    ):
        few = encoder.transform(encoder.precompute(whole[start : start + size])).tensors()
        for name, array in few.items():
            assert array.tobytes() == many[name][start : start + size].tobytes(), (start, name)
