"""Columns with one value or none: set aside, since they tell nothing."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.kinds._base import ExcludedKind


class ConstantKind(ExcludedKind):
    """A column that is the same in every row."""

    name = "constant"

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """One value without gaps, or no value at all."""
        if profile.n_unique == 0:
            return TypeInference(self.name, 1.0, "no value in any row")
        if profile.n_unique == 1 and profile.n_missing == 0:
            return TypeInference(self.name, 1.0, f"always {profile.most_common(1)[0][0]}")
        return None

    def checks(self) -> Sequence[Check]:
        """The checks for constant columns."""
        from fieldcraft.kinds.constant.checks import CHECKS

        return CHECKS

    def drift_statistics(self, values: pl.Series) -> dict[str, pl.Series]:
        """The one value, and whatever else there is."""
        return {"value": values.cast(pl.String)}


KIND = ConstantKind()
