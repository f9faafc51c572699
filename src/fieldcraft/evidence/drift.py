"""Have rows drifted from a reference? Distances between counts by bins, and evidence against "no".

The null is not that both are the same: over months of windows that share one reference of a few
thousand rows, the sampling error of the reference itself would be found out and told as drift. It
is that rows come from within a declared distance of the distribution that the reference is a
sample of, whatever that sample's own error.

Lin, *Divergence measures based on the Shannon entropy*, IEEE Trans. Inf. Theory 1991; Endres &
Schindelin, *A new metric for probability distributions*, 2003 (its root is a distance).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldcraft.evidence.sequential import calibrated

Array = npt.NDArray[Any]

TOLERANCE = 0.02  # Jensen-Shannon distance that is no drift: a shift by 0.05 standard deviations
SURE = 0.998  # how surely a reference's true distribution is as near as is allowed for
DRAWS = 2_000  # simulated windows of a table
STEP = 1.1  # tables are made for sizes of windows that grow by this factor
SPARSE = 1.0  # bins of which a window is expected to hold fewer rows are counted together
TILTS = (0.04, 0.08, 0.16, 0.32, 0.64)  # shifts that are looked for, in standard deviations
POWERS = (0.1, 0.3, 0.5, 0.8)  # calibrators of p-values


def divergence(one: Array, other: Array) -> Array:
    """The Jensen-Shannon divergence of counts, in nats, along the last axis."""
    p = one / np.maximum(one.sum(axis=-1, keepdims=True), 1)
    q = other / np.maximum(other.sum(axis=-1, keepdims=True), 1)
    middle = (p + q) / 2
    found: Array = (against(p, middle) + against(q, middle)) / 2
    return found


def against(p: Array, q: Array) -> Array:
    """The Kullback-Leibler divergence of shares from others, in nats; none where there are none."""
    ratio = np.divide(p, q, out=np.ones(np.broadcast(p, q).shape), where=(p > 0) & (q > 0))
    found: Array = (p * np.log(ratio)).sum(axis=-1)
    return np.maximum(found, 0.0)


def distance(one: Array, other: Array) -> float:
    """The Jensen-Shannon distance between counts by bins: 0 if alike, 1 if they share no bin."""
    return as_distance(float(divergence(np.asarray(one), np.asarray(other))))


def as_distance(nats: float) -> float:
    """A divergence in nats as a distance from 0 to 1."""
    return min(math.sqrt(max(nats, 0.0) / math.log(2)), 1.0)


def effect(window: Array, reference: Array) -> float:
    """The distance between the distributions that two counts are samples of, from 0 to 1.

    What sampling alone adds to the divergence on average is taken off before the root.
    """
    window, reference = np.asarray(window), np.asarray(reference)
    sizes = float(window.sum()), float(reference.sum())
    if not min(sizes):
        return 0.0
    filled = int(((window > 0) | (reference > 0)).sum())
    by_chance = (filled - 1) / 8 * (1 / sizes[0] + 1 / sizes[1])
    return as_distance(float(divergence(window, reference)) - by_chance)


def moved(window: Array, reference: Array) -> float:
    """The Wasserstein distance between numbers, in their own unit, from evenly spaced quantiles."""
    if not len(window) or not len(reference):
        return 0.0
    gaps = np.abs(np.asarray(window, dtype=np.float64) - np.asarray(reference, dtype=np.float64))
    return float(np.trapezoid(gaps, dx=1 / (len(gaps) - 1))) if len(gaps) > 1 else float(gaps[0])


@dataclass(frozen=True)
class Table:
    """How large the divergence of a window is by chance: a gamma distribution, and what is pooled.

    Attributes:
        bins: the number of the pooled bin of each bin.
        shape, scale: of the gamma distribution of the divergence in nats.
    """

    bins: Array
    shape: float
    scale: float


@dataclass
class Reference:
    """Counts of reference rows with which windows are compared.

    Attributes:
        counts: by bin.
        ordered: the bins that have an order, such as those of numbers; none of words.
        tolerance: Jensen-Shannon distance, from 0 to 1, that is no drift.
    """

    counts: Array
    ordered: slice | None = None
    tolerance: float = TOLERANCE
    tables: dict[int, Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Work out what all windows are compared with."""
        self.counts = np.asarray(self.counts, dtype=np.int64)
        self.rows = max(int(self.counts.sum()), 1)
        self.shares = self.counts / self.rows
        self.near = self.tolerance * math.sqrt(math.log(2))  # a root of nats
        self.scores = self.ranks()

    @property
    def weights(self) -> Array:
        """The share in a detector of each value of `evidence`, adding up to 1."""
        first = np.full(len(POWERS), 1 / len(POWERS))
        if self.ordered is None:
            return first
        return np.concatenate([first, np.full(2 * len(TILTS), 1 / (2 * len(TILTS)))]) / 2

    def ranks(self) -> Array | None:
        """Middle ranks of ordered bins with mean 0 and variance 1; None where there is no order."""
        if self.ordered is None:
            return None
        shares = self.shares[self.ordered]
        middle = np.cumsum(shares) - shares / 2
        whole = float(shares.sum())
        found = np.zeros(len(self.counts))
        found[self.ordered] = middle - float(shares @ middle) / (whole or 1)
        spread = math.sqrt(float(self.shares @ found**2))
        return found / spread if spread > 0 else None

    def p_value(self, window: Array) -> float:
        """How often a window would be as far from the reference as this one without drift."""
        size = int(window.sum())
        if not size:
            return 1.0
        table = self.table(size)
        pooled = [np.bincount(table.bins, counts) for counts in (window, self.counts)]
        return above(float(divergence(*pooled)), table.shape, table.scale)

    def table(self, size: int) -> Table:
        """The table for windows of about this size; of the next smaller one, which is cautious."""
        step = max(int(math.log(size) / math.log(STEP) + 1e-9), 0)
        if step not in self.tables:
            self.tables[step] = self.simulated(max(int(STEP**step), 1))
        return self.tables[step]

    def simulated(self, size: int) -> Table:
        """How divergences are spread that windows have which are as far off as is no drift.

        Distributions are drawn in random directions at the tolerated distance; roots of shares
        are at even angles there (Hellinger), and half the square of their distance is the
        divergence.
        """
        rare = self.shares * size < SPARSE
        bins = np.where(rare, 0, np.cumsum(~rare))
        bins = bins if rare.any() else bins - 1
        shares = np.bincount(bins, self.shares)
        apart = self.near + math.sqrt(chi_square(SURE, len(shares) - 1) / (8 * self.rows))
        draw = np.random.default_rng(0)
        roots = np.sqrt(shares)
        turned = draw.normal(size=(DRAWS, len(shares)))
        turned -= (turned @ roots)[:, None] * roots
        turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
        truths = (roots + math.sqrt(2) * apart * turned) ** 2
        windows = draw.multinomial(size, truths / truths.sum(axis=1, keepdims=True))
        found = divergence(windows, shares[None, :] * self.rows)
        mean, variance = float(found.mean()), float(found.var())
        if variance <= 0:
            return Table(bins, 1.0, 1e-12)
        return Table(bins, mean**2 / variance, variance / mean)

    def evidence(self, window: Array) -> Array:
        """Logarithms of e-values against "no drift": each has a mean of at most 1 without drift.

        The first are calibrated from the p-value of the whole distribution; those of ordered bins
        look for shifts up and down, and are likelihood ratios of exponential tilts.
        """
        p_value = max(self.p_value(window), 1e-300)
        found = [calibrated(p_value, power) for power in POWERS]
        if self.ordered is not None and self.scores is None:
            found += [0.0] * (2 * len(TILTS))  # all in one bin: there is no order to look along
        elif self.scores is not None:
            total, size = float(window @ self.scores), int(window.sum())
            signed = [sign * tilt for tilt in TILTS for sign in (1, -1)]
            found += [tilt * total - size * self.cost(tilt) for tilt in signed]
        return np.array(found)

    def cost(self, tilt: float) -> float:
        """What a tilt costs a row: the mean of its exponential, as high as no drift may make it.

        The mean of a function of rows is off by at most the distance in chi-square times its
        standard deviation: by the tolerance, and by the reference's own sampling error.
        """
        assert self.scores is not None
        tilted = np.exp(tilt * self.scores)
        mean = float(self.shares @ tilted)
        spread = math.sqrt(max(float(self.shares @ tilted**2) - mean**2, 0.0)) / mean
        off = math.sqrt(8) * self.near + NormalDist().inv_cdf(SURE) / math.sqrt(self.rows)
        return math.log(mean) + math.log1p(off * spread)


