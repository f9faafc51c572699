"""The check that finds redundant columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.checks.duplicate_columns import CHECK, relabel_by_first_appearance, standardize
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import data_context, run_check

DRAW = np.random.default_rng(0)
ROWS = 300
NUMBER = DRAW.normal(50, 10, ROWS).round(3)
WORD = DRAW.choice(["red", "green", "blue"], ROWS)
DAY = (np.datetime64("2021-01-01") + DRAW.integers(0, 99, ROWS)).astype(str)


def look(**columns: tuple[Any, str]) -> list[Finding]:
    cells = {name: column for name, (column, _) in columns.items()}
    return run_check(
        CHECK, data_context(cells, **{name: kind for name, (_, kind) in columns.items()})
    )


@pytest.mark.parametrize(
    ("first", "again", "kind"),
    [
        (NUMBER, NUMBER, "number"),
        (NUMBER, [f" {v}0" for v in NUMBER], "number"),  # formatted differently
        (np.where(NUMBER > 60, "", WORD), np.where(NUMBER > 60, "", WORD), "category"),
        (DAY, DAY, "datetime"),
        (np.where(NUMBER > 50, "yes", "no"), np.where(NUMBER > 50, "y", "n"), "boolean"),
    ],
)
def test_the_fix_drops_the_later_of_two_equal_columns(first: Any, again: Any, kind: str) -> None:
    (finding,) = look(a=(first, kind), other=(WORD + "x", "category"), b=(again, kind))
    assert (finding.severity, finding.column) == ("warning", "b")
    assert finding.fixes == (ConfigEdit(("data", "drop"), "b", append=True),)


def test_columns_with_different_missing_values_are_no_duplicates() -> None:
    gone = np.where(np.arange(ROWS) < 9, "", NUMBER.astype(str))
    assert [f.severity for f in look(a=(NUMBER, "number"), b=(gone, "number"))] == []


def test_of_three_equal_columns_one_is_kept() -> None:
    (finding,) = look(a=(WORD, "category"), b=(WORD, "category"), c=(WORD, "category"))
    assert finding.title == "b, c repeat a in every row"


def test_several_duplicates_share_a_finding() -> None:
    different = {name: DRAW.normal(size=ROWS) for name in "abcde"}
    pairs = {f"{name}{i}": (different[name], "number") for name in "abcde" for i in range(2)}
    (finding,) = look(**pairs)
    assert finding.column is None
    assert finding.title == "5 columns repeat others in every row: a1, b1, c1, d1, e1"
    assert len(finding.fixes) == 5


def test_renamed_categories_map_one_to_one() -> None:
    numbered = [str({"red": 3, "green": 1, "blue": 2}[word]) for word in WORD]
    (finding,) = look(a=(WORD, "category"), b=(numbered, "number"), c=(NUMBER, "number"))
    assert (finding.severity, finding.title) == ("info", "a and b map one to one")
    assert finding.fixes == ()


def test_identifiers_and_rare_flags_do_not_map_one_to_one() -> None:
    keys = [f"k{i}" for i in range(ROWS)]
    rare = np.where(np.arange(ROWS) == 5, "x", "o")
    same = np.where(np.arange(ROWS) == 5, "p", "q")
    others = [f"m{i}" for i in range(ROWS)]
    assert look(a=(keys, "category"), b=(others, "category")) == []
    assert look(a=(rare, "category"), b=(same, "category")) == []


@pytest.mark.parametrize(
    "scaled", [NUMBER * 1.8 + 32, -NUMBER, NUMBER + DRAW.normal(0, 0.02, ROWS)]
)
def test_linear_transformations_are_reported(scaled: Any) -> None:
    (finding,) = look(a=(NUMBER, "number"), b=(scaled, "number"))
    assert (finding.severity, finding.fixes) == ("info", ())
    assert "a and b have a correlation above" in finding.title


def test_strongly_correlated_columns_are_no_duplicates() -> None:
    near = NUMBER + DRAW.normal(0, 1, ROWS)
    assert look(a=(NUMBER, "number"), b=(near, "number"), c=(WORD, "category")) == []


@pytest.mark.parametrize(("rows", "reported"), [(20, True), (19, False)])
def test_twenty_rows_are_needed(rows: int, reported: bool) -> None:
    cells = NUMBER[:rows]
    assert bool(look(a=(cells, "number"), b=(cells, "number"))) is reported


@pytest.mark.parametrize(
    ("rare", "levels", "reported"),
    [(5, 2, True), (4, 2, False), (20, 20, True), (21, 21, False)],
    ids=["minority", "rare", "levels", "names"],
)
def test_one_to_one_mappings_need_frequent_levels(rare: int, levels: int, reported: bool) -> None:
    codes = np.arange(40) % levels if levels > 2 else (np.arange(40) < rare).astype(int)
    a, b = np.char.add("a", codes.astype(str)), np.char.add("b", codes.astype(str))
    assert [f.title for f in look(a=(a, "category"), b=(b, "category"))] == (
        ["a and b map one to one"] * reported
    )


@pytest.mark.parametrize(("noise", "reported"), [(0.0140, True), (0.0143, False)])
def test_linear_transformations_have_a_correlation_above_0_9999(
    noise: float, reported: bool
) -> None:
    x, e = np.linalg.qr(np.column_stack([np.ones(ROWS), DRAW.normal(size=(ROWS, 2))]))[0].T[1:]
    near = x + noise * e  # the correlation is 1 / sqrt(1 + noise^2)
    assert bool(np.corrcoef(x, near)[0, 1] > 0.9999) is reported
    assert bool(look(a=(x, "number"), b=(near, "number"))) is reported


def test_codes_are_relabeled_by_first_appearance() -> None:
    assert relabel_by_first_appearance(np.array([7, 3, 7, 9, 3])).tolist() == [0, 1, 0, 2, 1]


def test_missing_standardized_numbers_are_at_the_mean() -> None:
    values = [None, *[float(i) for i in range(20)]]
    numbers = standardize(pl.Series(values))
    assert numbers is not None
    assert numbers[0] == pytest.approx(0)
    assert (numbers.mean(), numbers.std()) == (pytest.approx(0), pytest.approx(1))
    assert standardize(pl.Series(values[:-1])) is None
    assert standardize(pl.Series([2.0] * 30)) is None


def test_several_linear_transformations_are_one_group() -> None:
    columns = {"a": NUMBER, "b": WORD, "c": -2 * NUMBER, "d": NUMBER + 5}
    kinds = {"b": "category"}
    (finding,) = look(**{n: (c, kinds.get(n, "number")) for n, c in columns.items()})
    assert finding.evidence == {"columns": [["a", "c", "d"]]}


def test_one_to_one_groups_share_a_finding() -> None:
    flag = np.where(NUMBER > 50, "x", "y")
    columns = {"a": WORD, "b": WORD + "!", "c": flag, "d": flag + "!"}
    (finding,) = look(**{name: (cells, "category") for name, cells in columns.items()})
    assert finding.title == "2 groups of columns map one to one: a = b, c = d"
    assert (finding.severity, finding.fixes) == ("info", ())


def test_the_fix_keeps_the_first_column_of_each_group() -> None:
    columns = dict.fromkeys("abc", (NUMBER, "number")) | dict.fromkeys("de", (WORD, "category"))
    first, second = look(**columns)
    assert first.evidence == {"groups": [["a", "b", "c"]], "rows": ROWS}
    assert [edit.value for edit in (*first.fixes, *second.fixes)] == ["b", "c", "e"]
    assert first.column == "b"
