"""The check that names sensitive columns and counts their groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fieldcraft.checks.sensitive import CHECK
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding
from tests.checks.views import data_view, found

GROUPS = ["f", "m", "x"] * 100


def look(groups: tuple[str, ...] = (), **columns: Any) -> list[Finding]:
    kinds = {name: "category" for name in columns if name != "y"}
    return found(CHECK, replace(data_view(columns, **kinds), groups=groups))


@pytest.mark.parametrize("name", ["sex", "Gender", "race_ethnicity", "Geschlecht", "age_group"])
def test_a_sensitive_name_is_proposed(name: str) -> None:
    (finding,) = look((), **{name: GROUPS})
    assert (finding.severity, finding.column) == ("tip", name)
    assert finding.fixes == (Edit(("problem", "groups"), name, add=True),)


def test_declared_groups_and_other_names_are_not_proposed() -> None:
    assert look(("sex",), sex=GROUPS, town=GROUPS) == []


def test_several_names_share_a_line_and_the_target_is_none_of_them() -> None:
    (finding,) = look(sex=GROUPS, religion=GROUPS)
    assert "2 columns may say who a person is: sex, religion" in finding.title
    view = replace(data_view({"gender": GROUPS}), targets=("gender",))
    assert found(CHECK, view) == []


@pytest.mark.parametrize(("declared", "severity"), [(("sex",), "warn"), ((), "tip")])
def test_groups_with_few_rows_are_counted(declared: tuple[str, ...], severity: str) -> None:
    findings = look(declared, sex=["f"] * 300 + ["m"] * 300 + ["x"] * 12)
    finding = next(f for f in findings if f.evidence.get("rows") == {"x": 12})
    assert finding.severity == severity
    assert "sex: 1 of 3 groups have fewer than 50 rows: x (12)" in finding.title


def test_a_target_that_is_missing_for_one_group_is_noticed() -> None:
    y = ["" if group == "m" and i % 2 else "u" for i, group in enumerate(GROUPS)]
    (finding,) = look(("sex",), sex=GROUPS, y=y)
    assert finding.severity == "warn"
    assert "y is missing in 50% of the rows of sex m, in 0% of those of f" in finding.title
    even = ["" if i % 10 == 0 else "u" for i in range(len(GROUPS))]
    assert look(("sex",), sex=GROUPS, y=even) == []
