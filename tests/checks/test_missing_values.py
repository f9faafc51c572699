"""The check that reports missing values."""

from __future__ import annotations

import pytest

from fieldcraft.checks.missing_values import CHECK
from fieldcraft.core.config_edit import ConfigEdit
from tests.checks.contexts import data_context, run_check


def gaps(share: float, rows: int = 200) -> list[str]:
    """Return a numeric column with a fraction of missing values."""
    return ["" if i < share * rows else str(i % 17) for i in range(rows)]


def test_a_complete_table_is_not_reported() -> None:
    assert run_check(CHECK, data_context({"a": gaps(0), "y": ["u", "v"] * 100}, a="number")) == []


@pytest.mark.parametrize(
    ("share", "severity"), [(0.01, "info"), (0.29, "info"), (0.3, "warning"), (0.94, "warning")]
)
def test_missing_values_are_counted_and_many_are_a_warning(share: float, severity: str) -> None:
    (finding,) = run_check(CHECK, data_context({"a": gaps(share), "y": ["u"] * 200}, a="number"))
    assert finding.severity == severity
    assert finding.column == "a"
    assert finding.evidence == {"missing": round(share * 200), "rows": 200}
    assert finding.fixes == ()


def test_a_nearly_empty_column_has_a_drop_fix() -> None:
    (finding,) = run_check(CHECK, data_context({"a": gaps(0.97), "y": ["u"] * 200}, a="number"))
    assert finding.severity == "warning"
    assert finding.fixes == (ConfigEdit(("data", "drop"), "a", append=True),)


def test_columns_with_many_values_have_no_drop_fix() -> None:
    (finding,) = run_check(
        CHECK, data_context({"a": gaps(0.97, 2_000), "y": ["u"] * 2_000}, a="number")
    )
    assert finding.severity == "warning"
    assert finding.fixes == ()


def test_many_columns_with_missing_values_share_a_finding() -> None:
    cells = {f"c{i}": gaps(0.01 + i / 100) for i in range(5)} | {
        f"d{i}": gaps(0.97) for i in range(4)
    }
    findings = run_check(CHECK, data_context(cells, **dict.fromkeys(cells, "number")))
    hollow, tips = findings
    assert (hollow.severity, len(hollow.fixes), hollow.column) == ("warning", 4, None)
    assert tips.title.startswith("5 columns have missing values: c4 (5.0%), c3 (4.0%)")
    assert tips.evidence["missing"]["c0"] == 2


def test_declared_markers_count_as_missing() -> None:
    cells = {"a": ["-7" if cell == "" else cell for cell in gaps(0.1)], "y": ["u"] * 200}
    assert run_check(CHECK, data_context(cells, a="number")) == []
    (finding,) = run_check(CHECK, data_context(cells, missing=["-7"], a="number"))
    assert finding.evidence["missing"] == 20


def test_rows_without_a_target_are_a_warning() -> None:
    (finding,) = run_check(CHECK, data_context({"a": gaps(0), "y": gaps(0.02)}, a="number"))
    assert finding.severity == "warning"
    assert finding.column == "y"
    assert "4 of 200 rows have no y, the target" in finding.title


def test_a_few_rows_without_a_target_are_an_info() -> None:
    cells = {"a": gaps(0, 2_000), "y": [*[""] * 3, *["u"] * 1_997]}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert finding.severity == "info"


def test_non_features_are_not_reported() -> None:
    assert run_check(CHECK, data_context({"a": gaps(0), "b": gaps(0.5)}, a="number")) == []


def column(missing: int, rows: int) -> list[str]:
    """Return a numeric column whose first cells are empty."""
    return ["" if i < missing else str(i % 17) for i in range(rows)]


@pytest.mark.parametrize(
    ("missing", "rows", "severity", "advice", "dropped"),
    [
        (59, 200, "info", "they are imputed", False),
        (60, 200, "warning", "they are imputed", False),  # 30 %
        (189, 200, "warning", "they are imputed", False),
        (190, 200, "warning", "drop it", True),  # 95 %
        (950, 1_000, "warning", "drop it", False),  # 50 values are present
        (951, 1_000, "warning", "drop it", True),
    ],
)
def test_thresholds_of_severity_and_fix(
    missing: int, rows: int, severity: str, advice: str, dropped: bool
) -> None:
    (finding,) = run_check(CHECK, data_context({"a": column(missing, rows)}, a="number"))
    assert (finding.severity, bool(finding.fixes)) == (severity, dropped)
    assert finding.advice.startswith(advice)
    assert finding.title.startswith(
        f"a: {missing} of {rows:,} values missing ({missing / rows:.1%})"
    )


@pytest.mark.parametrize(("missing", "severity"), [(9, "info"), (10, "warning")])
def test_one_percent_of_missing_targets_is_a_warning(missing: int, severity: str) -> None:
    cells = {"a": column(0, 1_000), "y": column(missing, 1_000)}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert (finding.severity, finding.fixes) == (severity, ())
    assert finding.evidence == {"missing": missing, "rows": 1_000}


@pytest.mark.parametrize(("columns", "findings"), [(3, 3), (4, 1)])
def test_up_to_three_columns_have_findings_of_their_own(columns: int, findings: int) -> None:
    cells = {f"c{i}": column(5 + i, 200) for i in range(columns)}
    assert len(run_check(CHECK, data_context(cells, **dict.fromkeys(cells, "number")))) == findings


def test_a_shared_finding_drops_only_nearly_empty_columns() -> None:
    cells = {f"c{i}": column(missing, 1_000) for i, missing in enumerate((950, 951, 999, 960))}
    (finding,) = run_check(CHECK, data_context(cells, **dict.fromkeys(cells, "number")))
    assert finding.evidence == {
        "missing": {"c0": 950, "c1": 951, "c2": 999, "c3": 960},
        "rows": 1_000,
    }
    assert finding.fixes == tuple(
        ConfigEdit(("data", "drop"), f"c{i}", append=True) for i in (2, 3, 1)
    )


def test_entirely_empty_columns_are_left_to_other_checks() -> None:
    cells = {"a": [""] * 200, "y": [""] * 200}
    assert run_check(CHECK, data_context(cells, a="constant")) == []
