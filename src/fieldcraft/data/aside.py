"""What all kinds have in common whose columns no model sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl


class PlainValues:
    """The part of a kind whose values are what they say: no picture, no parts, alike if equal."""

    def alike(self, values: pl.Series) -> None:
        """Nothing: equal rows are found without the kind."""

    def picture(self, value: Any) -> None:
        """Nothing is drawn: the value itself says it."""

    def explain(self, value: Any, said: Any) -> None:
        """Nothing is explained: a value has no parts."""


class SetAside(PlainValues):
    """The part of a kind that is the same for all columns that are set aside."""

    used = False
    holds: Literal["values", "files"] = "values"
    options: tuple[str, ...] = ()

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as text."""
        return cells.cast(pl.String)

    def encoder(self, columns: Sequence[Any]) -> Any:
        """Nothing: no model sees these columns."""
        return None

    def net(self, encoder: Any, plain: bool) -> Any:
        """Nothing: no model sees these columns."""
        return None
