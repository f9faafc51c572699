"""The check that finds keys that identify groups of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from fieldcraft.checks.group_leakage import CHECK, is_repeated_key
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import data_context, run_check

ROWS = 600
KEYS = [f"p{(i * 7) % 90}" for i in range(ROWS)]


def look(name: str, cells: Any = KEYS, kind: str = "category", **fields: Any) -> list[Finding]:
    return run_check(CHECK, replace(data_context({name: cells}, **{name: kind}), **fields))


@pytest.mark.parametrize(
    "name", ["patient", "patient_id", "CustomerID", "user name", "machine-no", "Kunden_Nr", "mrn"]
)
def test_the_fix_for_repeated_keys_is_a_group_split(name: str) -> None:
    (finding,) = look(name)
    assert (finding.severity, finding.column) == ("warning", name)
    assert "6.7 rows for each of 90 values" in finding.title
    assert finding.fixes == (
        ConfigEdit(("data", "group"), name),
        ConfigEdit(("split", "strategy"), "group"),
        ConfigEdit(("data", "drop"), name, append=True),
    )


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("customer_segment", KEYS),
        ("households", KEYS),
        ("town", KEYS),
        ("patient_id", [f"p{i}" for i in range(ROWS)]),
        ("patient_id", ["in", "out"] * (ROWS // 2)),
        ("user_number", [f"{i % 90}.5" for i in range(ROWS)]),
    ],
    ids=["segment", "count", "town", "unique", "two values", "fractions"],
)
def test_other_columns_are_not_reported(name: str, cells: list[str]) -> None:
    assert look(name, cells, "number" if name == "user_number" else "category") == []


def test_consecutive_numbers_are_a_key() -> None:
    engines = [str(i // 20) for i in range(ROWS)]
    assert len(look("unit", engines, "number")) == 1
    assert look("unit", [str(i % 30) for i in range(ROWS)], "number") == []


def test_keys_of_unknown_meaning_are_an_info() -> None:
    (finding,) = look("ticket_id")
    assert (finding.severity, finding.column, finding.fixes) == ("info", "ticket_id", ())
    assert look("ticket_id", [f"p{i % 20}" for i in range(1_200)]) == []


def test_two_keys_have_no_fix() -> None:
    cells = {"user_id": KEYS, "device_id": KEYS[::-1]}
    findings = run_check(CHECK, data_context(cells, user_id="category", device_id="category"))
    assert [(f.severity, f.fixes) for f in findings] == [("warning", ()), ("warning", ())]


def test_declared_group_and_time_columns_are_respected() -> None:
    assert look("patient_id", group_column="patient_id") == []
    (finding,) = look("patient_id", time_column="day")
    assert (finding.severity, finding.fixes) == ("info", ())


def test_a_key_that_is_no_feature_is_not_dropped() -> None:
    view = data_context({"patient_id": KEYS})
    (finding,) = run_check(CHECK, view)
    assert [edit.path for edit in finding.fixes] == [("data", "group"), ("split", "strategy")]


def key_of(values: list[Any], name: str = "patient_id") -> bool:
    return is_repeated_key(ColumnProfile(pl.Series(name, values)))


@pytest.mark.parametrize(("values", "expected"), [(20, True), (19, False)])
def test_a_key_has_twenty_distinct_values(values: int, expected: bool) -> None:
    assert key_of([f"p{i % values}" for i in range(200)]) is expected


@pytest.mark.parametrize(("repeated", "expected"), [(30, True), (28, False)])
def test_a_key_has_thirty_percent_repeated_rows(repeated: int, expected: bool) -> None:
    assert key_of([f"p{i // 2 if i < repeated else i}" for i in range(100)]) is expected


@pytest.mark.parametrize(
    ("values", "rows", "expected"),
    [(40, 80, True), (40, 79, False), (40, 2_000, True), (40, 2_001, False)],
)
def test_keys_of_unknown_meaning_have_two_to_fifty_rows_per_value(
    values: int, rows: int, expected: bool
) -> None:
    assert key_of([f"t{i % values}" for i in range(rows)], "ticket_id") is expected
    assert key_of([f"t{i % values}" for i in range(rows)], "patient_id")


@pytest.mark.parametrize(("stretches", "expected"), [(2, True), (3, False)])
def test_numeric_keys_have_at_most_two_runs_per_value(stretches: int, expected: bool) -> None:
    values = [str(i) for _ in range(stretches) for i in range(30) for _ in range(4)]
    assert key_of(values, "unit") is expected
    assert key_of(values, "unit_no")
    assert not key_of([f"{value}.5" for value in values], "unit_no")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("id", True), ("session_uuid", True), ("id_type", False), ("zip_code", False),
        ("user_device_id", True), ("device_name", True), ("device_temperature", False),
    ],
)  # fmt: skip
def test_keys_are_recognized_by_name(name: str, expected: bool) -> None:
    assert key_of([f"p{i % 40}" for i in range(200)], name) is expected


def test_time_columns_and_targets_are_no_keys() -> None:
    assert look("patient_id", targets=("patient_id",)) == []
    assert look("patient_id", time_column="patient_id") == []


def test_keys_of_unknown_meaning_share_a_finding() -> None:
    cells = {"ticket_id": KEYS, "session_key": KEYS[::-1]}
    kinds = dict.fromkeys(cells, "category")
    (finding,) = run_check(CHECK, data_context(cells, **kinds))
    assert finding.title.startswith("2 keys have several rows for each value: ticket_id, session")
    assert finding.evidence["rows_per_value"]["ticket_id"] == pytest.approx(600 / 90)
    cells = {"ticket_id": KEYS, "patient_id": KEYS[::-1]}
    (finding,) = run_check(CHECK, data_context(cells, ticket_id="category", patient_id="category"))
    assert (finding.column, finding.evidence) == ("patient_id", {"distinct": 90, "rows": 600})
