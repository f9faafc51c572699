"""Numbers: amounts, counts, measurements, codes with an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.cell_parser import MIN_PARSED_FRACTION, clip, parse_numbers
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column
from fieldcraft.kinds._base import BaseKind
from fieldcraft.kinds.number.encode import NumberEncoder

MAX_ABS_VALUE = 1e100  # numbers are clipped to it, so that their squares and cubes are finite


class NumberKind(BaseKind):
    """A column of numbers; other cells count as missing."""

    name = "number"
    options: tuple[str, ...] = ("decimal", "clip", "impute", "scale")

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Match a column in which at least 95 % of the values are numbers."""
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
        """Cells as floats, clipped to the option `clip`; values that are not finite are missing."""
        clipped = clip(
            parse_numbers(cells, options.get("decimal", ".")), -MAX_ABS_VALUE, MAX_ABS_VALUE
        )
        bounds = options.get("clip", "auto")  # auto: the encoder learns them from training rows
        return clipped if bounds == "auto" else clip(clipped, *bounds)

    def encoder(self, columns: Sequence[Column]) -> NumberEncoder:
        """A new encoder for the number columns of a table."""
        return NumberEncoder(columns)

    def net(self, encoder: NumberEncoder, without_embeddings: bool) -> Any:
        """A net of piecewise-linear embeddings, or one that passes the numbers on."""
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
