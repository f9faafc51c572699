"""The text columns of a table for checks, and texts normalized to words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS

MAX_TITLE_ROWS = 3
MAX_EVIDENCE_ROWS = 20


@dataclass(frozen=True)
class ColumnTexts:
    """The texts of a column that are not missing.

    Attributes:
        name: name of the column.
        texts: the texts.
        row_positions: position in the table of the row of each text.
        row_numbers: number in the source file of each row of the table.
    """

    name: str
    texts: pl.Series
    row_positions: Array
    row_numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, selection: Array) -> ColumnTexts:
        """Select texts by index or mask."""
        positions = np.arange(len(self))[selection]
        return ColumnTexts(
            self.name,
            self.texts[positions.tolist()],
            self.row_positions[positions],
            self.row_numbers,
        )

    def first_row_numbers(self, max_rows: int = MAX_EVIDENCE_ROWS) -> list[int]:
        """Return the numbers of the first rows in their source."""
        return [self.row_numbers[int(position)] for position in self.row_positions[:max_rows]]

    def format_rows(self) -> str:
        """Format the first row numbers for a title.

        >>> ColumnTexts("a", pl.Series(["x", "y"]), np.array([0, 2]), [1, 2, 3]).format_rows()
        'rows 1, 3'
        """
        # Never the texts themselves: findings are shared, and texts may be private.
        rows = [f"{row}" for row in self.first_row_numbers(MAX_TITLE_ROWS + 1)]
        return f"{'row' if len(rows) == 1 else 'rows'} {truncated_list(rows, MAX_TITLE_ROWS)}"


def iter_text_columns(context: CheckContext) -> Iterator[ColumnTexts]:
    """Yield the feature columns of texts that hold any text."""
    parsed_columns = set(context.values.columns) - set(context.targets)
    for column in context.schema.columns_of_kind("text"):
        if column.name in parsed_columns:
            cells = context.values[column.name].cast(pl.String)
            positions = np.flatnonzero(cells.is_not_null().to_numpy())
            if len(positions):
                yield ColumnTexts(column.name, cells.drop_nulls(), positions, context.row_numbers)


def format_fraction(count: int, total: int) -> str:
    """Format a count of texts with its percentage.

    >>> format_fraction(20, 1_000), format_fraction(1, 10_000)
    ('20 of 1,000 texts (2.0%)', '1 of 10,000 texts (0.01%)')
    """
    fraction = count / max(total, 1)
    # One significant digit for small fractions, since "0.0%" would read as none.
    percent = f"{fraction:.1%}" if fraction >= 0.001 or not fraction else f"{100 * fraction:.1g}%"
    return f"{count:,} of {total:,} texts ({percent})"


def normalize_words(texts: pl.Series) -> pl.Series:
    """Normalize the part of texts that is encoded to lower-case words separated by spaces.

    A Chinese character is a word, as in the encoder. Currency signs and emoji are kept, since they
    carry meaning; other punctuation is dropped.

    >>> normalize_words(pl.Series(["Don't  CALL (again)!", "你好 ok", "only $1..."])).to_list()
    ['don t call again', '你 好 ok', 'only $1']
    """
    words = texts.str.slice(0, MAX_CHARACTERS).str.to_lowercase()
    words = words.str.replace_all(r"\p{Han}", " ${0} ")
    return words.str.replace_all(r"[^\p{L}\p{M}\p{N}\p{Sc}\p{So}]+", " ").str.strip_chars(" ")
