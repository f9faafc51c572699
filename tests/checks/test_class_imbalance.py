"""The check that reports classes with few rows."""

from __future__ import annotations

import pytest

from fieldcraft.checks.class_imbalance import CHECK
from tests.checks.contexts import join_titles, run_check, split_context


def table(**counts: int) -> dict[str, list[str]]:
    """Return a table with this many rows of each class."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    return {"a": [str(i) for i in range(len(labels))], "y": labels}


def test_balanced_classes_are_not_reported() -> None:
    assert run_check(CHECK, split_context(table(u=120, v=80), "binary", a="number")) == []


def test_a_rare_class_is_reported_with_its_fraction() -> None:
    (finding,) = run_check(CHECK, split_context(table(u=970, v=30), "binary", a="number"))
    assert finding.severity == "info"
    assert "class v has 30 of 1,000 training rows (3.0%)" in finding.title
    assert finding.evidence == {"counts": {"u": 970, "v": 30}}


def test_classes_too_small_to_learn_are_a_warning() -> None:
    (finding,) = run_check(CHECK, split_context(table(u=90, v=9, w=3), "multiclass", a="number"))
    assert finding.severity == "warning"
    assert "2 classes with fewer than 10 training rows" in finding.title
    assert "(1 with fewer than 5, one for each fold): w, v" in finding.title


def test_rare_and_too_small_classes_are_separate_findings() -> None:
    few, rare = run_check(CHECK, split_context(table(u=900, v=20, w=3), "multiclass", a="number"))
    assert (few.severity, rare.severity) == ("warning", "info")
    assert "class v has 20" in rare.title


def test_both_values_of_each_label_are_checked() -> None:
    cells = {
        "a": list(map(str, range(400))),
        "even": [i % 2 for i in range(400)],
        "seldom": [int(i < 4) for i in range(400)],
        "always": [int(i > 15) for i in range(400)],
    }
    view = split_context(cells, "labels", targets=("even", "seldom", "always"), a="number")
    few, rare = run_check(CHECK, view)
    assert "1 label with fewer than 10 training rows" in few.title
    assert few.evidence == {"counts": {"even": 200, "seldom": 4, "always": 16}}
    assert "label always has 16 of 400" in rare.title


def test_rarity_depends_on_the_number_of_classes() -> None:
    even = {f"c{i}": 25 for i in range(40)}  # 2.5% each, but balanced
    assert (
        join_titles(run_check(CHECK, split_context(table(**even), "multiclass", a="number"))) == ""
    )


def test_regression_targets_are_not_checked() -> None:
    cells = {"a": ["1"] * 50, "y": [str(i) for i in range(50)]}
    assert run_check(CHECK, split_context(cells, "regression", a="number")) == []


@pytest.mark.parametrize(("count", "rare"), [(49, True), (50, False)])
def test_a_class_is_rare_below_a_tenth_of_an_even_share(count: int, rare: bool) -> None:
    findings = run_check(
        CHECK, split_context(table(u=1_000 - count, v=count), "binary", a="number")
    )
    assert [f.severity for f in findings] == ["info"] * rare


@pytest.mark.parametrize(("classes", "count", "rare"), [(4, 24, True), (4, 25, False)])
def test_an_even_share_is_that_of_one_class(classes: int, count: int, rare: bool) -> None:
    others = dict.fromkeys("uvw"[: classes - 1], (1_000 - count) // (classes - 1))
    others["u"] += 1_000 - count - sum(others.values())
    findings = run_check(CHECK, split_context(table(**others, x=count), "multiclass", a="number"))
    assert bool(findings) is rare


@pytest.mark.parametrize(
    ("count", "title"),
    [
        (
            4,
            "1 class with fewer than 10 training rows (1 with fewer than 5, one for each fold): v",
        ),
        (5, "1 class with fewer than 10 training rows: v"),
        (9, "1 class with fewer than 10 training rows: v"),
        (10, "class v has 10 of 1,000 training rows (1.0%)"),
    ],
)
def test_thresholds_of_rows_per_class(count: int, title: str) -> None:
    (finding,) = run_check(
        CHECK, split_context(table(u=1_000 - count, v=count), "binary", a="number")
    )
    assert finding.title == title
    assert finding.fixes == ()


def test_the_title_counts_further_rare_classes() -> None:
    (finding,) = run_check(CHECK, split_context(table(u=900, v=12, w=11), "multiclass", a="number"))
    assert finding.title == "class w has 11 of 923 training rows (1.2%), 1 more are rare"


@pytest.mark.parametrize(("count", "rare"), [(49, True), (50, False), (951, True), (950, False)])
def test_the_rarer_value_of_a_label_counts(count: int, rare: bool) -> None:
    cells = {"a": list(range(1_000)), "tag": [int(i < count) for i in range(1_000)]}
    view = split_context(cells, "labels", targets=("tag",), a="number")
    assert bool(run_check(CHECK, view)) is rare


def test_five_small_classes_are_listed_the_smallest_first() -> None:
    counts = {name: 3 + i for i, name in enumerate("fedcba")}
    (finding,) = run_check(
        CHECK, split_context(table(u=30, v=30, **counts), "multiclass", a="number")
    )
    assert "6 classes with fewer than 10 training rows (2 with fewer" in finding.title
    assert finding.title.endswith(": f, e, d, c, b, ...")
