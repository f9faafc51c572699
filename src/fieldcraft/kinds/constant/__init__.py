"""Columns with one value or none: set aside, since they tell nothing."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.aside import SetAside
from fieldcraft.data.look import Guess, Look


class ConstantKind(SetAside):
    """A column that is the same in every row."""

    name = "constant"

    def recognise(self, look: Look) -> Guess | None:
        """One value without gaps, or no value at all."""
        if look.distinct == 0:
            return Guess(self.name, 1.0, "no value in any row")
        if look.distinct == 1 and look.missing == 0:
            return Guess(self.name, 1.0, f"always {look.top(1)[0][0]}")
        return None

    def checks(self) -> Sequence[Check]:
        """The checks for constant columns."""
        from fieldcraft.kinds.constant.audit import CHECKS

        return CHECKS

    def measures(self, values: pl.Series) -> dict[str, pl.Series]:
        """The one value, and whatever else there is."""
        return {"value": values.cast(pl.String)}


KIND = ConstantKind()
