"""What the spelling of cells and the name of a column tell: sentences, codes, keys, labels."""

from __future__ import annotations

import re

import polars as pl

from fieldcraft.data.look import Look

SEVERAL = 3  # words that a value of free text has
SAMPLE = 2_000  # distinct values that are looked at
ENOUGH = 0.95  # share of them that must be spelt alike
SHORTEST_CODE = 3  # digits; two with a leading zero may be a month or an hour
KEY = re.compile(r"(^|[_\s.-])(?i:id|uuid|guid|key|pid|index)$|[a-z](ID|Id)$|^(id|ID|Id)[_A-Z]")
LABELS = re.compile(
    r"(?i)category|class|code|country|ethnicity|gender|nationality|postcode|race|region|religion|"
    r"sex|state|status|type|zip|zipcode"
)
A_WORD = r"\S*\p{L}{2}\S*"  # between blanks, with letters
SIGNS_OF_A_WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]{2}"  # scripts without blanks


def words_a_value(look: Look) -> float:
    """How many words the middle one of the distinct values has; codes and numbers count as none.

    >>> words_a_value(Look(pl.Series(["Braund, Mr. Owen", "Heikkinen, Miss. Laina"])))
    3.0
    >>> words_a_value(Look(pl.Series(["7590-VHVEG", "PC 17599", "https://a.org/some-page"])))
    1.0
    """
    if not look.is_text or not look.distinct:
        return 0.0
    step = max(1, look.distinct // SAMPLE)
    values = look.counts["value"].cast(pl.String).gather_every(step)
    counts = values.str.count_matches(A_WORD) + values.str.count_matches(SIGNS_OF_A_WORD)
    return float(counts.median() or 0.0)  # type: ignore[arg-type]


def padded(look: Look) -> bool:
    """Whether cells are codes of one length that may start with zeros, such as 020 and 120."""
    if not look.is_text or look.numeric_share < 1:
        return False
    values = look.counts["value"].cast(pl.String).head(SAMPLE)
    widths = values.str.len_chars()
    usual = int(widths.mode().max())  # type: ignore[arg-type]
    spelt = values.str.contains(r"^\d+$") & (widths == usual)
    return (
        usual >= SHORTEST_CODE
        and bool(spelt.mean() >= ENOUGH)  # type: ignore[operator]
        and bool((spelt & values.str.starts_with("0")).any())
    )


def called_a_key(name: str) -> bool:
    """Whether a column's name says that it names things: ``id``, ``customer_id``, ``CustomerID``.

    >>> [called_a_key(name) for name in ("id", "PID", "customer_id", "paid", "width")]
    [True, True, True, False, False]
    """
    return bool(KEY.search(name))


def called_a_label(name: str) -> bool:
    """Whether numbers under this name are labels without an order: ``zip_code``, ``sex``.

    >>> [called_a_label(name) for name in ("zipcode", "Area Code", "wineType", "region_count")]
    [True, True, True, False]
    """
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return bool(parts) and bool(LABELS.fullmatch(parts[-1]))
