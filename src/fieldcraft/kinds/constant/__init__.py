"""Columns with one value or none: set aside, since they tell nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from fieldcraft.contracts import Check, Json
from fieldcraft.data.look import Guess, Look


class ConstantKind:
    """A column that is the same in every row."""

    name = "constant"
    used = False
    options: tuple[str, ...] = ()

    def recognise(self, look: Look) -> Guess | None:
        """One value without gaps, or no value at all."""
        if look.distinct == 0:
            return Guess(self.name, 1.0, "no value in any row")
        if look.distinct == 1 and look.missing == 0:
            return Guess(self.name, 1.0, f"always {look.top(1)[0][0]}")
        return None

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as text."""
        return cells.cast(pl.String)

    def encoder(self) -> Any:
        """Nothing: constants are set aside."""
        return None

    def net(self, encoder: Any, plain: bool) -> Any:
        """Nothing: constants are set aside."""
        return None

    def checks(self) -> Sequence[Check]:
        """The checks for constant columns."""
        from fieldcraft.kinds.constant.audit import CHECKS

        return CHECKS

    def describe(self, values: pl.Series) -> Json:
        """The value, and the share missing."""
        there = values.drop_nulls()
        missing = values.null_count() / max(len(values), 1)
        return {"missing": missing, "value": str(there[0]) if len(there) else None}


KIND = ConstantKind()
