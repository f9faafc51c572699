"""What the spelling of cells and the name of a column tell: sentences, codes, keys, labels."""

from __future__ import annotations

import re

import polars as pl

from fieldcraft.data.column_profile import ColumnProfile

MIN_FREE_TEXT_WORDS = 3  # words that a value of free text has
MAX_VALUES_SAMPLED = 2_000  # distinct values that are looked at
MIN_CODE_FRACTION = 0.95  # share of them that must be spelt alike
MIN_CODE_DIGITS = 3  # digits; two with a leading zero may be a month or an hour
ID_NAME_PATTERN = re.compile(
    r"(^|[_\s.-])(?i:id|uuid|guid|key|pid|index)$|[a-z](ID|Id)$|^(id|ID|Id)[_A-Z]"
)
LABEL_NAME_PATTERN = re.compile(
    r"(?i)category|class|code|country|ethnicity|gender|nationality|postcode|race|region|religion|"
    r"sex|state|status|type|zip|zipcode"
)
WORD_PATTERN = r"\S*\p{L}{2}\S*"  # between blanks, with letters
CJK_WORD_PATTERN = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]{2}"  # scripts without blanks


def median_words(profile: ColumnProfile) -> float:
    """How many words the middle one of the distinct values has; codes and numbers count as none.

    >>> words_a_value(Look(pl.Series(["Braund, Mr. Owen", "Heikkinen, Miss. Laina"])))
    3.0
    >>> words_a_value(Look(pl.Series(["7590-VHVEG", "PC 17599", "https://a.org/some-page"])))
    1.0
    """
    if not profile.is_text or not profile.n_unique:
        return 0.0
    step = max(1, profile.n_unique // MAX_VALUES_SAMPLED)
    values = profile.value_counts["value"].cast(pl.String).gather_every(step)
    counts = values.str.count_matches(WORD_PATTERN) + values.str.count_matches(CJK_WORD_PATTERN)
    return float(counts.median() or 0.0)  # type: ignore[arg-type]


def has_zero_padded_codes(profile: ColumnProfile) -> bool:
    """Whether cells are codes of one length that may start with zeros, such as 020 and 120."""
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
    """Whether a column's name says that it names things: ``id``, ``customer_id``, ``CustomerID``.

    >>> [called_a_key(name) for name in ("id", "PID", "customer_id", "paid", "width")]
    [True, True, True, False, False]
    """
    return bool(ID_NAME_PATTERN.search(name))


def has_label_name(name: str) -> bool:
    """Whether numbers under this name are labels without an order: ``zip_code``, ``sex``.

    >>> [called_a_label(name) for name in ("zipcode", "Area Code", "wineType", "region_count")]
    [True, True, True, False]
    """
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return bool(parts) and bool(LABEL_NAME_PATTERN.fullmatch(parts[-1]))
