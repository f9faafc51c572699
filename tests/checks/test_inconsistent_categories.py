"""The check that finds inconsistent spellings of categories."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcraft.checks.inconsistent_categories import (
    CHECK,
    damerau_levenshtein,
    delete_letters,
    is_typo,
    normalize_level,
)
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.schema import Column
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import data_context, run_check


def look(**levels: int) -> list[Finding]:
    return of(levels)


def of(levels: dict[str, int]) -> list[Finding]:
    cells = [level for level, count in levels.items() for _ in range(count)]
    return run_check(CHECK, data_context({"a": cells}, a="category"))


def test_distinct_levels_are_not_reported() -> None:
    assert look(Bern=50, Basel=60, Genf=3, Chur=1) == []


@pytest.mark.parametrize(
    "odd", ["bern", "BERN", "Bérn", "B ern".replace(" ", "") + ".", "-Bern", "bern_"]
)
def test_case_accents_and_separators_are_ignored(odd: str) -> None:
    (finding,) = of({"Bern": 80, odd: 20})
    assert (finding.severity, finding.column, finding.fixes) == ("warning", "a", ())
    assert finding.evidence["levels"] == [
        {"column": "a", "variant": odd, "common_spelling": "Bern", "rows": 20}
    ]  # fmt: skip


def test_a_few_variant_rows_are_an_info() -> None:
    (finding,) = of({"new york": 400, "New-York": 2})
    assert finding.severity == "info"


def test_signs_of_numbers_are_significant() -> None:
    assert of({"-5": 40, "5": 40}) == []


@pytest.mark.parametrize("odd", ["Hambrug", "Hamburgg", "Hambrg", "Hanburg"])
def test_rare_typos_are_an_info(odd: str) -> None:
    (finding,) = of({"Hamburg": 90, "Bremen": 50, odd: 2})
    assert (finding.severity, finding.fixes) == ("info", ())
    assert f"a {odd!r} and 'Hamburg'" in finding.title
    assert of({"Hamburg": 90, odd: 30}) == []


@pytest.mark.parametrize(
    ("odd", "usual", "expected"),
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
def test_is_typo(odd: str, usual: str, expected: bool) -> None:
    assert is_typo(odd, usual) is expected


@pytest.mark.parametrize(
    ("a", "b", "letters"),
    [("", "", 0), ("a", "", 1), ("abcd", "abdc", 1), ("abc", "adc", 1), ("kitten", "sitting", 3)],
)
def test_distance_counts_edits(a: str, b: str, letters: int) -> None:
    assert damerau_levenshtein(a, b) == damerau_levenshtein(b, a) == letters


def test_spellings_of_yes_and_no_have_a_boolean_fix() -> None:
    (finding,) = look(yes=50, no=40, Y=20, N=10)
    assert finding.severity == "warning"
    assert "a boolean written in 4 ways" in finding.title
    assert finding.fixes == (ConfigEdit(("data", "columns", "a", "kind"), "boolean"),)


def test_target_classes_are_compared() -> None:
    cells = {"y": ["good"] * 50 + ["Good"] * 9 + ["bad"] * 40}
    (finding,) = run_check(CHECK, data_context(cells))
    assert finding.column == "y"


def test_levels_of_several_columns_share_a_finding() -> None:
    cells = {name: ["bern"] * 50 + ["Bern"] * 50 for name in "abcdef"}
    (finding,) = run_check(CHECK, data_context(cells, **dict.fromkeys(cells, "category")))
    assert "6 levels differ" in finding.title


@cache
def slow_distance(a: str, b: str) -> int:
    """Optimal string alignment by its recursive definition."""
    if not a or not b:
        return len(a) + len(b)
    steps = [
        slow_distance(a[:-1], b) + 1,
        slow_distance(a, b[:-1]) + 1,
        slow_distance(a[:-1], b[:-1]) + (a[-1] != b[-1]),
    ]
    if len(a) > 1 and len(b) > 1 and a[-1] == b[-2] and a[-2] == b[-1]:
        steps.append(slow_distance(a[:-2], b[:-2]) + 1)
    return min(steps)


WRITTEN = st.text("abc", max_size=7)


@given(WRITTEN, WRITTEN)
def test_distance_equals_the_reference_implementation(a: str, b: str) -> None:
    assert damerau_levenshtein(a, b) == slow_distance(a, b)


@pytest.mark.parametrize(
    ("text", "n_expected"),
    [
        ("abcdefghi", 1 + 9),  # nine letters: without one
        ("abcdefghij", 1 + 10 + 45),  # ten: without one or two
        ("abcdefghijklmnopqrstuvwx", 1 + 24 + 276),
        ("abcdefghijklmnopqrstuvwxy", 1 + 25),  # above 24 without one
        ("aab", 3),  # "aab", "ab", "aa"
    ],
)
def test_deletions_of_one_or_two_letters(text: str, n_expected: int) -> None:
    deletions = delete_letters(text)
    assert len(deletions) == len(set(deletions)) == n_expected
    assert deletions == sorted(deletions)
    assert min(map(len, deletions)) == len(text) - (2 if 10 <= len(text) <= 24 else 1)


@pytest.mark.parametrize(
    ("odd", "usual", "expected"),
    [
        ("ladnes", "landes", True),  # six letters, two swapped
        ("landos", "landes", False),  # six letters, one changed
        ("landex", "landes", False),  # only the end differs
        ("lanndes", "landes", True),
        ("abcdefghi", "abdcefgih", False),  # nine letters, two slips
        ("abcdefghij", "abdcefghji", True),  # ten
        ("abcdefghij", "abdcegfhji", False),  # three slips
        ("kreis 12 a", "kreis 21 a", False),
    ],
)
def test_maximum_edits_of_a_typo(odd: str, usual: str, expected: bool) -> None:
    assert is_typo(odd, usual) is expected


@pytest.mark.parametrize(
    ("usual", "odd", "reported"), [(40, 2, True), (39, 2, False), (19, 0, False)]
)
def test_the_common_spelling_is_twenty_times_as_frequent(
    usual: int, odd: int, reported: bool
) -> None:
    assert bool(of({"Hamburg": usual, "Hambrug": odd, "Kiel": 900})) is reported


@pytest.mark.parametrize(("count", "severity"), [(9, "info"), (10, "warning")])
def test_one_percent_of_variants_is_a_warning(count: int, severity: str) -> None:
    (finding,) = of({"Bern": 1_000 - count, "bern": count})
    assert finding.severity == severity
    assert finding.title.startswith("1 level differs from another only in case, spaces, accents")


def test_typos_are_always_an_info() -> None:
    (finding,) = of({"Hamburg": 100, "Hambrug": 5})
    assert finding.severity == "info"
    assert "1 level differs from another only by a letter or two" in finding.title


def test_short_and_very_long_levels_are_not_compared() -> None:
    assert of({"bonn": 90, "bnon": 2}) == []
    sentence = "abcdefghij " * 7 + "abcd"
    assert len(sentence) == 81
    assert of({sentence: 90, sentence.replace("abcd", "abdc", 1): 2}) == []
    assert len(of({sentence[:-1]: 90, sentence[:-1].replace("abcd", "abdc", 1): 2})) == 1


def test_normalized_levels_have_no_case_accents_and_separators() -> None:
    assert normalize_level(" Größe_A-b/c.d'e ") == "grosse a b c d e"


def test_a_category_with_options_has_no_boolean_fix() -> None:
    cells = {"a": ["yes"] * 50 + ["no"] * 40 + ["Y"] * 20}
    (finding,) = run_check(CHECK, data_context(cells, a=Column("a", "category", {"merge": 3})))
    assert (finding.severity, finding.fixes) == ("warning", ())
    assert finding.evidence == {"words": {"yes": 50, "no": 40, "Y": 20}}
    assert look(yes=50, no=40) == []


def test_a_column_without_findings_does_not_stop_the_check() -> None:
    cells = {
        "number": [1.0, 2.0] * 50,
        "answer": ["yes", "no", "Y", "N"] * 25,
        "town": ["Bern"] * 60 + ["bern"] * 40,
    }
    findings = run_check(CHECK, data_context(cells, **dict.fromkeys(cells, "category")))
    assert [finding.column for finding in findings] == ["answer", "town"]


def test_at_most_eight_spellings_are_listed() -> None:
    words = ["yes", "no", "Y", "N", "true", "false", "T", "F", "1"]
    (finding,) = of({word: 20 - i for i, word in enumerate(words)})
    assert finding.title.endswith("in 9 ways: 'yes', 'no', 'Y', 'N', 'true', 'false', 'T', 'F'")
