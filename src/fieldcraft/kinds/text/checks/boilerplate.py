"""Words that most texts begin or end with: a greeting, a footer, a heading of a form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.kinds.text.checks._base import TextColumn, iter_text_columns
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS
from fieldcraft.ledger.records import Finding

MIN_DISTINCT_TEXTS = 20  # different texts
MIN_TEXT_FRACTION = 0.5  # of the texts
MIN_WORDS = 3  # words; fewer are a habit of the language
MAX_TITLE_CHARACTERS = 60  # characters of it in a title


class Boilerplate:
    """Texts of which most begin, or end, with the same words."""

    code = "boilerplate"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Look at both ends of the texts of each column; equal texts count as one."""
        for text_column in iter_text_columns(context):
            texts = text_column.texts.unique(maintain_order=True)
            if len(texts) >= MIN_DISTINCT_TEXTS:
                yield from self._report(text_column, texts, "begin", most_common_prefix(texts))
                reversed_texts = texts.str.tail(MAX_CHARACTERS).str.reverse()
                yield from self._report(
                    text_column, texts, "end", most_common_prefix(reversed_texts)[::-1]
                )

    def _report(
        self, text_column: TextColumn, texts: pl.Series, end_name: str, boilerplate: str
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
            "tip",
            f"{text_column.name}: {count:,} of {len(texts):,} different texts "
            f"({fraction:.0%}) {end_name} with the same {len(boilerplate):,} characters, {excerpt!r}",
            text_column.name,
            {"texts": count, "of": len(texts), "where": end_name, "characters": len(boilerplate)},
            f"what nearly all say tells nothing and takes room among the {MAX_CHARACTERS:,} "
            "characters that are read: take it out of the file, and out of texts to predict",
        )


def most_common_prefix(texts: pl.Series) -> str:
    """The longest start, cut after a word, that at least half of some different texts share.

    >>> common_start(pl.Series(["Dear all, hello", "Dear all, hi", "Bye"]))
    'Dear all,'
    """
    # In alphabetical order, texts with one start stand together; of half of them one is in the
    # middle.
    prefixes = texts.str.slice(0, MAX_CHARACTERS)
    sorted_prefixes = prefixes.sort()
    median_texts = {
        sorted_prefixes[(len(sorted_prefixes) - 1) // 2],
        sorted_prefixes[len(sorted_prefixes) // 2],
    }
    return max((shared_prefix(prefixes, text) for text in sorted(median_texts)), key=len)


def shared_prefix(texts: pl.Series, text: str) -> str:
    """The longest start of one text, cut after a word, that at least half of all have."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if texts.str.starts_with(text[:middle]).sum() >= MIN_TEXT_FRACTION * len(texts):
            low = middle
        else:
            high = middle - 1
    prefix = text[:low]
    if text[low : low + 1].isalnum():  # within a word, which texts go on in other ways
        prefix = re.sub(r"\w+\Z", "", prefix)
    return prefix.rstrip()
