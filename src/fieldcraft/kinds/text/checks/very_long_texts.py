"""Check for a few texts far longer than all others, often due to an unclosed quotation mark."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import pluralize
from fieldcraft.kinds.text.checks._base import iter_text_columns
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS
from fieldcraft.ledger.records import Finding

MAX_OVERSIZED_FRACTION = 0.01  # more long texts are the normal tail of the lengths
MIN_LENGTH_RATIO = 10  # to the longest of the other texts
MIN_TEXTS = 20


class VeryLongTexts:
    """Finds texts many times as long as nearly all others."""

    code = "very_long_texts"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the longest texts of each column with all others."""
        for text_column in iter_text_columns(context):
            if len(text_column) < MIN_TEXTS:
                continue
            lengths = text_column.texts.str.len_chars().cast(pl.Int64).to_numpy()
            n_oversized = max(1, int(MAX_OVERSIZED_FRACTION * len(lengths)))
            typical_length = int(np.sort(lengths)[-1 - n_oversized])
            # Characters after the first MAX_CHARACTERS are not read: shorter texts do no harm.
            oversized = text_column.select(
                lengths > max(MIN_LENGTH_RATIO * typical_length, MAX_CHARACTERS)
            )
            if not len(oversized):
                continue
            max_length = int(lengths.max())
            yield Finding(
                self.code,
                "warning",
                f"{text_column.name}: {pluralize(len(oversized), 'text')} of up to {max_length:,} "
                f"characters, where nearly all have at most {typical_length:,}, "
                f"{oversized.format_rows()}",
                text_column.name,
                {
                    "texts": len(oversized),
                    "longest": max_length,
                    "typical_length": typical_length,
                    "rows": oversized.first_row_numbers(),
                },
                "look at these rows in the file: an unclosed quotation mark swallows the rows that "
                "follow; fix it, or remove the row",
            )
