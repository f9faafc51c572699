"""Attribute a prediction to the words of a text by LIME.

Ribeiro, Singh & Guestrin, *"Why Should I Trust You?": Explaining the Predictions of Any
Classifier*, KDD 2016: words are left out at random, the model scores each perturbed text, and a
linear model weighted by proximity is fitted to the scores. Leaving out one word at a time would
not find words of which any one suffices for the prediction.
"""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from fieldcraft.contracts import ScoreFunction
from fieldcraft.core.types import Array, Json

# Words are runs of characters without spaces; in scripts without spaces (Japanese, Chinese, Thai),
# single characters. So is Hangul, since Korean words have spaces between them but are long.
UNSPACED_SCRIPTS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
WORD_PATTERN = re.compile(rf"\s*(?:[{UNSPACED_SCRIPTS}]|[^\s{UNSPACED_SCRIPTS}]+)\s*")
MAX_SPANS = 60  # longer texts are split into phrases; the fit needs more samples than spans
PERTURBATIONS_RANGE = (128, 256)  # of long and of short texts
MAX_CHARACTERS = 20_000  # no encoder reads more
# Bounds the time of an explanation: fewer perturbations of long texts, but at least 128.
MAX_TOTAL_CHARACTERS = 400_000
MAX_DROPPED_FRACTION = 2 / 3
KERNEL_WIDTH = 0.25  # in cosine distance, as in LIME's text explainer
RIDGE_ALPHA = 0.1
RELATIVE_TOLERANCE = 1e-6  # smaller effects, relative to the scores, are rounding errors


def explain_text(text: str, score: ScoreFunction) -> Json | None:
    """Attribute a score to spans of a text.

    Args:
        text: the text; characters after the first 20,000 are left out.
        score: maps texts to scores.

    Returns:
        ``spans``: pairs of text and weight, from -1 (against the prediction) to 1 (for it), which
        joined are the text; and ``max_effect``: the change of the score by the span of the largest
        weight. None for a text without words.
    """
    text = text[:MAX_CHARACTERS]
    spans = split_into_spans(text)
    if not spans:
        return None
    masks = sample_masks(
        len(spans), int(np.clip(MAX_TOTAL_CHARACTERS // len(text), *PERTURBATIONS_RANGE))
    )
    scores = score(["".join(np.array(spans, dtype=object)[mask]) for mask in masks])
    effects = fit_local_linear_model(masks, scores)
    max_effect = float(np.abs(effects).max())
    if max_effect < RELATIVE_TOLERANCE * np.abs(scores).max():
        effects, max_effect = np.zeros_like(effects), 0.0
    weights = (effects / (max_effect or 1.0)).round(4).tolist()
    return {
        "spans": [list(pair) for pair in zip(spans, weights, strict=True)],
        "max_effect": max_effect,
    }


def split_into_spans(text: str, max_spans: int = MAX_SPANS) -> list[str]:
    """Split a text into at most `max_spans` spans of whole words.

    >>> split_into_spans("Such a nice lamp!"), split_into_spans("one two three four five", 2)
    (['Such ', 'a ', 'nice ', 'lamp!'], ['one two ', 'three four five'])
    """
    words = WORD_PATTERN.findall(text)
    count = min(len(words), max_spans)
    bounds = np.linspace(0, len(words), count + 1).astype(int)
    return ["".join(words[a:b]) for a, b in pairwise(bounds)]


def sample_masks(n_spans: int, n_samples: int) -> Array:
    """Sample masks of kept spans: all, all but one, then random ones with a fixed seed."""
    rng = np.random.default_rng(n_spans)
    max_dropped = max(1, round(MAX_DROPPED_FRACTION * n_spans))
    dropped_counts = rng.integers(1, max_dropped + 1, n_samples - n_spans)
    # The lowest `dropped_counts` ranks of each random permutation are dropped.
    ranks = rng.permuted(np.tile(np.arange(n_spans), (len(dropped_counts), 1)), axis=1)
    nothing_dropped = np.ones((1, n_spans), dtype=bool)
    return np.vstack(
        [nothing_dropped, ~np.eye(n_spans, dtype=bool), ranks >= dropped_counts[:, None]]
    )


def fit_local_linear_model(masks: Array, scores: Array) -> Array:
    """Fit the effect of each span on the score, weighted by proximity to the whole text.

    Returns:
        Effects, shape (spans,).
    """
    # The cosine of a mask with a fraction p of ones and the mask of all ones is sqrt(p).
    distance = 1 - np.sqrt(masks.mean(axis=1))
    kernel_weights = np.exp(-0.5 * (distance / KERNEL_WIDTH) ** 2)
    centered = masks - np.average(masks, axis=0, weights=kernel_weights)
    centered_scores = scores - np.average(scores, weights=kernel_weights)
    weighted = centered * kernel_weights[:, None]
    gram = weighted.T @ centered + RIDGE_ALPHA * np.eye(masks.shape[1])
    effects: Array = np.linalg.solve(gram, weighted.T @ centered_scores)
    return effects
