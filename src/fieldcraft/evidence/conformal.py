"""Sets and intervals that hold the truth at a stated rate, whatever the model.

Split conformal prediction (Vovk et al., *Algorithmic Learning in a Random World*, 2005): rows like
those of the tune part are covered at the stated rate on average, not each kind of row by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
ROWS_A_BIN = 200  # tune rows for each width of interval
MOST_BINS = 10


def quantile(scores: Array, coverage: float) -> float:
    """The score below which a new row's lies at the stated rate; infinite if rows are too few."""
    rank = int(np.ceil((len(scores) + 1) * coverage))
    return float(np.sort(scores)[rank - 1]) if 0 < rank <= len(scores) else float("inf")


def class_limit(probabilities: Array, y: Array, coverage: float) -> float:
    """The probability that a class must have to be in the set (Sadinle et al., JASA 2019)."""
    limit = 1 - quantile(1 - probabilities[np.arange(len(y)), y], coverage)
    return max(limit, 0.0)


def class_sets(probabilities: Array, limit: float) -> Array:
    """Which classes are in the set of each row; the likeliest always is. (rows, classes)."""
    found = probabilities >= limit
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return np.asarray(found)


def label_limits(probabilities: Array, y: Array, coverage: float) -> list[float]:
    """For each label the probability that "yes", or else "no", must have to be left open."""
    true = np.where(y == 1, probabilities, 1 - probabilities)
    limits = [1 - quantile(1 - column, coverage) for column in true.T]
    return [max(limit, 0.0) for limit in limits]


def label_sets(probabilities: Array, limits: list[float]) -> Array:
    """Whether each label may be absent, and present; what is likelier always may.

    Shape (rows, labels, 2).
    """
    both = np.stack([1 - probabilities, probabilities], axis=2)
    open_ = both >= np.asarray(limits)[None, :, None]
    return np.asarray(open_ | (both >= 0.5))


def interval_widths(predicted: Array, y: Array, coverage: float) -> dict[str, list[float]]:
    """Half the width of the interval by predicted value: wide where the model errs much.

    Bins of the predicted value (Mondrian conformal prediction) as far as rows allow.
    """
    bins = int(np.clip(len(y) // ROWS_A_BIN, 1, MOST_BINS))
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    edges: Array = np.unique(np.quantile(predicted, inner)) if len(y) else np.zeros(0)
    place = np.searchsorted(edges, predicted, side="right")
    misses = np.abs(predicted - y)
    pieces = [misses[place == number] for number in range(len(edges) + 1)]
    widths = [quantile(piece, coverage) for piece in pieces]
    widest = float(misses.max(initial=0.0)) * 2  # where rows are too few for a finite width
    return {
        "edges": [float(edge) for edge in edges],
        "widths": [width if np.isfinite(width) else widest for width in widths],
    }


def intervals(predicted: Array, found: dict[str, list[float]]) -> Array:
    """Low and high end for each predicted value, shape (rows, 2)."""
    place = np.searchsorted(found["edges"], predicted, side="right")
    half = np.asarray(found["widths"])[place]
    return np.stack([predicted - half, predicted + half], axis=1)
