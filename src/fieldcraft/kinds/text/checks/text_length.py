"""Texts longer than what is read of them, and texts that were cut before they came here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.types import Array
from fieldcraft.kinds.text.checks._base import TextColumn, format_fraction, iter_text_columns
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS
from fieldcraft.kinds.text.options import NGRAM_ENCODER_NAME
from fieldcraft.kinds.text.token_encoder import MAX_LENGTH_TOKENS, TEXT_NETWORKS_FROM_SCRATCH
from fieldcraft.kinds.text.tokenization import DEFAULT_MAX_WINDOWS, DEFAULT_WINDOW_TOKENS
from fieldcraft.ledger.records import Finding

MIN_LONG_FRACTION = 0.01  # of the texts
WARNING_FRACTION = 0.5
MIN_CUT_TEXTS = 10  # texts of just one length, below which it may be chance
N_COMPARED_LENGTHS = 20  # lengths just below the longest, that its count is compared with
MIN_CUT_RATIO = 10  # as many texts as those lengths have on average
CONTEXT_BY_ENCODER = dict.fromkeys(
    TEXT_NETWORKS_FROM_SCRATCH, f"the first {MAX_LENGTH_TOKENS} tokens"
)
WINDOWED_CONTEXT = f"{DEFAULT_MAX_WINDOWS} windows of {DEFAULT_WINDOW_TOKENS} tokens, or where it is tuned the first {MAX_LENGTH_TOKENS}"
MIN_CUT_CHARACTERS = 20  # characters of a text that one would cut


class TextLength:
    """Texts of which only the first part is read, or of which only a first part is there."""

    code = "long_texts"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the characters of every text."""
        options = {column.name: column.options for column in context.schema.columns_of_kind("text")}
        for text_column in iter_text_columns(context):
            lengths = text_column.texts.str.len_chars().cast(pl.Int64).to_numpy()
            encoder = str(options[text_column.name].get("encoder", NGRAM_ENCODER_NAME))
            yield from self._report_too_long(text_column, lengths, encoder)
            yield from self._report_truncated(text_column, lengths)

    def _report_too_long(
        self, text_column: TextColumn, lengths: Array, encoder: str
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
            "warn" if len(long_texts) >= WARNING_FRACTION * len(text_column) else "tip",
            f"{text_column.name}: {format_fraction(len(long_texts), len(text_column))} are longer than the "
            f"{MAX_CHARACTERS:,} characters whose words count; {unread_fraction:.0%} of all characters "
            f"are not read, the longest text has {lengths.max():,}{encoder_note}",
            text_column.name,
            {"texts": len(long_texts), "unread": float(unread_fraction), "longest": int(lengths.max()),
             "rows": long_texts.first_row_numbers()},
            "put what matters first, or cut long texts into several rows with a column that names "
            "the text they are of (data.entity, split.rule: entity)",
        )  # fmt: skip

    def _report_truncated(self, text_column: TextColumn, lengths: Array) -> Iterator[Finding]:
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
            return  # one text over and over
        yield Finding(
            self.code,
            "warn",
            f"{text_column.name}: {format_fraction(len(truncated), len(text_column))} have exactly {max_length:,} characters and "
            f"none has more: they seem to be cut, such as {truncated.format_rows()}",
            text_column.name,
            {
                "texts": len(truncated),
                "characters": max_length,
                "rows": truncated.first_row_numbers(),
            },
            "fetch the whole texts from their source; a column of a database may be too narrow",
        )
