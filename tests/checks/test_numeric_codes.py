"""The check that finds numeric codes of categories."""

from __future__ import annotations

from typing import Any

import pytest

from fieldcraft.checks.numeric_codes import CHECK
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.schema import Column
from tests.checks.contexts import data_context, run_check

FEW = [str([20, 60, 75, 90][i % 4]) for i in range(400)]


@pytest.mark.parametrize("name", ["MS SubClass", "branch_code", "regionType", "status"])
def test_codes_have_a_category_fix(name: str) -> None:
    (finding,) = run_check(CHECK, data_context({name: FEW}, **{name: "number"}))
    assert (finding.severity, finding.column) == ("info", name)
    assert finding.fixes == (ConfigEdit(("data", "columns", name, "kind"), "category"),)


def test_geographic_codes_may_have_many_values() -> None:
    codes = [str(1000 + i % 150) for i in range(1_500)]
    assert len(run_check(CHECK, data_context({"zip": codes}, zip="number"))) == 1
    assert run_check(CHECK, data_context({"item_type": codes}, item_type="number")) == []


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("rooms", FEW),
        ("age_group", FEW),  # ordered
        ("classification", FEW),
        ("status", [f"{i % 4}.5" for i in range(400)]),
        ("status", ["0", "1"] * 200),
        ("status", [str(i % 90) for i in range(180)]),
        ("code", [str(i % 9 - 4) for i in range(400)]),
    ],
)
def test_quantities_and_ordered_values_are_not_reported(name: str, cells: list[str]) -> None:
    assert run_check(CHECK, data_context({name: cells}, **{name: "number"})) == []


def test_codes_share_a_finding_without_columns_with_options() -> None:
    cells: dict[str, Any] = {f"code_{i}": FEW for i in range(5)}
    kinds: dict[str, Any] = dict.fromkeys(cells, "number")
    kinds["code_4"] = Column("code_4", "number", {"decimal": ","})
    (finding,) = run_check(CHECK, data_context(cells, **kinds))
    assert finding.title.startswith("4 columns of numbers may be codes")
    assert len(finding.fixes) == 4


@pytest.mark.parametrize(
    ("name", "values", "rows", "reported"),
    [
        ("branch", 100, 1_000, True),
        ("branch", 101, 1_010, False),
        ("zip", 101, 1_010, True),
        ("branch", 3, 300, True),
        ("branch", 2, 300, False),
        ("branch", 60, 300, True),  # five rows per value
        ("branch", 60, 299, False),
    ],
)
def test_thresholds_of_codes(name: str, values: int, rows: int, reported: bool) -> None:
    cells = {name: [str(i % values) for i in range(rows)]}
    findings = run_check(CHECK, data_context(cells, **{name: "number"}))
    assert [f.evidence for f in findings] == [{"distinct": {name: values}}] * reported
    for finding in findings:
        assert (
            finding.title
            == f"the numbers of {name} ({values} values) may be codes without an order"
        )


def test_zero_can_be_a_code_but_ordered_names_are_none() -> None:
    cells = [str(i % 5) for i in range(100)]
    assert len(run_check(CHECK, data_context({"status": cells}, status="number"))) == 1
    assert run_check(CHECK, data_context({"status_level": cells}, status_level="number")) == []
