"""Findings are kept the worst first, and checks of the model see judge rows only."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest

from fieldcraft.contracts import CheckScope
from fieldcraft.core import catalog
from fieldcraft.data.schema import Column, Schema
from fieldcraft.ledger.records import Finding
from fieldcraft.modeling.check_runner import (
    checks_for_scope,
    load_findings,
    make_evaluation_context,
    save_findings,
)
from fieldcraft.modeling.dataset import ModelingDataset
from fieldcraft.statistics.metrics import Predictions


def test_findings_are_recorded_and_kept_the_worst_first(tmp_path: Path) -> None:
    given = [
        Finding("a", "info", "A"), Finding("b", "warning", "B"), Finding("c", "error", "C", "age"),
        Finding("d", "warning", "D"), Finding("e", "error", "E"),
    ]  # fmt: skip
    recorded: list[tuple[str, str]] = []
    work: Any = SimpleNamespace(
        out=tmp_path, log_record=lambda what, body: recorded.append((what, body["code"]))
    )
    found = save_findings(given, work)
    assert [finding.code for finding in found] == ["c", "e", "b", "d", "a"]
    assert recorded == [("finding", code) for code in "cebda"]
    assert load_findings(tmp_path) == found
    assert load_findings(tmp_path / "of an older version") == []


@pytest.mark.parametrize("sight", get_args(CheckScope))
def test_checks_are_those_of_their_own_and_those_of_kinds(sight: CheckScope) -> None:
    own = {check.code for check in catalog.load_plugins("checks") if check.scope == sight}
    of_kinds = {
        check.code
        for kind in catalog.load_plugins("kinds")
        for check in kind.checks()
        if check.scope == sight
    }
    found = [check.code for check in checks_for_scope(sight)]
    assert set(found) == own | of_kinds
    assert all(check.scope == sight for check in checks_for_scope(sight))


def test_a_check_of_the_model_sees_the_judge_rows_in_their_order() -> None:
    frame = pl.DataFrame({"age": ["1", "2", "3", "4"], "name": ["a", "b", "c", "d"]})
    values = pl.DataFrame({"age": [1.0, 2.0, 3.0, 4.0]})
    schema, task = (
        Schema((Column("age", "number"),), ("?",)),
        catalog.load_plugin("tasks", "binary"),
    )
    y = np.array([0, 1, 0, 1])
    rows = ModelingDataset(
        frame, values, y, [11, 12, 13, 14], [], schema, task, {"classes": []}, ""
    )
    said = Predictions(np.zeros((2, 2)), np.zeros(2), np.zeros((2, 2)))
    view = make_evaluation_context(rows, np.array([3, 1]), said, ("y",))
    assert view.values["age"].to_list() == [4.0, 2.0]
    assert (list(view.row_numbers), view.y.tolist()) == ([14, 12], [1, 1])  # type: ignore[union-attr]
    assert list(view.column_profiles) == ["age"]
    assert (view.predictions, view.targets, view.task, view.target_spec) == (
        said,
        ("y",),
        task,
        {"classes": []},
    )
