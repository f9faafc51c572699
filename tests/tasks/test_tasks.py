"""What targets are taken for, by all tasks together."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.errors import DataError
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.stages.init import infer_task

ROWS = 200
AMOUNTS = np.random.default_rng(0).normal(100, 20, ROWS)


def build_profiles(*targets: list[Any]) -> list[ColumnProfile]:
    """A look at each target column."""
    return [ColumnProfile(pl.Series(f"y{i}", cells)) for i, cells in enumerate(targets)]


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (["yes", "no"] * 100, "binary"),
        ([0, 1] * 100, "binary"),
        ([True, False] * 100, "binary"),
        (["a", "b", "c", "d"] * 50, "multiclass"),
        ([str(i % 5) for i in range(ROWS)], "multiclass"),
        ([i % 5 for i in range(ROWS)], "multiclass"),
        ([i % 11 for i in range(ROWS)], "regression"),  # too many to be names
        ([(i % 5) / 2 for i in range(ROWS)], "regression"),
        (AMOUNTS.tolist(), "regression"),
        ([f"{v:.2f}" for v in AMOUNTS], "regression"),
    ],
)
def test_a_target_asks_for_what_its_values_suggest(target: list[Any], task: str) -> None:
    assert infer_task(build_profiles(target), None).name == task


@pytest.mark.parametrize("target", [["x"] * ROWS, [None] * ROWS, [f"k{i}" for i in range(ROWS)]])
def test_a_target_that_nothing_can_be_learned_of_is_refused(target: list[Any]) -> None:
    with pytest.raises(DataError, match="no task fits the target 'y0'"):
        infer_task(build_profiles(target), None)


@pytest.mark.parametrize(
    "columns",
    [
        ([0, 1] * 100, [1, 1, 0, 1] * 50),
        (["yes", "no"] * 100, ["T", "F"] * 100, [True, False] * 100),
    ],
)
def test_several_columns_of_yes_and_no_are_labels(columns: tuple[list[Any], ...]) -> None:
    assert infer_task(build_profiles(*columns), None).name == "multilabel"


@pytest.mark.parametrize(
    "columns", [([0, 1] * 100, [0, 1, 2, 3] * 50), (["a", "b"] * 100, ["yes", "no"] * 100)]
)
def test_several_columns_of_something_else_are_refused(columns: tuple[list[Any], ...]) -> None:
    with pytest.raises(DataError, match="several targets must be boolean columns"):
        infer_task(build_profiles(*columns), None)


def test_several_columns_are_nothing_else_than_labels() -> None:
    several = build_profiles(["yes", "no"] * 100, ["yes", "no"] * 100)
    guesses = [task.infer(several) for task in catalog.load_plugins("tasks")]
    assert [inference.name for inference in guesses if inference] == ["multilabel"]


def test_an_order_is_never_guessed_but_taken_at_the_users_word() -> None:
    grades = build_profiles([str(i % 5) for i in range(ROWS)])
    assert infer_task(grades, "ordinal").name == "ordinal"
    assert "'ordinal'" in infer_task(grades, None).reason
