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

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.statistics.sequential import log_e_value

MAX_TOLERATED_JS_DISTANCE = (
    0.02  # Jensen-Shannon distance that is no drift: a shift by 0.05 standard deviations
)
CONFIDENCE_LEVEL = 0.998  # how surely a reference's true distribution is as near as is allowed for
N_SIMULATED_WINDOWS = 2_000  # simulated windows of a table
WINDOW_SIZE_GROWTH = 1.1  # tables are made for sizes of windows that grow by this factor
MIN_EXPECTED_ROWS_PER_BIN = (
    1.0  # bins of which a window is expected to hold fewer rows are counted together
)
TILTS_IN_STD = (0.04, 0.08, 0.16, 0.32, 0.64)  # shifts that are looked for, in standard deviations
CALIBRATOR_EXPONENTS = (0.1, 0.3, 0.5, 0.8)  # calibrators of p-values


def js_divergence(counts: Array, other_counts: Array) -> Array:
    """The Jensen-Shannon divergence of counts, in nats, along the last axis."""
    p = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    q = other_counts / np.maximum(other_counts.sum(axis=-1, keepdims=True), 1)
    mixture = (p + q) / 2
    nats: Array = (kl_divergence(p, mixture) + kl_divergence(q, mixture)) / 2
    return nats


def kl_divergence(p: Array, q: Array) -> Array:
    """The Kullback-Leibler divergence of shares from others, in nats; none where there are none."""
    ratio = np.divide(p, q, out=np.ones(np.broadcast(p, q).shape), where=(p > 0) & (q > 0))
    nats: Array = (p * np.log(ratio)).sum(axis=-1)
    return np.maximum(nats, 0.0)


def js_distance(counts: Array, other_counts: Array) -> float:
    """The Jensen-Shannon distance between counts by bins: 0 if alike, 1 if they share no bin."""
    return nats_to_js_distance(float(js_divergence(np.asarray(counts), np.asarray(other_counts))))


def nats_to_js_distance(nats: float) -> float:
    """A divergence in nats as a distance from 0 to 1."""
    return min(math.sqrt(max(nats, 0.0) / math.log(2)), 1.0)


def debiased_js_distance(window: Array, reference: Array) -> float:
    """The distance between the distributions that two counts are samples of, from 0 to 1.

    What sampling alone adds to the divergence on average is taken off before the root.
    """
    window, reference = np.asarray(window), np.asarray(reference)
    sizes = float(window.sum()), float(reference.sum())
    if not min(sizes):
        return 0.0
    n_filled_bins = int(((window > 0) | (reference > 0)).sum())
    expected_bias = (n_filled_bins - 1) / 8 * (1 / sizes[0] + 1 / sizes[1])
    return nats_to_js_distance(float(js_divergence(window, reference)) - expected_bias)


def wasserstein_1d(window_quantiles: Array, reference_quantiles: Array) -> float:
    """The Wasserstein distance between numbers, in their own unit, from evenly spaced quantiles."""
    if not len(window_quantiles) or not len(reference_quantiles):
        return 0.0
    gaps = np.abs(
        np.asarray(window_quantiles, dtype=np.float64)
        - np.asarray(reference_quantiles, dtype=np.float64)
    )
    return float(np.trapezoid(gaps, dx=1 / (len(gaps) - 1))) if len(gaps) > 1 else float(gaps[0])


@dataclass(frozen=True)
class NullDistribution:
    """How large the divergence of a window is by chance: a gamma distribution, and what is pooled.

    Attributes:
        pooled_bins: the number of the pooled bin of each bin.
        shape, scale: of the gamma distribution of the divergence in nats.
    """

    pooled_bins: Array
    shape: float
    scale: float


