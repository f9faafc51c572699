"""The check that reports gaps."""

from __future__ import annotations

import pytest

from fieldcraft.checks.missing import CHECK
from fieldcraft.core.edit import Edit
from tests.checks.views import data_view, found


def gaps(share: float, rows: int = 200) -> list[str]:
    """A column of numbers of which a share is missing."""
    return ["" if i < share * rows else str(i % 17) for i in range(rows)]


def test_a_full_table_is_not_reported() -> None:
    assert found(CHECK, data_view({"a": gaps(0), "y": ["u", "v"] * 100}, a="number")) == []


@pytest.mark.parametrize(
    ("share", "severity"), [(0.01, "tip"), (0.29, "tip"), (0.3, "warn"), (0.94, "warn")]
)
def test_gaps_are_counted_and_many_are_a_warning(share: float, severity: str) -> None:
    (finding,) = found(CHECK, data_view({"a": gaps(share), "y": ["u"] * 200}, a="number"))
    assert finding.severity == severity
    assert finding.column == "a"
    assert finding.evidence == {"missing": round(share * 200), "rows": 200}
    assert finding.fixes == ()


def test_a_column_that_is_nearly_all_gaps_may_be_dropped() -> None:
    (finding,) = found(CHECK, data_view({"a": gaps(0.97), "y": ["u"] * 200}, a="number"))
    assert finding.severity == "warn"
    assert finding.fixes == (Edit(("data", "drop"), "a", add=True),)


def test_hundreds_of_values_are_not_dropped_unseen() -> None:
    (finding,) = found(CHECK, data_view({"a": gaps(0.97, 2_000), "y": ["u"] * 2_000}, a="number"))
    assert finding.severity == "warn"
    assert finding.fixes == ()


def test_many_columns_with_gaps_are_told_in_one_line() -> None:
    cells = {f"c{i}": gaps(0.01 + i / 100) for i in range(5)} | {
        f"d{i}": gaps(0.97) for i in range(4)
    }
    findings = found(CHECK, data_view(cells, **dict.fromkeys(cells, "number")))
    hollow, tips = findings
    assert (hollow.severity, len(hollow.fixes), hollow.column) == ("warn", 4, None)
    assert tips.title.startswith("5 columns miss values: c4 (5.0%), c3 (4.0%)")
    assert tips.evidence["missing"]["c0"] == 2


def test_declared_markers_count_as_gaps() -> None:
    cells = {"a": ["-7" if cell == "" else cell for cell in gaps(0.1)], "y": ["u"] * 200}
    assert found(CHECK, data_view(cells, a="number")) == []
    (finding,) = found(CHECK, data_view(cells, missing=["-7"], a="number"))
    assert finding.evidence["missing"] == 20


def test_rows_without_a_target_are_a_warning() -> None:
    (finding,) = found(CHECK, data_view({"a": gaps(0), "y": gaps(0.02)}, a="number"))
    assert finding.severity == "warn"
    assert finding.column == "y"
    assert "4 of 200 rows have no y, the target" in finding.title


def test_a_few_rows_without_a_target_are_a_tip() -> None:
    cells = {"a": gaps(0, 2_000), "y": [*[""] * 3, *["u"] * 1_997]}
    (finding,) = found(CHECK, data_view(cells, a="number"))
    assert finding.severity == "tip"


def test_columns_that_no_model_sees_are_not_reported() -> None:
    assert found(CHECK, data_view({"a": gaps(0), "b": gaps(0.5)}, a="number")) == []
