"""The check that compares how levels are written."""

from __future__ import annotations

import pytest

from fieldcraft.checks.spellings import CHECK, distance, is_slip
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding
from tests.checks.views import data_view, found


def look(**levels: int) -> list[Finding]:
    return of(levels)


def of(levels: dict[str, int]) -> list[Finding]:
    cells = [level for level, count in levels.items() for _ in range(count)]
    return found(CHECK, data_view({"a": cells}, a="category"))


def test_levels_that_differ_are_not_reported() -> None:
    assert look(Bern=50, Basel=60, Genf=3, Chur=1) == []


@pytest.mark.parametrize(
    "odd", ["bern", "BERN", "Bérn", "B ern".replace(" ", "") + ".", "-Bern", "bern_"]
)
def test_case_accents_and_joining_signs_make_no_other_level(odd: str) -> None:
    (finding,) = of({"Bern": 80, odd: 20})
    assert (finding.severity, finding.column, finding.fixes) == ("warn", "a", ())
    assert finding.evidence["levels"] == [
        {"column": "a", "odd": odd, "usual": "Bern", "rows": 20}
    ]  # fmt: skip


def test_a_few_odd_rows_are_a_tip() -> None:
    (finding,) = of({"new york": 400, "New-York": 2})
    assert finding.severity == "tip"


def test_signs_of_numbers_count() -> None:
    assert of({"-5": 40, "5": 40}) == []


@pytest.mark.parametrize("odd", ["Hambrug", "Hamburgg", "Hambrg", "Hanburg"])
def test_a_rare_slip_of_the_pen_is_asked_about(odd: str) -> None:
    (finding,) = of({"Hamburg": 90, "Bremen": 50, odd: 2})
    assert (finding.severity, finding.fixes) == ("tip", ())
    assert f"a {odd!r} and 'Hamburg'" in finding.title
    assert of({"Hamburg": 90, odd: 30}) == []


@pytest.mark.parametrize(
    ("odd", "usual", "slip"),
    [
        ("fernsehen", "fernsehn", True),
        ("elementary school", "elementry scool", True),
        ("basement 1", "basement 2", False),
        ("island", "inland", False),
        ("type a", "type b", False),
        ("fusep", "fusea", False),
        ("part time", "parttime", False),
        ("kassel", "bremen", False),
    ],
)
def test_what_is_a_slip(odd: str, usual: str, slip: bool) -> None:
    assert is_slip(odd, usual) is slip


@pytest.mark.parametrize(
    ("a", "b", "letters"),
    [("", "", 0), ("a", "", 1), ("abcd", "abdc", 1), ("abc", "adc", 1), ("kitten", "sitting", 3)],
)
def test_distance_counts_letters(a: str, b: str, letters: int) -> None:
    assert distance(a, b) == distance(b, a) == letters


def test_yes_and_no_in_many_ways_can_be_read_as_boolean() -> None:
    (finding,) = look(yes=50, no=40, Y=20, N=10)
    assert finding.severity == "warn"
    assert "yes and no in 4 ways" in finding.title
    assert finding.fixes == (Edit(("data", "columns", "a", "kind"), "boolean"),)


def test_classes_of_the_target_are_compared_too() -> None:
    cells = {"y": ["good"] * 50 + ["Good"] * 9 + ["bad"] * 40}
    (finding,) = found(CHECK, data_view(cells))
    assert finding.column == "y"


def test_levels_of_many_columns_share_a_line() -> None:
    cells = {name: ["bern"] * 50 + ["Bern"] * 50 for name in "abcdef"}
    (finding,) = found(CHECK, data_view(cells, **dict.fromkeys(cells, "category")))
    assert "6 levels differ" in finding.title
