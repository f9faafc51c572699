"""Which words of a text speak for a prediction, and which against it.

Ribeiro, Singh & Guestrin, *"Why Should I Trust You?": Explaining the Predictions of Any
Classifier*, KDD 2016 (LIME): words are left out at random, the model is asked again each time, and
a linear model close to the text is fitted to its answers. Leaving out one word after the other
would miss words of which any one is enough.
"""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from fieldcraft.contracts import ScoreFunction
from fieldcraft.core.types import Array, Json

# A word is a run of signs without blanks; in scripts without blanks, one sign.
UNSPACED_SCRIPTS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
WORD_PATTERN = re.compile(rf"\s*(?:[{UNSPACED_SCRIPTS}]|[^\s{UNSPACED_SCRIPTS}]+)\s*")
MAX_SPANS = 60  # words of a text that are told apart; of longer ones, phrases
PERTURBATIONS_RANGE = (
    128,
    256,
)  # changed texts that the model is asked about: of long and of short texts
MAX_CHARACTERS = 20_000  # characters of a text; no encoder reads further
MAX_TOTAL_CHARACTERS = 400_000  # that it reads for one explanation, if that leaves it enough texts
MAX_DROPPED_FRACTION = 2 / 3  # of the words, at most
KERNEL_WIDTH = 0.25  # width of the kernel, in cosine distance, as in LIME
RIDGE_ALPHA = 0.1
RELATIVE_TOLERANCE = 1e-6  # of the scores, below which differences are those of rounding


def explain_text(text: str, score: ScoreFunction) -> Json | None:
    """The text in spans with weights from -1, against what was said, to 1, for it.

    Args:
        text: to be explained; what comes after the first 20,000 characters is left out.
        score: texts to scores.

    Returns:
        ``spans`` of text and weight, which together are all that is explained, and ``most``: by
        how much the heaviest span moves the score. None where there is no word.
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
    return {"spans": [list(pair) for pair in zip(spans, weights, strict=True)], "most": max_effect}


def split_into_spans(text: str, max_spans: int = MAX_SPANS) -> list[str]:
    """A text in at most so many pieces of whole words that follow each other.

    >>> phrases("Such a nice lamp!"), phrases("one two three four five", most=2)
    (['Such ', 'a ', 'nice ', 'lamp!'], ['one two ', 'three four five'])
    """
    words = WORD_PATTERN.findall(text)
    count = min(len(words), max_spans)
    bounds = np.linspace(0, len(words), count + 1).astype(int)
    return ["".join(words[a:b]) for a, b in pairwise(bounds)]


def sample_masks(n_spans: int, n_samples: int) -> Array:
    """Which pieces stay: all, all but one, then draws of chance that are always the same."""
    rng = np.random.default_rng(n_spans)
    max_dropped = max(1, round(MAX_DROPPED_FRACTION * n_spans))
    dropped_counts = rng.integers(1, max_dropped + 1, n_samples - n_spans)
    ranks = rng.permuted(np.tile(np.arange(n_spans), (len(dropped_counts), 1)), axis=1)
    nothing_dropped = np.ones((1, n_spans), dtype=bool)
    return np.vstack(
        [nothing_dropped, ~np.eye(n_spans, dtype=bool), ranks >= dropped_counts[:, None]]
    )


def fit_local_linear_model(masks: Array, scores: Array) -> Array:
    """What each piece adds to the score, from a linear model that minds texts near the whole."""
    distance = 1 - np.sqrt(masks.mean(axis=1))
    kernel_weights = np.exp(-0.5 * (distance / KERNEL_WIDTH) ** 2)
    centered = masks - np.average(masks, axis=0, weights=kernel_weights)
    centered_scores = scores - np.average(scores, weights=kernel_weights)
    weighted = centered * kernel_weights[:, None]
    gram = weighted.T @ centered + RIDGE_ALPHA * np.eye(masks.shape[1])
    effects: Array = np.linalg.solve(gram, weighted.T @ centered_scores)
    return effects
