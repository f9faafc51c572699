"""Categories: words or codes without an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column
from fieldcraft.data.text_heuristics import has_id_name, has_label_name, has_zero_padded_codes
from fieldcraft.kinds._base import PlainValueKind
from fieldcraft.kinds.category.encode import CategoryEncoder

INTEGER_AS_FLOAT_PATTERN = r"^([+-]?\d+)\.0*$"  # a whole number that looks like a fraction


class CategoryKind(PlainValueKind):
    """A column of labels; each distinct text is a level."""

    name = "category"
    is_feature = True
    storage: Literal["values", "files"] = "values"
    options: tuple[str, ...] = ("impute",)

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Numbers that are codes; any other column with values as the last resort."""
        if profile.n_unique == 0:
            return None
        reason = f"{profile.n_unique:,} different values"
        if has_zero_padded_codes(profile):
            return TypeInference(self.name, 0.75, f"{reason}, codes with leading zeros")
        is_named_as_label = has_id_name(profile.name) or has_label_name(profile.name)
        if is_named_as_label and profile.is_integer:
            return TypeInference(self.name, 0.75, f"{reason}, named as labels without an order")
        return TypeInference(self.name, 0.3, reason)

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as text; a whole number reads the same as 1, as 1.0, and as the text "1.0"."""
        if cells.dtype.is_float():
            integers = cells.cast(pl.Int64, strict=False)  # null where it does not fit
            is_integral = (integers.cast(cells.dtype) == cells).fill_null(False)
            cells = integers.cast(pl.String).zip_with(is_integral, cells.cast(pl.String))
        text = cells.cast(pl.String)
        if not text.str.contains(
            INTEGER_AS_FLOAT_PATTERN
        ).any():  # which takes an eighth of the time
            return text
        return text.str.replace(INTEGER_AS_FLOAT_PATTERN, "${1}")

    def encoder(self, columns: Sequence[Column]) -> CategoryEncoder:
        """A fresh encoder for the category columns of a table."""
        return CategoryEncoder(columns)

    def net(self, encoder: CategoryEncoder, without_embeddings: bool) -> Any:
        """A fresh network over the encoded columns: one-hot or embedded levels."""
        from fieldcraft.kinds.category.net import CategoryNet

        return CategoryNet(encoder)

    def checks(self) -> Sequence[Check]:
        """The checks for category columns."""
        return ()

    def drift_statistics(self, values: pl.Series) -> dict[str, pl.Series]:
        """The levels themselves."""
        return {"value": values}


KIND = CategoryKind()
