"""The check that finds patterns of missing values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from fieldcraft.checks.missingness_pattern import (
    CHECK,
    group_by_shared_missingness,
    missingness_uncertainty_coefficient,
)
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import data_context, run_check

DRAW = np.random.default_rng(0)
ROWS = 500


def holed(gone: Any) -> list[str]:
    return list(np.where(gone, "", DRAW.normal(size=ROWS).round(3).astype(str)))


def look(**columns: Any) -> list[Finding]:
    return run_check(CHECK, data_context(columns, **dict.fromkeys(columns, "number")))


def test_independent_missing_values_are_not_reported() -> None:
    assert look(**{f"c{i}": holed(DRAW.random(ROWS) < 0.1) for i in range(6)}) == []


def test_columns_missing_in_the_same_rows_are_reported() -> None:
    gone = DRAW.random(ROWS) < 0.1
    (finding,) = look(a=holed(gone), b=holed(gone), c=holed(DRAW.random(ROWS) < 0.1))
    assert finding.title == f"2 columns have missing values in the same {gone.sum()} rows: a, b"


def test_several_groups_of_columns_share_a_finding() -> None:
    columns: dict[str, list[str]] = {}
    for group in "abcd":
        gone = DRAW.random(ROWS) < 0.1
        columns |= {f"{group}{i}": holed(gone) for i in range(2 if group < "d" else 5)}
    finding = next(f for f in look(**columns) if "groups" in f.evidence)
    assert finding.title.startswith(
        "4 groups of columns have missing values in the same rows: a0 and"
    )
    assert f"d0 and 4 more ({finding.evidence['rows'][3]} rows)" in finding.title
    assert [len(group) for group in finding.evidence["groups"]] == [2, 2, 2, 5]


def test_missing_values_explained_by_another_column_are_reported() -> None:
    rooms = DRAW.integers(0, 4, ROWS)
    finish = holed((rooms == 0) | (DRAW.random(ROWS) < 0.01))
    (finding,) = look(finish=finish, rooms=rooms.astype(str), other=holed(False))
    assert finding.column == "finish"
    assert finding.evidence["explained_fraction"]["finish"]["column"] == "rooms"
    assert finding.evidence["explained_fraction"]["finish"]["fraction"] > 0.8


@pytest.mark.parametrize(("empty", "severity"), [(3, "info"), (60, "warning")])
def test_mostly_empty_rows_are_counted(empty: int, severity: str) -> None:
    gone = np.arange(ROWS) < empty
    columns = {f"c{i}": holed(gone if i else np.zeros(ROWS, bool)) for i in range(5)}
    finding = next(f for f in look(**columns) if "have no value in more than half" in f.title)
    assert finding.severity == severity
    assert finding.evidence["rows"] == empty
    assert finding.evidence["line_numbers"][:3] == [1, 2, 3]


def test_a_sparse_table_has_no_empty_rows() -> None:
    columns = {f"c{i}": holed(DRAW.random(ROWS) < 0.7) for i in range(12)}
    assert look(**columns) == []


def test_columns_are_grouped_by_nearly_equal_missingness() -> None:
    gone = np.arange(100) < 40
    missing = {"a": gone, "b": np.roll(gone, 1), "c": np.roll(gone, 20), "d": ~gone}
    assert group_by_shared_missingness(missing) == [["a", "b"], ["c"], ["d"]]


@pytest.mark.parametrize(("common", "expected"), [(95, [["a", "b"]]), (94, [["a"], ["b"]])])
def test_missingness_is_shared_at_an_overlap_of_95_percent(
    common: int, expected: list[list[str]]
) -> None:
    row = np.arange(300)
    assert group_by_shared_missingness({"a": row < 100, "b": row < common}) == expected
    assert group_by_shared_missingness({}) == []


@pytest.mark.parametrize(("gaps", "reported"), [(20, True), (19, False), (480, True), (481, False)])
def test_a_pattern_needs_twenty_missing_and_twenty_present_values(
    gaps: int, reported: bool
) -> None:
    gone = np.arange(ROWS) < gaps
    findings = [f for f in look(a=holed(gone), b=holed(gone)) if "groups" in f.evidence]
    assert [f.evidence for f in findings] == [{"groups": [["a", "b"]], "rows": [gaps]}] * reported


@pytest.mark.parametrize(
    ("columns", "empty", "reported"),
    [(4, 3, True), (3, 3, False), (4, 2, False), (5, 3, True)],
    ids=["three of four", "three columns", "half", "three of five"],
)
def test_a_row_is_empty_if_more_than_half_of_at_least_four_columns_are(
    columns: int, empty: int, reported: bool
) -> None:
    row = np.arange(ROWS)
    cells = {f"c{i}": holed((row == 7) & (i < empty)) for i in range(columns)}
    view = data_context(cells, **dict.fromkeys(cells, "number"))
    findings = run_check(CHECK, replace(view, row_numbers=range(1_001, 1_001 + ROWS)))
    assert [f.evidence for f in findings] == [{"rows": 1, "line_numbers": [1_008]}] * reported


@pytest.mark.parametrize(("rows", "severity"), [(24, "info"), (25, "warning")])
def test_five_percent_of_empty_rows_is_a_warning(rows: int, severity: str) -> None:
    cells = {f"c{i}": holed(np.arange(ROWS) < rows) for i in range(4)}
    finding = next(f for f in look(**cells) if "line_numbers" in f.evidence)
    assert finding.severity == severity
    assert finding.evidence == {"rows": rows, "line_numbers": [1, 2, 3, 4, 5, 6]}
    assert finding.title.startswith(f"{rows} of 500 rows have no value in more than half of the 4")


@pytest.mark.parametrize(("usual", "gone", "reported"), [(3, 8, False), (3, 9, True)])
def test_a_row_is_emptier_than_usual_by_more_than_chance(
    usual: int, gone: int, reported: bool
) -> None:
    # With a quarter of twelve columns empty, four standard deviations are a half.
    row = np.arange(ROWS)
    cells = {
        f"c{i}": holed(np.where(row == 7, i < gone, (row + i) % 12 < usual)) for i in range(12)
    }
    findings = [f for f in look(**cells) if "line_numbers" in f.evidence]
    assert 4 * (0.25 * 0.75 / 12) ** 0.5 == 0.5
    assert bool(findings) is (gone / 12 > 0.25 + 0.5)
    assert not reported or gone / 12 == 0.75


@pytest.mark.parametrize(("stray", "reported"), [(30, True), (50, False)])
def test_an_explaining_column_has_an_uncertainty_coefficient_above_the_minimum(
    stray: int, reported: bool
) -> None:
    rooms = np.arange(ROWS) % 2
    gone = (rooms == 0) ^ (np.arange(ROWS) < stray)
    share = mutual_info_score(rooms, gone) / entropy([0.5, 0.5])
    # Miller and Madow: less 1 / (2 rows) for one degree of freedom.
    expected = share - 1 / (2 * ROWS) / entropy([0.5, 0.5])
    assert bool(expected >= 0.6) is reported
    for by in ("rooms", "area"):  # in any position
        findings = look(**{"finish": holed(gone), by: rooms.astype(str)})
        assert [f.evidence["explained_fraction"] for f in findings] == (
            [{"finish": {"column": by, "fraction": pytest.approx(expected)}}] * reported
        )


@pytest.mark.parametrize(
    ("gaps", "others", "levels", "is_explained"),
    [(10, 10, 2, True), (9, 11, 2, False), (11, 9, 2, False), (10, 9, 2, False),
     (50, 50, 20, True), (50, 50, 21, False)],
)  # fmt: skip
def test_the_uncertainty_coefficient_needs_enough_rows(
    gaps: int, others: int, levels: int, is_explained: bool
) -> None:
    gap = np.repeat([1, 0], [gaps, others])
    codes = np.where(gap == 1, 0, 1 + np.arange(len(gap)) % (levels - 1))
    assert (
        bool(missingness_uncertainty_coefficient(codes, gap, np.ones(len(gap), dtype=bool)) > 0)
        is is_explained
    )


def test_only_rows_with_a_value_in_the_other_column_count() -> None:
    gap, codes = np.tile([0, 1], 100), np.tile([0, 1], 100)
    there = np.arange(200) < 100
    codes[100:] = 0
    assert missingness_uncertainty_coefficient(codes, gap, there) > 0.9
    assert missingness_uncertainty_coefficient(codes, gap, np.ones(200, dtype=bool)) < 0.5