def chi_square(level: float, degrees: int) -> float:
    """A quantile of the chi-square distribution (Wilson & Hilferty, 1931)."""
    if degrees < 1:
        return 0.0
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + NormalDist().inv_cdf(level) * math.sqrt(part)) ** 3)


def above(value: float, shape: float, scale: float) -> float:
    """How often a gamma distribution is above a value (Wilson & Hilferty, 1931)."""
    if value <= 0:
        return 1.0
    part = 1 / (9 * shape)
    z = ((value / (shape * scale)) ** (1 / 3) - (1 - part)) / math.sqrt(part)
    return 0.5 * math.erfc(z / math.sqrt(2))


def far(found: int, rows: int, share: float) -> float:
    """How often so many or more of some rows would be of a sort, at most (Chernoff's bound).

    Args:
        found: rows of the sort.
        rows: all of them.
        share: of the sort in the long run.
    """
    if not rows or found <= rows * share:
        return 1.0
    if share <= 0:
        return 0.0
    seen = np.array([found / rows, 1 - found / rows])
    return math.exp(-rows * float(against(seen, np.array([share, 1 - share]))))


def share_at_most(found: int, rows: int) -> float:
    """A share of which no more is likely where some rows of a reference were of a sort."""
    z = NormalDist().inv_cdf(SURE) ** 2
    shares: Sequence[float] = (found / max(rows, 1), z / max(rows, 1))
    return min(shares[0] + math.sqrt(shares[0] * shares[1]) + shares[1], 1.0)
