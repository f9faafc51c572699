"""Numbers: amounts, counts, measurements, codes with an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.cell_parser import MIN_PARSED_FRACTION, clip, parse_numbers
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column
from fieldcraft.kinds._base import PlainValueKind
from fieldcraft.kinds.number.encode import NumberEncoder

MAX_ABS_VALUE = 1e100  # where numbers stop, so that their squares and cubes are still numbers


class NumberKind(PlainValueKind):
    """A column of numbers; cells that are not numbers count as missing."""

    name = "number"
    is_feature = True
    storage: Literal["values", "files"] = "values"
    options: tuple[str, ...] = ("decimal", "clip", "impute", "scale")

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """A number column is one of which at least 95 % of the values are numbers."""
        if profile.n_unique == 0 or profile.numeric_fraction < MIN_PARSED_FRACTION:
            return None
        options = {"decimal": ","} if profile.decimal_mark == "," else {}
        low, high = profile.value_range
        reason = f"numbers from {low:g} to {high:g}"
        if profile.numeric_fraction < 1:
            n_invalid = len(profile.present_values) - round(
                profile.numeric_fraction * len(profile.present_values)
            )
            reason += f"; {n_invalid} cells are not numbers and count as missing"
        return TypeInference(self.name, 0.7, reason, options)

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as floats, far values cut off if asked; what is no finite number is missing."""
        clipped = clip(
            parse_numbers(cells, options.get("decimal", ".")), -MAX_ABS_VALUE, MAX_ABS_VALUE
        )
        bounds = options.get("clip", "auto")  # which the encoder learns
        return clipped if bounds == "auto" else clip(clipped, *bounds)

    def encoder(self, columns: Sequence[Column]) -> NumberEncoder:
        """A fresh encoder for the number columns of a table."""
        return NumberEncoder(columns)

    def net(self, encoder: NumberEncoder, without_embeddings: bool) -> Any:
        """A fresh network over the encoded columns: piecewise-linear embeddings, or none."""
        from fieldcraft.kinds.number.net import NumberNet

        return NumberNet(encoder, without_embeddings)

    def checks(self) -> Sequence[Check]:
        """The checks for number columns."""
        from fieldcraft.kinds.number.checks import CHECKS

        return CHECKS

    def drift_statistics(self, values: pl.Series) -> dict[str, pl.Series]:
        """The numbers themselves."""
        return {"value": values}


KIND = NumberKind()
