"""Drift of rows from a reference: distances between binned counts, and tests of no drift.

The null hypothesis is not that the rows have the distribution of the reference counts: over months,
all windows share one reference of a few thousand rows, and its sampling error alone would be
reported as drift. The null hypothesis is that the rows come from within a tolerated distance of the
distribution that the reference is a sample of.

Lin, *Divergence measures based on the Shannon entropy*, IEEE Trans. Inf. Theory 1991; Endres &
Schindelin, *A new metric for probability distributions*, 2003 (its root is a distance).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.statistics.sequential import log_e_value

# Jensen-Shannon distance that is no drift: as of a normal distribution shifted by 0.05 of its
# standard deviation.
MAX_TOLERATED_JS_DISTANCE = 0.02
# The probability that the reference is within the assumed sampling error of its true distribution.
# At 99 %, one of 20 columns is outside in a fifth of the months: 2.5 % of 40 simulated months had
# more than one alarm. At 99.8 % none of 60 had, and a shift of 0.2 standard deviations is detected
# in 8 windows instead of 7.
CONFIDENCE_LEVEL = 0.998
N_SIMULATED_WINDOWS = 2_000  # for each null distribution
WINDOW_SIZE_GROWTH = 1.1  # null distributions are simulated for window sizes this factor apart
MIN_EXPECTED_ROWS_PER_BIN = 1.0  # rarer bins are pooled
TILTS_IN_STD = (0.04, 0.08, 0.16, 0.32, 0.64)  # shifts to detect, in standard deviations
CALIBRATOR_EXPONENTS = (0.1, 0.3, 0.5, 0.8)  # of the e-values calibrated from a p-value


def js_divergence(counts: Array, other_counts: Array) -> Array:
    """The Jensen-Shannon divergence between counts, in nats, along the last axis."""
    p = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    q = other_counts / np.maximum(other_counts.sum(axis=-1, keepdims=True), 1)
    mixture = (p + q) / 2
    nats: Array = (kl_divergence(p, mixture) + kl_divergence(q, mixture)) / 2
    return nats


def kl_divergence(p: Array, q: Array) -> Array:
    """The Kullback-Leibler divergence of p from q, in nats; bins where either is 0 add nothing."""
    # In `js_divergence` q is the mixture, which is 0 only where p is.
    ratio = np.divide(p, q, out=np.ones(np.broadcast(p, q).shape), where=(p > 0) & (q > 0))
    nats: Array = (p * np.log(ratio)).sum(axis=-1)
    return np.maximum(nats, 0.0)


def js_distance(counts: Array, other_counts: Array) -> float:
    """The Jensen-Shannon distance between binned counts: 0 if equal, 1 if they share no bin."""
    return nats_to_js_distance(float(js_divergence(np.asarray(counts), np.asarray(other_counts))))


def nats_to_js_distance(nats: float) -> float:
    """A Jensen-Shannon divergence in nats as a distance from 0 to 1."""
    return min(math.sqrt(max(nats, 0.0) / math.log(2)), 1.0)


def debiased_js_distance(window: Array, reference: Array) -> float:
    """The distance between the distributions that two counts were sampled from, from 0 to 1.

    The mean divergence that sampling alone adds is subtracted before the root is taken.
    """
    window, reference = np.asarray(window), np.asarray(reference)
    sizes = float(window.sum()), float(reference.sum())
    if not min(sizes):
        return 0.0
    # To second order the divergence of p and q is sum((p - q)**2 / p) / 8. For samples of n and m
    # rows of one distribution with k bins the sum has the mean (k - 1) * (1 / n + 1 / m).
    n_filled_bins = int(((window > 0) | (reference > 0)).sum())
    expected_bias = (n_filled_bins - 1) / 8 * (1 / sizes[0] + 1 / sizes[1])
    return nats_to_js_distance(float(js_divergence(window, reference)) - expected_bias)


def wasserstein_1d(window_quantiles: Array, reference_quantiles: Array) -> float:
    """The Wasserstein distance between numbers, in their unit, from evenly spaced quantiles."""
    # In one dimension it is the mean distance between quantiles of the same level.
    if not len(window_quantiles) or not len(reference_quantiles):
        return 0.0
    gaps = np.abs(
        np.asarray(window_quantiles, dtype=np.float64)
        - np.asarray(reference_quantiles, dtype=np.float64)
    )
    return float(np.trapezoid(gaps, dx=1 / (len(gaps) - 1))) if len(gaps) > 1 else float(gaps[0])


@dataclass(frozen=True)
class NullDistribution:
    """The null distribution of a window's divergence: a gamma distribution, and pooled bins.

    Attributes:
        pooled_bins: the index of the pooled bin of each bin, shape (bins,).
        shape: of the gamma distribution of the divergence in nats.
        scale: of the same distribution, in nats.
    """

    pooled_bins: Array
    shape: float
    scale: float


@dataclass
class ReferenceDistribution:
    """Binned counts of the reference rows that windows are compared with.

    Attributes:
        counts: shape (bins,).
        ordered_bins: the bins with an order, as those of numbers have; None for categories.
        tolerance: Jensen-Shannon distance, from 0 to 1, that is no drift.
        null_distributions: those simulated so far, by the index of the window size.
    """

    counts: Array
    ordered_bins: slice | None = None
    tolerance: float = MAX_TOLERATED_JS_DISTANCE
    null_distributions: dict[int, NullDistribution] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Derive what every window needs."""
        self.counts = np.asarray(self.counts, dtype=np.int64)
        self.n_rows = max(int(self.counts.sum()), 1)
        self.probabilities = self.counts / self.n_rows
        self.tolerance_root_nats = self.tolerance * math.sqrt(math.log(2))  # as the root of nats
        self.rank_scores = self.standardized_ranks()

    @property
    def detector_weights(self) -> Array:
        """The weight in a detector of each of the `log_e_values`, which add up to 1."""
        # Half for the whole distribution, half for shifts: a test in one direction detects a shift
        # with far fewer rows than a test of differences in any of twenty bins.
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
        """Mid-ranks of the ordered bins with mean 0 and variance 1; None without an order."""
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
        """The probability that a window without drift has at least the divergence of this one."""
        n_rows = int(window.sum())
        if not n_rows:
            return 1.0
        null = self.null_distribution(n_rows)
        pooled_counts = [np.bincount(null.pooled_bins, counts) for counts in (window, self.counts)]
        return gamma_sf(float(js_divergence(*pooled_counts)), null.shape, null.scale)

    def null_distribution(self, n_rows: int) -> NullDistribution:
        """The null distribution for windows of about this size, simulated once."""
        # Rounded down: smaller windows diverge more by chance, so p-values are never too small. The
        # addend keeps rounding errors from moving an exact power of the factor to the size below.
        size_index = max(int(math.log(n_rows) / math.log(WINDOW_SIZE_GROWTH) + 1e-9), 0)
        if size_index not in self.null_distributions:
            self.null_distributions[size_index] = self.simulate_null(
                max(int(WINDOW_SIZE_GROWTH**size_index), 1)
            )
        return self.null_distributions[size_index]

    def simulate_null(self, n_rows: int) -> NullDistribution:
        """Simulate the divergence of windows at the largest distance that is no drift.

        An exact e-value (universal inference) would need no simulation, but is too weak: its best
        null distribution follows the noise of the window in every direction (docs/log.md).
        """
        is_rare = self.probabilities * n_rows < MIN_EXPECTED_ROWS_PER_BIN
        pooled_bins = np.where(is_rare, 0, np.cumsum(~is_rare))
        pooled_bins = pooled_bins if is_rare.any() else pooled_bins - 1
        pooled_probabilities = np.bincount(pooled_bins, self.probabilities)
        # The root of the divergence is a metric (Endres & Schindelin), so the triangle inequality
        # holds: rows within the tolerance of the true distribution are within the tolerance plus
        # the sampling error of the reference from its counts. By the second-order expansion of
        # `debiased_js_distance` that error, as a divergence, is chi-square / (8 * rows) with
        # (bins - 1) degrees of freedom.
        max_root_distance = self.tolerance_root_nats + math.sqrt(
            chi2_ppf(CONFIDENCE_LEVEL, len(pooled_probabilities) - 1) / (8 * self.n_rows)
        )
        # With (p - q) = (sqrt p - sqrt q) (sqrt p + sqrt q) the same expansion reads
        # sum((sqrt p - sqrt q)**2) / 2: roots of probabilities lie on a sphere, where the distance
        # is sqrt(2) times the root of the divergence in every direction. So the distributions at a
        # given distance are steps of equal length along random tangents at the reference.
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
        # A gamma distribution with the same mean and variance gives p-values far below 1 / 2,000,
        # which the 2,000 simulated windows themselves cannot.
        mean, variance = float(divergences.mean()), float(divergences.var())
        if variance <= 0:
            return NullDistribution(pooled_bins, 1.0, 1e-12)
        return NullDistribution(pooled_bins, mean**2 / variance, variance / mean)

    def log_e_values(self, window: Array) -> Array:
        """Logarithms of e-values, each with a mean of at most 1 without drift.

        The first are calibrated from the p-value of the whole distribution. Those for shifts up and
        down, of ordered bins only, are likelihood ratios of exponential tilts.
        """
        p_value = max(self.p_value(window), 1e-300)  # the logarithm of 0 is not finite
        log_e_values = [log_e_value(p_value, exponent) for exponent in CALIBRATOR_EXPONENTS]
        if self.ordered_bins is not None and self.rank_scores is None:
            # All reference rows are in one bin, which has no order: e-values of 1, no evidence.
            log_e_values += [0.0] * (2 * len(TILTS_IN_STD))
        elif self.rank_scores is not None:
            score_sum, n_rows = float(window @ self.rank_scores), int(window.sum())
            signed_tilts = [sign * tilt for tilt in TILTS_IN_STD for sign in (1, -1)]
            log_e_values += [
                tilt * score_sum - n_rows * self.log_mgf_bound(tilt) for tilt in signed_tilts
            ]
        return np.array(log_e_values)

    def log_mgf_bound(self, tilt: float) -> float:
        """The logarithm of the largest mean that a tilt's exponential has without drift.

        Divided by it, the exponential of a row has a mean of at most 1, as an e-value must.
        """
        assert self.rank_scores is not None
        # By Cauchy-Schwarz the mean of f under q is at most that under p plus chi(q, p) times the
        # standard deviation of f, with chi**2 = sum((q - p)**2 / p). At the tolerated distance chi
        # is sqrt(8) times the root of the divergence, by the second-order expansion again. The
        # reference's own mean is off by its standard error, the standard deviation / sqrt(rows).
        tilted_scores = np.exp(tilt * self.rank_scores)
        mean = float(self.probabilities @ tilted_scores)
        coefficient_of_variation = (
            math.sqrt(max(float(self.probabilities @ tilted_scores**2) - mean**2, 0.0)) / mean
        )
        max_chi_distance = math.sqrt(8) * self.tolerance_root_nats + NormalDist().inv_cdf(
            CONFIDENCE_LEVEL
        ) / math.sqrt(self.n_rows)
        return math.log(mean) + math.log1p(max_chi_distance * coefficient_of_variation)


