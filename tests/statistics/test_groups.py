"""Groups are values, or quartiles of numbers; missing values are a group too."""

from __future__ import annotations

import polars as pl

from fieldcraft.statistics.groups import assign_groups, groups_in_order, name_ranges, quartile_edges


def test_a_few_numbers_and_missing_values_are_groups() -> None:
    codes, order = groups_in_order(pl.Series("n", [2.0, 10.0, None, 2.0]))
    assert codes.to_list() == ["2", "10", "(missing)", "2"]
    assert order == ["2", "10", "(missing)"]
    codes, order = groups_in_order(pl.Series("b", [True, None, True]))
    assert codes.to_list() == ["true", "(missing)", "true"]
    assert order[0] == "true"
    many = pl.Series("n", [*map(float, range(40)), None])
    codes, order = groups_in_order(many)
    assert codes[-1] == "(missing)"
    assert set(codes) == set(order)


def test_equal_quartiles_are_one_edge() -> None:
    codes, order = groups_in_order(pl.Series("n", [0.0] * 80 + [float(i) for i in range(1, 21)]))
    assert set(codes) <= set(order)
    assert len(set(order)) == len(order)


def test_stored_edges_group_later_rows_the_same_way() -> None:
    edges = quartile_edges(pl.Series([float(number) for number in range(101)]))
    assert edges == [25, 50, 75]
    assert name_ranges(edges) == ["up to 25", "25 to 50", "50 to 75", "above 75"]
    later = pl.Series([-4.0, 25.0, 25.1, None, 900.0])
    assert assign_groups(later, edges).to_list() == [
        "up to 25",
        "up to 25",
        "25 to 50",
        None,
        "above 75",
    ]
    assert quartile_edges(pl.Series(["a", "b"])) == []
    assert assign_groups(pl.Series([1, 2], dtype=pl.Int64), []).to_list() == ["1", "2"]


def test_more_than_twelve_numbers_are_grouped_by_quartile() -> None:
    few = pl.Series([float(i % 12) for i in range(60)])
    many = pl.Series([float(i % 13) for i in range(65)])
    assert quartile_edges(few) == []
    assert quartile_edges(many) == [3, 6, 9]
    codes, order = groups_in_order(many)
    assert order == ["up to 3", "3 to 6", "6 to 9", "above 9", "(missing)"]
    assert codes.value_counts().sort("group").rows() == [
        ("3 to 6", 15), ("6 to 9", 15), ("above 9", 15), ("up to 3", 20),
    ]  # fmt: skip


def test_groups_of_categories_are_sorted_by_size() -> None:
    codes, order = groups_in_order(pl.Series("place", ["x", "y", "y", None, "y", "x"]))
    assert order == ["y", "x", "(missing)"]
    assert codes.name == "group"
