"""Categories: words or codes without an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.aside import PlainValues
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.table import Column
from fieldcraft.data.wording import called_a_key, called_a_label, padded
from fieldcraft.kinds.category.encode import CategoryEncoder

WHOLE = r"^([+-]?\d+)\.0*$"  # a whole number that looks like a fraction


class CategoryKind(PlainValues):
    """A column of labels; each distinct text is a level."""

    name = "category"
    used = True
    holds: Literal["values", "files"] = "values"
    options: tuple[str, ...] = ("impute",)

    def recognise(self, look: Look) -> Guess | None:
        """Numbers that are codes; any other column with values as the last resort."""
        if look.distinct == 0:
            return None
        reason = f"{look.distinct:,} different values"
        if padded(look):
            return Guess(self.name, 0.75, f"{reason}, codes with leading zeros")
        named = called_a_key(look.name) or called_a_label(look.name)
        if named and look.whole_numbers:
            return Guess(self.name, 0.75, f"{reason}, named as labels without an order")
        return Guess(self.name, 0.3, reason)

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as text; a whole number reads the same as 1, as 1.0, and as the text "1.0"."""
        if cells.dtype.is_float():
            whole = cells.cast(pl.Int64, strict=False)  # null where it does not fit
            same = (whole.cast(cells.dtype) == cells).fill_null(False)
            cells = whole.cast(pl.String).zip_with(same, cells.cast(pl.String))
        text = cells.cast(pl.String)
        if not text.str.contains(WHOLE).any():  # which takes an eighth of the time
            return text
        return text.str.replace(WHOLE, "${1}")

    def encoder(self, columns: Sequence[Column]) -> CategoryEncoder:
        """A fresh encoder for the category columns of a table."""
        return CategoryEncoder(columns)

    def net(self, encoder: CategoryEncoder, plain: bool) -> Any:
        """A fresh network over the encoded columns: one-hot or embedded levels."""
        from fieldcraft.kinds.category.net import CategoryNet

        return CategoryNet(encoder)

    def checks(self) -> Sequence[Check]:
        """The checks for category columns."""
        return ()

    def measures(self, values: pl.Series) -> dict[str, pl.Series]:
        """The levels themselves."""
        return {"value": values}


KIND = CategoryKind()
