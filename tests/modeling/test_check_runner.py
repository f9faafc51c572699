"""Findings are saved by severity, and model checks see evaluation rows only."""

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


def test_findings_are_recorded_and_saved_by_severity(tmp_path: Path) -> None:
    given = [
        Finding("a", "info", "A"), Finding("b", "warning", "B"), Finding("c", "error", "C", "age"),
        Finding("d", "warning", "D"), Finding("e", "error", "E"),
    ]  # fmt: skip
    recorded: list[tuple[str, str]] = []
    work: Any = SimpleNamespace(
        out=tmp_path, log_record=lambda what, body: recorded.append((what, body["code"]))
    )
    saved = save_findings(given, work)
    assert [finding.code for finding in saved] == ["c", "e", "b", "d", "a"]
    assert recorded == [("finding", code) for code in "cebda"]
    assert load_findings(tmp_path) == saved
    assert load_findings(tmp_path / "of an older version") == []


@pytest.mark.parametrize("scope", get_args(CheckScope))
def test_a_scope_has_its_checks_and_those_of_kinds(scope: CheckScope) -> None:
    own = {check.code for check in catalog.load_plugins("checks") if check.scope == scope}
    of_kinds = {
        check.code
        for kind in catalog.load_plugins("kinds")
        for check in kind.checks()
        if check.scope == scope
    }
    codes = [check.code for check in checks_for_scope(scope)]
    assert set(codes) == own | of_kinds
    assert all(check.scope == scope for check in checks_for_scope(scope))


def test_the_evaluation_context_holds_evaluation_rows_in_order() -> None:
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
    predictions = Predictions(np.zeros((2, 2)), np.zeros(2), np.zeros((2, 2)))
    context = make_evaluation_context(rows, np.array([3, 1]), predictions, ("y",))
    assert context.values["age"].to_list() == [4.0, 2.0]
    assert (list(context.row_numbers), context.y.tolist()) == ([14, 12], [1, 1])  # type: ignore[union-attr]
    assert list(context.column_profiles) == ["age"]
    assert (context.predictions, context.targets, context.task, context.target_spec) == (
        predictions,
        ("y",),
        task,
        {"classes": []},
    )
