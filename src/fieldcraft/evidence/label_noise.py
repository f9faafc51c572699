"""How many labels are wrong: what a model that is sure of itself still disagrees with.

Classes that overlap make a model wrong where it is unsure, and hardly anywhere else: the surer it
is, the fewer labels disagree. Wrong labels disagree everywhere alike. So the share of rows that
disagree is compared between the rows of each decision of which the model is surest and the next:
where it does not fall, it is the share of wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldcraft.evidence.bootstrap import Interval
from fieldcraft.evidence.proportions import wilson

Array = npt.NDArray[Any]
QUARTER, HALF = 0.25, 0.5  # of the rows of each decision, the surest first
LEAST = 0.01  # share of wrong labels, surely, that is worth a word
LEAST_SURELY = 0.02  # and that may be called noise
TOLD_APART = 0.5  # agreement beyond chance, where the model is sure; below it, it knows too little
WELL = 0.8  # the same, where the model knows nearly everything
FLAT, FLAT_WELL = 1.5, 2.0  # times more disagreement in the second quarter, at the most


@dataclass(frozen=True)
class Noise:
    """What the rows of which a model is sure say about their labels.

    Attributes:
        share: of rows that disagree among the surest quarter, with its interval.
        rise: how many times larger the share is in the second quarter, at the most that is
            likely (one standard error above what is seen).
        agreement: Cohen's kappa of decisions and labels in the surest half.
        by_class: of the rows of each label, the share that is decided otherwise in that half.
    """

    share: Interval
    rise: float
    agreement: float
    by_class: Array

    @property
    def possible(self) -> bool:
        """Whether the model tells the classes apart, and some labels contradict it all the same."""
        return self.agreement >= TOLD_APART and self.share.low >= LEAST

    @property
    def sure(self) -> bool:
        """Whether so many contradict it that overlap of the classes does not explain it."""
        flat = FLAT_WELL if self.agreement >= WELL else FLAT
        return self.possible and self.share.low >= LEAST_SURELY and self.rise <= flat


def noise_of(outputs: Array, y: Array) -> Noise:
    """What rows that a model has not learned from say about their labels.

    Args:
        outputs: probabilities, shape (rows, classes).
        y: labels as given, class indexes.
    """
    decided = outputs.argmax(axis=1)
    place = sureness(outputs, decided)
    wrong = decided != y
    first, second = (place < QUARTER), (place >= QUARTER) & (place < HALF)
    half = place < HALF
    share = wilson(int(wrong[first].sum()), int(first.sum()))
    return Noise(
        share,
        most_rise(wrong[first], wrong[second]),
        kappa(decided[half], y[half], outputs.shape[1]),
        np.array(
            [
                float(wrong[half & (y == k)].mean()) if (half & (y == k)).any() else 0.0
                for k in range(outputs.shape[1])
            ]
        ),
    )


def sureness(outputs: Array, decided: Array) -> Array:
    """The place of each row among those of the same decision, from 0, the surest, to 1."""
    confidence = outputs[np.arange(len(outputs)), decided]
    order = np.lexsort((-confidence, decided))
    counts = np.bincount(decided, minlength=outputs.shape[1])
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    found = np.empty(len(outputs))
    found[order] = (np.arange(len(outputs)) - starts + 0.5) / np.repeat(counts, counts)
    return found


def most_rise(before: Array, after: Array) -> float:
    """How many times more often the second of two sets of rows is wrong, and a standard error."""
    one, other = int(before.sum()), int(after.sum())
    if not one or not other:
        return 0.0 if one else float("inf")
    ratio = (other / len(after)) / (one / len(before))
    return float(ratio * np.exp((1 / one + 1 / other) ** 0.5))


def kappa(decided: Array, y: Array, classes: int) -> float:
    """Agreement beyond chance (Cohen, 1960); 0 where all is one class."""
    if not len(y):
        return 0.0
    shares = [np.bincount(labels, minlength=classes) / len(y) for labels in (decided, y)]
    chance = float(shares[0] @ shares[1])
    seen = float((decided == y).mean())
    return (seen - chance) / (1 - chance) if chance < 1 else 0.0
