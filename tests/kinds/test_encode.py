"""Encoders of the kinds: how they are fitted, and how they encode values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column
from fieldcraft.kinds.boolean.encode import BooleanEncoder
from fieldcraft.kinds.category.encode import (
    MAX_TARGET_MEANS_PER_LEVEL,
    TARGET_MEAN_PRIOR_ROWS,
    TARGET_MEANS_ABOVE_LEVELS,
    CategoryEncoder,
)
from fieldcraft.kinds.datetime.encode import MAX_DELAY_PAIRS, DatetimeEncoder
from fieldcraft.kinds.number.encode import MAX_BINS, NumberEncoder, fit_bin_edges
from tests.encoding import encode, fit_and_encode

DRAW = np.random.default_rng(0)
NORMAL = DRAW.normal(50, 20, 2_000)
SKEWED = np.exp(2 * DRAW.normal(size=2_000))


def build_frame(*columns: Any) -> pl.DataFrame:
    return pl.DataFrame({f"x{i}": column for i, column in enumerate(columns)})


def empty_target(rows: int) -> Array:
    return np.zeros((rows, 0))


def build_columns(rows: pl.DataFrame, **options: Any) -> list[Column]:
    """Return columns with the same options."""
    return [Column(name, "", options) for name in rows.columns]


def fit_numbers(*columns: Any, **options: Any) -> NumberEncoder:
    rows = build_frame(*columns)
    encoder = NumberEncoder(build_columns(rows, **options))
    fit_and_encode(encoder, rows, empty_target(rows.height))
    return encoder


def encode_number(encoder: NumberEncoder, *values: float | None) -> Array:
    return encode(encoder, build_frame(pl.Series(values, dtype=pl.Float64))).tensors()["number"]


@pytest.mark.parametrize("column", [NORMAL, SKEWED, DRAW.uniform(size=2_000)])
def test_numbers_are_transformed_to_a_normal_distribution(column: Array) -> None:
    result = encode_number(fit_numbers(column), *column)[:, 0]
    shares = np.quantile(result, [0.025, 0.16, 0.5, 0.84, 0.975])
    np.testing.assert_allclose(shares, [-1.96, -1, 0, 1, 1.96], atol=0.15)


def test_the_transform_is_monotone_and_clipped_to_the_training_range() -> None:
    encoder = fit_numbers(NORMAL)
    result = encode_number(encoder, -1e9, NORMAL.min(), 30, 50, 70, NORMAL.max(), 1e9)[:, 0]
    assert (np.diff(result) >= 0).all()
    assert result[0] == result[1]
    assert result[-1] == result[-2]
    assert (np.diff(result[1:-1]) > 0).all()


def test_heavy_tails_have_a_second_squashed_feature() -> None:
    encoder = fit_numbers(SKEWED)
    result = encode_number(encoder, float(np.median(SKEWED)), SKEWED.max(), 1e9, 1e100)[:, 1]
    assert result[0] == pytest.approx(0, abs=1e-6)
    assert (np.diff(result) >= 0).all()
    assert result[2:] == pytest.approx([3, 3], abs=1e-3)
    assert encode_number(fit_numbers(NORMAL), 1.0).shape == (1, 1)


def test_extreme_tails_stay_finite() -> None:
    column = np.where(np.arange(2_000) % 20, 1e-90 * NORMAL, 1.0)
    result = encode_number(fit_numbers(column), 1.0, 1e100, -1e100)[:, 1]
    assert result == pytest.approx([3, 3, -3])


def test_missing_numbers_are_the_median_with_a_flag() -> None:
    holed = [None if i % 5 == 0 else float(v) for i, v in enumerate(NORMAL)]
    median = float(np.median([v for v in holed if v is not None]))
    encoder = fit_numbers(holed)
    tensors = encode(encoder, build_frame([None, median])).tensors()
    assert tensors["number"][0] == tensors["number"][1]
    assert tensors["number_missing"].tolist() == [[1.0], [0.0]]
    assert "number_missing" not in encode(fit_numbers(NORMAL), build_frame([None, 1.0])).tensors()


def test_constant_columns_have_no_network_feature() -> None:
    encoder = fit_numbers(np.full(100, 7.0), NORMAL[:100])
    encoded = encode(encoder, build_frame([7.0, 8.0], [50.0, 51.0]))
    assert encoded.tensors()["number"].shape == (2, 1)
    assert encoded.matrix().values.tolist() == [[7.0, 50.0], [8.0, 51.0]]


def test_trees_get_untransformed_numbers() -> None:
    matrix = encode(fit_numbers(SKEWED), build_frame([0.5, None, 1e9])).matrix()
    np.testing.assert_array_equal(
        matrix.values[:, 0], np.array([0.5, np.nan, 1e9], dtype=np.float32)
    )
    assert matrix.levels == (0,)


def test_frequent_values_have_a_single_transformed_value() -> None:
    column = np.where(np.arange(2_000) < 1_500, 0.0, SKEWED)
    result = encode_number(fit_numbers(column), 0.0, 1e-6, 1.0)[:, 0]
    assert -1.5 < result[0] < 0  # the middle of the ranks that zeros take
    assert result[0] <= result[1] < result[2]


@pytest.mark.parametrize(
    ("impute", "fill"), [("mean", 3.25), ("median", 3), ("mode", 1), (-7.5, -7.5), ("model", 3.25)]
)
def test_configured_imputation_applies_to_trees_with_a_flag(
    impute: float | str, fill: float
) -> None:
    encoded = encode(
        fit_numbers([1.0, None, 1.0, 5.0, 6.0], impute=impute), build_frame([None, 2.0])
    )
    assert encoded.matrix().names == ("x0", "x0 (missing)")
    assert encoded.matrix().values.tolist() == [[fill, 1], [2, 0]]
    assert encoded.tensors()["number_missing"].tolist() == [[1.0], [0.0]]


def test_missing_values_unseen_in_training_have_no_flag() -> None:
    encoded = encode(fit_numbers(NORMAL, impute="mean"), build_frame([None]))
    assert encoded.matrix().names == ("x0",)
    assert encoded.matrix().values[0, 0] == pytest.approx(NORMAL.mean())


def test_model_imputation_uses_the_other_columns() -> None:
    columns = [Column("a", "", {"impute": "model"}), Column("b", "", {})]
    rows = pl.DataFrame({"a": 3 * NORMAL + 1, "b": NORMAL})
    encoder = NumberEncoder(columns)
    fit_and_encode(encoder, rows, empty_target(rows.height))
    new = pl.DataFrame({"a": [None, None], "b": [40.0, None]}, schema_overrides={"a": pl.Float64})
    result = encode(encoder, new).matrix().values
    assert result[0, 0] == pytest.approx(121, rel=0.01)
    assert result[1, 0] == pytest.approx(3 * np.median(NORMAL) + 1, rel=0.01)
    assert np.isnan(result[1, 1])


def test_outliers_are_clipped_only_if_configured() -> None:
    low, high = np.quantile(NORMAL, [0.25, 0.75])
    end = high + 8 * (high - low)
    for options, expected in (({"clip": "auto"}, end), ({}, 1e9), ({"clip": [0, 2e9]}, 1e9)):
        encoded = encode(fit_numbers(NORMAL, **options), build_frame([1e9, None]))
        np.testing.assert_allclose(encoded.matrix().values[:, 0], [expected, np.nan])


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("standard", (60 - NORMAL.mean()) / NORMAL.std()),
        ("robust", (60 - np.median(NORMAL)) / np.subtract(*np.quantile(NORMAL, [0.75, 0.25]))),
        ("minmax", (60 - NORMAL.min()) / np.ptp(NORMAL)),
        ("none", 60.0),
    ],
)
def test_the_scale_option_applies_to_networks_only(scale: str, expected: float) -> None:
    encoded = encode(fit_numbers(NORMAL, scale=scale), build_frame([60.0]))
    assert encoded.tensors()["number"] == pytest.approx(np.array([[expected]]), rel=1e-5)
    assert encoded.matrix().values.tolist() == [[60.0]]


def test_a_configured_scale_has_no_second_feature() -> None:
    assert encode_number(fit_numbers(SKEWED, scale="standard"), 1.0).shape == (1, 1)


@pytest.mark.parametrize(
    "column",
    [NORMAL, SKEWED, np.arange(3.0), np.where(NORMAL > 60, NORMAL, 0.0), np.repeat([1.0, 2.0], 50)],
)
def test_bin_edges_increase_from_minimum_to_maximum(column: Array) -> None:
    edges = fit_bin_edges(column)
    assert (np.diff(edges) > 0).all()
    assert 2 <= len(edges) <= MAX_BINS + 1
    assert edges[[0, -1]].tolist() == [column.min(), column.max()]


def fit_categories(
    cells: Sequence[str | None], target: Array | None = None, **options: Any
) -> CategoryEncoder:
    rows = build_frame(pl.Series(cells, dtype=pl.String))
    encoder = CategoryEncoder(build_columns(rows, **options))
    fit_and_encode(encoder, rows, empty_target(len(cells)) if target is None else target)
    return encoder


def encode_cells(encoder: CategoryEncoder, *cells: str | None) -> list[int]:
    rows = build_frame(pl.Series(cells, dtype=pl.String))
    result: list[int] = encode(encoder, rows).tensors()["category"][:, 0].tolist()
    return result


def test_levels_are_ordered_by_frequency_and_rare_ones_are_zero() -> None:
    encoder = fit_categories(["b", "b", "a", "c", "a", "c", "once", "c"])
    assert encode_cells(encoder, "c", "a", "b", "once", "never", "") == [1, 2, 3, 0, 0, 0]


def test_missing_is_a_level_if_seen_in_training() -> None:
    assert encode_cells(fit_categories(["a", "a", None, None]), None) == [1]
    assert encode_cells(fit_categories(["a", "a", "b", None]), None) == [0]


@pytest.mark.parametrize(("impute", "level"), [("mode", "a"), ("b", "b"), (7.0, "7"), ("x", "x")])
def test_missing_categories_are_imputed_by_the_option(impute: float | str, level: str) -> None:
    encoder = fit_categories([*["a"] * 19, *["b"] * 8, *["7"] * 7, *[None] * 6], impute=impute)
    assert encode_cells(encoder, None) == encode_cells(encoder, level) != [0]


@pytest.mark.parametrize("impute", ["mean", "median", "model"])
def test_numeric_imputation_keeps_missing_as_a_level(impute: str) -> None:
    encoder = fit_categories(["a", "a", "a", None, None], impute=impute)
    assert encode_cells(encoder, "a", None) == [1, 2]


def test_leading_zeros_of_codes_are_optional_unless_ambiguous() -> None:
    encoder = fit_categories(["020", "020", "020", "007", "007", "7", "7", "000", "000"])
    assert encode_cells(encoder, "20", "020", "7", "0") == [1, 1, 4, 2]


def test_levels_do_not_depend_on_the_order_of_rows() -> None:
    cells = [f"v{i % 7}" for i in range(40)]
    one, other = fit_categories(cells), fit_categories(cells[::-1])
    assert one.levels == other.levels


WIDE = [f"v{i % (TARGET_MEANS_ABOVE_LEVELS + 10):02d}" for i in range(600)]
LABELS = (np.arange(600) % 3 == 0).astype(float)[:, None]


def test_many_levels_have_smoothed_target_means() -> None:
    encoder = fit_categories(WIDE, LABELS)
    rows = build_frame(["v00", "never"])
    result, counts = encode(encoder, rows).tensors()["category_facts"].T
    own = LABELS[[cell == "v00" for cell in WIDE], 0]
    overall = LABELS.mean()
    expected = (own.sum() + TARGET_MEAN_PRIOR_ROWS * overall) / (len(own) + TARGET_MEAN_PRIOR_ROWS)
    assert result == pytest.approx([expected, overall], rel=1e-6)
    assert counts == pytest.approx([np.log(10), 0], abs=1e-6)
    matrix = encode(encoder, rows).matrix()
    # trees would split the codes of many levels arbitrarily
    assert matrix.names == ("x0 (target mean 0)", "x0 (log count)")
    assert matrix.levels == (0, 0)


def test_each_column_of_the_target_has_its_own_means() -> None:
    both = np.hstack([LABELS, 5 - 3 * LABELS])
    one, two = (fit_categories(WIDE, target) for target in (LABELS, both))
    rows = build_frame(["v00", "v07", "never"])
    single = encode(one, rows).matrix().values[:, 0]
    matrix = encode(two, rows).matrix()
    assert matrix.names == ("x0 (target mean 0)", "x0 (target mean 1)", "x0 (log count)")
    np.testing.assert_allclose(matrix.values[:, 0], single)
    np.testing.assert_allclose(matrix.values[:, 1], 5 - 3 * single, rtol=1e-6)


@pytest.mark.parametrize("row", [0, 1, 299, 599])
def test_target_means_exclude_the_own_row(row: int) -> None:
    other = LABELS.copy()
    other[row] = 1 - other[row]
    one, two = (
        fit_and_encode(
            CategoryEncoder(build_columns(build_frame(WIDE))), build_frame(WIDE), labels
        ).tensors()["category_facts"][:, 0]
        for labels in (LABELS, other)
    )
    assert one[row] == two[row]
    same = np.array([cell == WIDE[row] for cell in WIDE])
    assert np.abs(one - two)[same].max() > 5 * np.abs(one - two)[~same].max()


def test_targets_with_too_many_columns_have_no_means() -> None:
    encoder = fit_categories(WIDE, np.ones((600, MAX_TARGET_MEANS_PER_LEVEL + 1)))
    assert encode(encoder, build_frame(["v00"])).matrix().names == ("x0", "x0 (log count)")


def test_few_levels_have_no_target_means() -> None:
    few = encode(fit_categories(["a", "b"] * 9, np.ones((18, 1))), build_frame(["a"]))
    assert "category_facts" not in few.tensors()


def test_without_target_means_trees_get_codes() -> None:
    encoded = encode(fit_categories(WIDE), build_frame(["v00"]))
    assert encoded.tensors()["category_facts"].shape == (1, 1)
    assert encoded.matrix().names == ("x0", "x0 (log count)")
    assert encoded.matrix().levels == (TARGET_MEANS_ABOVE_LEVELS + 10, 0)


def test_booleans_are_signs_for_networks_and_ones_for_trees() -> None:
    rows = build_frame([True, False, None], [None, True, True])
    encoder = BooleanEncoder(build_columns(rows))
    encoded = fit_and_encode(encoder, rows, empty_target(3))
    assert encoded.tensors()["boolean"].tolist() == [[1, 0, 0, 1], [-1, 1, 0, 0], [0, 1, 1, 0]]
    values = encoded.matrix().values
    np.testing.assert_array_equal(values, [[1, np.nan], [0, 1], [np.nan, 1]])


def test_missing_booleans_can_be_imputed_by_the_mode() -> None:
    rows = build_frame([True, True, False, None], [False, False, True, None])
    encoded = fit_and_encode(
        BooleanEncoder(build_columns(rows, impute="mode")), rows, empty_target(4)
    )
    assert encoded.tensors()["boolean"][3].tolist() == [1, -1, 1, 1]
    assert encoded.matrix().values[3].tolist() == [1, 0, 1, 1]
    assert encoded.matrix().names == ("x0", "x1", "x0 (missing)", "x1 (missing)")


MOMENTS = [dt.datetime(2023, 1, 1) + dt.timedelta(hours=37 * i) for i in range(200)]


def fit_dates(*columns: Sequence[dt.datetime | None]) -> DatetimeEncoder:
    rows = build_frame(*columns)
    encoder = DatetimeEncoder(build_columns(rows))
    fit_and_encode(encoder, rows, empty_target(rows.height))
    return encoder


def encode_dates(*moments: dt.datetime | None) -> tuple[Array, dict[str, Array]]:
    encoder = fit_dates(MOMENTS)
    result = encode(encoder, build_frame(pl.Series(moments, dtype=pl.Datetime("us"))))
    assert result.tensors()["datetime"].shape == (len(moments), encoder.n_features)
    matrix = result.matrix()
    return result.tensors()["datetime"], dict(zip(matrix.names, matrix.values.T, strict=True))


def test_elapsed_time_is_standardized_and_clipped() -> None:
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
def test_calendar_features_are_cyclic(
    one: dt.datetime, near: dt.datetime, far: dt.datetime
) -> None:
    points = encode_dates(one, near, far)[0][:, 1:-1]
    assert np.linalg.norm(points[0] - points[1]) < np.linalg.norm(points[0] - points[2])


def test_trees_get_days_and_calendar_numbers() -> None:
    _, result = encode_dates(dt.datetime(2024, 2, 29, 18, 30), dt.datetime(1969, 12, 30))
    assert {name: values.tolist() for name, values in result.items()} == {
        "x0 (days)": [np.float32(19_782 + 18.5 / 24), -2],
        "x0 (year)": [2024, 1969],
        "x0 (month)": [2, 12],
        "x0 (day)": [29, 30],
        "x0 (weekday)": [4, 2],
        "x0 (week)": [9, 1],
        "x0 (day of year)": [60, 364],
        "x0 (hour)": [18.5, 0],
        "x0 (month end)": [1, 0],
    }


def test_missing_dates_are_zero_with_a_flag() -> None:
    tensors, matrix = encode_dates(None, MOMENTS[0])
    assert tensors[0].tolist() == [0.0] * (tensors.shape[1] - 1) + [1.0]
    assert tensors[1, -1] == 0
    assert all(np.isnan(values[0]) for values in matrix.values())


def test_dates_without_a_time_of_day_have_no_hours() -> None:
    days = [moment.replace(hour=0) for moment in MOMENTS]
    encoder = fit_dates(days)
    encoded = encode(encoder, build_frame(days))
    assert encoder.n_features == fit_dates(MOMENTS).n_features - 2
    assert encoded.tensors()["datetime"].shape[1] == encoder.n_features
    assert "x0 (hour)" not in encoded.matrix().names


def test_delays_between_date_columns_are_features() -> None:
    later = [None, *(m + dt.timedelta(days=i % 9) for i, m in enumerate(MOMENTS[1:]))]
    encoder = fit_dates(MOMENTS, later, [m + dt.timedelta(days=3) for m in MOMENTS])
    assert encoder.delay_pairs == [(0, 1), (1, 2)]  # a constant delay has no information
    encoded = encode(encoder, build_frame(MOMENTS[:3], later[:3], MOMENTS[:3]))
    assert encoded.matrix().names[-2:] == ("x0 to x1 (days)", "x1 to x2 (days)")
    np.testing.assert_allclose(encoded.matrix().values[:, -2], [np.nan, 0, 1], atol=1e-6)
    tensors = encoded.tensors()["datetime"]
    assert tensors.shape[1] == encoder.n_features
    assert tensors[0, -2] == 0
    assert tensors[1, -2] < tensors[2, -2] < 3


def test_delays_of_adjacent_columns_are_preferred() -> None:
    shift = DRAW.integers(0, 50, (8, len(MOMENTS)))
    columns = [
        [m + dt.timedelta(days=int(d)) for m, d in zip(MOMENTS, days, strict=True)]
        for days in shift
    ]
    pairs = fit_dates(*columns).delay_pairs
    assert len(pairs) == MAX_DELAY_PAIRS
    assert pairs[:7] == [(i, i + 1) for i in range(7)]
