"""Derived columns use one row at a time; joined tables have one row per key."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fieldcraft.core.errors import DataError
from fieldcraft.data.sql_transforms import (
    add_derived_columns,
    evaluate_sql,
    filter_mask,
    is_equal,
    left_join,
    normalize_keys,
    parse_sql,
    referenced_columns,
)

VALUES = pl.DataFrame(
    {
        "age": [30.0, None, 17.0, 62.0],
        "city": ["Bern", "Oslo", None, "Rome"],
        "member": [True, False, None, True],
        "seen": ["2024-01-31", "2023-06-01", None, "2024-12-24"],
        "odd name": [1, 2, 0, 4],
    }
).with_columns(pl.col("seen").str.to_datetime("%Y-%m-%d"))
MANY_ROWS = pl.DataFrame(
    {"x": [float(i % 7) for i in range(100)], "k": [i // 2 for i in range(100)]}
)


def compute(sql: str, values: pl.DataFrame = VALUES) -> list[Any]:
    """Evaluate an expression."""
    return evaluate_sql(values, sql, "data.derived_columns.new").to_list()


@pytest.mark.parametrize(
    ("sql", "results"),
    [
        ("age / 8", [3.75, None, 2.125, 7.75]),
        ('age + "odd name"', [31.0, None, 17.0, 66.0]),
        ("upper(city) || '!'", ["BERN!", "OSLO!", None, "ROME!"]),
        ("coalesce(city, 'none')", ["Bern", "Oslo", "none", "Rome"]),
        ("case when age >= 18 then 'adult' else 'minor' end", ["adult", "minor", "minor", "adult"]),
        ("age is null", [False, True, False, False]),
        ("extract(year from seen)", [2024, 2023, None, 2024]),
        ("cast(age as int)", [30, None, 17, 62]),
        ("not member", [False, True, None, False]),
        ("try_cast(city as int)", [None] * 4),
    ],
)
def test_expressions_are_sql_on_values(sql: str, results: list[Any]) -> None:
    assert compute(sql) == results


@pytest.mark.parametrize("sql", ["age >", "", "select age", "age; drop", "frobnicate(age)", "*"])
def test_an_invalid_expression_is_shown_with_the_reason(sql: str) -> None:
    with pytest.raises(
        DataError, match=r"data\.derived_columns\.new is not a valid SQL expression"
    ) as caught:
        compute(sql)
    assert caught.value.detail.startswith(f"{sql}: ")
    assert "\n" not in caught.value.detail


def test_referenced_columns_are_unique() -> None:
    assert referenced_columns("age + age * bonus", "here") == ["age", "bonus"]
    assert referenced_columns('"odd name" > 1 and age > 1', "here") == ["odd name", "age"]
    assert parse_sql("age", "here").meta.root_names() == ["age"]


def test_an_unknown_column_gets_a_suggestion() -> None:
    with pytest.raises(
        DataError, match=r"data\.derived_columns\.new uses an unknown column"
    ) as caught:
        compute("agee / 10")
    assert caught.value.detail == "agee in: agee / 10"
    assert "did you mean 'age'?" in caught.value.hint


@pytest.mark.parametrize("sql", ["1", "'Bern'", "true", "current_date", "count(*)"])
def test_an_expression_without_a_column_is_refused(sql: str) -> None:
    with pytest.raises(DataError, match=r"data\.derived_columns\.new uses no column"):
        compute(sql)


@pytest.mark.parametrize(
    "sql", ["city + 1", "city > 3", "extract(year from city)", "city::int", "seen > '2024-06-01'"]
)
def test_types_that_do_not_fit_are_an_error(sql: str) -> None:
    with pytest.raises(DataError, match=r"data\.derived_columns\.new cannot be computed") as caught:
        compute(sql)
    assert sql in caught.value.detail
    assert "\n" not in caught.value.detail


@pytest.mark.parametrize(
    "sql",
    [
        "sum(x)",
        "x - avg(x)",
        "x / max(x)",
        "count(x)",
        "first(x)",
        "max(x) over (partition by k)",
        "sum(x) over ()",
        "row_number() over (order by x)",
        "rank() over (order by x)",
        "lag(x) over (order by k)",
    ],
)
def test_results_that_depend_on_other_rows_are_refused(sql: str) -> None:
    with pytest.raises(
        DataError, match=r"data\.derived_columns\.new uses more than one row"
    ) as caught:
        compute(sql, MANY_ROWS)
    assert caught.value.detail == sql


def test_dependence_far_below_the_first_rows_is_found() -> None:
    values = pl.DataFrame({"x": range(200), "k": [*range(100), *([500] * 100)]})
    with pytest.raises(DataError, match="uses more than one row"):
        compute("sum(x) over (partition by k)", values)


def test_more_than_one_value_a_row_is_refused() -> None:
    with pytest.raises(DataError, match="more than one value per row") as caught:
        compute("string_to_array(city, 'e')")
    assert "List" in caught.value.detail


def test_rounding_does_not_count_as_dependence_on_other_rows() -> None:
    # Polars multiplies many rows by 0.1 instead of dividing by 10, but not a single row.
    assert compute("x / 10", MANY_ROWS) == pytest.approx(
        [x / 10 for x in MANY_ROWS["x"]], rel=1e-15
    )
    assert compute("x / 10 / x", MANY_ROWS)[1] == pytest.approx(0.1)  # 0 / 0 among them


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_few_rows_give_the_same_results_as_many(rows: int) -> None:
    assert compute("age / 10", VALUES.head(rows)) == compute("age / 10")[:rows]
    assert compute('0 / "odd name"', VALUES)[2:3] != [0]  # not a number, and no error


def test_derived_columns_may_use_earlier_ones() -> None:
    result = add_derived_columns(VALUES, {"decades": "age / 10", "old": "decades >= 3"})
    assert result.columns == [*VALUES.columns, "decades", "old"]
    assert result["old"].to_list() == [True, None, False, True]
    assert_frame_equal(result.drop("decades", "old"), VALUES)
    with pytest.raises(DataError, match=r"data\.derived_columns\.old uses an unknown column"):
        add_derived_columns(VALUES, {"old": "decades >= 3", "decades": "age / 10"})


def test_derived_columns_depend_on_their_row_alone() -> None:
    expressions = {"a": 'age * "odd name"', "b": "city || '-' || cast(age as int)"}
    table = add_derived_columns(VALUES, expressions)
    for i in range(VALUES.height):
        assert_frame_equal(add_derived_columns(VALUES[i : i + 1], expressions), table[i : i + 1])


def test_null_counts_as_false_in_a_condition() -> None:
    assert filter_mask(VALUES, "age >= 18").to_list() == [True, False, False, True]
    assert filter_mask(VALUES, "not (age >= 18)").to_list() == [False, False, True, False]
    assert filter_mask(VALUES, "age is null or city = 'Rome'").to_list() == [
        False,
        True,
        False,
        True,
    ]
    assert filter_mask(VALUES, "member").to_list() == [True, False, False, True]
    assert filter_mask(VALUES, "seen > date '2024-06-01'").to_list() == [False, False, False, True]
    assert filter_mask(VALUES.clear(), "age >= 18").to_list() == []


@pytest.mark.parametrize(("sql", "kind"), [("age + 1", "Float64"), ("city", "String")])
def test_an_expression_that_is_not_boolean_is_no_condition(sql: str, kind: str) -> None:
    with pytest.raises(DataError, match=r"data\.filter is not a condition") as caught:
        filter_mask(VALUES, sql)
    assert caught.value.detail == f"{sql} gives {kind}, not true or false"


@pytest.mark.parametrize(
    "cells",
    [
        [7, 10, -3],
        [7.0, 10.0, -3.0],
        ["7", " 10", "-3 "],
        ["7.0", "10.00", "-3.0"],
        pl.Series([7, 10, -3], dtype=pl.Int8),
        pl.Series(["7", "10", "-3"], dtype=pl.Categorical),
    ],
)
def test_keys_are_equal_in_all_types(cells: Any) -> None:
    result = normalize_keys(pl.DataFrame({"id": cells}), ["id"])
    assert result.to_series().to_list() == ["7", "10", "-3"]


def test_large_integer_keys_are_equal_in_all_types() -> None:
    cells: list[Any] = [[10**16], [1e16], ["10000000000000000"]]
    result = [normalize_keys(pl.DataFrame({"id": cell}), ["id"]).item() for cell in cells]
    assert result == ["10000000000000000"] * 3


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ([1e-12], [2e-12], False),
        ([1.0], [1.0 + 1e-10], True),
        ([1.0], [1.0 + 1e-8], False),
        ([float("nan"), 1.0], [float("nan"), 1.0], True),
        ([None, 1.0], [float("nan"), 1.0], False),
        ([None, 1.0], [None, 1.0], True),
        ([1, None], [1, None], True),
        ([1, 2], [1, 3], False),
    ],
)
def test_floats_are_equal_up_to_rounding(first: list[Any], second: list[Any], same: bool) -> None:
    assert is_equal(pl.Series(first, strict=False), pl.Series(second, strict=False)) is same


def test_keys_that_only_look_like_numbers_stay_different() -> None:
    frame = pl.DataFrame({"id": ["v1.0", "v1", "1.05", "0.10", "1.0.0", "", None]})
    result = normalize_keys(frame, ["id"]).to_series().to_list()
    assert result == ["v1.0", "v1", "1.05", "0.10", "1.0.0", None, None]
    fractions = (
        normalize_keys(pl.DataFrame({"id": [0.5, 2.0**70, None]}), ["id"]).to_series().to_list()
    )
    assert fractions[0] == "0.5"
    assert fractions[2] is None


ROWS = pl.DataFrame({"shop": ["b", "a", "?", None, "b"], "day": [1, 2, 1, 1, 2], "y": [*range(5)]})
SHOPS = pl.DataFrame({"shop": ["a", "b", None, None], "city": ["Oslo", "Bern", "x", "y"]})


def test_a_join_keeps_the_rows_and_their_order() -> None:
    result = left_join(ROWS, SHOPS, ["shop"])
    assert result.columns == ["shop", "day", "y", "city"]
    assert result["city"].to_list() == ["Bern", "Oslo", None, None, "Bern"]
    assert_frame_equal(result.drop("city"), ROWS)


def test_tables_are_joined_on_several_keys_of_different_types() -> None:
    prices = pl.DataFrame(
        {"day": ["1", "2", "2"], "shop": ["b", "b", "a"], "price": [1.5, 2.5, 3.5]}
    )
    result = left_join(ROWS, prices, ["shop", "day"])
    assert result["price"].to_list() == [1.5, 3.5, None, None, 2.5]
    assert result["day"].to_list() == ROWS["day"].to_list()


def test_a_single_row_is_joined_as_among_others() -> None:
    table = left_join(ROWS, SHOPS, ["shop"])
    for i in range(ROWS.height):
        assert_frame_equal(left_join(ROWS[i : i + 1], SHOPS, ["shop"]), table[i : i + 1])
    assert left_join(ROWS.clear(), SHOPS, ["shop"]).columns == table.columns


@pytest.mark.parametrize(
    ("shops", "detail"),
    [(["a", "b", "a"], "shop: a"), (["1", "2", "1.0"], "shop: 1"), ([" b", "a", "b"], "shop: b")],
)
def test_a_duplicate_key_is_named(shops: list[str], detail: str) -> None:
    table = pl.DataFrame({"shop": shops, "city": ["x", "y", "z"]})
    with pytest.raises(DataError, match="more than one row for a key") as caught:
        left_join(ROWS, table, ["shop"])
    assert caught.value.detail == detail


@pytest.mark.parametrize(("rows", "table"), [("Shop", "shop"), ("shop", "Shop")])
def test_a_missing_key_column_gets_a_suggestion(rows: str, table: str) -> None:
    with pytest.raises(DataError, match="cannot be joined") as caught:
        left_join(ROWS.rename({"shop": rows}), SHOPS.rename({"shop": table}), ["shop"])
    assert "did you mean 'Shop'?" in caught.value.hint


def test_a_column_of_both_tables_is_an_error() -> None:
    with pytest.raises(DataError, match="has columns that exist already") as caught:
        left_join(ROWS, SHOPS.with_columns(y=1, day=2), ["shop"])
    assert caught.value.detail == "y, day"
    assert "data.join.columns" in caught.value.hint
