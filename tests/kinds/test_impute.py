"""Iterative imputation from the other columns."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fieldcraft.contracts import State
from fieldcraft.core.types import Array
from fieldcraft.kinds.number.impute import (
    MAX_PREDICTOR_COLUMNS,
    IterativeImputer,
    fit_iterative_imputer,
)

DRAW = np.random.default_rng(0)
A, B = DRAW.normal(size=(2, 1_000))
C = 2 * A - B + 0.1 * DRAW.normal(size=1_000)


def with_gaps(columns: list[Array], fraction: float = 0.2) -> tuple[list[Array], list[Array]]:
    """Replace some values by the mean; return the columns and the masks."""
    missing_masks = [DRAW.random(len(column)) < fraction for column in columns]
    filled = [np.where(g, c[~g].mean(), c) for c, g in zip(columns, missing_masks, strict=True)]
    return filled, missing_masks


def test_imputed_values_are_close_to_the_true_ones() -> None:
    columns, gaps = with_gaps([A, B, C])
    filled = fit_iterative_imputer(columns, gaps, [0, 1, 2]).impute(columns, gaps)
    for true, before, after, gap in zip([A, B, C], columns, filled, gaps, strict=True):
        assert np.abs(after - true)[gap].mean() < 0.5 * np.abs(before - true)[gap].mean()
        np.testing.assert_array_equal(after[~gap], true[~gap])


def test_only_the_given_columns_are_imputed() -> None:
    columns, gaps = with_gaps([A, B, C])
    filled = fit_iterative_imputer(columns, gaps, [2]).impute(columns, gaps)
    np.testing.assert_array_equal(filled[0], columns[0])
    assert (filled[2] != columns[2])[gaps[2]].all()


def test_rows_are_imputed_independently() -> None:
    columns, gaps = with_gaps([A, B, C])
    filler = fit_iterative_imputer(columns, gaps, [0, 2])
    together = np.stack(filler.impute(columns, gaps))
    alone = [
        filler.impute([c[i : i + 1] for c in columns], [g[i : i + 1] for g in gaps])
        for i in range(100)
    ]
    np.testing.assert_array_equal(together[:, :100], np.stack(alone).transpose(1, 2, 0)[:, 0])


def test_a_restored_imputer_gives_the_same_values() -> None:
    columns, gaps = with_gaps([A, B, C])
    filler = fit_iterative_imputer(columns, gaps, [0, 2])
    state = filler.state()
    restored = IterativeImputer.from_state(
        State(json.loads(json.dumps(state.values)), state.arrays)
    )
    for one, other in zip(
        filler.impute(columns, gaps), restored.impute(columns, gaps), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("others", [[], [np.full(1_000, 7.0)]], ids=["alone", "beside a constant"])
def test_without_predictors_the_mean_is_imputed(others: list[Array]) -> None:
    columns, gaps = with_gaps([A, *others])
    filled = fit_iterative_imputer(columns, gaps, [0]).impute(columns, gaps)
    np.testing.assert_allclose(filled[0], columns[0], atol=1e-6)


def test_imputed_values_stay_in_the_training_range() -> None:
    columns, gaps = with_gaps([A, B, C])
    filler = fit_iterative_imputer(columns, gaps, [2])
    (*_, result) = filler.impute([np.array([1e100]), np.array([-1e100]), np.zeros(1)],
                              [np.zeros(1, bool), np.zeros(1, bool), np.ones(1, bool)])  # fmt: skip
    assert result[0] == pytest.approx(C[~gaps[2]].max())


def test_the_most_correlated_columns_are_predictors() -> None:
    noise = list(DRAW.normal(size=(2 * MAX_PREDICTOR_COLUMNS, 1_000)))
    columns, gaps = with_gaps([A, *noise, B, C], fraction=0.05)
    (model,) = fit_iterative_imputer(columns, gaps, [len(columns) - 1]).models
    assert len(model.predictors) == MAX_PREDICTOR_COLUMNS
    assert {0, len(columns) - 2} <= set(model.predictors)


def test_empty_columns_are_unchanged() -> None:
    columns, gaps = [A, np.zeros(1_000)], [np.zeros(1_000, bool), np.ones(1_000, bool)]
    filled = fit_iterative_imputer(columns, gaps, [1]).impute(columns, gaps)
    np.testing.assert_array_equal(filled[1], columns[1])
