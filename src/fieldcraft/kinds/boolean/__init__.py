"""Yes or no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.cell_parser import parse_booleans
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column
from fieldcraft.kinds._base import PlainValueKind
from fieldcraft.kinds.boolean.encode import BooleanEncoder


class BooleanKind(PlainValueKind):
    """A column of truth values: yes and no, true and false, 1 and 0."""

    name = "boolean"
    is_feature = True
    storage: Literal["values", "files"] = "values"
    options: tuple[str, ...] = ("impute",)

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Two values, one meaning yes and the other no."""
        if profile.n_unique != 2:
            return None
        distinct_values = profile.value_counts["value"]
        if (
            parse_booleans(distinct_values).null_count()
            or parse_booleans(distinct_values).n_unique() != 2
        ):
            return None
        return TypeInference(
            self.name, 0.9, f"two values, {' and '.join(map(str, sorted(distinct_values)))}"
        )

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as truth values; other words are missing."""
        return parse_booleans(cells)

    def encoder(self, columns: Sequence[Column]) -> BooleanEncoder:
        """A fresh encoder for the boolean columns of a table."""
        return BooleanEncoder(columns)

    def net(self, encoder: BooleanEncoder, without_embeddings: bool) -> Any:
        """A fresh network over the encoded columns, which passes them as they are."""
        from fieldcraft.fit.network import IdentityNet

        return IdentityNet("boolean", 2 * len(encoder.column_names))

    def checks(self) -> Sequence[Check]:
        """There are no checks for boolean columns alone."""
        return ()

    def drift_statistics(self, values: pl.Series) -> dict[str, pl.Series]:
        """Yes and no as words."""
        return {"value": values.cast(pl.String)}


KIND = BooleanKind()
