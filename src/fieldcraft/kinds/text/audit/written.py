"""The texts of a view, as checks look at them: as written, and as plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, View
from fieldcraft.core.words import listed
from fieldcraft.kinds.text.words import MOST_CHARACTERS

SHOWN = 3  # rows that a title names
KEPT = 20  # rows that the evidence names


@dataclass(frozen=True)
class Written:
    """The texts of a column that are there.

    Attributes:
        name: of the column.
        texts: without gaps.
        places: of their rows in the view.
        lines: numbers of all rows of the view in their source.
    """

    name: str
    texts: pl.Series
    places: Array
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.texts)

    def of(self, which: Array) -> Written:
        """Some of the texts, given by their numbers or a mask."""
        chosen = np.arange(len(self))[which]
        return Written(self.name, self.texts[chosen.tolist()], self.places[chosen], self.lines)

    def rows(self, most: int = KEPT) -> list[int]:
        """The numbers of the first rows in their source."""
        return [self.lines[int(place)] for place in self.places[:most]]

    def where(self) -> str:
        """The first rows, for a title; never what they say, which may be private.

        >>> Written("a", pl.Series(["x", "y"]), np.array([0, 2]), [1, 2, 3]).where()
        'rows 1, 3'
        """
        rows = [f"{row}" for row in self.rows(SHOWN + 1)]
        return f"{'row' if len(rows) == 1 else 'rows'} {listed(rows, SHOWN)}"


def texts_of(view: View) -> Iterator[Written]:
    """The text columns of a view that hold any text; a target is none of them."""
    parsed = set(view.values.columns) - set(view.targets)
    for column in view.schema.of_kind("text"):
        if column.name in parsed:
            cells = view.values[column.name].cast(pl.String)
            places = np.flatnonzero(cells.is_not_null().to_numpy())
            if len(places):
                yield Written(column.name, cells.drop_nulls(), places, view.rows)


def share(count: int, of: int) -> str:
    """A count of texts with its share.

    >>> share(20, 1_000), share(1, 10_000)
    ('20 of 1,000 texts (2.0%)', '1 of 10,000 texts (0.01%)')
    """
    part = count / max(of, 1)
    percent = f"{part:.1%}" if part >= 0.001 or not part else f"{100 * part:.1g}%"
    return f"{count:,} of {of:,} texts ({percent})"


def plain(texts: pl.Series) -> pl.Series:
    """What the encoder reads of texts, as lower-cased words with one blank between.

    A Chinese sign is a word of its own, as it is for the encoder; signs of currencies and faces
    are kept, since they say something.

    >>> plain(pl.Series(["Don't  CALL (again)!", "你好 ok", "only $1..."])).to_list()
    ['don t call again', '你 好 ok', 'only $1']
    """
    words = texts.str.slice(0, MOST_CHARACTERS).str.to_lowercase()
    words = words.str.replace_all(r"\p{Han}", " ${0} ")
    return words.str.replace_all(r"[^\p{L}\p{M}\p{N}\p{Sc}\p{So}]+", " ").str.strip_chars(" ")
