"""Categories: words, or codes without an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column
from fieldcraft.data.text_heuristics import has_id_name, has_label_name, has_zero_padded_codes
from fieldcraft.kinds._base import BaseKind
from fieldcraft.kinds.category.encode import CategoryEncoder

INTEGER_AS_FLOAT_PATTERN = r"^([+-]?\d+)\.0*$"  # such as 1.0


class CategoryKind(BaseKind):
    """A column of categories; each distinct text is a level."""

    name = "category"
    options: tuple[str, ...] = ("impute",)

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Match numbers that look like codes, and as a last resort any column with values."""
        if profile.n_unique == 0:
            return None
        reason = f"{profile.n_unique:,} distinct values"
        if has_zero_padded_codes(profile):
            return TypeInference(self.name, 0.75, f"{reason}, codes with leading zeros")
        is_named_as_label = has_id_name(profile.name) or has_label_name(profile.name)
        if is_named_as_label and profile.is_integer:
            return TypeInference(self.name, 0.75, f"{reason}, with a name that suggests labels")
        return TypeInference(self.name, 0.3, reason)

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as text; the number 1, the number 1.0 and the text "1.0" are the same level.

        In pandas and its CSV files, a single missing value turns integer codes into floats.
        """
        if cells.dtype.is_float():
            integers = cells.cast(pl.Int64, strict=False)  # null where the number is too large
            is_integral = (integers.cast(cells.dtype) == cells).fill_null(False)
            cells = integers.cast(pl.String).zip_with(is_integral, cells.cast(pl.String))
        text = cells.cast(pl.String)
        # Searched first, as that takes an eighth of the time of the replacement.
        if not text.str.contains(INTEGER_AS_FLOAT_PATTERN).any():
            return text
        return text.str.replace(INTEGER_AS_FLOAT_PATTERN, "${1}")

    def encoder(self, columns: Sequence[Column]) -> CategoryEncoder:
        """A new encoder for the category columns of a table."""
        return CategoryEncoder(columns)

    def net(self, encoder: CategoryEncoder, without_embeddings: bool) -> Any:
        """A net over the encoded columns: one-hot levels, or embeddings of many levels."""
        from fieldcraft.kinds.category.net import CategoryNet

        return CategoryNet(encoder)

    def drift_statistics(self, values: pl.Series) -> dict[str, pl.Series]:
        """The levels themselves."""
        return {"value": values}


KIND = CategoryKind()
