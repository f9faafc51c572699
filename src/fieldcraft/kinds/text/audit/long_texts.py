"""Texts longer than what is read of them, and texts that were cut before they came here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.written import Written, share, texts_of
from fieldcraft.kinds.text.deep import LONGEST, SCRATCH
from fieldcraft.kinds.text.options import NGRAMS
from fieldcraft.kinds.text.tokens import LENGTH, WINDOWS
from fieldcraft.kinds.text.words import MOST_CHARACTERS

FEW = 0.01  # of the texts
HALF = 0.5
FEWEST = 10  # texts of just one length, below which it may be chance
NEAR = 20  # lengths just below the longest, that its count is compared with
TIMES = 10  # as many texts as those lengths have on average
READS = dict.fromkeys(SCRATCH, f"the first {LONGEST} tokens")
WINDOWED = f"{WINDOWS} windows of {LENGTH} tokens, or where it is tuned the first {LONGEST}"
SHORTEST = 20  # characters of a text that one would cut


class LongTexts:
    """Texts of which only the first part is read, or of which only a first part is there."""

    code = "long_texts"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Count the characters of every text."""
        options = {column.name: column.options for column in view.schema.of_kind("text")}
        for written in texts_of(view):
            lengths = written.texts.str.len_chars().cast(pl.Int64).to_numpy()
            encoder = str(options[written.name].get("encoder", NGRAMS))
            yield from self._too_long(written, lengths, encoder)
            yield from self._cut_before(written, lengths)

    def _too_long(self, written: Written, lengths: Array, encoder: str) -> Iterator[Finding]:
        long = written.of(lengths > MOST_CHARACTERS)
        if len(long) < FEW * len(written) or not len(long):
            return
        beside = "" if encoder == NGRAMS else f"; {encoder} reads {READS.get(encoder, WINDOWED)}"
        unread = np.maximum(lengths - MOST_CHARACTERS, 0).sum() / lengths.sum()
        yield Finding(
            self.code,
            "warn" if len(long) >= HALF * len(written) else "tip",
            f"{written.name}: {share(len(long), len(written))} are longer than the "
            f"{MOST_CHARACTERS:,} characters whose words count; {unread:.0%} of all characters "
            f"are not read, the longest text has {lengths.max():,}{beside}",
            written.name,
            {"texts": len(long), "unread": float(unread), "longest": int(lengths.max()),
             "rows": long.rows()},
            "put what matters first, or cut long texts into several rows with a column that names "
            "the text they are of (data.entity, split.rule: entity)",
        )  # fmt: skip

    def _cut_before(self, written: Written, lengths: Array) -> Iterator[Finding]:
        most = int(lengths.max())
        cut = written.of(lengths == most)
        below = ((lengths < most) & (lengths >= most - NEAR)).sum() / NEAR
        if most < SHORTEST or len(cut) < max(FEWEST, TIMES * below) or not (lengths < most).any():
            return
        if cut.texts.n_unique() < HALF * len(cut):
            return  # one text over and over
        yield Finding(
            self.code,
            "warn",
            f"{written.name}: {share(len(cut), len(written))} have exactly {most:,} characters and "
            f"none has more: they seem to be cut, such as {cut.where()}",
            written.name,
            {"texts": len(cut), "characters": most, "rows": cut.rows()},
            "fetch the whole texts from their source; a column of a database may be too narrow",
        )
