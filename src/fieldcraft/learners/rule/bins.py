"""Supervised binning of one column.

Bins are merged bottom-up as long as that costs less likelihood than it saves in BIC penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fieldcraft.contracts import Output
from fieldcraft.core.types import Array

N_QUANTILES = 16  # of the rows, and of the distinct values, between which cuts are proposed
EPSILON = 1e-12  # avoids division by 0 in an empty bin or by a variance of 0


@dataclass(frozen=True)
class BinnedTarget:
    """The target of the training rows, with row weights of mean 1."""

    output: Output
    y: Array
    weights: Array
    n_outputs: int

    def summarize_bins(self, bin_index: Array, n_bins: int) -> BinStatistics:
        """Weighted row counts and target sums of each bin."""
        counts = np.bincount(bin_index, self.weights, n_bins)
        if self.output == "probabilities":
            class_counts = np.bincount(
                bin_index * self.n_outputs + self.y, self.weights, n_bins * self.n_outputs
            )
            return BinStatistics(self, counts, class_counts.reshape(n_bins, self.n_outputs))
        columns = self.y.reshape(len(self.y), -1).T
        sums = [np.bincount(bin_index, self.weights * column, n_bins) for column in columns]
        return BinStatistics(self, counts, np.stack(sums, axis=1))

    @property
    def bin_penalty(self) -> float:
        """The BIC penalty of a bin: half the logarithm of the rows for each free parameter.

        Schwarz, *Estimating the Dimension of a Model*, Annals of Statistics 6, 1978.
        """
        # Class probabilities add up to 1, so one of them is not free.
        n_parameters = self.n_outputs - 1 if self.output == "probabilities" else self.n_outputs
        return 0.5 * n_parameters * float(np.log(len(self.y)))

    @property
    def prior_rows(self) -> int:
        """Pseudo-rows that pull each bin towards the overall outputs: one per possible outcome."""
        return self.n_outputs if self.output == "probabilities" else 2

    @cached_property
    def variance(self) -> float:
        """The weighted variance of a numeric target over all rows."""
        mean = np.average(self.y, weights=self.weights)
        return float(np.average((self.y - mean) ** 2, weights=self.weights))


@dataclass(frozen=True)
class BinStatistics:
    """Weighted row counts (bins,) and sums of classes, labels or values (bins, n_outputs)."""

    target: BinnedTarget
    counts: Array
    sums: Array

    def compute_costs(self) -> Array:
        """Negative log-likelihood of the rows of each bin under the outputs of the bin.

        For values, that of a normal distribution with the overall variance, less a constant.
        """
        n, s = self.counts[:, None], self.sums
        if self.target.output == "probabilities":
            return np.asarray(compute_xlogx(self.counts) - compute_xlogx(s).sum(axis=1))
        if self.target.output == "labels":
            return np.asarray(
                (compute_xlogx(n) - compute_xlogx(s) - compute_xlogx(n - s)).sum(axis=1)
            )
        # The sum of (y - mean)^2 is that of y^2 less s^2 / n; the sum of y^2 is the same for all
        # binnings.
        explained = (s**2 / np.maximum(n, EPSILON)).sum(axis=1)
        return np.asarray(-explained / (2 * max(self.target.variance, EPSILON)))

    def merge_neighbors(self) -> BinStatistics:
        """Statistics of each bin merged with the next one, shape (bins - 1,)."""
        return BinStatistics(
            self.target, self.counts[:-1] + self.counts[1:], self.sums[:-1] + self.sums[1:]
        )

    def merge_bin(self, bin_number: int) -> BinStatistics:
        """Merge one bin with the next one."""
        starts = np.delete(np.arange(len(self.counts)), bin_number + 1)
        counts = np.add.reduceat(self.counts, starts)
        return BinStatistics(self.target, counts, np.add.reduceat(self.sums, starts))

    def compute_outputs(self) -> Array:
        """Frequencies or means of each bin, shrunk towards those of all rows."""
        n_rows, total, prior_rows = self.counts.sum(), self.sums.sum(axis=0), self.target.prior_rows
        overall_outputs = total / n_rows
        if self.target.output != "value":  # Laplace's rule: no probability is exactly 0
            overall_outputs = (total + 1) / (n_rows + prior_rows)
        return np.asarray(
            (self.sums + prior_rows * overall_outputs) / (self.counts[:, None] + prior_rows)
        )


def compute_xlogx(counts: Array) -> Array:
    """Counts times their logarithms; 0, the limit, for a count of 0."""
    return np.asarray(counts * np.log(np.maximum(counts, 1e-300)))


def fit_cuts(values: Array, target: BinnedTarget, max_bins: int) -> Array:
    """Fit the cuts of a numeric column: quantiles, whose bins are merged by BIC.

    Args:
        values: the column, NaN where missing.
        target: the target of the same rows.
        max_bins: maximum number of bins, besides the one for missing values.

    Returns:
        Increasing cuts, float32; a value equal to a cut is in the bin below it.
    """
    cuts = propose_cuts(values[~np.isnan(values)])
    all_statistics = target.summarize_bins(assign_bins(values, cuts), len(cuts) + 2)
    # The last bin holds the missing values and is never merged.
    statistics = BinStatistics(target, all_statistics.counts[:-1], all_statistics.sums[:-1])
    # The best of many proposed cuts looks good by chance: a choice among k costs log(k) nats.
    merge_penalty = target.bin_penalty + float(np.log(max(len(cuts), 1)))
    while len(cuts):
        costs = statistics.compute_costs()
        merge_costs = statistics.merge_neighbors().compute_costs() - costs[:-1] - costs[1:]
        best_merge = int(merge_costs.argmin())
        if merge_costs[best_merge] > merge_penalty and len(cuts) < max_bins:
            break
        cuts, statistics = np.delete(cuts, best_merge), statistics.merge_bin(best_merge)
    return cuts


def assign_bins(column: Array, cuts: Array) -> Array:
    """The bin of each value: the number of cuts below it; the last bin for missing values."""
    return np.where(np.isnan(column), len(cuts) + 1, np.searchsorted(cuts, column))


def propose_cuts(values: Array) -> Array:
    """Propose cuts between neighboring values, at quantiles.

    They are quantiles of the rows and of the distinct values, so that a value which most rows share
    does not take all cuts.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < 2:
        return np.zeros(0, dtype=np.float32)
    probabilities = np.linspace(0, 1, N_QUANTILES + 1)[1:-1]
    by_rows = np.searchsorted(np.cumsum(counts), probabilities * len(values))
    by_values = (probabilities * (len(distinct) - 1)).astype(np.int64)
    left_indices = np.unique(np.minimum(np.concatenate([by_rows, by_values]), len(distinct) - 2))
    low, high = distinct[left_indices], distinct[left_indices + 1]
    midpoint = (low / 2 + high / 2).astype(np.float32)  # their sum may overflow
    # The midpoint of adjacent floats rounds to one of them, or in float32 even beyond.
    is_between = (midpoint >= low) & (midpoint < high)
    return np.asarray(np.where(is_between, midpoint, low), dtype=np.float32)
