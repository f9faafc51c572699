"""Computed columns look at one row at a time; joined tables bring one row for each key."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fieldcraft.core.errors import DataError
from fieldcraft.data.sql_transforms import (
    add_derived_columns,
    are_equal,
    evaluate_sql,
    filter_mask,
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
MANY = pl.DataFrame({"x": [float(i % 7) for i in range(100)], "k": [i // 2 for i in range(100)]})


def computed(sql: str, values: pl.DataFrame = VALUES) -> list[Any]:
    """The results of an expression."""
    return evaluate_sql(values, sql, "data.derive.new").to_list()


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
    assert computed(sql) == results


@pytest.mark.parametrize("sql", ["age >", "", "select age", "age; drop", "frobnicate(age)", "*"])
def test_what_is_no_expression_is_shown_with_the_reason(sql: str) -> None:
    with pytest.raises(DataError, match=r"data\.derive\.new is not an SQL expression") as caught:
        computed(sql)
    assert caught.value.detail.startswith(f"{sql}: ")
    assert "\n" not in caught.value.detail


def test_columns_that_an_expression_reads_are_named_once_each() -> None:
    assert referenced_columns("age + age * bonus", "here") == ["age", "bonus"]
    assert referenced_columns('"odd name" > 1 and age > 1', "here") == ["odd name", "age"]
    assert parse_sql("age", "here").meta.root_names() == ["age"]


def test_a_column_that_is_not_there_is_named_with_the_near_one() -> None:
    with pytest.raises(DataError, match=r"data\.derive\.new names a column that is not") as caught:
        computed("agee / 10")
    assert caught.value.detail == "agee in: agee / 10"
    assert "did you mean 'age'?" in caught.value.hint


@pytest.mark.parametrize("sql", ["1", "'Bern'", "true", "current_date", "count(*)"])
def test_an_expression_that_reads_no_column_is_refused(sql: str) -> None:
    with pytest.raises(DataError, match=r"data\.derive\.new reads no column"):
        computed(sql)


@pytest.mark.parametrize(
    "sql", ["city + 1", "city > 3", "extract(year from city)", "city::int", "seen > '2024-06-01'"]
)
def test_types_that_do_not_fit_are_told(sql: str) -> None:
    with pytest.raises(DataError, match=r"data\.derive\.new cannot be computed") as caught:
        computed(sql)
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
    with pytest.raises(DataError, match=r"data\.derive\.new looks at more than one row") as caught:
        computed(sql, MANY)
    assert caught.value.detail == sql


def test_rows_far_down_that_depend_on_each_other_are_found_too() -> None:
    values = pl.DataFrame({"x": range(200), "k": [*range(100), *([500] * 100)]})
    with pytest.raises(DataError, match="looks at more than one row"):
        computed("sum(x) over (partition by k)", values)


def test_more_than_one_value_a_row_is_refused() -> None:
    with pytest.raises(DataError, match="more than one value a row") as caught:
        computed("string_to_array(city, 'e')")
    assert "List" in caught.value.detail


def test_the_last_digits_of_a_quotient_are_no_other_rows() -> None:
    # Many rows are divided by 10 as they are multiplied by 0.1; a row alone is not.
    assert computed("x / 10", MANY) == pytest.approx([x / 10 for x in MANY["x"]], rel=1e-15)
    assert computed("x / 10 / x", MANY)[1] == pytest.approx(0.1)  # 0 / 0 among them


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_few_rows_or_none_are_computed_like_many(rows: int) -> None:
    assert computed("age / 10", VALUES.head(rows)) == computed("age / 10")[:rows]
    assert computed('0 / "odd name"', VALUES)[2:3] != [0]  # not a number, and no error


def test_computed_columns_may_build_on_each_other() -> None:
    found = add_derived_columns(VALUES, {"decades": "age / 10", "old": "decades >= 3"})
    assert found.columns == [*VALUES.columns, "decades", "old"]
    assert found["old"].to_list() == [True, None, False, True]
    assert_frame_equal(found.drop("decades", "old"), VALUES)
    with pytest.raises(DataError, match=r"data\.derive\.old names a column"):
        add_derived_columns(VALUES, {"old": "decades >= 3", "decades": "age / 10"})


def test_computed_columns_of_a_row_do_not_depend_on_the_rows_beside_it() -> None:
    expressions = {"a": 'age * "odd name"', "b": "city || '-' || cast(age as int)"}
    whole = add_derived_columns(VALUES, expressions)
    for i in range(VALUES.height):
        assert_frame_equal(add_derived_columns(VALUES[i : i + 1], expressions), whole[i : i + 1])


def test_a_condition_lets_rows_through_where_it_surely_holds() -> None:
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
def test_what_is_no_condition_is_told(sql: str, kind: str) -> None:
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
def test_keys_are_alike_however_a_file_holds_them(cells: Any) -> None:
    found = normalize_keys(pl.DataFrame({"id": cells}), ["id"])
    assert found.to_series().to_list() == ["7", "10", "-3"]


def test_keys_of_large_numbers_are_alike_in_every_type() -> None:
    cells: list[Any] = [[10**16], [1e16], ["10000000000000000"]]
    found = [normalize_keys(pl.DataFrame({"id": cell}), ["id"]).item() for cell in cells]
    assert found == ["10000000000000000"] * 3


@pytest.mark.parametrize(
    ("one", "other", "same"),
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
def test_results_are_alike_up_to_their_last_digits(
    one: list[Any], other: list[Any], same: bool
) -> None:
    assert are_equal(pl.Series(one, strict=False), pl.Series(other, strict=False)) is same


def test_keys_that_only_look_like_numbers_stay_apart() -> None:
    frame = pl.DataFrame({"id": ["v1.0", "v1", "1.05", "0.10", "1.0.0", "", None]})
    found = normalize_keys(frame, ["id"]).to_series().to_list()
    assert found == ["v1.0", "v1", "1.05", "0.10", "1.0.0", None, None]
    fractions = (
        normalize_keys(pl.DataFrame({"id": [0.5, 2.0**70, None]}), ["id"]).to_series().to_list()
    )
    assert fractions[0] == "0.5"
    assert fractions[2] is None


ROWS = pl.DataFrame({"shop": ["b", "a", "?", None, "b"], "day": [1, 2, 1, 1, 2], "y": [*range(5)]})
SHOPS = pl.DataFrame({"shop": ["a", "b", None, None], "city": ["Oslo", "Bern", "x", "y"]})


def test_the_columns_of_a_table_stand_beside_the_rows_in_their_order() -> None:
    found = left_join(ROWS, SHOPS, ["shop"])
    assert found.columns == ["shop", "day", "y", "city"]
    assert found["city"].to_list() == ["Bern", "Oslo", None, None, "Bern"]
    assert_frame_equal(found.drop("city"), ROWS)


def test_tables_are_joined_on_several_keys_of_different_types() -> None:
    prices = pl.DataFrame(
        {"day": ["1", "2", "2"], "shop": ["b", "b", "a"], "price": [1.5, 2.5, 3.5]}
    )
    found = left_join(ROWS, prices, ["shop", "day"])
    assert found["price"].to_list() == [1.5, 3.5, None, None, 2.5]
    assert found["day"].to_list() == ROWS["day"].to_list()


def test_a_row_is_joined_alike_alone_and_among_others() -> None:
    whole = left_join(ROWS, SHOPS, ["shop"])
    for i in range(ROWS.height):
        assert_frame_equal(left_join(ROWS[i : i + 1], SHOPS, ["shop"]), whole[i : i + 1])
    assert left_join(ROWS.clear(), SHOPS, ["shop"]).columns == whole.columns


@pytest.mark.parametrize(
    ("shops", "seen"),
    [(["a", "b", "a"], "shop: a"), (["1", "2", "1.0"], "shop: 1"), ([" b", "a", "b"], "shop: b")],
)
def test_a_key_that_stands_twice_in_the_table_is_named(shops: list[str], seen: str) -> None:
    table = pl.DataFrame({"shop": shops, "city": ["x", "y", "z"]})
    with pytest.raises(DataError, match="more than one row for a key") as caught:
        left_join(ROWS, table, ["shop"])
    assert caught.value.detail == seen


@pytest.mark.parametrize(("rows", "table"), [("Shop", "shop"), ("shop", "Shop")])
def test_a_key_that_a_table_lacks_is_named_with_the_near_name(rows: str, table: str) -> None:
    with pytest.raises(DataError, match="cannot be joined") as caught:
        left_join(ROWS.rename({"shop": rows}), SHOPS.rename({"shop": table}), ["shop"])
    assert "did you mean 'Shop'?" in caught.value.hint


def test_a_column_that_both_tables_have_is_not_dropped_in_silence() -> None:
    with pytest.raises(DataError, match="brings columns that are there already") as caught:
        left_join(ROWS, SHOPS.with_columns(y=1, day=2), ["shop"])
    assert caught.value.detail == "y, day"
    assert "data.join.columns" in caught.value.hint
