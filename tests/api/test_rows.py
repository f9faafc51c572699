"""Rows are dealt out to folds so that every row is tuned on and none is tuned and trained on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fieldcraft.api.model import Question
from fieldcraft.api.rows import FOLDS, TUNED, develop, folds, strata
from fieldcraft.data.table import Column, Schema

SCHEMA = Schema((Column("x", "number"),))


def digests(values: list[int]) -> list[bytes]:
    return [str(value).encode() for value in values]


@pytest.mark.parametrize("rows", [2, 3, 7, 11, 200])
def test_few_rows_are_each_tuned_on_once(rows: int) -> None:
    found = folds(digests(list(range(rows))), ["a"] * rows, 0)
    assert len(found) == min(FOLDS, rows)
    assert sorted(np.concatenate([fold.tune for fold in found])) == list(range(rows))
    for fold in found:
        assert len(fold.judge) == 0
        assert sorted([*fold.train, *fold.tune]) == list(range(rows))


def test_many_rows_make_one_fold_with_the_same_share_of_each_class() -> None:
    labels = ["rare" if i % 20 == 0 else "usual" for i in range(6_000)]
    (fold,) = folds(digests(list(range(6_000))), labels, 0)
    assert len(fold.tune) == pytest.approx(TUNED * 6_000, abs=1)
    assert (np.array(labels)[fold.tune] == "rare").mean() == pytest.approx(0.05, abs=0.002)


def test_rows_alike_stay_together_unless_most_are_alike() -> None:
    pairs = [i // 2 for i in range(100)] + list(range(100, 160))
    for fold in folds(digests(pairs), ["a"] * 160, 0):
        assert not set(np.array(pairs)[fold.tune]) & set(np.array(pairs)[fold.train])
    for fold in folds(digests([i % 2 for i in range(100)]), ["a"] * 100, 0):
        assert len(fold.tune) == 20


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does() -> None:
    values = list(range(60))
    labels = [str(value % 3) for value in values]
    turned = [59 - i for i in values]
    first, second, other = (
        folds(digests(values), labels, 0)[0].tune,
        np.sort([turned[i] for i in folds(digests(values[::-1]), labels[::-1], 0)[0].tune]),
        folds(digests(values), labels, 1)[0].tune,
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_strata_are_classes_labels_or_parts_of_the_range() -> None:
    assert strata(np.array([0, 2, 1])) == ["0", "2", "1"]
    assert strata(np.array([[0, 1], [1, 1]])) == ["01", "11"]
    assert len(set(strata(np.arange(100.0)))) == 10


def test_rows_without_weight_are_left_out() -> None:
    frame = pl.DataFrame({"x": range(10), "more": ["a"] * 10})
    y, weights = np.arange(10.0), np.array([0.0, 2.0] * 5)
    found = develop(frame, y, SCHEMA, Question("regression", {}, ["y"]), weights, 0)
    assert found.frame["x"].to_list() == [1, 3, 5, 7, 9]
    assert found.weights is not None
    assert found.weights.tolist() == [2.0] * 5
    assert found.values.columns == ["x"]
