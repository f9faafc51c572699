"""Numbers: amounts, counts, measurements, codes with an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.aside import PlainValues
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.parse import ENOUGH, numbers, within
from fieldcraft.data.table import Column
from fieldcraft.kinds.number.encode import NumberEncoder

FARTHEST = 1e100  # where numbers stop, so that their squares and cubes are still numbers


class NumberKind(PlainValues):
    """A column of numbers; cells that are not numbers count as missing."""

    name = "number"
    used = True
    holds: Literal["values", "files"] = "values"
    options: tuple[str, ...] = ("decimal", "clip", "impute", "scale")

    def recognise(self, look: Look) -> Guess | None:
        """A number column is one of which at least 95 % of the values are numbers."""
        if look.distinct == 0 or look.numeric_share < ENOUGH:
            return None
        options = {"decimal": ","} if look.decimal == "," else {}
        low, high = look.span
        reason = f"numbers from {low:g} to {high:g}"
        if look.numeric_share < 1:
            odd = len(look.values) - round(look.numeric_share * len(look.values))
            reason += f"; {odd} cells are not numbers and count as missing"
        return Guess(self.name, 0.7, reason, options)

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as floats, far values cut off if asked; what is no finite number is missing."""
        found = within(numbers(cells, options.get("decimal", ".")), -FARTHEST, FARTHEST)
        bounds = options.get("clip", "auto")  # which the encoder learns
        return found if bounds == "auto" else within(found, *bounds)

    def encoder(self, columns: Sequence[Column]) -> NumberEncoder:
        """A fresh encoder for the number columns of a table."""
        return NumberEncoder(columns)

    def net(self, encoder: NumberEncoder, plain: bool) -> Any:
        """A fresh network over the encoded columns: piecewise-linear embeddings, or none."""
        from fieldcraft.kinds.number.net import NumberNet

        return NumberNet(encoder, plain)

    def checks(self) -> Sequence[Check]:
        """The checks for number columns."""
        from fieldcraft.kinds.number.audit import CHECKS

        return CHECKS

    def measures(self, values: pl.Series) -> dict[str, pl.Series]:
        """The numbers themselves."""
        return {"value": values}


KIND = NumberKind()
