"""Heuristics on cells and names, beyond the examples in the docstrings."""

from __future__ import annotations

import polars as pl
import pytest

from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.text_heuristics import has_zero_padded_codes, median_words


def make_profile(*cells: str | float | None) -> ColumnProfile:
    return ColumnProfile(pl.Series("x", cells, strict=False))


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["12 Main Street", "7 Elm Road"], 2),
        (["+41 79 555 12 12", "B96 B98"], 0),
        (["这是第一条很长的评论", "非常好吃"], 4),  # of 10 and 4 signs
        (["", None], 0),
        ([1.5, 2.5], 0),
    ],
)
def test_words_are_runs_between_blanks_that_have_letters(
    cells: list[str | float | None], words: float
) -> None:
    assert median_words(make_profile(*cells)) == pytest.approx(words, abs=0.5)


@pytest.mark.parametrize(
    ("cells", "are_codes"),
    [
        (["020", "120"], True),
        (["02134", "90210", None], True),
        (["120", "220"], False),
        (["01", "12"], False),
        (["0", "1200"], False),
        (["020", "20"], False),
        (["0.20", "1.20"], False),
        (["-020", "0120"], False),
        (["", None], False),
        ([20, 120], False),
    ],
)
def test_codes_have_one_length_and_may_start_with_zeros(
    cells: list[str | float | None], are_codes: bool
) -> None:
    assert has_zero_padded_codes(make_profile(*cells)) is are_codes
