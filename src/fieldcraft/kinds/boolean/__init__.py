"""Booleans: yes and no, true and false, 1 and 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from fieldcraft.data.cell_parser import parse_booleans
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column
from fieldcraft.kinds._base import BaseKind
from fieldcraft.kinds.boolean.encode import BooleanEncoder


class BooleanKind(BaseKind):
    """A column of booleans: yes and no, true and false, 1 and 0."""

    name = "boolean"
    options: tuple[str, ...] = ("impute",)

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Match two distinct values, one meaning true and the other false."""
        if profile.n_unique != 2:
            return None
        distinct_values = profile.value_counts["value"]
        booleans = parse_booleans(distinct_values)
        if booleans.null_count() or booleans.n_unique() != 2:
            return None
        return TypeInference(
            self.name, 0.9, f"two values, {' and '.join(map(str, sorted(distinct_values)))}"
        )

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as booleans; other words count as missing."""
        return parse_booleans(cells)

    def encoder(self, columns: Sequence[Column]) -> BooleanEncoder:
        """A new encoder for the boolean columns of a table."""
        return BooleanEncoder(columns)

    def net(self, encoder: BooleanEncoder, without_embeddings: bool) -> Any:
        """A net that passes the encoded columns on unchanged."""
        from fieldcraft.fit.network import IdentityNet

        return IdentityNet("boolean", 2 * len(encoder.column_names))


KIND = BooleanKind()
