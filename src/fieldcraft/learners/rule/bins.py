"""Bins of a column, and how well they explain the target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fieldcraft.contracts import Output
from fieldcraft.core.types import Array

N_QUANTILES = (
    16  # of rows, and of distinct values, from which the cuts of a number column are taken
)
EPSILON = 1e-12


@dataclass(frozen=True)
class BinnedTarget:
    """The target of training rows, with the weight of each row."""

    output: Output
    y: Array
    weights: Array
    n_outputs: int

    def summarize_bins(self, bin_index: Array, n_bins: int) -> BinStatistics:
        """Rows and sums of the target in each bin."""
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
        """What a bin must save to be worth it: half a logarithm of rows for each number in it.

        Schwarz, *Estimating the Dimension of a Model*, 1978.
        """
        n_parameters = self.n_outputs - 1 if self.output == "probabilities" else self.n_outputs
        return 0.5 * n_parameters * float(np.log(len(self.y)))

    @property
    def prior_rows(self) -> int:
        """Rows' worth of the overall shares or mean in each bin: one for each way it may turn."""
        return self.n_outputs if self.output == "probabilities" else 2

    @cached_property
    def variance(self) -> float:
        """Of values, over all rows."""
        mean = np.average(self.y, weights=self.weights)
        return float(np.average((self.y - mean) ** 2, weights=self.weights))


@dataclass(frozen=True)
class BinStatistics:
    """Weighted rows (bins,) and sums of classes, labels or values (bins, width)."""

    target: BinnedTarget
    counts: Array
    sums: Array

    def compute_costs(self) -> Array:
        """Negative log-likelihood of the rows in each bin, given what the bin says."""
        n, s = self.counts[:, None], self.sums
        if self.target.output == "probabilities":
            return np.asarray(compute_xlogx(self.counts) - compute_xlogx(s).sum(axis=1))
        if self.target.output == "labels":
            return np.asarray(
                (compute_xlogx(n) - compute_xlogx(s) - compute_xlogx(n - s)).sum(axis=1)
            )
        explained = (s**2 / np.maximum(n, EPSILON)).sum(axis=1)
        return np.asarray(-explained / (2 * max(self.target.variance, EPSILON)))

    def merge_neighbors(self) -> BinStatistics:
        """Each bin together with the next one."""
        return BinStatistics(
            self.target, self.counts[:-1] + self.counts[1:], self.sums[:-1] + self.sums[1:]
        )

    def merge_bin(self, bin_number: int) -> BinStatistics:
        """One bin and the next one as one."""
        starts = np.delete(np.arange(len(self.counts)), bin_number + 1)
        counts = np.add.reduceat(self.counts, starts)
        return BinStatistics(self.target, counts, np.add.reduceat(self.sums, starts))

    def compute_outputs(self) -> Array:
        """What each bin says: shares or means, drawn a little towards those of all rows."""
        n_rows, total, prior_rows = self.counts.sum(), self.sums.sum(axis=0), self.target.prior_rows
        overall_outputs = total / n_rows
        if self.target.output != "value":  # Laplace's rule: no class or label is impossible
            overall_outputs = (total + 1) / (n_rows + prior_rows)
        return np.asarray(
            (self.sums + prior_rows * overall_outputs) / (self.counts[:, None] + prior_rows)
        )


def compute_xlogx(counts: Array) -> Array:
    """Counts times their logarithms, 0 for 0."""
    return np.asarray(counts * np.log(np.maximum(counts, 1e-300)))


def fit_cuts(values: Array, target: BinnedTarget, max_bins: int) -> Array:
    """Cut points of a number column: quantiles, merged while that costs less than it saves.

    Args:
        values: of the column, NaN where missing.
        target: of the same rows.
        max_bins: bins.

    Returns:
        Increasing, float32; a bin holds its upper cut.
    """
    cuts = propose_cuts(values[~np.isnan(values)])
    all_statistics = target.summarize_bins(assign_bins(values, cuts), len(cuts) + 2)
    statistics = BinStatistics(
        target, all_statistics.counts[:-1], all_statistics.sums[:-1]
    )  # without missing values
    merge_penalty = target.bin_penalty + float(
        np.log(max(len(cuts), 1))
    )  # a cut has to be named, too
    while len(cuts):
        costs = statistics.compute_costs()
        merge_costs = statistics.merge_neighbors().compute_costs() - costs[:-1] - costs[1:]
        best_merge = int(merge_costs.argmin())
        if merge_costs[best_merge] > merge_penalty and len(cuts) < max_bins:
            break
        cuts, statistics = np.delete(cuts, best_merge), statistics.merge_bin(best_merge)
    return cuts


def assign_bins(column: Array, cuts: Array) -> Array:
    """Bin of each value, the number of cuts below it; missing values are in one more."""
    return np.where(np.isnan(column), len(cuts) + 1, np.searchsorted(cuts, column))


def propose_cuts(values: Array) -> Array:
    """Where a number column might be cut: between neighbours, by quantiles.

    Of rows and of distinct values alike, so that a value which very many rows share leaves
    cuts to the others.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < 2:
        return np.zeros(0, dtype=np.float32)
    probabilities = np.linspace(0, 1, N_QUANTILES + 1)[1:-1]
    by_rows = np.searchsorted(np.cumsum(counts), probabilities * len(values))
    by_values = (probabilities * (len(distinct) - 1)).astype(np.int64)
    left_indices = np.unique(np.minimum(np.concatenate([by_rows, by_values]), len(distinct) - 2))
    low, high = distinct[left_indices], distinct[left_indices + 1]
    midpoint = (low / 2 + high / 2).astype(np.float32)
    is_between = (midpoint >= low) & (midpoint < high)  # not so where they are neighbouring floats
    return np.asarray(np.where(is_between, midpoint, low), dtype=np.float32)
