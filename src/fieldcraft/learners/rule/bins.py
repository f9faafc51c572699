"""Bins of a column, and how well they explain the target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fieldcraft.contracts import Array, Output

QUANTILES = 16  # of rows, and of distinct values, from which the cuts of a number column are taken
TINY = 1e-12


@dataclass(frozen=True)
class Target:
    """The target of training rows, with the weight of each row."""

    output: Output
    y: Array
    weights: Array
    width: int

    def tally(self, place: Array, bins: int) -> Tally:
        """Rows and sums of the target in each bin."""
        counts = np.bincount(place, self.weights, bins)
        if self.output == "probabilities":
            flat = np.bincount(place * self.width + self.y, self.weights, bins * self.width)
            return Tally(self, counts, flat.reshape(bins, self.width))
        columns = self.y.reshape(len(self.y), -1).T
        sums = [np.bincount(place, self.weights * column, bins) for column in columns]
        return Tally(self, counts, np.stack(sums, axis=1))

    @property
    def price(self) -> float:
        """What a bin must save to be worth it: half a logarithm of rows for each number in it.

        Schwarz, *Estimating the Dimension of a Model*, 1978.
        """
        free = self.width - 1 if self.output == "probabilities" else self.width
        return 0.5 * free * float(np.log(len(self.y)))

    @property
    def prior(self) -> int:
        """Rows' worth of the overall shares or mean in each bin: one for each way it may turn."""
        return self.width if self.output == "probabilities" else 2

    @cached_property
    def variance(self) -> float:
        """Of values, over all rows."""
        mean = np.average(self.y, weights=self.weights)
        return float(np.average((self.y - mean) ** 2, weights=self.weights))


@dataclass(frozen=True)
class Tally:
    """Weighted rows (bins,) and sums of classes, labels or values (bins, width)."""

    target: Target
    counts: Array
    sums: Array

    def costs(self) -> Array:
        """Negative log-likelihood of the rows in each bin, given what the bin says."""
        n, s = self.counts[:, None], self.sums
        if self.target.output == "probabilities":
            return np.asarray(entropy(self.counts) - entropy(s).sum(axis=1))
        if self.target.output == "labels":
            return np.asarray((entropy(n) - entropy(s) - entropy(n - s)).sum(axis=1))
        explained = (s**2 / np.maximum(n, TINY)).sum(axis=1)
        return np.asarray(-explained / (2 * max(self.target.variance, TINY)))

    def pairs(self) -> Tally:
        """Each bin together with the next one."""
        return Tally(
            self.target, self.counts[:-1] + self.counts[1:], self.sums[:-1] + self.sums[1:]
        )

    def merged(self, number: int) -> Tally:
        """One bin and the next one as one."""
        starts = np.delete(np.arange(len(self.counts)), number + 1)
        counts = np.add.reduceat(self.counts, starts)
        return Tally(self.target, counts, np.add.reduceat(self.sums, starts))

    def table(self) -> Array:
        """What each bin says: shares or means, drawn a little towards those of all rows."""
        rows, total, prior = self.counts.sum(), self.sums.sum(axis=0), self.target.prior
        overall = total / rows
        if self.target.output != "value":  # Laplace's rule: no class or label is impossible
            overall = (total + 1) / (rows + prior)
        return np.asarray((self.sums + prior * overall) / (self.counts[:, None] + prior))


def entropy(counts: Array) -> Array:
    """Counts times their logarithms, 0 for 0."""
    return np.asarray(counts * np.log(np.maximum(counts, 1e-300)))


def number_cuts(values: Array, target: Target, most: int) -> Array:
    """Cut points of a number column: quantiles, merged while that costs less than it saves.

    Args:
        values: of the column, NaN where missing.
        target: of the same rows.
        most: bins.

    Returns:
        Increasing, float32; a bin holds its upper cut.
    """
    cuts = candidate_cuts(values[~np.isnan(values)])
    every = target.tally(place_of(values, cuts), len(cuts) + 2)
    tally = Tally(target, every.counts[:-1], every.sums[:-1])  # without missing values
    price = target.price + float(np.log(max(len(cuts), 1)))  # a cut has to be named, too
    while len(cuts):
        costs = tally.costs()
        loss = tally.pairs().costs() - costs[:-1] - costs[1:]
        least = int(loss.argmin())
        if loss[least] > price and len(cuts) < most:
            break
        cuts, tally = np.delete(cuts, least), tally.merged(least)
    return cuts


def place_of(column: Array, cuts: Array) -> Array:
    """Bin of each value, the number of cuts below it; missing values are in one more."""
    return np.where(np.isnan(column), len(cuts) + 1, np.searchsorted(cuts, column))


def candidate_cuts(values: Array) -> Array:
    """Where a number column might be cut: between neighbours, by quantiles.

    Of rows and of distinct values alike, so that a value which very many rows share leaves
    cuts to the others.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < 2:
        return np.zeros(0, dtype=np.float32)
    shares = np.linspace(0, 1, QUANTILES + 1)[1:-1]
    by_rows = np.searchsorted(np.cumsum(counts), shares * len(values))
    by_values = (shares * (len(distinct) - 1)).astype(np.int64)
    below = np.unique(np.minimum(np.concatenate([by_rows, by_values]), len(distinct) - 2))
    low, high = distinct[below], distinct[below + 1]
    middle = (low / 2 + high / 2).astype(np.float32)
    between = (middle >= low) & (middle < high)  # not so where they are neighbouring floats
    return np.asarray(np.where(between, middle, low), dtype=np.float32)
