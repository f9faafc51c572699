"""The check that compares targets between groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest, norm

from fieldcraft.checks.group_disparity import CHECK, GroupDifference, group_rows
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.bootstrap import ConfidenceInterval
from tests.checks.contexts import run_check, split_context

DRAW = np.random.default_rng(0)
ROWS = 900
GROUP = DRAW.choice(["f", "m"], ROWS)
UNEVEN = np.where(DRAW.random(ROWS) < np.where(GROUP == "f", 0.2, 0.5), "yes", "no")
EVEN = np.where(DRAW.random(ROWS) < 0.4, "yes", "no")


def look(y: Any, task: str = "binary", group: Any = GROUP, **fields: Any) -> list[Finding]:
    kind = "number" if np.asarray(group).dtype.kind in "if" else "category"
    view = split_context({"sex": group, "y": y}, task, sex=kind)
    return run_check(CHECK, replace(view, **fields))


@pytest.mark.parametrize(("groups", "severity"), [(("sex",), "warning"), ((), "info")])
def test_different_proportions_are_reported_with_intervals(
    groups: tuple[str, ...], severity: str
) -> None:
    (finding,) = look(UNEVEN, sensitive_features=groups)
    assert (finding.severity, finding.column, finding.fixes) == (severity, "sex", ())
    assert "the proportion of y yes differs by sex" in finding.title
    value, low, high = (finding.evidence if groups else finding.evidence["sex"])["f"]
    assert low < value < high < 0.3


@pytest.mark.parametrize("groups", [("sex",), ()])
def test_equal_proportions_are_not_reported(groups: tuple[str, ...]) -> None:
    assert look(EVEN, sensitive_features=groups) == []


def test_small_groups_are_not_compared() -> None:
    group = np.where(np.arange(ROWS) < 20, "x", "f")
    assert look(np.where(group == "x", "yes", EVEN), group=group) == []


def test_means_of_regression_targets_are_compared() -> None:
    amount = DRAW.normal(100, 10, ROWS)
    assert look(amount, "regression") == []
    (finding,) = look(amount + 8 * (GROUP == "m"), "regression")
    assert "the mean of y differs by sex" in finding.title
    assert "%" not in finding.title  # a value, not a proportion


def test_numbers_are_grouped_by_quartile() -> None:
    age = DRAW.integers(18, 90, ROWS)
    bought = np.where(DRAW.random(ROWS) < age / 120, "yes", "no")
    view = split_context({"age": age, "y": bought}, "binary", age="number")
    (finding,) = run_check(CHECK, view)
    assert "of up to 3" in finding.title
    assert "of over 7" in finding.title


def test_the_class_with_the_largest_difference_is_reported() -> None:
    grades = np.where(UNEVEN == "yes", "b", DRAW.choice(["a", "c"], ROWS))
    (finding,) = look(grades, "multiclass")
    assert "the proportion of y b differs" in finding.title


def test_suspected_columns_may_differ_in_different_classes() -> None:
    rng = np.random.default_rng(1)
    race = rng.choice(["p", "q"], ROWS)
    grades = np.where((GROUP == "f") & (rng.random(ROWS) < 0.6), "a", "c")
    grades = np.where((race == "q") & (rng.random(ROWS) < 0.6), "b", grades)
    view = split_context(
        {"sex": GROUP, "race": race, "y": grades}, "multiclass", sex="category", race="category"
    )
    (finding,) = run_check(CHECK, view)
    assert finding.title.startswith("targets differ between groups: the proportion of y c by sex (")
    assert ", the proportion of y b by race (" in finding.title


def test_labels_are_compared_separately() -> None:
    cells = {"sex": GROUP, "one": (EVEN == "yes") * 1, "two": (UNEVEN == "yes") * 1}
    (finding,) = run_check(CHECK, split_context(cells, "labels", ("one", "two"), sex="category"))
    assert "the proportion of two differs" in finding.title


def test_declared_non_features_are_compared() -> None:
    view = split_context({"sex": GROUP, "y": UNEVEN}, "binary", sex="category")
    hidden = replace(view, values=view.values.drop("sex"), sensitive_features=("sex",))
    (finding,) = run_check(CHECK, replace(hidden, schema=replace(view.schema, columns=())))
    assert finding.severity == "warning"


def counted(groups: dict[str, tuple[int, int]], declared: bool = True) -> list[Finding]:
    """Return the findings for groups, given as numbers of positive rows and of rows."""
    cells = [(name, i < hits) for name, (hits, rows) in groups.items() for i in range(rows)]
    sex, hits = zip(*cells, strict=True)
    return look(
        np.where(hits, "yes", "no"), group=list(sex), sensitive_features=("sex",) * declared
    )


@pytest.mark.parametrize("count", [2, 3, 8])
def test_intervals_of_proportions_have_a_bonferroni_correction(count: int) -> None:
    sizes = {f"g{i}": (20 + 40 * i, 400) for i in range(count)}
    (finding,) = counted(sizes)
    level = 1 - 0.05 / count  # Bonferroni
    for name, (hits, rows) in sizes.items():
        test = binomtest(hits, rows)
        interval = test.proportion_ci(level, method="wilson")
        expected = [hits / rows, interval.low, interval.high]
        np.testing.assert_allclose(finding.evidence[name], expected, rtol=1e-9)


def test_many_groups_need_larger_differences() -> None:
    apart = {"a": (60, 200), "b": (84, 200)}  # Wilson at 97.5 %: .235 to .375 and .345 to .500
    z = norm.ppf(0.975)
    middle = [(h / 200 + z * z / 400) / (1 + z * z / 200) for h, _ in apart.values()]
    assert middle[0] < middle[1]
    assert counted(apart) == []
    apart = {"a": (60, 200), "b": (100, 200)}
    assert len(counted(apart)) == 1
    others = {f"c{i}": (80, 200) for i in range(20)}
    assert counted(apart | others) == []  # wider intervals touch


def test_means_have_normal_intervals_at_the_same_level() -> None:
    group = np.repeat(["f", "m", "x"], 300)
    amount = np.tile(np.arange(300.0), 3) + np.repeat([0, 100, 0], 300)
    (finding,) = look(amount, "regression", group, sensitive_features=("sex",))
    half = norm.ppf(1 - 0.05 / 3 / 2) * np.arange(300).std() / 300**0.5
    for name, mean in {"f": 149.5, "m": 249.5, "x": 149.5}.items():
        np.testing.assert_allclose(finding.evidence[name], [mean, mean - half, mean + half])


@pytest.mark.parametrize(("lower", "reported"), [(4_000, True), (4_010, False)])
def test_ratios_below_four_fifths_are_reported(lower: int, reported: bool) -> None:
    assert bool(counted({"f": (lower, 10_000), "m": (5_000, 10_000)})) == reported


@pytest.mark.parametrize(("apart", "reported"), [(0.202, True), (0.200, False)])
def test_means_must_differ_by_a_fifth_of_a_standard_deviation(apart: float, reported: bool) -> None:
    group = np.repeat(["f", "m"], 5_000)
    amount = np.tile([-1.0, 1.0], 5_000) + apart * (group == "m")  # deviation 1 + apart^2 / 4
    assert bool(look(amount, "regression", group)) == reported


@pytest.mark.parametrize(("rows", "reported"), [(30, True), (29, False)])
def test_groups_need_thirty_rows(rows: int, reported: bool) -> None:
    assert bool(counted({"f": (rows, rows), "m": (100, 500)})) == reported


def test_quartiles_are_groups_without_missing_values() -> None:
    ages = pl.Series("age", [None, *range(200)], dtype=pl.Float64)
    groups = group_rows(ages)
    assert list(groups) == ["up to 49.75", "up to 99.5", "up to 149.25", "over 149.25"]
    assert [rows.tolist() for rows in groups.values()] == [
        list(range(start, start + 50)) for start in (1, 51, 101, 151)
    ]
    few = group_rows(pl.Series("age", [float(i % 30) for i in range(900)]))
    assert len(few) == 30  # few enough to be groups by themselves


def test_only_the_thirty_most_frequent_categories_are_groups() -> None:
    words = [f"w{i:02}" for i in range(31) for _ in range(30 + i)]
    assert "w00" not in group_rows(pl.Series("town", words))
    assert len(group_rows(pl.Series("town", words))) == 30


def test_the_lowest_and_the_highest_group_are_named() -> None:
    (finding,) = counted({"f": (100, 1_000), "m": (500, 1_000), "x": (300, 1_000)})
    low, high = finding.title.index("10.0% of f ("), finding.title.index("50.0% of m (")
    assert low < high
    assert "of x" not in finding.title


def test_declared_columns_are_warnings_and_suspected_ones_an_info() -> None:
    view = split_context(
        {"sex": GROUP, "race": GROUP, "town": GROUP, "y": UNEVEN}, "binary",
        sex="category", race="category", town="category",
    )  # fmt: skip
    findings = run_check(CHECK, replace(view, sensitive_features=("sex",)))
    assert [(f.severity, f.column) for f in findings] == [("warning", "sex"), ("info", "race")]


def test_a_difference_is_from_the_lowest_to_the_highest_group() -> None:
    groups = {"f": ConfidenceInterval(0.2, 0.1, 0.3), "m": ConfidenceInterval(0.5, 0.4, 0.6)}
    apart = GroupDifference("sex", "the proportion of y", "f", "m", groups, is_fraction=True)
    assert (apart.difference, apart.ratio, apart.is_significant) == (0.3, 0.4, True)
    assert apart.describe() == "20.0% of f (10.0% to 30.0%), 50.0% of m (40.0% to 60.0%)"
    near = replace(
        apart, intervals=groups | {"m": ConfidenceInterval(0.5, 0.3, 0.6)}, is_fraction=False
    )
    assert not near.is_significant  # the intervals touch
    assert near.describe() == "0.2000 for f (0.1000 to 0.3000), 0.5000 for m (0.3000 to 0.6000)"
    none = replace(
        apart, intervals={"f": ConfidenceInterval(0, 0, 0), "m": ConfidenceInterval(0, 0, 0)}
    )
    assert none.ratio == 1


def test_the_largest_difference_is_reported_over_all_classes() -> None:
    group = np.repeat(["f", "m"], 1_000)
    counts = {"f": (700, 100, 200), "m": (550, 400, 50)}  # of a, b and c
    grades = [
        c for name in "fm" for c, n in zip("abc", counts[name], strict=True) for _ in range(n)
    ]
    (finding,) = look(grades, "multiclass", group)
    assert "the proportion of y b differs by sex (10.0% of f" in finding.title
