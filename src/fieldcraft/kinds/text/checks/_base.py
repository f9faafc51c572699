"""The texts of a view, as checks look at them: as written, and as plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS

MAX_TITLE_ROWS = 3  # rows that a title names
MAX_EVIDENCE_ROWS = 20  # rows that the evidence names


@dataclass(frozen=True)
class TextColumn:
    """The texts of a column that are there.

    Attributes:
        name: of the column.
        texts: without gaps.
        row_positions: of their rows in the view.
        row_numbers: numbers of all rows of the view in their source.
    """

    name: str
    texts: pl.Series
    row_positions: Array
    row_numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, selection: Array) -> TextColumn:
        """Some of the texts, given by their numbers or a mask."""
        positions = np.arange(len(self))[selection]
        return TextColumn(
            self.name,
            self.texts[positions.tolist()],
            self.row_positions[positions],
            self.row_numbers,
        )

    def first_row_numbers(self, max_rows: int = MAX_EVIDENCE_ROWS) -> list[int]:
        """The numbers of the first rows in their source."""
        return [self.row_numbers[int(position)] for position in self.row_positions[:max_rows]]

    def format_rows(self) -> str:
        """The first rows, for a title; never what they say, which may be private.

        >>> Written("a", pl.Series(["x", "y"]), np.array([0, 2]), [1, 2, 3]).where()
        'rows 1, 3'
        """
        rows = [f"{row}" for row in self.first_row_numbers(MAX_TITLE_ROWS + 1)]
        return f"{'row' if len(rows) == 1 else 'rows'} {truncated_list(rows, MAX_TITLE_ROWS)}"


def iter_text_columns(context: CheckContext) -> Iterator[TextColumn]:
    """The text columns of a view that hold any text; a target is none of them."""
    parsed_columns = set(context.values.columns) - set(context.targets)
    for column in context.schema.columns_of_kind("text"):
        if column.name in parsed_columns:
            cells = context.values[column.name].cast(pl.String)
            positions = np.flatnonzero(cells.is_not_null().to_numpy())
            if len(positions):
                yield TextColumn(column.name, cells.drop_nulls(), positions, context.row_numbers)


def format_fraction(count: int, total: int) -> str:
    """A count of texts with its share.

    >>> share(20, 1_000), share(1, 10_000)
    ('20 of 1,000 texts (2.0%)', '1 of 10,000 texts (0.01%)')
    """
    fraction = count / max(total, 1)
    percent = f"{fraction:.1%}" if fraction >= 0.001 or not fraction else f"{100 * fraction:.1g}%"
    return f"{count:,} of {total:,} texts ({percent})"


def normalize_words(texts: pl.Series) -> pl.Series:
    """What the encoder reads of texts, as lower-cased words with one blank between.

    A Chinese sign is a word of its own, as it is for the encoder; signs of currencies and faces
    are kept, since they say something.

    >>> plain(pl.Series(["Don't  CALL (again)!", "你好 ok", "only $1..."])).to_list()
    ['don t call again', '你 好 ok', 'only $1']
    """
    words = texts.str.slice(0, MAX_CHARACTERS).str.to_lowercase()
    words = words.str.replace_all(r"\p{Han}", " ${0} ")
    return words.str.replace_all(r"[^\p{L}\p{M}\p{N}\p{Sc}\p{So}]+", " ").str.strip_chars(" ")
