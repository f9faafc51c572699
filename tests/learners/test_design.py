"""What the linear model multiplies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from fieldcraft.contracts import Matrix
from fieldcraft.learners.linear import design
from fieldcraft.learners.linear.design import (
    MAX_ABS_ZSCORE,
    build_design_matrix,
    encode_levels,
    encode_numbers,
    fit_column_scale,
    fit_design,
)

DRAW = np.random.default_rng(0)
NAN = float("nan")


def build_matrix(values: Any, levels: tuple[int, ...]) -> Matrix:
    array = np.asarray(values, dtype=np.float32)
    return Matrix(array, tuple(f"c{i}" for i in range(array.shape[1])), levels)


MIXED = build_matrix([[1, 1, NAN], [2, 2, 5], [3, 0, 6], [NAN, 3, 7]], (0, 3, 0))


def test_numbers_are_standardised_and_gaps_flagged() -> None:
    result = encode_numbers(fit_design(MIXED), MIXED.values)
    step = 1 / np.sqrt(2 / 3)
    expected = [[-step, 0, 0, 1], [0, -step, 0, 0], [step, 0, 0, 0], [0, step, 1, 0]]
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_a_gap_that_no_training_row_had_brings_no_flag() -> None:
    whole = build_matrix([[1.0], [2.0]], (0,))
    result = encode_numbers(fit_design(whole), np.array([[NAN]], dtype=np.float32))
    assert result.tolist() == [[0.0]]


def test_large_numbers_are_centred_in_double_precision() -> None:
    column = (1.7e9 + np.arange(100_000) * 128).astype(np.float32)
    result = encode_numbers(fit_design(build_matrix(column[:, None], (0,))), column[:, None])
    assert abs(result.mean()) < 1e-3
    assert result.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("value", [3e38, -3e38, np.inf])
def test_no_number_is_farther_than_the_limit(value: float) -> None:
    learned = fit_design(build_matrix(DRAW.lognormal(0, 2, (500, 1)), (0,)))
    result = encode_numbers(learned, np.array([[value]], dtype=np.float32))
    assert result.shape == (1, 2)
    assert np.abs(result).max() == MAX_ABS_ZSCORE


def test_a_heavy_tail_comes_once_more_on_a_logarithmic_scale() -> None:
    tail = DRAW.lognormal(0, 2, 2_000)
    learned = fit_design(build_matrix(np.stack([tail, DRAW.normal(size=2_000)], axis=1), (0, 0)))
    assert learned["heavy_tailed"].tolist() == [0]
    result = encode_numbers(learned, np.array([[np.median(tail), 0]], dtype=np.float32))
    assert result[0, 2] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("column", [[], [NAN, NAN], [5.0, 5.0], [1e-45, 2e-45]])
def test_a_column_that_says_nothing_is_not_divided_by_nothing(column: list[float]) -> None:
    shape = fit_column_scale(np.array(column, dtype=np.float32))
    assert shape.std == 1
    assert not shape.is_heavy_tailed


def test_each_level_has_a_place_and_unseen_codes_have_none() -> None:
    codes = build_matrix([[1, 1], [3, 2]], (3, 2))
    odd = np.array([[1, 1], [3, 2], [0, 0], [4, 3], [NAN, 99]], dtype=np.float32)
    assert encode_levels(fit_design(codes), odd).tolist() == [
        [1, 4],
        [3, 5],
        [0, 0],
        [0, 0],
        [0, 0],
    ]


def test_the_design_is_the_same_dense_and_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = fit_design(MIXED)
    dense = build_design_matrix(learned, MIXED.values)
    assert dense[:, -3:].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
    monkeypatch.setattr(design, "MAX_DENSE_LEVELS", 2)
    few = build_design_matrix(learned, MIXED.values)
    assert sparse.issparse(few)
    assert few.dtype == dense.dtype == np.float32
    np.testing.assert_array_equal(few.toarray(), dense)
