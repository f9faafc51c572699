"""The check that names sensitive columns and counts their groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fieldcraft.checks.sensitive_features import CHECK
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import data_context, run_check

GROUPS = ["f", "m", "x"] * 100


def look(groups: tuple[str, ...] = (), **columns: Any) -> list[Finding]:
    kinds = {name: "category" for name in columns if name != "y"}
    return run_check(CHECK, replace(data_context(columns, **kinds), sensitive_features=groups))


@pytest.mark.parametrize("name", ["sex", "Gender", "race_ethnicity", "Geschlecht", "age_group"])
def test_sensitive_names_are_suggested(name: str) -> None:
    (finding,) = look((), **{name: GROUPS})
    assert (finding.severity, finding.column) == ("info", name)
    assert finding.fixes == (ConfigEdit(("problem", "sensitive_features"), name, append=True),)


def test_declared_and_other_columns_are_not_suggested() -> None:
    assert look(("sex",), sex=GROUPS, town=GROUPS) == []


def test_several_names_share_a_finding_without_the_target() -> None:
    (finding,) = look(sex=GROUPS, religion=GROUPS)
    assert "2 columns may be about a protected attribute: sex, religion" in finding.title
    view = replace(data_context({"gender": GROUPS}), targets=("gender",))
    assert run_check(CHECK, view) == []


@pytest.mark.parametrize(("declared", "severity"), [(("sex",), "warning"), ((), "info")])
def test_small_groups_are_reported(declared: tuple[str, ...], severity: str) -> None:
    findings = look(declared, sex=["f"] * 300 + ["m"] * 300 + ["x"] * 12)
    finding = next(f for f in findings if f.evidence.get("rows") == {"x": 12})
    assert finding.severity == severity
    assert "sex: 1 of 3 groups have fewer than 50 rows: x (12)" in finding.title


def test_targets_missing_for_one_group_are_reported() -> None:
    y = ["" if group == "m" and i % 2 else "u" for i, group in enumerate(GROUPS)]
    (finding,) = look(("sex",), sex=GROUPS, y=y)
    assert finding.severity == "warning"
    assert "missing in 50% of the rows where sex is m, and in 0% where it is f" in finding.title
    even = ["" if i % 10 == 0 else "u" for i in range(len(GROUPS))]
    assert look(("sex",), sex=GROUPS, y=even) == []


@pytest.mark.parametrize(("rows", "small"), [(49, True), (50, False)])
def test_groups_with_less_than_fifty_rows_are_small(rows: int, small: bool) -> None:
    findings = look(("sex",), sex=["f"] * 300 + ["x"] * rows)
    assert [f.evidence for f in findings] == [{"rows": {"x": rows}}] * small


@pytest.mark.parametrize(("levels", "counted"), [(30, True), (31, False)])
def test_columns_with_up_to_thirty_levels_are_grouped(levels: int, counted: bool) -> None:
    findings = look(("town",), town=[f"t{i % levels}" for i in range(10 * levels)])
    assert [f.evidence["rows"] == {f"t{i}": 10 for i in range(levels)} for f in findings] == (
        [True] * counted
    )


def share_explained(first: int, second: int, rows: int) -> float:
    """Return phi squared of two equal groups, adjusted for one degree of freedom."""
    half, gone = rows / 2, first + second
    phi2 = (first - second) ** 2 / (gone * (rows - gone))
    assert half == rows // 2
    return 1 - (1 - phi2) * (rows - 1) / (rows - 2)


@pytest.mark.parametrize(
    ("rows", "bound"),
    [(800, 15 / 800), (4_000, 0.01)],
    ids=["significant", "not negligible"],
)
@pytest.mark.parametrize(("declared", "severity"), [(("sex",), "warning"), ((), "info")])
def test_differences_of_missing_targets_must_be_significant_and_not_negligible(
    rows: int, bound: float, declared: tuple[str, ...], severity: str
) -> None:
    few, half = rows // 20, rows // 2
    more = next(n for n in range(few, half) if share_explained(few, n, rows) >= bound)

    def unlabeled_findings(more: int) -> list[Finding]:
        y = [*[""] * few, *["u"] * (half - few), *[""] * more, *["u"] * (half - more)]
        return [
            f for f in look(declared, sex=["f"] * half + ["m"] * half, y=y) if "y" in f.title[:1]
        ]

    assert unlabeled_findings(more - 1) == []
    (finding,) = unlabeled_findings(more)
    assert (finding.severity, finding.column, finding.fixes) == (severity, "sex", ())
    assert finding.evidence == {"missing": {"f": few / half, "m": more / half}}


def test_constant_columns_are_not_reported() -> None:
    assert look(sex=["f"] * 300) == []
