"""The check that finds columns which say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.copies import CHECK
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding
from tests.checks.views import data_view, found

DRAW = np.random.default_rng(0)
ROWS = 300
NUMBER = DRAW.normal(50, 10, ROWS).round(3)
WORD = DRAW.choice(["red", "green", "blue"], ROWS)
DAY = (np.datetime64("2021-01-01") + DRAW.integers(0, 99, ROWS)).astype(str)


def look(**columns: tuple[Any, str]) -> list[Finding]:
    cells = {name: column for name, (column, _) in columns.items()}
    return found(CHECK, data_view(cells, **{name: kind for name, (_, kind) in columns.items()}))


@pytest.mark.parametrize(
    ("first", "again", "kind"),
    [
        (NUMBER, NUMBER, "number"),
        (NUMBER, [f" {v}0" for v in NUMBER], "number"),  # written in another way
        (np.where(NUMBER > 60, "", WORD), np.where(NUMBER > 60, "", WORD), "category"),
        (DAY, DAY, "datetime"),
        (np.where(NUMBER > 50, "yes", "no"), np.where(NUMBER > 50, "y", "n"), "boolean"),
    ],
)
def test_the_later_of_two_equal_columns_is_dropped(first: Any, again: Any, kind: str) -> None:
    (finding,) = look(a=(first, kind), other=(WORD + "x", "category"), b=(again, kind))
    assert (finding.severity, finding.column) == ("warn", "b")
    assert finding.fixes == (Edit(("data", "drop"), "b", add=True),)


def test_columns_with_other_gaps_are_no_copies() -> None:
    gone = np.where(np.arange(ROWS) < 9, "", NUMBER.astype(str))
    assert [f.severity for f in look(a=(NUMBER, "number"), b=(gone, "number"))] == []


def test_three_equal_columns_leave_one() -> None:
    (finding,) = look(a=(WORD, "category"), b=(WORD, "category"), c=(WORD, "category"))
    assert finding.title == "b, c repeat a in every row"


def test_many_repetitions_share_a_line() -> None:
    different = {name: DRAW.normal(size=ROWS) for name in "abcde"}
    pairs = {f"{name}{i}": (different[name], "number") for name in "abcde" for i in range(2)}
    (finding,) = look(**pairs)
    assert finding.column is None
    assert finding.title == "5 columns repeat others in every row: a1, b1, c1, d1, e1"
    assert len(finding.fixes) == 5


def test_names_for_the_same_levels_go_one_to_one() -> None:
    numbered = [str({"red": 3, "green": 1, "blue": 2}[word]) for word in WORD]
    (finding,) = look(a=(WORD, "category"), b=(numbered, "number"), c=(NUMBER, "number"))
    assert (finding.severity, finding.title) == ("tip", "a and b go one to one")
    assert finding.fixes == ()


def test_columns_of_names_and_rare_flags_do_not_go_one_to_one_by_chance() -> None:
    keys = [f"k{i}" for i in range(ROWS)]
    rare = np.where(np.arange(ROWS) == 5, "x", "o")
    same = np.where(np.arange(ROWS) == 5, "p", "q")
    others = [f"m{i}" for i in range(ROWS)]
    assert look(a=(keys, "category"), b=(others, "category")) == []
    assert look(a=(rare, "category"), b=(same, "category")) == []


@pytest.mark.parametrize(
    "scaled", [NUMBER * 1.8 + 32, -NUMBER, NUMBER + DRAW.normal(0, 0.02, ROWS)]
)
def test_the_same_in_other_units_has_a_correlation_of_one(scaled: Any) -> None:
    (finding,) = look(a=(NUMBER, "number"), b=(scaled, "number"))
    assert (finding.severity, finding.fixes) == ("tip", ())
    assert "a and b have a correlation above" in finding.title


def test_strong_correlation_is_not_sameness() -> None:
    near = NUMBER + DRAW.normal(0, 1, ROWS)
    assert look(a=(NUMBER, "number"), b=(near, "number"), c=(WORD, "category")) == []
