"""Findings are kept the worst first, and checks of the model see judge rows only."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import polars as pl
import pytest

from fieldcraft.contracts import Sight
from fieldcraft.core import catalogue
from fieldcraft.data.table import Column, Schema
from fieldcraft.develop.checking import checks_of, judge_view, keep, kept
from fieldcraft.develop.rows import Development
from fieldcraft.evidence.metrics import Said
from fieldcraft.evidence.records import Finding


def test_findings_are_recorded_and_kept_the_worst_first(tmp_path: Path) -> None:
    given = [
        Finding("a", "tip", "A"), Finding("b", "warn", "B"), Finding("c", "stop", "C", "age"),
        Finding("d", "warn", "D"), Finding("e", "stop", "E"),
    ]  # fmt: skip
    recorded: list[tuple[str, str]] = []
    work: Any = SimpleNamespace(
        out=tmp_path, record=lambda what, body: recorded.append((what, body["code"]))
    )
    found = keep(given, work)
    assert [finding.code for finding in found] == ["c", "e", "b", "d", "a"]
    assert recorded == [("finding", code) for code in "cebda"]
    assert kept(tmp_path) == found
    assert kept(tmp_path / "of an older version") == []


@pytest.mark.parametrize("sight", get_args(Sight))
def test_checks_are_those_of_their_own_and_those_of_kinds(sight: Sight) -> None:
    own = {check.code for check in catalogue.load_all("checks") if check.looks_at == sight}
    of_kinds = {
        check.code
        for kind in catalogue.load_all("kinds")
        for check in kind.checks()
        if check.looks_at == sight
    }
    found = [check.code for check in checks_of(sight)]
    assert set(found) == own | of_kinds
    assert all(check.looks_at == sight for check in checks_of(sight))


def test_a_check_of_the_model_sees_the_judge_rows_in_their_order() -> None:
    frame = pl.DataFrame({"age": ["1", "2", "3", "4"], "name": ["a", "b", "c", "d"]})
    values = pl.DataFrame({"age": [1.0, 2.0, 3.0, 4.0]})
    schema, task = Schema((Column("age", "number"),), ("?",)), catalogue.load("tasks", "binary")
    y = np.array([0, 1, 0, 1])
    rows = Development(frame, values, y, [11, 12, 13, 14], [], schema, task, {"classes": []}, "")
    said = Said(np.zeros((2, 2)), np.zeros(2), np.zeros((2, 2)))
    view = judge_view(rows, np.array([3, 1]), said, ("y",))
    assert view.values["age"].to_list() == [4.0, 2.0]
    assert (list(view.rows), view.y.tolist()) == ([14, 12], [1, 1])  # type: ignore[union-attr]
    assert list(view.looks) == ["age"]
    assert (view.said, view.targets, view.task, view.about) == (said, ("y",), task, {"classes": []})
