"""Intervals of shares.

Wilson, *Probable Inference, the Law of Succession, and Statistical Inference*, 1927.
"""

from __future__ import annotations

from statistics import NormalDist

from fieldcraft.evidence.bootstrap import LEVEL, Interval


def wilson(count: int, rows: int, level: float = LEVEL) -> Interval:
    """A share with its interval, which stays within 0 and 1 and holds for few rows too.

    >>> wilson(0, 10).high < 0.3
    True
    """
    if rows <= 0:
        return Interval(float("nan"), 0.0, 1.0, level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = count / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * (share * (1 - share) / rows + z * z / (4 * rows**2)) ** 0.5
    low, high = min(share, middle - half), max(share, middle + half)  # but for rounding
    return Interval(share, max(0.0, low), min(1.0, high), level)
