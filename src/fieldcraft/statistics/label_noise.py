"""How many labels are wrong: what a model that is sure of itself still disagrees with.

Classes that overlap make a model wrong where it is unsure, and hardly anywhere else: the surer it
is, the fewer labels disagree. Wrong labels disagree everywhere alike. So the share of rows that
disagree is compared between the rows of each decision of which the model is surest and the next:
where it does not fall, it is the share of wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.statistics.bootstrap import ConfidenceInterval
from fieldcraft.statistics.proportions import wilson_interval

FIRST_QUARTER, FIRST_HALF = 0.25, 0.5  # of the rows of each decision, the surest first
MIN_REPORTED_NOISE = 0.01  # share of wrong labels, surely, that is worth a word
MIN_SIGNIFICANT_NOISE = 0.02  # and that may be called noise
MIN_KAPPA = 0.5  # agreement beyond chance, where the model is sure; below it, it knows too little
HIGH_KAPPA = 0.8  # the same, where the model knows nearly everything
MAX_DISAGREEMENT_RATIO, MAX_DISAGREEMENT_RATIO_AT_HIGH_KAPPA = (
    1.5,
    2.0,
)  # times more disagreement in the second quarter, at the most


@dataclass(frozen=True)
class LabelNoiseEstimate:
    """What the rows of which a model is sure say about their labels.

    Attributes:
        noise_rate: of rows that disagree among the surest quarter, with its interval.
        disagreement_ratio: how many times larger the share is in the second quarter, at the most that is
            likely (one standard error above what is seen).
        kappa: Cohen's kappa of decisions and labels in the surest half.
        by_class: of the rows of each label, the share that is decided otherwise in that half.
    """

    noise_rate: ConfidenceInterval
    disagreement_ratio: float
    kappa: float
    by_class: Array

    @property
    def is_possible(self) -> bool:
        """Whether the model tells the classes apart, and some labels contradict it all the same."""
        return self.kappa >= MIN_KAPPA and self.noise_rate.low >= MIN_REPORTED_NOISE

    @property
    def is_significant(self) -> bool:
        """Whether so many contradict it that overlap of the classes does not explain it."""
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
    """What rows that a model has not learned from say about their labels.

    Args:
        outputs: probabilities, shape (rows, classes).
        y: labels as given, class indexes.
    """
    decisions = outputs.argmax(axis=1)
    ranks = confidence_rank(outputs, decisions)
    disagrees = decisions != y
    in_first_quarter, in_second_quarter = (
        (ranks < FIRST_QUARTER),
        (ranks >= FIRST_QUARTER) & (ranks < FIRST_HALF),
    )
    in_first_half = ranks < FIRST_HALF
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
    """The place of each row among those of the same decision, from 0, the surest, to 1."""
    confidence = outputs[np.arange(len(outputs)), decisions]
    order = np.lexsort((-confidence, decisions))
    counts = np.bincount(decisions, minlength=outputs.shape[1])
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    ranks = np.empty(len(outputs))
    ranks[order] = (np.arange(len(outputs)) - starts + 0.5) / np.repeat(counts, counts)
    return ranks


def disagreement_ratio(first_wrong: Array, second_wrong: Array) -> float:
    """How many times more often the second of two sets of rows is wrong, and a standard error."""
    n_first_wrong, n_second_wrong = int(first_wrong.sum()), int(second_wrong.sum())
    if not n_first_wrong or not n_second_wrong:
        return 0.0 if n_first_wrong else float("inf")
    ratio = (n_second_wrong / len(second_wrong)) / (n_first_wrong / len(first_wrong))
    return float(ratio * np.exp((1 / n_first_wrong + 1 / n_second_wrong) ** 0.5))


def cohen_kappa(decisions: Array, y: Array, n_classes: int) -> float:
    """Agreement beyond chance (Cohen, 1960); 0 where all is one class."""
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
