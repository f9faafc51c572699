"""How values become numbers: what each kind learns, and what it makes of a row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.contracts import Array
from fieldcraft.kinds.boolean.encode import BooleanEncoder
from fieldcraft.kinds.category.encode import MANY, PRIOR, CategoryEncoder
from fieldcraft.kinds.datetime.encode import CYCLES, DatetimeEncoder
from fieldcraft.kinds.number.encode import MOST_BINS, NumberEncoder, learn_bins

DRAW = np.random.default_rng(0)
NORMAL = DRAW.normal(50, 20, 2_000)
SKEWED = np.exp(2 * DRAW.normal(size=2_000))


def frame(*columns: Any) -> pl.DataFrame:
    return pl.DataFrame({f"x{i}": column for i, column in enumerate(columns)})


def no_target(rows: int) -> Array:
    return np.zeros((rows, 0))


def fit_numbers(*columns: Any) -> NumberEncoder:
    encoder = NumberEncoder()
    encoder.fit_transform(frame(*columns), no_target(len(columns[0])))
    return encoder


def encode_number(encoder: NumberEncoder, *values: float | None) -> Array:
    return encoder.transform(frame(pl.Series(values, dtype=pl.Float64))).tensors()["number"]


@pytest.mark.parametrize("column", [NORMAL, SKEWED, DRAW.uniform(size=2_000)])
def test_numbers_come_in_normal_shape_whatever_shape_they_had(column: Array) -> None:
    found = encode_number(fit_numbers(column), *column)[:, 0]
    shares = np.quantile(found, [0.025, 0.16, 0.5, 0.84, 0.975])
    np.testing.assert_allclose(shares, [-1.96, -1, 0, 1, 1.96], atol=0.15)


def test_order_is_kept_and_values_outside_the_training_range_stop_at_its_ends() -> None:
    encoder = fit_numbers(NORMAL)
    found = encode_number(encoder, -1e9, NORMAL.min(), 30, 50, 70, NORMAL.max(), 1e9)[:, 0]
    assert (np.diff(found) >= 0).all()
    assert found[0] == found[1]
    assert found[-1] == found[-2]
    assert (np.diff(found[1:-1]) > 0).all()


def test_a_heavy_tail_comes_a_second_time_bent_towards_three() -> None:
    encoder = fit_numbers(SKEWED)
    found = encode_number(encoder, float(np.median(SKEWED)), SKEWED.max(), 1e9, 1e100)[:, 1]
    assert found[0] == pytest.approx(0, abs=1e-6)
    assert (np.diff(found) >= 0).all()
    assert found[2:] == pytest.approx([3, 3], abs=1e-3)
    assert encode_number(fit_numbers(NORMAL), 1.0).shape == (1, 1)


def test_a_tail_that_is_endlessly_far_from_the_middle_stays_a_number() -> None:
    column = np.where(np.arange(2_000) % 20, 1e-90 * NORMAL, 1.0)
    found = encode_number(fit_numbers(column), 1.0, 1e100, -1e100)[:, 1]
    assert found == pytest.approx([3, 3, -3])


def test_gaps_are_filled_with_the_median_and_flagged_if_training_rows_had_any() -> None:
    holed = [None if i % 5 == 0 else float(v) for i, v in enumerate(NORMAL)]
    median = float(np.median([v for v in holed if v is not None]))
    encoder = fit_numbers(holed)
    tensors = encoder.transform(frame([None, median])).tensors()
    assert tensors["number"][0] == tensors["number"][1]
    assert tensors["number_missing"].tolist() == [[1.0], [0.0]]
    assert "number_missing" not in fit_numbers(NORMAL).transform(frame([None, 1.0])).tensors()


def test_a_column_that_never_changes_gives_a_network_nothing() -> None:
    encoder = fit_numbers(np.full(100, 7.0), NORMAL[:100])
    encoded = encoder.transform(frame([7.0, 8.0], [50.0, 51.0]))
    assert encoded.tensors()["number"].shape == (2, 1)
    assert encoded.matrix().values.tolist() == [[7.0, 50.0], [8.0, 51.0]]


def test_trees_get_numbers_as_they_are() -> None:
    matrix = fit_numbers(SKEWED).transform(frame([0.5, None, 1e9])).matrix()
    np.testing.assert_array_equal(
        matrix.values[:, 0], np.array([0.5, np.nan, 1e9], dtype=np.float32)
    )
    assert matrix.levels == (0,)


def test_a_value_that_many_rows_share_is_one_point_of_the_shape() -> None:
    column = np.where(np.arange(2_000) < 1_500, 0.0, SKEWED)
    found = encode_number(fit_numbers(column), 0.0, 1e-6, 1.0)[:, 0]
    assert -1.5 < found[0] < 0  # the middle of the ranks that zeros take
    assert found[0] <= found[1] < found[2]


@pytest.mark.parametrize(
    "column",
    [NORMAL, SKEWED, np.arange(3.0), np.where(NORMAL > 60, NORMAL, 0.0), np.repeat([1.0, 2.0], 50)],
)
def test_bins_rise_from_the_least_value_to_the_largest(column: Array) -> None:
    edges = learn_bins(column)
    assert (np.diff(edges) > 0).all()
    assert 2 <= len(edges) <= MOST_BINS + 1
    assert edges[[0, -1]].tolist() == [column.min(), column.max()]


def fit_categories(cells: Sequence[str | None], target: Array | None = None) -> CategoryEncoder:
    encoder = CategoryEncoder()
    target = no_target(len(cells)) if target is None else target
    encoder.fit_transform(frame(pl.Series(cells, dtype=pl.String)), target)
    return encoder


def codes(encoder: CategoryEncoder, *cells: str | None) -> list[int]:
    rows = frame(pl.Series(cells, dtype=pl.String))
    found: list[int] = encoder.transform(rows).tensors()["category"][:, 0].tolist()
    return found


def test_levels_are_numbered_in_order_and_rare_and_unseen_ones_are_zero() -> None:
    encoder = fit_categories(["b", "b", "a", "a", "c", "once", "c"])
    assert codes(encoder, "a", "b", "c", "once", "never", "") == [1, 2, 3, 0, 0, 0]


def test_a_gap_is_a_level_if_training_rows_had_some() -> None:
    assert codes(fit_categories(["a", "a", None, None]), None) == [1]
    assert codes(fit_categories(["a", "a", "b", None]), None) == [0]


def test_levels_do_not_depend_on_the_order_of_rows() -> None:
    cells = [f"v{i % 7}" for i in range(40)]
    one, other = fit_categories(cells), fit_categories(cells[::-1])
    assert one.levels == other.levels


WIDE = [f"v{i % (MANY + 10):02d}" for i in range(600)]
LABELS = (np.arange(600) % 3 == 0).astype(float)[:, None]


def test_many_levels_bring_smoothed_target_means() -> None:
    encoder = fit_categories(WIDE, LABELS)
    rows = frame(["v00", "never"])
    found = encoder.transform(rows).tensors()["category_means"][:, 0]
    own = LABELS[[cell == "v00" for cell in WIDE], 0]
    overall = LABELS.mean()
    wanted = (own.sum() + PRIOR * overall) / (len(own) + PRIOR)
    assert found == pytest.approx([wanted, overall], rel=1e-6)
    matrix = encoder.transform(rows).matrix()
    assert matrix.names == ("x0 (target mean 0)",)  # codes of many levels would be chopped up
    assert matrix.levels == (0,)


@pytest.mark.parametrize("row", [0, 1, 299, 599])
def test_no_training_row_sees_its_own_target_but_those_of_its_level_do(row: int) -> None:
    other = LABELS.copy()
    other[row] = 1 - other[row]
    one, two = (
        CategoryEncoder().fit_transform(frame(WIDE), labels).tensors()["category_means"][:, 0]
        for labels in (LABELS, other)
    )
    assert one[row] == two[row]
    same = np.array([cell == WIDE[row] for cell in WIDE])
    assert np.abs(one - two)[same].max() > 5 * np.abs(one - two)[~same].max()


def test_few_levels_and_targets_of_very_many_classes_bring_no_means() -> None:
    assert (
        "category_means"
        not in fit_categories(["a", "b"] * 9, np.ones((18, 1))).transform(frame(["a"])).tensors()
    )
    assert "category_means" not in fit_categories(WIDE).transform(frame(["v00"])).tensors()


def test_truth_values_are_signs_for_networks_and_ones_for_trees() -> None:
    encoder = BooleanEncoder()
    rows = frame([True, False, None], [None, True, True])
    encoded = encoder.fit_transform(rows, no_target(3))
    assert encoded.tensors()["boolean"].tolist() == [[1, 0, 0, 1], [-1, 1, 0, 0], [0, 1, 1, 0]]
    values = encoded.matrix().values
    np.testing.assert_array_equal(values, [[1, np.nan], [0, 1], [np.nan, 1]])


MOMENTS = [dt.datetime(2023, 1, 1) + dt.timedelta(hours=37 * i) for i in range(200)]


def encode_dates(*moments: dt.datetime | None) -> tuple[Array, Array]:
    encoder = DatetimeEncoder()
    encoder.fit_transform(frame(MOMENTS), no_target(len(MOMENTS)))
    found = encoder.transform(frame(pl.Series(moments, dtype=pl.Datetime("us"))))
    assert found.tensors()["datetime"].shape == (len(moments), encoder.width)
    return found.tensors()["datetime"], found.matrix().values


def test_time_goes_on_evenly_and_stops_far_from_the_training_rows() -> None:
    elapsed = encode_dates(*MOMENTS)[0][:, 0]
    assert elapsed.mean() == pytest.approx(0, abs=1e-5)
    assert elapsed.std() == pytest.approx(1, abs=1e-5)
    far = encode_dates(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))[0][:, 0]
    assert far.tolist() == [-3, 3]


@pytest.mark.parametrize(
    ("one", "near", "far"),
    [
        (dt.datetime(2023, 12, 15), dt.datetime(2023, 1, 15), dt.datetime(2023, 6, 15)),
        (dt.datetime(2023, 5, 1, 23), dt.datetime(2023, 5, 1, 0), dt.datetime(2023, 5, 1, 12)),
    ],
    ids=["month", "hour"],
)
def test_the_calendar_closes_to_a_circle(
    one: dt.datetime, near: dt.datetime, far: dt.datetime
) -> None:
    points = encode_dates(one, near, far)[0][:, 1:-1]
    assert np.linalg.norm(points[0] - points[1]) < np.linalg.norm(points[0] - points[2])


def test_trees_get_days_and_calendar_numbers() -> None:
    matrix = encode_dates(dt.datetime(2024, 2, 29, 18))[1]
    assert matrix.tolist() == [[19_782.75, 2, 29, 4, 18]]
    assert [name for name, _ in CYCLES] == ["month", "day", "weekday", "hour"]


def test_a_missing_date_is_the_middle_of_everything_with_a_flag() -> None:
    tensors, matrix = encode_dates(None, MOMENTS[0])
    assert tensors[0].tolist() == [0.0] * (tensors.shape[1] - 1) + [1.0]
    assert tensors[1, -1] == 0
    assert np.isnan(matrix[0]).all()
