"""Check for texts longer than the model reads, and texts truncated at their source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.types import Array
from fieldcraft.kinds.text.checks._base import ColumnTexts, format_fraction, iter_text_columns
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS
from fieldcraft.kinds.text.options import NGRAM_ENCODER_NAME, TEXT_NETWORKS_FROM_SCRATCH
from fieldcraft.kinds.text.tokenization import (
    DEFAULT_MAX_WINDOWS,
    DEFAULT_WINDOW_TOKENS,
    MAX_LENGTH_TOKENS,
)
from fieldcraft.ledger.records import Finding

MIN_LONG_FRACTION = 0.01
WARNING_FRACTION = 0.5
# A database column of fixed width leaves a peak at the maximum length: at least ten texts, and ten
# times the mean number of texts at each of the 20 lengths below it.
MIN_CUT_TEXTS = 10
N_COMPARED_LENGTHS = 20
MIN_CUT_RATIO = 10
MIN_CUT_CHARACTERS = 20  # columns for texts are not narrower
CONTEXT_BY_ENCODER = dict.fromkeys(
    TEXT_NETWORKS_FROM_SCRATCH, f"the first {MAX_LENGTH_TOKENS} tokens"
)
WINDOWED_CONTEXT = (
    f"{DEFAULT_MAX_WINDOWS} windows of {DEFAULT_WINDOW_TOKENS} tokens, or the first "
    f"{MAX_LENGTH_TOKENS} tokens if it is fine-tuned"
)


class TruncatedTexts:
    """Finds texts of which only the first part is read, or present at all."""

    code = "truncated_texts"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the lengths of the texts of each column."""
        options = {column.name: column.options for column in context.schema.columns_of_kind("text")}
        for text_column in iter_text_columns(context):
            lengths = text_column.texts.str.len_chars().cast(pl.Int64).to_numpy()
            encoder = str(options[text_column.name].get("encoder", NGRAM_ENCODER_NAME))
            yield from self._report_too_long(text_column, lengths, encoder)
            yield from self._report_truncated(text_column, lengths)

    def _report_too_long(
        self, text_column: ColumnTexts, lengths: Array, encoder: str
    ) -> Iterator[Finding]:
        long_texts = text_column.select(lengths > MAX_CHARACTERS)
        if len(long_texts) < MIN_LONG_FRACTION * len(text_column) or not len(long_texts):
            return
        encoder_note = (
            ""
            if encoder == NGRAM_ENCODER_NAME
            else f"; {encoder} reads {CONTEXT_BY_ENCODER.get(encoder, WINDOWED_CONTEXT)}"
        )
        unread_fraction = np.maximum(lengths - MAX_CHARACTERS, 0).sum() / lengths.sum()
        yield Finding(
            self.code,
            "warning" if len(long_texts) >= WARNING_FRACTION * len(text_column) else "info",
            f"{text_column.name}: {format_fraction(len(long_texts), len(text_column))} "
            f"{'is' if len(long_texts) == 1 else 'are'} longer than the {MAX_CHARACTERS:,} "
            f"characters that are read; {unread_fraction:.0%} of all characters are not read, the "
            f"longest text has {lengths.max():,}{encoder_note}",
            text_column.name,
            {
                "texts": len(long_texts),
                "unread": float(unread_fraction),
                "longest": int(lengths.max()),
                "rows": long_texts.first_row_numbers(),
            },
            "put what matters first, or split long texts into several rows, with a column that "
            "identifies the text they are from (data.group, split.strategy: group)",
        )

    def _report_truncated(self, text_column: ColumnTexts, lengths: Array) -> Iterator[Finding]:
        max_length = int(lengths.max())
        truncated = text_column.select(lengths == max_length)
        mean_nearby_count = (
            (lengths < max_length) & (lengths >= max_length - N_COMPARED_LENGTHS)
        ).sum() / N_COMPARED_LENGTHS
        if (
            max_length < MIN_CUT_CHARACTERS
            or len(truncated) < max(MIN_CUT_TEXTS, MIN_CUT_RATIO * mean_nearby_count)
            or not (lengths < max_length).any()
        ):
            return
        if truncated.texts.n_unique() < WARNING_FRACTION * len(truncated):
            return  # copies of one text
        yield Finding(
            self.code,
            "warning",
            f"{text_column.name}: {format_fraction(len(truncated), len(text_column))} have exactly "
            f"{max_length:,} characters and none has more: they seem to be truncated, such as "
            f"{truncated.format_rows()}",
            text_column.name,
            {
                "texts": len(truncated),
                "characters": max_length,
                "rows": truncated.first_row_numbers(),
            },
            "export the full texts from their source; a database column may be too narrow",
        )
