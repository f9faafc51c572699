"""Evidence that adds up over time, and may be looked at after every step.

An e-value is a figure whose mean is at most 1 if nothing is wrong. Vovk & Wang, *E-values:
calibration, combination and applications*, Annals of Statistics 2021; Shin, Ramdas & Rinaldo,
*E-detectors*, 2024 (Shiryaev-Roberts over e-values); Waudby-Smith & Ramdas, *Estimating means of
bounded random variables by betting*, JRSS B 2024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array

MAX_FALSE_ALARMS_PER_MONTH = (
    0.35  # mean number a month with which there is more than one in 5 % of months (Poisson)
)
HOURS_PER_MONTH = 720.0  # of a month
MAX_BET = 0.5  # of what a bet may lose


def log_e_value(p_value: float, exponent: float) -> float:
    """The logarithm of an e-value from a p-value; small powers are for small p-values.

    >>> round(math.exp(calibrated(1e-6, 0.1)))
    25119
    """
    return math.log(exponent) + (exponent - 1) * math.log(p_value)


def alarm_threshold(
    windows_per_month: float,
    n_streams: int,
    false_alarms_per_month: float = MAX_FALSE_ALARMS_PER_MONTH,
) -> float:
    """The level at which detectors alarm so that false alarms stay rare, as a logarithm.

    Args:
        windows_per_month: looked at in a month.
        n_streams: detectors that run side by side.
        false_alarms_per_month: false ones a month that are expected at most, of all detectors together.
    """
    return math.log(max(windows_per_month * n_streams / false_alarms_per_month, 1.0))


@dataclass
class EDetector:
    """Shiryaev-Roberts sums of e-values, weighted and compared with a threshold.

    Each is M = (M + 1) e after a window with e-value e. Their weighted mean grows by at most 1 a
    window where nothing is wrong, so it reaches c at most once in c windows on average.

    Attributes:
        log_sums: logarithms, one for each test.
        weights: of the tests, adding up to 1.
    """

    log_sums: Array
    weights: Array

    @classmethod
    def create(cls, weights: Array) -> EDetector:
        """One that has seen nothing."""
        return cls(np.full(len(weights), -np.inf), weights)

    def update(self, log_e_values: Array) -> float:
        """Take in the logarithms of a window's e-values; the level after it, as a logarithm."""
        self.log_sums = np.logaddexp(self.log_sums, 0.0) + log_e_values
        return self.log_level

    @property
    def log_level(self) -> float:
        """The logarithm of the weighted mean of the sums; that of nothing is minus infinity."""
        with np.errstate(divide="ignore"):
            return float(np.logaddexp.reduce(self.log_sums + np.log(self.weights)))


def confidence_sequence(values: Array, confidence_level: float = 0.95) -> tuple[Array, Array]:
    """A confidence sequence for the mean of values from 0 to 1: at all times at once it holds.

    Args:
        values: in the order in which they came.
        confidence_level: how surely the mean lies between all lower and upper bounds, whenever one looks.

    Returns:
        The lower and the upper bound after each value (an empirical Bernstein bound with bets
        that are set before each value is seen).
    """
    values = np.asarray(values, dtype=np.float64)
    count = np.arange(1, len(values) + 1)
    means = (0.5 + np.cumsum(values)) / (count + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2)) / (count + 1)
    previous_means = np.concatenate([[0.5], means[:-1]])[: len(values)]
    previous_variances = np.concatenate([[0.25], variances[:-1]])[: len(values)]
    log_threshold = math.log(2 / (1 - confidence_level))
    bets = np.minimum(
        np.sqrt(2 * log_threshold / (previous_variances * count * np.log1p(count))), MAX_BET
    )
    spent = (values - previous_means) ** 2 * (-np.log1p(-bets) - bets)
    total_bets = np.cumsum(bets)
    centers, half_widths = (
        np.cumsum(bets * values) / total_bets,
        (log_threshold + np.cumsum(spent)) / total_bets,
    )
    lower = np.maximum.accumulate(np.clip(centers - half_widths, 0, 1))
    upper = np.minimum.accumulate(np.clip(centers + half_widths, 0, 1))
    return lower, upper
