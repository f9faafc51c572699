"""Words that most texts begin or end with: a greeting, a footer, a heading of a form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.contracts import Sight, View
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.written import Written, texts_of
from fieldcraft.kinds.text.words import MOST_CHARACTERS

FEWEST = 20  # different texts
MOST = 0.5  # of the texts
SEVERAL = 3  # words; fewer are a habit of the language
SHOWN = 60  # characters of it in a title


class Boilerplate:
    """Texts of which most begin, or end, with the same words."""

    code = "boilerplate"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Look at both ends of the texts of each column; equal texts count as one."""
        for written in texts_of(view):
            texts = written.texts.unique(maintain_order=True)
            if len(texts) >= FEWEST:
                yield from self._finding(written, texts, "begin", common_start(texts))
                ends = texts.str.tail(MOST_CHARACTERS).str.reverse()
                yield from self._finding(written, texts, "end", common_start(ends)[::-1])

    def _finding(
        self, written: Written, texts: pl.Series, where: str, words: str
    ) -> Iterator[Finding]:
        if len(words.split()) < SEVERAL:
            return
        same = texts.str.starts_with(words) if where == "begin" else texts.str.ends_with(words)
        count, spelt = int(same.sum()), " ".join(words.split())
        part = count / len(texts)
        shown = spelt if len(spelt) <= SHOWN else f"{spelt[:SHOWN]}..."
        yield Finding(
            self.code,
            "tip",
            f"{written.name}: {count:,} of {len(texts):,} different texts "
            f"({part:.0%}) {where} with the same {len(words):,} characters, {shown!r}",
            written.name,
            {"texts": count, "of": len(texts), "where": where, "characters": len(words)},
            f"what nearly all say tells nothing and takes room among the {MOST_CHARACTERS:,} "
            "characters that are read: take it out of the file, and out of texts to predict",
        )


def common_start(texts: pl.Series) -> str:
    """The longest start, cut after a word, that at least half of some different texts share.

    >>> common_start(pl.Series(["Dear all, hello", "Dear all, hi", "Bye"]))
    'Dear all,'
    """
    # In alphabetical order, texts with one start stand together; of half of them one is in the
    # middle.
    read = texts.str.slice(0, MOST_CHARACTERS)
    ordered = read.sort()
    middles = {ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]}
    return max((shared_start(read, middle) for middle in sorted(middles)), key=len)


def shared_start(texts: pl.Series, text: str) -> str:
    """The longest start of one text, cut after a word, that at least half of all have."""
    low, high = 0, len(text)
    while low < high:
        half = (low + high + 1) // 2
        if texts.str.starts_with(text[:half]).sum() >= MOST * len(texts):
            low = half
        else:
            high = half - 1
    start = text[:low]
    if text[low : low + 1].isalnum():  # within a word, which texts go on in other ways
        start = re.sub(r"\w+\Z", "", start)
    return start.rstrip()
