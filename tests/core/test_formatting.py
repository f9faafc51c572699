"""Numbers, lists and durations are formatted for people; durations are parsed."""

from __future__ import annotations

import pytest

from fieldcraft.core.formatting import (
    format_duration,
    format_number,
    join_names,
    parse_duration,
    pluralize,
    to_sentence,
    truncated_list,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (float("nan"), "-"), (0.0, "0.0000"), (0.5, "0.5000"), (-0.25, "-0.2500"),
        (0.00012, "0.0001"), (0.0000003, "3e-07"), (3.14159, "3.142"), (123456.7, "123,457"),
        (-0.0000003, "-3e-07"), (-1234.5, "-1,234"), (999.96, "1000"), (1, "1"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert format_number(value) == text


def test_lists() -> None:
    assert join_names(["a"]) == "a"
    assert join_names(["a", "b"]) == "a and b"
    assert join_names([]) == ""
    assert truncated_list(list("abc"), 3) == "a, b, c"
    assert truncated_list([]) == ""


def test_a_sentence_keeps_the_case_of_its_words() -> None:
    assert to_sentence("set data.columns.ID") == "Set data.columns.ID."
    assert to_sentence("Done!") == "Done!"


def test_counts() -> None:
    assert pluralize(0, "row") == "0 rows"
    assert pluralize(1, "class", "classes") == "1 class"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5_400), ("2 d", 172_800), ("1w", 604_800),
        (" 10M ", 600), ("0s", 0), ("", None), ("soon", None), ("5 minutes", None), ("-5m", None),
        ("5m30s", None), ("1e3", None), ("m", None), (".5h", None),
    ],
)  # fmt: skip
def test_durations_are_parsed(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"), (0.04, "0.0 s"), (7.26, "7.3 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"),
        (60, "1 min 0 s"), (95.4, "1 min 35 s"), (3_599.4, "59 min 59 s"), (3_599.6, "1 h 0 min"),
        (7_200, "2 h 0 min"), (90_000, "25 h 0 min"),
    ],
)  # fmt: skip
def test_durations_are_formatted(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
