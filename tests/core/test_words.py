"""Numbers and lists as people read them."""

from __future__ import annotations

import pytest

from fieldcraft.core.words import figure, joined, listed, plural, sentence


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (float("nan"), "-"), (0.0, "0.0000"), (0.5, "0.5000"), (-0.25, "-0.2500"),
        (0.00012, "0.0001"), (0.0000003, "3e-07"), (3.14159, "3.142"), (123456.7, "123,457"),
    ],
)  # fmt: skip
def test_figures(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_lists_in_sentences() -> None:
    assert joined(["a"]) == "a"
    assert joined(["a", "b"]) == "a and b"
    assert joined([]) == ""
    assert listed(list("abc"), 3) == "a, b, c"


def test_a_sentence_keeps_the_case_of_its_words() -> None:
    assert sentence("set data.columns.ID") == "Set data.columns.ID."
    assert sentence("Done!") == "Done!"


def test_counts() -> None:
    assert plural(0, "row") == "0 rows"
