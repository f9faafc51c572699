"""A few texts far longer than all others, as an open quotation mark makes them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import Sight, View
from fieldcraft.core.words import plural
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.written import texts_of
from fieldcraft.kinds.text.words import MOST_CHARACTERS

FEW = 0.01  # of the texts
TIMES = 10  # as long as the longest of the others
FEWEST = 20  # texts


class GiantTexts:
    """Texts many times as long as nearly all others."""

    code = "giant_texts"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare the longest texts of each column with the rest."""
        for written in texts_of(view):
            if len(written) < FEWEST:
                continue
            lengths = written.texts.str.len_chars().cast(pl.Int64).to_numpy()
            usual = int(np.sort(lengths)[-1 - max(1, int(FEW * len(lengths)))])
            giants = written.of(lengths > max(TIMES * usual, MOST_CHARACTERS))
            if not len(giants):
                continue
            most = int(lengths.max())
            yield Finding(
                self.code,
                "warn",
                f"{written.name}: {plural(len(giants), 'text')} of up to {most:,} characters, "
                f"where nearly all have at most {usual:,}, {giants.where()}",
                written.name,
                {"texts": len(giants), "longest": most, "usual": usual, "rows": giants.rows()},
                "look at these rows in the file: a quotation mark that is never closed swallows "
                "the rows that follow; mend it, or drop the row",
            )
