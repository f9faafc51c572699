"""Yes or no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.aside import PlainValues
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.parse import truths
from fieldcraft.data.table import Column
from fieldcraft.kinds.boolean.encode import BooleanEncoder


class BooleanKind(PlainValues):
    """A column of truth values: yes and no, true and false, 1 and 0."""

    name = "boolean"
    used = True
    holds: Literal["values", "files"] = "values"
    options: tuple[str, ...] = ("impute",)

    def recognise(self, look: Look) -> Guess | None:
        """Two values, one meaning yes and the other no."""
        if look.distinct != 2:
            return None
        pair = look.counts["value"]
        if truths(pair).null_count() or truths(pair).n_unique() != 2:
            return None
        return Guess(self.name, 0.9, f"two values, {' and '.join(map(str, sorted(pair)))}")

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as truth values; other words are missing."""
        return truths(cells)

    def encoder(self, columns: Sequence[Column]) -> BooleanEncoder:
        """A fresh encoder for the boolean columns of a table."""
        return BooleanEncoder(columns)

    def net(self, encoder: BooleanEncoder, plain: bool) -> Any:
        """A fresh network over the encoded columns, which passes them as they are."""
        from fieldcraft.fit.network import PassNet

        return PassNet("boolean", 2 * len(encoder.names))

    def checks(self) -> Sequence[Check]:
        """There are no checks for boolean columns alone."""
        return ()

    def measures(self, values: pl.Series) -> dict[str, pl.Series]:
        """Yes and no as words."""
        return {"value": values.cast(pl.String)}


KIND = BooleanKind()
