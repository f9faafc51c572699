"""Thresholds that several checks share."""

from __future__ import annotations

# From this association on, `target_leakage` reports a column. Checks of weaker signs of leakage
# skip such columns, so that none is reported twice.
LEAKAGE_THRESHOLD = 0.9
# Standard deviations from the mean over shuffled rows. Far above the usual 2 or 3: rows of a file
# depend slightly on their order for many reasons, and only a strong dependence matters for a split.
MIN_Z_SCORE = 6.0
MIN_ORDERED_ROWS = 100  # with fewer, a serial correlation is mostly noise
# About the upper 1/10,000 quantile of the chi-square distribution with one degree of freedom. A
# table has up to hundreds of columns, each of them tested, so the usual 5 % would report several by
# chance.
MIN_CHI_SQUARE = 15.0
SECONDS_PER_DAY = 86_400.0
