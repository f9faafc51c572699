"""Texts with what names a person or a purse."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import joined, plural
from fieldcraft.data.personal import SORTS, Sort, masked
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.written import Written, share, texts_of

CLEARLY = 3  # times as many right check digits as chance gives
FEW = 3  # texts below which it may well be an example, or an address that is meant for all


class Personal:
    """Texts with what looks like personal data; it is counted, never shown."""

    code = "personal_data"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Count the texts of each column that have each sort of it."""
        for written in texts_of(view):
            found = {sort.many: held for sort in SORTS if (held := held_in(written.texts, sort))}
            if found:
                yield self._finding(written, found)

    def _finding(self, written: Written, found: dict[str, dict[int, list[str]]]) -> Finding:
        ones = {sort.many: sort.one for sort in SORTS}
        parts = []
        for many, held in found.items():
            count = sum(map(len, held.values()))
            where, first = written.of(numbers(held)[:1]).where(), next(iter(held.values()))[0]
            parts.append(f"{plural(count, ones[many], many)} (such as {masked(first)}, {where})")
        texts = len(set().union(*found.values()))
        return Finding(
            self.code,
            "warn" if texts >= FEW else "tip",
            f"{written.name}: {share(texts, len(written))} "
            f"{'has' if texts == 1 else 'have'} what looks like personal data: {joined(parts)}",
            written.name,
            {
                many: {"texts": len(held), "rows": written.of(numbers(held)).rows()}
                for many, held in found.items()
            },
            "make sure that you may use it; else put a word such as EMAIL in its place, in the "
            "file and in texts to predict: a model needs none of it, and may learn persons by "
            "heart",
        )


def numbers(held: dict[int, list[str]]) -> Array:
    """Numbers of the texts that hold something."""
    return np.array(list(held), dtype=np.int64)


def held_in(texts: pl.Series, sort: Sort) -> dict[int, list[str]]:
    """What of one sort each text holds, by the number of the text; texts without are left out.

    Nothing, where check digits are right no more often than those of order numbers would be.
    """
    runs = texts.str.extract_all(sort.run)
    some = np.flatnonzero((runs.list.len() > 0).to_numpy()).tolist()
    shaped = {i: [found for run in runs[i] for found in sort.shaped(run)] for i in some}
    held = {i: list(filter(sort.real, found)) for i, found in shaped.items()}
    held = {i: found for i, found in held.items() if found}
    count = sum(map(len, held.values()))
    return held if count > CLEARLY * sort.chance * sum(map(len, shaped.values())) else {}
