"""Heuristics on the cells and the name of a column: free text, codes, IDs, labels."""

from __future__ import annotations

import re

import polars as pl

from fieldcraft.data.column_profile import ColumnProfile

MIN_FREE_TEXT_WORDS = 3  # in the median value of a column of free text
MAX_VALUES_SAMPLED = 2_000  # distinct values
MIN_CODE_FRACTION = 0.95  # of the values that must have the form of a code
MIN_CODE_DIGITS = 3  # two digits with a leading zero may be a month or an hour
ID_NAME_PATTERN = re.compile(
    r"(^|[_\s.-])(?i:id|uuid|guid|key|pid|index)$|[a-z](ID|Id)$|^(id|ID|Id)[_A-Z]"
)
LABEL_NAME_PATTERN = re.compile(
    r"(?i)category|class|code|country|ethnicity|gender|nationality|postcode|race|region|religion|"
    r"sex|state|status|type|zip|zipcode"
)
WORD_PATTERN = r"\S*\p{L}{2}\S*"  # a run without blanks that has two letters
CJK_WORD_PATTERN = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]{2}"  # scripts without blanks


def median_words(profile: ColumnProfile) -> float:
    """Return the median number of words of the distinct values; codes and numbers have none.

    >>> median_words(ColumnProfile(pl.Series(["Braund, Mr. Owen", "Heikkinen, Miss. Laina"])))
    3.0
    >>> median_words(ColumnProfile(pl.Series(["7590-VHVEG", "PC 17599", "https://a.org/some-page"])))
    1.0
    """
    if not profile.is_text or not profile.n_unique:
        return 0.0
    # Evenly spaced in the order of frequency, so that the sample is the same in each run.
    step = max(1, profile.n_unique // MAX_VALUES_SAMPLED)
    values = profile.value_counts["value"].cast(pl.String).gather_every(step)
    counts = values.str.count_matches(WORD_PATTERN) + values.str.count_matches(CJK_WORD_PATTERN)
    return float(counts.median() or 0.0)  # type: ignore[arg-type]


def has_zero_padded_codes(profile: ColumnProfile) -> bool:
    """Return whether cells are codes of equal length with leading zeros, such as 020 and 120."""
    if not profile.is_text or profile.numeric_fraction < 1:
        return False
    values = profile.value_counts["value"].cast(pl.String).head(MAX_VALUES_SAMPLED)
    widths = values.str.len_chars()
    modal_width = int(widths.mode().max())  # type: ignore[arg-type]
    is_code = values.str.contains(r"^\d+$") & (widths == modal_width)
    return (
        modal_width >= MIN_CODE_DIGITS
        and bool(is_code.mean() >= MIN_CODE_FRACTION)  # type: ignore[operator]
        and bool((is_code & values.str.starts_with("0")).any())
    )


def has_id_name(name: str) -> bool:
    """Return whether a name is that of an ID: ``id``, ``customer_id``, ``CustomerID``.

    >>> [has_id_name(name) for name in ("id", "PID", "customer_id", "paid", "width")]
    [True, True, True, False, False]
    """
    return bool(ID_NAME_PATTERN.search(name))


def has_label_name(name: str) -> bool:
    """Return whether numbers of this name are labels without an order: ``zip_code``, ``sex``.

    >>> [has_label_name(name) for name in ("zipcode", "Area Code", "wineType", "region_count")]
    [True, True, True, False]
    """
    # Only the last word counts: the count of regions is a number, the region is a label.
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return bool(parts) and bool(LABEL_NAME_PATTERN.fullmatch(parts[-1]))
