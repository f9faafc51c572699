"""Evidence that adds up over time, and may be looked at after every step.

An e-value is a figure whose mean is at most 1 if nothing is wrong. Vovk & Wang, *E-values:
calibration, combination and applications*, Annals of Statistics 2021; Shin, Ramdas & Rinaldo,
*E-detectors*, 2024 (Shiryaev-Roberts over e-values); Waudby-Smith & Ramdas, *Estimating means of
bounded random variables by betting*, JRSS B 2024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ALARMS = 0.35  # mean number a month with which there is more than one in 5 % of months (Poisson)
HOURS = 720.0  # of a month
MOST = 0.5  # of what a bet may lose


def calibrated(p_value: float, power: float) -> float:
    """The logarithm of an e-value from a p-value; small powers are for small p-values.

    >>> round(math.exp(calibrated(1e-6, 0.1)))
    25119
    """
    return math.log(power) + (power - 1) * math.log(p_value)


def threshold(windows: float, streams: int, alarms: float = ALARMS) -> float:
    """The level at which detectors alarm so that false alarms stay rare, as a logarithm.

    Args:
        windows: looked at in a month.
        streams: detectors that run side by side.
        alarms: false ones a month that are expected at most, of all detectors together.
    """
    return math.log(max(windows * streams / alarms, 1.0))


@dataclass
class Detector:
    """Shiryaev-Roberts sums of e-values, weighted and compared with a threshold.

    Each is M = (M + 1) e after a window with e-value e. Their weighted mean grows by at most 1 a
    window where nothing is wrong, so it reaches c at most once in c windows on average.

    Attributes:
        sums: logarithms, one for each test.
        weights: of the tests, adding up to 1.
    """

    sums: Array
    weights: Array

    @classmethod
    def fresh(cls, weights: Array) -> Detector:
        """One that has seen nothing."""
        return cls(np.full(len(weights), -np.inf), weights)

    def add(self, evidence: Array) -> float:
        """Take in the logarithms of a window's e-values; the level after it, as a logarithm."""
        self.sums = np.logaddexp(self.sums, 0.0) + evidence
        return self.level

    @property
    def level(self) -> float:
        """The logarithm of the weighted mean of the sums; that of nothing is minus infinity."""
        with np.errstate(divide="ignore"):
            return float(np.logaddexp.reduce(self.sums + np.log(self.weights)))


def bounds(values: Array, level: float = 0.95) -> tuple[Array, Array]:
    """A confidence sequence for the mean of values from 0 to 1: at all times at once it holds.

    Args:
        values: in the order in which they came.
        level: how surely the mean lies between all lower and upper bounds, whenever one looks.

    Returns:
        The lower and the upper bound after each value (an empirical Bernstein bound with bets
        that are set before each value is seen).
    """
    values = np.asarray(values, dtype=np.float64)
    count = np.arange(1, len(values) + 1)
    means = (0.5 + np.cumsum(values)) / (count + 1)
    spread = (0.25 + np.cumsum((values - means) ** 2)) / (count + 1)
    before = np.concatenate([[0.5], means[:-1]])[: len(values)]
    known = np.concatenate([[0.25], spread[:-1]])[: len(values)]
    wanted = math.log(2 / (1 - level))
    bets = np.minimum(np.sqrt(2 * wanted / (known * count * np.log1p(count))), MOST)
    cost = (values - before) ** 2 * (-np.log1p(-bets) - bets)
    total = np.cumsum(bets)
    middle, off = np.cumsum(bets * values) / total, (wanted + np.cumsum(cost)) / total
    low = np.maximum.accumulate(np.clip(middle - off, 0, 1))
    high = np.minimum.accumulate(np.clip(middle + off, 0, 1))
    return low, high
