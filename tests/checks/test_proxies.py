"""The check that finds columns which tell a sensitive one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.proxies import CHECK
from fieldcraft.evidence.records import Finding
from tests.checks.views import data_view, found

DRAW = np.random.default_rng(0)
ROWS = 900
SEX = DRAW.choice(["f", "m"], ROWS)
TITLE = np.where(DRAW.random(ROWS) < 0.1, "Dr", np.where(SEX == "f", "Mrs", "Mr"))
NOISE = DRAW.normal(size=ROWS)


def look(**columns: tuple[Any, str]) -> list[Finding]:
    cells = {name: column for name, (column, _) in columns.items()}
    return found(CHECK, data_view(cells, **{name: kind for name, (_, kind) in columns.items()}))


def test_columns_that_tell_nothing_are_not_reported() -> None:
    assert look(sex=(SEX, "category"), noise=(NOISE, "number")) == []
    assert look(title=(TITLE, "category"), noise=(NOISE, "number")) == []


def test_a_column_that_tells_the_group_is_named_with_its_power() -> None:
    (finding,) = look(sex=(SEX, "category"), title=(TITLE, "category"), noise=(NOISE, "number"))
    assert (finding.severity, finding.column, finding.fixes) == ("tip", "sex", ())
    told = finding.evidence["told"]["sex"]
    assert list(told) == ["title"]
    assert told["title"] == pytest.approx(0.9, abs=0.05)


def test_a_sensitive_number_is_told_by_its_rank() -> None:
    age = np.where(DRAW.random(ROWS) < 0.05, np.nan, DRAW.uniform(18, 80, ROWS))
    seniority = np.maximum(0, np.nan_to_num(age, nan=40) - 25) + DRAW.uniform(0, 9, ROWS)
    (finding,) = look(age=(age, "number"), seniority=(seniority, "number"))
    assert finding.column == "age"


def test_sensitive_columns_are_no_proxies_of_each_other() -> None:
    assert look(sex=(SEX, "category"), gender=(SEX, "category")) == []


def test_a_declared_column_that_no_model_sees_is_still_told() -> None:
    view = data_view({"group": SEX, "title": TITLE}, title="category")
    assert found(CHECK, view) == []
    (finding,) = found(CHECK, replace(view, groups=("group",)))
    assert finding.column == "group"
