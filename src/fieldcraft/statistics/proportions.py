"""Confidence intervals of proportions.

Wilson, *Probable Inference, the Law of Succession, and Statistical Inference*, 1927.
"""

from __future__ import annotations

from statistics import NormalDist

from fieldcraft.statistics.bootstrap import CONFIDENCE_LEVEL, ConfidenceInterval


def wilson_interval(count: int, n_rows: int, level: float = CONFIDENCE_LEVEL) -> ConfidenceInterval:
    """A proportion with its interval, which stays within 0 and 1 and is valid for few rows too.

    >>> wilson_interval(0, 10).high < 0.3
    True
    """
    if n_rows <= 0:
        return ConfidenceInterval(float("nan"), 0.0, 1.0, level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    proportion = count / n_rows
    center = (proportion + z * z / (2 * n_rows)) / (1 + z * z / n_rows)
    half_width = (
        z
        / (1 + z * z / n_rows)
        * (proportion * (1 - proportion) / n_rows + z * z / (4 * n_rows**2)) ** 0.5
    )
    # The interval contains the proportion; at 0 and 1, its ends, rounding may leave it outside.
    low = min(proportion, center - half_width)
    high = max(proportion, center + half_width)
    return ConfidenceInterval(proportion, max(0.0, low), min(1.0, high), level)
