"""The words of a column name, however they are joined."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Words are joined in three ways: "customerID", "MS SubClass", "two_year_recid".
WORD_PATTERN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")


def strip_accents(text: str) -> str:
    """Remove accents from letters.

    >>> strip_accents("Größe, état")
    'Grosse, etat'
    """
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


@lru_cache(maxsize=10_000)
def split_words(name: str) -> tuple[str, ...]:
    """Split a column name into words, in lower case and without accents.

    >>> split_words("customerID"), split_words("MS SubClass"), split_words("état_civil.1")
    (('customer', 'id'), ('ms', 'sub', 'class'), ('etat', 'civil', '1'))
    """
    return tuple(word.lower() for word in WORD_PATTERN.findall(strip_accents(name)))
