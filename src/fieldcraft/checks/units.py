"""A column of numbers in two units: kilograms among grams, cents among francs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import figure
from fieldcraft.evidence.records import Finding

FACTORS = (2.54, 12.0, 39.37, 60.0, 100.0, 1_000.0, 3_600.0, 10_000.0, 1_000_000.0)
FEWEST = 100  # values
SMALLER = 0.01  # share of the rows in the smaller heap, and ten rows at least
APART = 0.3  # of a power of ten between the heaps that nothing falls in
NARROW = 0.35  # of a power of ten, the middle half of a heap
NEAR = 0.15  # how near to a known factor the heaps' medians must be
ALIKE = 2.0  # how many times wider one heap may be than the other


class Units:
    """Reports numbers in two heaps that lie a known factor of units apart."""

    code = "units"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Look for a gap in the sizes of the numbers of each column."""
        parsed = set(view.values.columns)
        for column in view.schema.of_kind("number"):
            if column.name not in parsed:
                continue
            values = view.values[column.name].drop_nulls().to_numpy()
            found = two_heaps(values)
            if found is None:
                continue
            low, high, factor = found
            few, many = sorted((low, high), key=len)
            yield Finding(
                self.code,
                "warn",
                f"{column.name} seems to mix two units: {len(few):,} values around "
                f"{figure(float(np.median(few)))}, {len(many):,} around "
                f"{figure(float(np.median(many)))}",
                column.name,
                {"few": len(few), "many": len(many), "factor": factor},
                f"if they are {figure(factor)} times too large or small, correct them in the file "
                "or derive a column (data.derive)",
            )


def two_heaps(values: Array) -> tuple[Array, Array, float] | None:
    """The lower and the upper heap and the factor between them, if there are two."""
    if len(values) < FEWEST or values.min() <= 0:
        return None
    sizes = np.sort(np.log10(values))
    at = int(np.diff(sizes).argmax()) + 1
    low, high = sizes[:at], sizes[at:]
    if sizes[at] - sizes[at - 1] < APART or min(len(low), len(high)) < max(
        10, SMALLER * len(sizes)
    ):
        return None
    widths = [float(np.subtract(*np.quantile(heap, [0.75, 0.25]))) for heap in (low, high)]
    if not 0 < min(widths) <= max(widths) <= min(NARROW, ALIKE * min(widths)):
        return None
    ratio = 10 ** float(np.median(high) - np.median(low))
    factor = min(FACTORS, key=lambda known: abs(np.log(ratio / known)))
    near = abs(ratio / factor - 1) <= NEAR
    return (10**low, 10**high, factor) if near else None


CHECK = Units()
