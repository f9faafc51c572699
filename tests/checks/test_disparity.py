"""The check that compares targets between groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.disparity import CHECK
from fieldcraft.evidence.records import Finding
from tests.checks.views import found, split_view

DRAW = np.random.default_rng(0)
ROWS = 900
GROUP = DRAW.choice(["f", "m"], ROWS)
UNEVEN = np.where(DRAW.random(ROWS) < np.where(GROUP == "f", 0.2, 0.5), "yes", "no")
EVEN = np.where(DRAW.random(ROWS) < 0.4, "yes", "no")


def look(y: Any, task: str = "binary", group: Any = GROUP, **fields: Any) -> list[Finding]:
    kind = "number" if np.asarray(group).dtype.kind in "if" else "category"
    view = split_view({"sex": group, "y": y}, task, sex=kind)
    return found(CHECK, replace(view, **fields))


@pytest.mark.parametrize(("groups", "severity"), [(("sex",), "warn"), ((), "tip")])
def test_unequal_shares_are_told_with_their_intervals(
    groups: tuple[str, ...], severity: str
) -> None:
    (finding,) = look(UNEVEN, groups=groups)
    assert (finding.severity, finding.column, finding.fixes) == (severity, "sex", ())
    assert "the share of y yes differs by sex" in finding.title
    value, low, high = (finding.evidence if groups else finding.evidence["sex"])["f"]
    assert low < value < high < 0.3


@pytest.mark.parametrize("groups", [("sex",), ()])
def test_equal_shares_are_not_reported(groups: tuple[str, ...]) -> None:
    assert look(EVEN, groups=groups) == []


def test_a_small_group_proves_nothing() -> None:
    group = np.where(np.arange(ROWS) < 20, "x", "f")
    assert look(np.where(group == "x", "yes", EVEN), group=group) == []


def test_means_of_amounts_are_compared() -> None:
    amount = DRAW.normal(100, 10, ROWS)
    assert look(amount, "regression") == []
    (finding,) = look(amount + 8 * (GROUP == "m"), "regression")
    assert "the mean of y differs by sex" in finding.title


def test_a_number_is_cut_into_quarters() -> None:
    age = DRAW.integers(18, 90, ROWS)
    bought = np.where(DRAW.random(ROWS) < age / 120, "yes", "no")
    view = split_view({"age": age, "y": bought}, "binary", age="number")
    (finding,) = found(CHECK, view)
    assert "of up to 3" in finding.title
    assert "of over 7" in finding.title


def test_of_many_classes_the_most_unequal_is_told() -> None:
    grades = np.where(UNEVEN == "yes", "b", DRAW.choice(["a", "c"], ROWS))
    (finding,) = look(grades, "multiclass")
    assert "the share of y b differs" in finding.title


def test_labels_are_compared_one_by_one() -> None:
    cells = {"sex": GROUP, "one": (EVEN == "yes") * 1, "two": (UNEVEN == "yes") * 1}
    (finding,) = found(CHECK, split_view(cells, "labels", ("one", "two"), sex="category"))
    assert "the share of two differs" in finding.title


def test_a_declared_column_that_no_model_sees_is_compared_too() -> None:
    view = split_view({"sex": GROUP, "y": UNEVEN}, "binary", sex="category")
    hidden = replace(view, values=view.values.drop("sex"), groups=("sex",))
    (finding,) = found(CHECK, replace(hidden, schema=replace(view.schema, columns=())))
    assert finding.severity == "warn"
