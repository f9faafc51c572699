"""Rows are split without leaks: whole groups, even fractions, in any order of the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.data.splitting import (
    N_HALF_FOLDS,
    assign_parts,
    make_folds,
    stratification_labels,
    time_ordered_split,
)

fixed = settings(derandomize=True, deadline=None, max_examples=80)
FRACTIONS = (0.7, 0.075, 0.075, 0.15)
# Each row: the number of its group and its label.
ROWS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=1, max_size=120)
SEEDS = st.integers(0, 2**31 - 1)


def assigned_parts(rows: Sequence[tuple[int, str]], seed: int) -> npt.NDArray[np.int64]:
    """The part of each row."""
    return assign_parts(
        [str(unit).encode() for unit, _ in rows], [label for _, label in rows], FRACTIONS, seed
    )


@fixed
@given(ROWS, SEEDS)
def test_rows_of_a_group_stay_together(rows: list[tuple[int, str]], seed: int) -> None:
    homes = {
        (unit, int(part)) for (unit, _), part in zip(rows, assigned_parts(rows, seed), strict=True)
    }
    assert len(homes) == len({unit for unit, _ in rows})


@fixed
@given(ROWS, SEEDS, st.data())
def test_the_order_of_the_file_does_not_matter(
    rows: list[tuple[int, str]], seed: int, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    assert (
        assigned_parts([rows[i] for i in order], seed).tolist()
        == assigned_parts(rows, seed)[order].tolist()
    )


@fixed
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=300), SEEDS)
def test_fractions_hold_within_each_stratum(labels: list[str], seed: int) -> None:
    parts = assigned_parts(list(enumerate(labels)), seed)
    for label in set(labels):
        here = parts[np.array(labels) == label]
        for part, share in enumerate(FRACTIONS):
            assert abs((here == part).sum() - share * len(here)) <= len(FRACTIONS) / 2


@fixed
@given(ROWS, SEEDS)
def test_fractions_hold_up_to_the_size_of_the_groups(
    rows: list[tuple[int, str]], seed: int
) -> None:
    parts = assigned_parts(rows, seed)
    largest = max(Counter(unit for unit, _ in rows).values())
    for part, share in enumerate(FRACTIONS):
        assert abs((parts == part).sum() - share * len(rows)) <= largest * len(FRACTIONS) / 2


def test_classes_of_one_row_are_spread_over_the_parts() -> None:
    rows = [(i, f"class {i}") for i in range(200)]
    assert np.bincount(assigned_parts(rows, 0)).tolist() == [140, 15, 15, 30]


def test_groups_with_a_rare_label_are_spread_like_the_label() -> None:
    rows = [
        (unit, "rare" if unit % 10 == 0 and row == 3 else "common")
        for unit in range(1000)
        for row in range(5)
    ]
    parts = assigned_parts(rows, 0)
    rare = np.array([label == "rare" for _, label in rows])
    assert np.bincount(parts[rare]).tolist() == pytest.approx([70, 7.5, 7.5, 15], abs=1)


def test_another_seed_gives_another_split() -> None:
    rows = [(i, "a") for i in range(100)]
    assert assigned_parts(rows, 1).tolist() == assigned_parts(rows, 1).tolist()
    assert assigned_parts(rows, 1).tolist() != assigned_parts(rows, 2).tolist()


def crossed(rows: int) -> pl.DataFrame:
    """The split of a small table: each row is in one of ten half-folds."""
    return pl.DataFrame({"part": ["cv"] * rows, "fold": [i % N_HALF_FOLDS for i in range(rows)]})


def test_the_folds_of_a_small_table_evaluate_each_row_once_without_leaks() -> None:
    folds = make_folds(crossed(50))
    assert len(folds) == 5
    assert sorted(np.concatenate([fold.evaluation for fold in folds])) == list(range(50))
    for fold in folds:
        assert sorted(np.concatenate([fold.train, fold.validation, fold.evaluation])) == list(
            range(50)
        )
        assert (len(fold.train), len(fold.validation), len(fold.evaluation)) == (35, 5, 10)


def test_a_large_table_has_one_fold() -> None:
    parts = pl.DataFrame({"part": ["train", "evaluation", "validation", "train"], "fold": [-1] * 4})
    (fold,) = make_folds(parts)
    assert [fold.train.tolist(), fold.validation.tolist(), fold.evaluation.tolist()] == [
        [0, 3],
        [2],
        [1],
    ]


def test_the_stratum_of_a_label_is_the_label() -> None:
    assert stratification_labels(pl.Series(["yes", None, "no"])) == ["yes", "", "no"]
    assert stratification_labels(pl.Series([True, False])) == ["true", "false"]


def test_the_stratum_of_several_labels_is_their_combination() -> None:
    labels = pl.DataFrame(
        {"calm": [True, True, False, True, None], "happy": ["1", "0", "1", "1", None]}
    )
    strata = stratification_labels(labels.to_struct("moods"))
    assert strata == ["true|1", "true|0", "false|1", "true|1", "|"]
    whole = labels.select(pl.when(pl.col("calm").is_not_null()).then(pl.struct(pl.all())))
    assert (
        stratification_labels(whole.to_series()) == strata
    )  # a row without labels as the project has it


def test_rare_label_combinations_are_spread_like_common_ones() -> None:
    draw = np.random.default_rng(0)
    moods = pl.DataFrame({"a": draw.random(2_000) < 0.5, "b": draw.random(2_000) < 0.05})
    strata = stratification_labels(moods.to_struct("moods"))
    parts = assigned_parts(list(enumerate(strata)), 0)
    for label in set(strata):
        here = parts[np.array(strata) == label]
        assert np.bincount(here, minlength=4) / len(here) == pytest.approx(FRACTIONS, abs=0.04)


def test_a_missing_number_has_a_stratum_and_does_not_change_the_bins() -> None:
    amounts = [float(i) for i in range(100)]
    plain, gappy = (
        stratification_labels(pl.Series(amounts)),
        stratification_labels(pl.Series([*amounts, None, None])),
    )
    assert gappy[:100] == plain
    assert len(gappy) == 102


def test_the_strata_of_a_number_are_ten_bins_of_equal_count() -> None:
    amounts = np.random.default_rng(0).lognormal(size=1_000)
    counted = Counter(stratification_labels(pl.Series(amounts)))
    assert len(counted) == 10
    assert all(99 <= count <= 101 for count in counted.values())
    assert stratification_labels(pl.Series([5.0] * 20)) == ["1"] * 20


def test_time_ordered_parts_run_from_old_to_new() -> None:
    moments = pl.Series(np.random.default_rng(0).permutation(200))
    parts = time_ordered_split(moments, FRACTIONS)
    assert np.bincount(parts).tolist() == [140, 15, 15, 30]
    assert (np.diff(parts[moments.arg_sort().to_numpy()]) >= 0).all()


@fixed
@given(st.lists(st.none() | st.integers(0, 40), min_size=1, max_size=100))
def test_rows_of_the_same_time_stay_together_in_order(
    moments: list[int | None],
) -> None:
    parts = time_ordered_split(pl.Series(moments, dtype=pl.Int64), FRACTIONS)
    aged = sorted(
        (-1 if at is None else at, int(part)) for at, part in zip(moments, parts, strict=True)
    )
    assert [part for _, part in aged] == sorted(part for _, part in aged)
    assert len(set(aged)) == len({at for at, _ in aged})


def test_rows_without_a_time_count_as_the_oldest() -> None:
    parts = time_ordered_split(pl.Series([None] * 100 + list(range(100))), FRACTIONS)
    assert set(parts[:100]) == {0}
    assert np.bincount(parts).tolist() == [140, 15, 15, 30]


def test_rows_of_the_time_at_a_cut_are_in_the_newer_part() -> None:
    assert time_ordered_split(pl.Series([1, 2, 2, 2]), (0.5, 0.5)).tolist() == [0, 1, 1, 1]
    assert time_ordered_split(pl.Series([1, 2, 2, 3]), (0.75, 0.25)).tolist() == [0, 0, 0, 1]
