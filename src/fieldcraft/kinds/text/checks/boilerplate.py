"""Check for boilerplate: a greeting, footer or heading that most texts share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.kinds.text.checks._base import ColumnTexts, iter_text_columns
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS
from fieldcraft.ledger.records import Finding

MIN_DISTINCT_TEXTS = 20
MIN_TEXT_FRACTION = 0.5
MIN_WORDS = 3  # one or two common words are ordinary language
MAX_TITLE_CHARACTERS = 60


class Boilerplate:
    """Finds texts most of which begin or end with the same words."""

    code = "boilerplate"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare both ends of the distinct texts of each column."""
        for text_column in iter_text_columns(context):
            texts = text_column.texts.unique(maintain_order=True)
            if len(texts) >= MIN_DISTINCT_TEXTS:
                yield from self._report(text_column, texts, "begin", most_common_prefix(texts))
                yield from self._report(text_column, texts, "end", most_common_suffix(texts))

    def _report(
        self, text_column: ColumnTexts, texts: pl.Series, end_name: str, boilerplate: str
    ) -> Iterator[Finding]:
        if len(boilerplate.split()) < MIN_WORDS:
            return
        has_boilerplate = (
            texts.str.starts_with(boilerplate)
            if end_name == "begin"
            else texts.str.ends_with(boilerplate)
        )
        count, single_line = int(has_boilerplate.sum()), " ".join(boilerplate.split())
        fraction = count / len(texts)
        excerpt = (
            single_line
            if len(single_line) <= MAX_TITLE_CHARACTERS
            else f"{single_line[:MAX_TITLE_CHARACTERS]}..."
        )
        yield Finding(
            self.code,
            "info",
            f"{text_column.name}: {count:,} of {len(texts):,} distinct texts "
            f"({fraction:.0%}) {end_name} with the same {len(boilerplate):,} characters, "
            f"{excerpt!r}",
            text_column.name,
            {
                "texts": count,
                "n_total": len(texts),
                "where": end_name,
                "characters": len(boilerplate),
            },
            f"it carries no information and takes up room among the {MAX_CHARACTERS:,} characters "
            "that are read: remove it from the file and from texts to predict",
        )


def most_common_prefix(texts: pl.Series) -> str:
    """Return the longest prefix of whole words that at least half of distinct texts share.

    >>> most_common_prefix(pl.Series(["Dear all, hello", "Dear all, hi", "Bye"]))
    'Dear all,'
    """
    # Sorting makes texts with a common prefix adjacent. If they are at least half of the texts, one
    # of them is a median, so the two medians are the only candidates.
    prefixes = texts.str.slice(0, MAX_CHARACTERS)
    sorted_prefixes = prefixes.sort()
    median_texts = {
        sorted_prefixes[(len(sorted_prefixes) - 1) // 2],
        sorted_prefixes[len(sorted_prefixes) // 2],
    }
    return max((shared_prefix(prefixes, text) for text in sorted(median_texts)), key=len)


def most_common_suffix(texts: pl.Series) -> str:
    """Return the longest suffix of whole words that at least half of distinct texts share.

    >>> most_common_suffix(pl.Series(["hello yours Ann", "hi yours Ann", "Bye"]))
    'yours Ann'
    """
    # Reversed by code point in both directions: Polars reverses by grapheme, so a letter with a
    # combining accent would not come back as it was, and no text would end with the result.
    reversed_texts = [text[::-1] for text in texts.str.tail(MAX_CHARACTERS).to_list()]
    return most_common_prefix(pl.Series(reversed_texts, dtype=pl.String))[::-1]


def shared_prefix(texts: pl.Series, text: str) -> str:
    """Return the longest prefix of `text`, of whole words, that at least half of texts share."""
    # Bisection works because texts that share a prefix share all shorter ones.
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if texts.str.starts_with(text[:middle]).sum() >= MIN_TEXT_FRACTION * len(texts):
            low = middle
        else:
            high = middle - 1
    prefix = text[:low]
    if text[low : low + 1].isalnum():  # within a word
        prefix = re.sub(r"\w+\Z", "", prefix)
    return prefix.rstrip()