def chi2_ppf(level: float, degrees_of_freedom: int) -> float:
    """An approximate quantile of the chi-square distribution (Wilson & Hilferty 1931)."""
    # (X / k)**(1 / 3) is nearly normal with mean 1 - 2 / (9 k) and variance 2 / (9 k). SciPy is no
    # dependency of the monitor.
    if degrees_of_freedom < 1:
        return 0.0
    variance = 2 / (9 * degrees_of_freedom)
    cube_root = 1 - variance + NormalDist().inv_cdf(level) * math.sqrt(variance)
    return float(degrees_of_freedom * cube_root**3)


def gamma_sf(value: float, shape: float, scale: float) -> float:
    """The approximate probability that a gamma variable exceeds a value.

    Wilson & Hilferty, *The Distribution of Chi-Square*, 1931.
    """
    if value <= 0:
        return 1.0
    # A gamma variable is a scaled chi-square with 2 * shape degrees of freedom.
    variance = 1 / (9 * shape)
    z = ((value / (shape * scale)) ** (1 / 3) - (1 - variance)) / math.sqrt(variance)
    return 0.5 * math.erfc(z / math.sqrt(2))


def chernoff_p_value(count: int, n_rows: int, proportion: float) -> float:
    """An upper bound on the probability of at least this many events (Chernoff's bound).

    Args:
        count: rows with the event.
        n_rows: all rows.
        proportion: expected proportion of the event.
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
    """An upper confidence bound on the true proportion of an event, from the reference rows."""
    # From P - p <= z * sqrt(P / n), solved for P, with sqrt(a + b) <= sqrt(a) + sqrt(b). It is
    # above 0 even if no reference row has the event.
    z_squared = NormalDist().inv_cdf(CONFIDENCE_LEVEL) ** 2
    proportion, margin = count / max(n_rows, 1), z_squared / max(n_rows, 1)
    return min(proportion + math.sqrt(proportion * margin) + margin, 1.0)
