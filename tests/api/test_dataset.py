"""Every row is a validation row of one fold, and a training row of the others."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fieldcraft.api.dataset import (
    N_FOLDS,
    VALIDATION_FRACTION,
    build_dataset,
    compute_strata,
    make_folds,
)
from fieldcraft.api.model import ProblemSpec
from fieldcraft.data.schema import Column, Schema

SCHEMA = Schema((Column("x", "number"),))


def to_digests(values: list[int]) -> list[bytes]:
    return [str(value).encode() for value in values]


@pytest.mark.parametrize("rows", [2, 3, 7, 11, 200])
def test_rows_of_small_tables_are_validation_rows_once(rows: int) -> None:
    made_folds = make_folds(to_digests(list(range(rows))), ["a"] * rows, 0)
    assert len(made_folds) == min(N_FOLDS, rows)
    assert sorted(np.concatenate([fold.validation for fold in made_folds])) == list(range(rows))
    for fold in made_folds:
        assert len(fold.evaluation) == 0
        assert sorted([*fold.train, *fold.validation]) == list(range(rows))


def test_large_tables_have_one_stratified_fold() -> None:
    labels = ["rare" if i % 20 == 0 else "usual" for i in range(6_000)]
    (fold,) = make_folds(to_digests(list(range(6_000))), labels, 0)
    assert len(fold.validation) == pytest.approx(VALIDATION_FRACTION * 6_000, abs=1)
    assert (np.array(labels)[fold.validation] == "rare").mean() == pytest.approx(0.05, abs=0.002)


def test_duplicates_stay_together_unless_most_rows_are_duplicates() -> None:
    pairs = [i // 2 for i in range(100)] + list(range(100, 160))
    for fold in make_folds(to_digests(pairs), ["a"] * 160, 0):
        assert not set(np.array(pairs)[fold.validation]) & set(np.array(pairs)[fold.train])
    for fold in make_folds(to_digests([i % 2 for i in range(100)]), ["a"] * 100, 0):
        assert len(fold.validation) == 20


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does() -> None:
    values = list(range(60))
    labels = [str(value % 3) for value in values]
    turned = [59 - i for i in values]
    first, second, other_seed = (
        make_folds(to_digests(values), labels, 0)[0].validation,
        np.sort(
            [turned[i] for i in make_folds(to_digests(values[::-1]), labels[::-1], 0)[0].validation]
        ),
        make_folds(to_digests(values), labels, 1)[0].validation,
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other_seed)


def test_strata_are_classes_labels_or_quantile_bins() -> None:
    assert compute_strata(np.array([0, 2, 1])) == ["0", "2", "1"]
    assert compute_strata(np.array([[0, 1], [1, 1]])) == ["01", "11"]
    assert len(set(compute_strata(np.arange(100.0)))) == 10


def test_rows_without_weight_are_left_out() -> None:
    frame = pl.DataFrame({"x": range(10), "more": ["a"] * 10})
    y, weights = np.arange(10.0), np.array([0.0, 2.0] * 5)
    dataset = build_dataset(frame, y, SCHEMA, ProblemSpec("regression", {}, ["y"]), weights, 0)
    assert dataset.frame["x"].to_list() == [1, 3, 5, 7, 9]
    assert dataset.weights is not None
    assert dataset.weights.tolist() == [2.0] * 5
    assert dataset.features.columns == ["x"]
