"""Estimate the fraction of wrong labels from the disagreement of a confident model.

Where classes overlap, a model is wrong mostly where it is unsure: the more confident it is, the
fewer labels disagree. Wrong labels disagree at any confidence. So the disagreement in the most
confident quarter of the rows of each decision is compared with that in the next quarter: if it is
no lower, it is the fraction of wrong labels. docs/log.md has the figures on 15 data sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.statistics.bootstrap import ConfidenceInterval
from fieldcraft.statistics.proportions import wilson_interval

FIRST_QUARTER, FIRST_HALF = 0.25, 0.5  # of the rows of each decision, the most confident first
# Limits for the lower end of the interval of the fraction of wrong labels.
MIN_REPORTED_NOISE = 0.01
MIN_SIGNIFICANT_NOISE = 0.02
# In the more confident half. A model that knows little disagrees equally in both quarters too.
MIN_KAPPA = 0.5
HIGH_KAPPA = 0.8  # from here on the larger ratio is allowed
# Largest disagreement of the second quarter over that of the first. It was 1.6 to 2.4 on hard data
# sets as they are and 8.8 on Adult; with 10 % of the labels flipped it was 0.9 to 1.1.
MAX_DISAGREEMENT_RATIO, MAX_DISAGREEMENT_RATIO_AT_HIGH_KAPPA = 1.5, 2.0


@dataclass(frozen=True)
class LabelNoiseEstimate:
    """An estimate of label noise from the rows that a model is confident about.

    Attributes:
        noise_rate: fraction of the most confident quarter that disagrees, with its interval.
        disagreement_ratio: disagreement of the second quarter over that of the first, plus one
            standard error.
        kappa: Cohen's kappa of decisions and labels in the most confident half.
        by_class: fraction of the rows of each label that disagree in that half, shape (classes,).
    """

    noise_rate: ConfidenceInterval
    disagreement_ratio: float
    kappa: float
    by_class: Array

    @property
    def is_possible(self) -> bool:
        """Whether the model separates the classes, and yet some labels disagree."""
        return self.kappa >= MIN_KAPPA and self.noise_rate.low >= MIN_REPORTED_NOISE

    @property
    def is_significant(self) -> bool:
        """Whether more labels disagree than overlapping classes explain."""
        max_ratio = (
            MAX_DISAGREEMENT_RATIO_AT_HIGH_KAPPA
            if self.kappa >= HIGH_KAPPA
            else MAX_DISAGREEMENT_RATIO
        )
        return (
            self.is_possible
            and self.noise_rate.low >= MIN_SIGNIFICANT_NOISE
            and self.disagreement_ratio <= max_ratio
        )


def estimate_label_noise(outputs: Array, y: Array) -> LabelNoiseEstimate:
    """Estimate label noise from out-of-fold predictions.

    Args:
        outputs: probabilities from a model that was not trained on the rows, (rows, classes).
        y: labels as given, class indexes (rows,).
    """
    decisions = outputs.argmax(axis=1)
    ranks = confidence_rank(outputs, decisions)
    disagrees = decisions != y
    in_first_quarter = ranks < FIRST_QUARTER
    in_first_half = ranks < FIRST_HALF
    in_second_quarter = in_first_half & ~in_first_quarter
    noise_rate = wilson_interval(
        int(disagrees[in_first_quarter].sum()), int(in_first_quarter.sum())
    )
    return LabelNoiseEstimate(
        noise_rate,
        disagreement_ratio(disagrees[in_first_quarter], disagrees[in_second_quarter]),
        cohen_kappa(decisions[in_first_half], y[in_first_half], outputs.shape[1]),
        np.array(
            [
                float(disagrees[in_first_half & (y == k)].mean())
                if (in_first_half & (y == k)).any()
                else 0.0
                for k in range(outputs.shape[1])
            ]
        ),
    )


def confidence_rank(outputs: Array, decisions: Array) -> Array:
    """The rank of each row among those of the same decision, from 0, most confident, to 1.

    Within each decision, as a model may be confident about one class only.
    """
    confidence = outputs[np.arange(len(outputs)), decisions]
    order = np.lexsort((-confidence, decisions))
    counts = np.bincount(decisions, minlength=outputs.shape[1])
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    ranks = np.empty(len(outputs))
    ranks[order] = (np.arange(len(outputs)) - starts + 0.5) / np.repeat(counts, counts)
    return ranks


def disagreement_ratio(first_wrong: Array, second_wrong: Array) -> float:
    """Error rate of a second set of rows over that of a first, plus one standard error."""
    n_first_wrong, n_second_wrong = int(first_wrong.sum()), int(second_wrong.sum())
    if not n_first_wrong or not n_second_wrong:
        return 0.0 if n_first_wrong else float("inf")
    ratio = (n_second_wrong / len(second_wrong)) / (n_first_wrong / len(first_wrong))
    # By the delta method the logarithm of a ratio of two Poisson counts has this standard error.
    return float(ratio * np.exp((1 / n_first_wrong + 1 / n_second_wrong) ** 0.5))


def cohen_kappa(decisions: Array, y: Array, n_classes: int) -> float:
    """Agreement beyond chance (Cohen 1960); 0 where there is only one class."""
    if not len(y):
        return 0.0
    class_frequencies = [
        np.bincount(labels, minlength=n_classes) / len(y) for labels in (decisions, y)
    ]
    chance_agreement = float(class_frequencies[0] @ class_frequencies[1])
    observed_agreement = float((decisions == y).mean())
    return (
        (observed_agreement - chance_agreement) / (1 - chance_agreement)
        if chance_agreement < 1
        else 0.0
    )