@dataclass
class ReferenceDistribution:
    """Counts of reference rows with which windows are compared.

    Attributes:
        counts: by bin.
        ordered_bins: the bins that have an order, such as those of numbers; none of words.
        tolerance: Jensen-Shannon distance, from 0 to 1, that is no drift.
    """

    counts: Array
    ordered_bins: slice | None = None
    tolerance: float = MAX_TOLERATED_JS_DISTANCE
    null_distributions: dict[int, NullDistribution] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Work out what all windows are compared with."""
        self.counts = np.asarray(self.counts, dtype=np.int64)
        self.n_rows = max(int(self.counts.sum()), 1)
        self.probabilities = self.counts / self.n_rows
        self.tolerance_root_nats = self.tolerance * math.sqrt(math.log(2))  # a root of nats
        self.rank_scores = self.standardized_ranks()

    @property
    def detector_weights(self) -> Array:
        """The share in a detector of each value of `evidence`, adding up to 1."""
        distribution_weights = np.full(len(CALIBRATOR_EXPONENTS), 1 / len(CALIBRATOR_EXPONENTS))
        if self.ordered_bins is None:
            return distribution_weights
        return (
            np.concatenate(
                [distribution_weights, np.full(2 * len(TILTS_IN_STD), 1 / (2 * len(TILTS_IN_STD)))]
            )
            / 2
        )

    def standardized_ranks(self) -> Array | None:
        """Middle ranks of ordered bins with mean 0 and variance 1; None where there is no order."""
        if self.ordered_bins is None:
            return None
        probabilities = self.probabilities[self.ordered_bins]
        mid_ranks = np.cumsum(probabilities) - probabilities / 2
        total = float(probabilities.sum())
        scores = np.zeros(len(self.counts))
        scores[self.ordered_bins] = mid_ranks - float(probabilities @ mid_ranks) / (total or 1)
        std = math.sqrt(float(self.probabilities @ scores**2))
        return scores / std if std > 0 else None

    def p_value(self, window: Array) -> float:
        """How often a window would be as far from the reference as this one without drift."""
        n_rows = int(window.sum())
        if not n_rows:
            return 1.0
        null = self.null_distribution(n_rows)
        pooled_counts = [np.bincount(null.pooled_bins, counts) for counts in (window, self.counts)]
        return gamma_sf(float(js_divergence(*pooled_counts)), null.shape, null.scale)

    def null_distribution(self, n_rows: int) -> NullDistribution:
        """The table for windows of about this size; of the next smaller one, which is cautious."""
        size_index = max(int(math.log(n_rows) / math.log(WINDOW_SIZE_GROWTH) + 1e-9), 0)
        if size_index not in self.null_distributions:
            self.null_distributions[size_index] = self.simulate_null(
                max(int(WINDOW_SIZE_GROWTH**size_index), 1)
            )
        return self.null_distributions[size_index]

    def simulate_null(self, n_rows: int) -> NullDistribution:
        """How divergences are spread that windows have which are as far off as is no drift.

        Distributions are drawn in random directions at the tolerated distance; roots of shares
        are at even angles there (Hellinger), and half the square of their distance is the
        divergence.
        """
        is_rare = self.probabilities * n_rows < MIN_EXPECTED_ROWS_PER_BIN
        pooled_bins = np.where(is_rare, 0, np.cumsum(~is_rare))
        pooled_bins = pooled_bins if is_rare.any() else pooled_bins - 1
        pooled_probabilities = np.bincount(pooled_bins, self.probabilities)
        max_root_distance = self.tolerance_root_nats + math.sqrt(
            chi2_ppf(CONFIDENCE_LEVEL, len(pooled_probabilities) - 1) / (8 * self.n_rows)
        )
        rng = np.random.default_rng(0)
        root_probabilities = np.sqrt(pooled_probabilities)
        directions = rng.normal(size=(N_SIMULATED_WINDOWS, len(pooled_probabilities)))
        directions -= (directions @ root_probabilities)[:, None] * root_probabilities
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        true_distributions = (
            root_probabilities + math.sqrt(2) * max_root_distance * directions
        ) ** 2
        window_counts = rng.multinomial(
            n_rows, true_distributions / true_distributions.sum(axis=1, keepdims=True)
        )
        divergences = js_divergence(window_counts, pooled_probabilities[None, :] * self.n_rows)
        mean, variance = float(divergences.mean()), float(divergences.var())
        if variance <= 0:
            return NullDistribution(pooled_bins, 1.0, 1e-12)
        return NullDistribution(pooled_bins, mean**2 / variance, variance / mean)

    def log_e_values(self, window: Array) -> Array:
        """Logarithms of e-values against "no drift": each has a mean of at most 1 without drift.

        The first are calibrated from the p-value of the whole distribution; those of ordered bins
        look for shifts up and down, and are likelihood ratios of exponential tilts.
        """
        p_value = max(self.p_value(window), 1e-300)
        log_e_values = [log_e_value(p_value, exponent) for exponent in CALIBRATOR_EXPONENTS]
        if self.ordered_bins is not None and self.rank_scores is None:
            log_e_values += [0.0] * (
                2 * len(TILTS_IN_STD)
            )  # all in one bin: there is no order to look along
        elif self.rank_scores is not None:
            score_sum, n_rows = float(window @ self.rank_scores), int(window.sum())
            signed_tilts = [sign * tilt for tilt in TILTS_IN_STD for sign in (1, -1)]
            log_e_values += [
                tilt * score_sum - n_rows * self.log_mgf_bound(tilt) for tilt in signed_tilts
            ]
        return np.array(log_e_values)

    def log_mgf_bound(self, tilt: float) -> float:
        """What a tilt costs a row: the mean of its exponential, as high as no drift may make it.

        The mean of a function of rows is off by at most the distance in chi-square times its
        standard deviation: by the tolerance, and by the reference's own sampling error.
        """
        assert self.rank_scores is not None
        tilted_scores = np.exp(tilt * self.rank_scores)
        mean = float(self.probabilities @ tilted_scores)
        coefficient_of_variation = (
            math.sqrt(max(float(self.probabilities @ tilted_scores**2) - mean**2, 0.0)) / mean
        )
        max_chi_distance = math.sqrt(8) * self.tolerance_root_nats + NormalDist().inv_cdf(
            CONFIDENCE_LEVEL
        ) / math.sqrt(self.n_rows)
        return math.log(mean) + math.log1p(max_chi_distance * coefficient_of_variation)


def chi2_ppf(level: float, degrees: int) -> float:
    """A quantile of the chi-square distribution (Wilson & Hilferty, 1931)."""
    if degrees < 1:
        return 0.0
    ninth = 2 / (9 * degrees)
    return float(degrees * (1 - ninth + NormalDist().inv_cdf(level) * math.sqrt(ninth)) ** 3)


def gamma_sf(value: float, shape: float, scale: float) -> float:
    """How often a gamma distribution is above a value (Wilson & Hilferty, 1931)."""
    if value <= 0:
        return 1.0
    ninth = 1 / (9 * shape)
    z = ((value / (shape * scale)) ** (1 / 3) - (1 - ninth)) / math.sqrt(ninth)
    return 0.5 * math.erfc(z / math.sqrt(2))


def chernoff_p_value(count: int, n_rows: int, proportion: float) -> float:
    """How often so many or more of some rows would be of a sort, at most (Chernoff's bound).

    Args:
        count: rows of the sort.
        n_rows: all of them.
        proportion: of the sort in the long run.
    """
    if not n_rows or count <= n_rows * proportion:
        return 1.0
    if proportion <= 0:
        return 0.0
    observed = np.array([count / n_rows, 1 - count / n_rows])
    return math.exp(
        -n_rows * float(kl_divergence(observed, np.array([proportion, 1 - proportion])))
    )


def proportion_upper_bound(count: int, n_rows: int) -> float:
    """A share of which no more is likely where some rows of a reference were of a sort."""
    z_squared = NormalDist().inv_cdf(CONFIDENCE_LEVEL) ** 2
    proportions: Sequence[float] = (count / max(n_rows, 1), z_squared / max(n_rows, 1))
    return min(proportions[0] + math.sqrt(proportions[0] * proportions[1]) + proportions[1], 1.0)
