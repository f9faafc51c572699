"""Numeric columns in two units: kilograms among grams, cents among dollars."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import format_number
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding

# Centimeters per inch, inches per foot, inches per meter, seconds per minute, percent or cents,
# kilo, seconds per hour, basis points, mega.
UNIT_FACTORS = (2.54, 12.0, 39.37, 60.0, 100.0, 1_000.0, 3_600.0, 10_000.0, 1_000_000.0)
MIN_VALUES = 100
MIN_CLUSTER_FRACTION = 0.01  # of the rows; a cluster also has at least ten rows
MIN_LOG10_GAP = 0.3  # between the clusters: no value within a factor of two
MAX_LOG10_IQR = 0.35  # of a cluster
MAX_FACTOR_ERROR = 0.15  # relative, of the ratio of medians from a known factor
MAX_IQR_RATIO = 2.0  # the same quantity in another unit is as widely spread


class MixedUnits:
    """Reports numbers in two clusters whose ratio is a known conversion factor."""

    code = "mixed_units"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Look for a gap in the magnitudes of the numbers of each column."""
        parsed_columns = set(context.values.columns)
        for column in context.schema.columns_of_kind("number"):
            if column.name not in parsed_columns:
                continue
            values = context.values[column.name].drop_nulls().to_numpy()
            clusters = split_by_unit(values)
            if clusters is None:
                continue
            low, high, factor = clusters
            smaller, larger = sorted((low, high), key=len)
            yield Finding(
                self.code,
                "warning",
                f"{column.name} seems to mix two units: {len(smaller):,} values around "
                f"{format_number(float(np.median(smaller)))}, {len(larger):,} around "
                f"{format_number(float(np.median(larger)))}",
                column.name,
                {"minority_rows": len(smaller), "majority_rows": len(larger), "factor": factor},
                f"if one group of values is off by a factor of {format_number(factor)}, correct it "
                "in the file or in a derived column (data.derived_columns)",
            )


def split_by_unit(values: Array) -> tuple[Array, Array, float] | None:
    """The lower and the upper cluster and the factor between them, if there are two."""
    if len(values) < MIN_VALUES or values.min() <= 0:
        return None
    # A factor is a shift on a log scale, where the two clusters have the same shape.
    log10_values = np.sort(np.log10(values))
    gap_index = int(np.diff(log10_values).argmax()) + 1
    low, high = log10_values[:gap_index], log10_values[gap_index:]
    if log10_values[gap_index] - log10_values[gap_index - 1] < MIN_LOG10_GAP or min(
        len(low), len(high)
    ) < max(10, MIN_CLUSTER_FRACTION * len(log10_values)):
        return None
    # An IQR of 0 is one repeated value, such as a sentinel, and not a quantity in another unit.
    log10_iqrs = [
        float(np.subtract(*np.quantile(cluster, [0.75, 0.25]))) for cluster in (low, high)
    ]
    if (
        not 0
        < min(log10_iqrs)
        <= max(log10_iqrs)
        <= min(MAX_LOG10_IQR, MAX_IQR_RATIO * min(log10_iqrs))
    ):
        return None
    ratio = 10 ** float(np.median(high) - np.median(low))
    factor = min(UNIT_FACTORS, key=lambda known: abs(np.log(ratio / known)))
    is_known_factor = abs(ratio / factor - 1) <= MAX_FACTOR_ERROR
    return (10**low, 10**high, factor) if is_known_factor else None


CHECK = MixedUnits()
