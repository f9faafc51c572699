"""A few texts far longer than all others, as an open quotation mark makes them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import pluralize
from fieldcraft.kinds.text.checks._base import iter_text_columns
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS
from fieldcraft.ledger.records import Finding

MAX_OVERSIZED_FRACTION = 0.01  # of the texts
MIN_LENGTH_RATIO = 10  # as long as the longest of the others
MIN_TEXTS = 20  # texts


class OversizedTexts:
    """Texts many times as long as nearly all others."""

    code = "giant_texts"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the longest texts of each column with the rest."""
        for text_column in iter_text_columns(context):
            if len(text_column) < MIN_TEXTS:
                continue
            lengths = text_column.texts.str.len_chars().cast(pl.Int64).to_numpy()
            usual_length = int(
                np.sort(lengths)[-1 - max(1, int(MAX_OVERSIZED_FRACTION * len(lengths)))]
            )
            oversized = text_column.select(
                lengths > max(MIN_LENGTH_RATIO * usual_length, MAX_CHARACTERS)
            )
            if not len(oversized):
                continue
            max_length = int(lengths.max())
            yield Finding(
                self.code,
                "warn",
                f"{text_column.name}: {pluralize(len(oversized), 'text')} of up to {max_length:,} characters, "
                f"where nearly all have at most {usual_length:,}, {oversized.format_rows()}",
                text_column.name,
                {
                    "texts": len(oversized),
                    "longest": max_length,
                    "usual": usual_length,
                    "rows": oversized.first_row_numbers(),
                },
                "look at these rows in the file: a quotation mark that is never closed swallows "
                "the rows that follow; mend it, or drop the row",
            )
