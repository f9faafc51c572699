"""The check that reports equal rows with different targets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fieldcraft.checks.conflicting_labels import CHECK
from fieldcraft.core.config_edit import ConfigEdit
from tests.checks.contexts import run_check, split_context


def table(torn: int, rows: int = 400) -> dict[str, list[str]]:
    """Return rows, the first of which have duplicates with another target at the end."""
    first = [str(i) for i in range(rows)]
    labels = ["u", "v"] * (rows // 2)
    others = ["v" if label == "u" else "u" for label in labels[:torn]]
    return {"a": [*first, *first[:torn]], "y": [*labels, *others]}


def test_duplicates_with_the_same_target_are_not_reported() -> None:
    cells = table(0)
    cells = {name: [*values, *values[:9]] for name, values in cells.items()}
    assert run_check(CHECK, split_context(cells, "binary", a="number")) == []


@pytest.mark.parametrize(
    ("torn", "severity", "fixes"),
    [
        (1, "info", ()),
        (4, "warning", (ConfigEdit(("clean", "conflicting_rows"), "drop"),)),
        (40, "warning", ()),  # too many to drop automatically
    ],
)
def test_duplicates_with_different_targets_are_counted(
    torn: int, severity: str, fixes: tuple[ConfigEdit, ...]
) -> None:
    (finding,) = run_check(CHECK, split_context(table(torn), "binary", a="number"))
    assert finding.severity == severity
    assert finding.evidence["rows"] == 2 * torn
    assert finding.evidence["line_numbers"][0] == 1
    assert finding.fixes == fixes


def test_all_rows_of_a_conflicting_group_count() -> None:
    cells = {"a": ["7", "7", "7", *map(str, range(100, 300))], "y": ["u", "u", "v", *["u"] * 200]}
    (finding,) = run_check(CHECK, split_context(cells, "binary", a="number"))
    assert finding.evidence == {"rows": 3, "line_numbers": [1, 2, 3]}


def test_regression_targets_are_not_checked() -> None:
    cells = {"a": ["1"] * 50, "y": [str(i) for i in range(50)]}
    assert run_check(CHECK, split_context(cells, "regression", a="number")) == []


def test_labels_conflict_if_one_of_them_differs() -> None:
    cells = {
        "a": [*map(str, range(300)), "0", "1"],
        "one": [0] * 302,
        "two": [*[0] * 300, 0, 1],
    }
    (finding,) = run_check(
        CHECK, split_context(cells, "labels", targets=("one", "two"), a="number")
    )
    assert finding.evidence == {"rows": 2, "line_numbers": [2, 302]}


@pytest.mark.parametrize(
    ("torn", "rows", "severity", "fixed"),
    [
        (2, 201, "info", False),
        (2, 200, "warning", True),  # one row in a hundred
        (10, 201, "warning", True),
        (10, 200, "warning", False),  # one in twenty is too many to drop automatically
    ],
)
def test_thresholds_of_severity_and_fix(torn: int, rows: int, severity: str, fixed: bool) -> None:
    twins = [str(i // 2) for i in range(torn)]
    cells = {
        "a": [*twins, *map(str, range(500, 500 + rows - torn))],
        "y": ["u", "v"] * (torn // 2) + ["u"] * (rows - torn),
    }
    (finding,) = run_check(CHECK, split_context(cells, "binary", a="number"))
    assert (finding.severity, bool(finding.fixes)) == (severity, fixed)
    assert finding.title.startswith(f"{torn} training rows ({torn / rows:.1%}) have duplicates")


def test_six_rows_are_listed_by_row_number() -> None:
    view = split_context(table(9), "binary", a="number")
    (finding,) = run_check(CHECK, replace(view, row_numbers=range(2_000, 2_409)))
    assert finding.evidence["line_numbers"] == list(range(2_000, 2_006))


def test_the_fix_drops_the_counted_rows() -> None:
    cells = table(4)
    view = split_context(cells, "binary", a="number")
    (finding,) = run_check(CHECK, view)
    assert finding.fixes == (ConfigEdit(("clean", "conflicting_rows"), "drop"),)
    rest = {name: [*column[4:-4]] for name, column in cells.items()}
    assert finding.evidence["rows"] == len(cells["a"]) - len(rest["a"])
    assert run_check(CHECK, split_context(rest, "binary", a="number")) == []
