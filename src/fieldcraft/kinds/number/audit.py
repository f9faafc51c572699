"""Checks of number columns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding

FAR = 8.0  # interquartile ranges from the quartiles; 3 is Tukey's "far out" for normal data
FEW = 0.01  # a tail with more rows than this is a shape, not a set of outliers


class Outliers:
    """Values so far from the rest that they may be mistakes of entry."""

    code = "outliers"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Report columns with a few values beyond eight interquartile ranges."""
        for column in view.schema.of_kind("number"):
            values = view.values[column.name].to_numpy()
            there = values[~np.isnan(values)]
            if len(there) < 20 or column.name in view.targets:
                continue
            low, high = np.quantile(there, [0.25, 0.75])
            spread = high - low
            far = (values < low - FAR * spread) | (values > high + FAR * spread)
            if spread > 0 and 0 < far.sum() <= max(1, FEW * len(there)):
                yield self._finding(column.name, values, far, view)

    def _finding(self, name: str, values: np.ndarray, far: np.ndarray, view: View) -> Finding:
        where = np.flatnonzero(far)
        shown = ", ".join(f"{values[i]:g}" for i in where[:5])
        low, high = np.quantile(values[~np.isnan(values) & ~far], [0.001, 0.999])
        return Finding(
            self.code,
            "tip",
            f"{name}: {len(where):,} value{'s' * (len(where) > 1)} far from the rest ({shown})",
            name,
            {"values": values[where[:20]].tolist(), "rows": [view.rows[i] for i in where[:20]]},
            "look at these rows; if they are mistakes, clip them or correct the file",
            (
                Edit(
                    ("clean", "columns", name, "clip"), [float(f"{low:.4g}"), float(f"{high:.4g}")]
                ),
            ),
        )


CHECKS = (Outliers(),)
