"""Checks that belong to a kind: outliers, names of rows, columns that never change."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.contracts import Check
from fieldcraft.core.edit import Edit
from fieldcraft.kinds.constant.audit import Constants
from fieldcraft.kinds.identifier.audit import Identifiers
from fieldcraft.kinds.number.audit import Outliers
from tests.checks.views import data_view, found

DRAW = np.random.default_rng(0)
AMOUNTS = DRAW.normal(50, 10, 500).round(2).tolist()
SKEWED = DRAW.exponential(size=500).round(3).tolist()


def cells(values: list[float]) -> dict[str, list[str]]:
    return {"x": [str(value) for value in values]}


@pytest.mark.parametrize("far", [[1e6], [-400.0], [1e6, 2e6, -5e5]])
def test_values_far_from_the_rest_are_shown_with_their_rows(far: list[float]) -> None:
    (finding,) = found(Outliers(), data_view(cells([*AMOUNTS, *far]), x="number"))
    assert finding.severity == "tip"
    assert finding.evidence["values"] == far
    assert finding.evidence["rows"] == list(range(501, 501 + len(far)))
    assert f"{far[0]:g}" in finding.title


def test_the_fix_cuts_far_values_to_the_range_of_the_others() -> None:
    (finding,) = found(Outliers(), data_view(cells([*AMOUNTS, 1e6, -1e6]), x="number"))
    (edit,) = finding.fixes
    assert edit.path == ("clean", "clip", "x")
    low, high = edit.value
    assert min(AMOUNTS) <= low < 30 < 70 < high <= max(AMOUNTS)


@pytest.mark.parametrize(
    "values",
    [
        AMOUNTS,
        [*AMOUNTS, 110.0],  # far, but not out of the world
        SKEWED,
        [*AMOUNTS, *[1e6] * 9],  # a tail, not a set of mistakes
        [*[0.0] * 490, *AMOUNTS[:10]],  # mostly zero
        [1.0, 2.0, 1e9],  # too few rows to tell
    ],
    ids=["normal", "edge", "skewed", "tail", "zeros", "few"],
)
def test_a_shape_is_no_outlier(values: list[float]) -> None:
    assert found(Outliers(), data_view(cells(values), x="number")) == []


def test_gaps_do_not_hide_outliers() -> None:
    view = data_view({"x": ["", *map(str, AMOUNTS), "", "1e6"]}, x="number")
    (finding,) = found(Outliers(), view)
    assert finding.evidence["rows"] == [503]


KEYS = [f"k{i}" for i in range(60)]
COUNTER = [str(i) for i in range(60)]
GROUPS = [f"g{i % 7}" for i in range(60)]


def check_one(check: Check, column: list[str], kind: str) -> list[tuple[str, tuple[Edit, ...]]]:
    findings = found(check, data_view({"x": column}, x=kind))
    assert all(finding.column == "x" for finding in findings)
    return [(finding.severity, finding.fixes) for finding in findings]


@pytest.mark.parametrize(
    ("column", "kind"), [(KEYS, "category"), (COUNTER, "number"), (COUNTER, "category")]
)
def test_a_name_of_rows_that_is_used_as_a_feature_is_a_warning(
    column: list[str], kind: str
) -> None:
    fix = Edit(("data", "columns", "x", "kind"), "identifier")
    assert check_one(Identifiers(), column, kind) == [("warn", (fix,))]


def test_a_name_of_rows_that_is_set_aside_is_mentioned() -> None:
    assert check_one(Identifiers(), KEYS, "identifier") == [("tip", ())]


@pytest.mark.parametrize(
    ("column", "kind"), [(GROUPS, "category"), ([str(v) for v in AMOUNTS], "number")]
)
def test_a_feature_is_no_name_of_rows(column: list[str], kind: str) -> None:
    assert check_one(Identifiers(), column, kind) == []


@pytest.mark.parametrize("column", [["x"] * 40, [""] * 40])
def test_a_column_that_never_changes_is_to_be_set_aside(column: list[str]) -> None:
    fix = Edit(("data", "columns", "x", "kind"), "constant")
    assert check_one(Constants(), column, "category") == [("warn", (fix,))]
    assert check_one(Constants(), column, "constant") == [("tip", ())]


@pytest.mark.parametrize("column", [["x", "y"] * 20, ["x", ""] * 20])
def test_a_column_that_changes_or_has_gaps_is_left_alone(column: list[str]) -> None:
    assert check_one(Constants(), column, "category") == []
