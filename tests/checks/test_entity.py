"""The check that finds keys whose rows belong together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fieldcraft.checks.entity import CHECK
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding
from tests.checks.views import data_view, found

ROWS = 600
KEYS = [f"p{(i * 7) % 90}" for i in range(ROWS)]


def look(name: str, cells: Any = KEYS, kind: str = "category", **fields: Any) -> list[Finding]:
    return found(CHECK, replace(data_view({name: cells}, **{name: kind}), **fields))


@pytest.mark.parametrize(
    "name", ["patient", "patient_id", "CustomerID", "user name", "machine-no", "Kunden_Nr", "mrn"]
)
def test_a_person_or_machine_with_several_rows_is_to_stay_on_one_side(name: str) -> None:
    (finding,) = look(name)
    assert (finding.severity, finding.column) == ("warn", name)
    assert "6.7 rows for each of 90 values" in finding.title
    assert finding.fixes == (
        Edit(("data", "entity"), name),
        Edit(("split", "rule"), "entity"),
        Edit(("data", "drop"), name, add=True),
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
    ids=["segment", "count", "town", "one row each", "two values", "fractions"],
)
def test_other_columns_are_not_reported(name: str, cells: list[str]) -> None:
    assert look(name, cells, "number" if name == "user_number" else "category") == []


def test_a_bare_number_is_a_key_if_its_rows_stand_together() -> None:
    engines = [str(i // 20) for i in range(ROWS)]
    assert len(look("unit", engines, "number")) == 1
    assert look("unit", [str(i % 30) for i in range(ROWS)], "number") == []


def test_a_key_of_nobody_in_particular_is_asked_about() -> None:
    (finding,) = look("ticket_id")
    assert (finding.severity, finding.column, finding.fixes) == ("tip", "ticket_id", ())
    assert look("ticket_id", [f"p{i % 20}" for i in range(1_200)]) == []


def test_of_two_keys_a_person_chooses() -> None:
    cells = {"user_id": KEYS, "device_id": KEYS[::-1]}
    findings = found(CHECK, data_view(cells, user_id="category", device_id="category"))
    assert [(f.severity, f.fixes) for f in findings] == [("warn", ()), ("warn", ())]


def test_declared_entities_and_times_are_respected() -> None:
    assert look("patient_id", entity="patient_id") == []
    (finding,) = look("patient_id", time="day")
    assert (finding.severity, finding.fixes) == ("tip", ())


def test_a_key_that_is_set_aside_already_is_not_dropped_again() -> None:
    view = data_view({"patient_id": KEYS})
    (finding,) = found(CHECK, view)
    assert [edit.path for edit in finding.fixes] == [("data", "entity"), ("split", "rule")]
