"""Identifiers: excluded, since a model can only memorize them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.text_heuristics import (
    MIN_FREE_TEXT_WORDS,
    has_id_name,
    has_label_name,
    has_zero_padded_codes,
    median_words,
)
from fieldcraft.kinds._base import ExcludedKind
from fieldcraft.kinds.identifier.checks import CHECKS

MIN_DISTINCT_FRACTION = 0.9
MIN_DISTINCT_FRACTION_IF_NAMED_KEY = 0.5
MIN_ROWS = 20


class IdentifierKind(ExcludedKind):
    """A column that identifies rows: a key, a running number, or a code distinct in each row."""

    name = "identifier"

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Match nearly distinct values that are codes, a running number, or named as a key."""
        n_values = len(profile.present_values)
        min_fraction = (
            MIN_DISTINCT_FRACTION_IF_NAMED_KEY
            if has_id_name(profile.name)
            else MIN_DISTINCT_FRACTION
        )
        if n_values < MIN_ROWS or profile.n_unique < min_fraction * n_values:
            return None
        reason = f"{profile.n_unique:,} distinct values in {n_values:,} rows"
        if profile.numeric_fraction >= MIN_DISTINCT_FRACTION:
            return self._infer_numeric_key(profile, reason)
        if profile.datetime_format or median_words(profile) >= MIN_FREE_TEXT_WORDS:
            return None
        return TypeInference(self.name, 0.85, reason + ", text without sentences")

    def _infer_numeric_key(self, profile: ColumnProfile, reason: str) -> TypeInference | None:
        if has_zero_padded_codes(profile):
            return TypeInference(self.name, 0.85, reason + ", codes with leading zeros")
        # Distinct measurements are not keys, nor are the years of a table with one row per year.
        if not profile.is_integer or "year" in profile.name.lower():
            return None
        low, high = profile.value_range
        if profile.n_unique == len(profile.present_values) == high - low + 1:
            return TypeInference(
                self.name, 0.95, f"every integer from {low:.0f} to {high:.0f} once"
            )
        if has_id_name(profile.name) or has_label_name(profile.name):
            return TypeInference(self.name, 0.85, reason + ", named as a key")
        return None

    def checks(self) -> Sequence[Check]:
        """The checks for identifier columns."""
        return CHECKS

    def drift_statistics(self, values: pl.Series) -> dict[str, pl.Series]:
        """No statistics: keys of new rows are always new, and bundles should not store any."""
        return {}


KIND = IdentifierKind()
