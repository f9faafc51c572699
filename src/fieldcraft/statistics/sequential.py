"""Sequential tests, whose evidence adds up over time and may be examined after every step.

An e-value is a nonnegative statistic with a mean of at most 1 under the null hypothesis. Vovk &
Wang, *E-values: calibration, combination and applications*, Annals of Statistics 2021; Shin, Ramdas
& Rinaldo, *E-detectors*, 2024 (Shiryaev-Roberts over e-values); Waudby-Smith & Ramdas, *Estimating
means of bounded random variables by betting*, JRSS B 2024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array

# The Poisson mean with which 5 % of months have more than one: 1 - exp(-0.35) * 1.35 = 0.049.
MAX_FALSE_ALARMS_PER_MONTH = 0.35
HOURS_PER_MONTH = 720.0
# Below 1, where the cost of a bet, -log(1 - bet), has its pole. Waudby-Smith & Ramdas suggest 1/2
# or 3/4.
MAX_BET = 0.5


def log_e_value(p_value: float, exponent: float) -> float:
    """The logarithm of an e-value calibrated from a p-value (Vovk & Wang 2021).

    >>> round(math.exp(log_e_value(1e-6, 0.1)))
    25119

    Args:
        p_value: above 0.
        exponent: k between 0 and 1; a small one favors small p-values.
    """
    # The calibrator k p**(k - 1) integrates to 1 over uniform p-values, so its mean is 1.
    return math.log(exponent) + (exponent - 1) * math.log(p_value)


def alarm_threshold(
    windows_per_month: float,
    n_streams: int,
    false_alarms_per_month: float = MAX_FALSE_ALARMS_PER_MONTH,
) -> float:
    """The logarithm of the level at which detectors raise an alarm.

    Args:
        windows_per_month: windows tested in a month.
        n_streams: detectors that run in parallel.
        false_alarms_per_month: largest expected number of false alarms, of all detectors together.
    """
    # A detector with threshold c raises a false alarm at most once in c windows on average (see
    # `EDetector`), so all of them raise at most windows * streams / c in a month.
    return math.log(max(windows_per_month * n_streams / false_alarms_per_month, 1.0))


@dataclass
class EDetector:
    """A weighted mean of Shiryaev-Roberts sums of e-values, one for each test.

    Each sum becomes M = (M + 1) e after a window with e-value e. Under the null hypothesis the
    weighted mean grows by at most 1 per window on average, so it reaches c at most once in c
    windows on average.

    Attributes:
        log_sums: logarithms of the sums, shape (tests,).
        weights: of the tests, which add up to 1, shape (tests,).
    """

    log_sums: Array
    weights: Array

    @classmethod
    def create(cls, weights: Array) -> EDetector:
        """A detector before its first window."""
        return cls(np.full(len(weights), -np.inf), weights)

    def update(self, log_e_values: Array) -> float:
        """Add a window by the logarithms of its e-values; return the log level after it."""
        # logaddexp(log M, 0) is log(M + 1), without leaving logarithms, which may be large.
        self.log_sums = np.logaddexp(self.log_sums, 0.0) + log_e_values
        return self.log_level

    @property
    def log_level(self) -> float:
        """The logarithm of the weighted mean of the sums; minus infinity before any window."""
        with np.errstate(divide="ignore"):
            return float(np.logaddexp.reduce(self.log_sums + np.log(self.weights)))


def confidence_sequence(values: Array, confidence_level: float = 0.95) -> tuple[Array, Array]:
    """A confidence sequence for the mean of values from 0 to 1, valid at all times at once.

    The empirical Bernstein sequence of Waudby-Smith & Ramdas 2024, theorem 2.

    Args:
        values: in the order of their arrival, shape (values,).
        confidence_level: probability that the mean is within the bounds after every value.

    Returns:
        The lower and the upper bound after each value, both (values,).
    """
    values = np.asarray(values, dtype=np.float64)
    count = np.arange(1, len(values) + 1)
    # The estimates begin as if from one value, with mean 1/2 and variance 1/4: the largest variance
    # that values from 0 to 1 can have keeps the first bets small.
    means = (0.5 + np.cumsum(values)) / (count + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2)) / (count + 1)
    previous_means = np.concatenate([[0.5], means[:-1]])[: len(values)]
    previous_variances = np.concatenate([[0.25], variances[:-1]])[: len(values)]
    # A bet may depend only on earlier values: with its own value it would not be a fair bet.
    # Both bounds share the error probability, hence the 2.
    log_threshold = math.log(2 / (1 - confidence_level))
    bets = np.minimum(
        np.sqrt(2 * log_threshold / (previous_variances * count * np.log1p(count))), MAX_BET
    )
    # The paper's v * psi(bet), with v = 4 (value - mean)**2 and psi = (-log(1 - bet) - bet) / 4:
    # the 4 and the 1/4 cancel.
    spent = (values - previous_means) ** 2 * (-np.log1p(-bets) - bets)
    total_bets = np.cumsum(bets)
    centers, half_widths = (
        np.cumsum(bets * values) / total_bets,
        (log_threshold + np.cumsum(spent)) / total_bets,
    )
    # The bounds hold at all times at once, so the tightest ones so far hold too.
    lower = np.maximum.accumulate(np.clip(centers - half_widths, 0, 1))
    upper = np.minimum.accumulate(np.clip(centers + half_widths, 0, 1))
    return lower, upper
