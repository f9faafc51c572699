"""Constant columns, with one value or none: excluded, since they carry no information."""

from __future__ import annotations

from collections.abc import Sequence

from fieldcraft.contracts import Check
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.kinds._base import ExcludedKind
from fieldcraft.kinds.constant.checks import CHECKS


class ConstantKind(ExcludedKind):
    """A column with the same value in every row."""

    name = "constant"

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Match one value without missing ones, or no value at all."""
        if profile.n_unique == 0:
            return TypeInference(self.name, 1.0, "no value in any row")
        if profile.n_unique == 1 and profile.n_missing == 0:
            return TypeInference(self.name, 1.0, f"always {profile.most_common(1)[0][0]}")
        return None

    def checks(self) -> Sequence[Check]:
        """The checks for constant columns."""
        return CHECKS


KIND = ConstantKind()
