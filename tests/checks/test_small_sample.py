"""The check that compares the number of rows and columns."""

from __future__ import annotations

import pytest

from fieldcraft.checks.small_sample import CHECK
from tests.checks.contexts import data_context, run_check


@pytest.mark.parametrize(
    ("rows", "columns", "severity", "words"),
    [
        (400, 5, None, ""),
        (40, 2, "warning", "only 40 rows"),
        (150, 2, "info", "only 150 rows"),
        (300, 400, "warning", "more columns (400) than rows (300)"),
        (300, 100, "info", "300 rows for 100 columns (3.0 per column)"),
    ],
)
def test_few_rows_for_the_number_of_columns_are_reported(
    rows: int, columns: int, severity: str | None, words: str
) -> None:
    cells = {f"c{i}": ["1", "2"] * (rows // 2) for i in range(columns)}
    findings = run_check(CHECK, data_context(cells, **dict.fromkeys(cells, "number")))
    assert [f.severity for f in findings] == ([severity] if severity else [])
    assert all(words in f.title and not f.fixes for f in findings)


def test_only_rows_with_a_target_count() -> None:
    cells = {"a": ["1", "2"] * 150, "y": ["u"] * 30 + [""] * 270}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert finding.evidence == {"rows": 30, "columns": 1}


@pytest.mark.parametrize(
    ("rows", "columns", "severity"),
    [
        (49, 2, "warning"), (50, 2, "info"), (199, 2, "info"), (200, 2, None),
        (200, 40, None), (200, 41, "info"),  # five rows per column
        (200, 200, "info"), (200, 201, "warning"),
        (199, 300, "info"), (0, 2, "info"),
    ],
)  # fmt: skip
def test_thresholds_of_rows_and_columns(rows: int, columns: int, severity: str | None) -> None:
    cells = {f"c{i}": list(map(str, range(rows))) for i in range(columns)}
    findings = run_check(CHECK, data_context(cells, **dict.fromkeys(cells, "number")))
    assert [f.severity for f in findings] == ([severity] if severity else [])
    assert all(f.evidence == {"rows": rows, "columns": columns} for f in findings)


def test_features_and_rows_with_all_targets_count() -> None:
    cells = {"a": ["1", "2"] * 30, "key": ["k"] * 60, "y": [""] * 5 + ["u"] * 55}
    (finding,) = run_check(CHECK, data_context(cells, a="number", key="identifier"))
    assert finding.evidence == {"rows": 55, "columns": 1}
