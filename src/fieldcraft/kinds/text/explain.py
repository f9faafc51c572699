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

from fieldcraft.contracts import Array, Json, Rescore

# A word is a run of signs without blanks; in scripts without blanks, one sign.
ALONE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
WORD = re.compile(rf"\s*(?:[{ALONE}]|[^\s{ALONE}]+)\s*")
MOST = 60  # words of a text that are told apart; of longer ones, phrases
TRIED = (128, 256)  # changed texts that the model is asked about: of long and of short texts
LONGEST = 20_000  # characters of a text; no encoder reads further
SIGNS = 400_000  # that it reads for one explanation, if that leaves it enough texts
LEFT_OUT = 2 / 3  # of the words, at most
NEAR = 0.25  # width of the kernel, in cosine distance, as in LIME
RIDGE = 0.1
NOISE = 1e-6  # of the scores, below which differences are those of rounding


def explained(text: str, said: Rescore) -> Json | None:
    """The text in spans with weights from -1, against what was said, to 1, for it.

    Args:
        text: to be explained; what comes after the first 20,000 characters is left out.
        said: texts to scores.

    Returns:
        ``spans`` of text and weight, which together are all that is explained, and ``most``: by
        how much the heaviest span moves the score. None where there is no word.
    """
    text = text[:LONGEST]
    pieces = phrases(text)
    if not pieces:
        return None
    kept = some_left_out(len(pieces), int(np.clip(SIGNS // len(text), *TRIED)))
    scores = said(["".join(np.array(pieces, dtype=object)[row]) for row in kept])
    effects = fitted(kept, scores)
    most = float(np.abs(effects).max())
    if most < NOISE * np.abs(scores).max():
        effects, most = np.zeros_like(effects), 0.0
    weights = (effects / (most or 1.0)).round(4).tolist()
    return {"spans": [list(pair) for pair in zip(pieces, weights, strict=True)], "most": most}


def phrases(text: str, most: int = MOST) -> list[str]:
    """A text in at most so many pieces of whole words that follow each other.

    >>> phrases("Such a nice lamp!"), phrases("one two three four five", most=2)
    (['Such ', 'a ', 'nice ', 'lamp!'], ['one two ', 'three four five'])
    """
    words = WORD.findall(text)
    count = min(len(words), most)
    bounds = np.linspace(0, len(words), count + 1).astype(int)
    return ["".join(words[a:b]) for a, b in pairwise(bounds)]


def some_left_out(count: int, tried: int) -> Array:
    """Which pieces stay: all, all but one, then draws of chance that are always the same."""
    draw = np.random.default_rng(count)
    most = max(1, round(LEFT_OUT * count))
    left = draw.integers(1, most + 1, tried - count)
    ranks = draw.permuted(np.tile(np.arange(count), (len(left), 1)), axis=1)
    ones = np.ones((1, count), dtype=bool)
    return np.vstack([ones, ~np.eye(count, dtype=bool), ranks >= left[:, None]])


def fitted(kept: Array, scores: Array) -> Array:
    """What each piece adds to the score, from a linear model that minds texts near the whole."""
    distance = 1 - np.sqrt(kept.mean(axis=1))
    weights = np.exp(-0.5 * (distance / NEAR) ** 2)
    centred = kept - np.average(kept, axis=0, weights=weights)
    wanted = scores - np.average(scores, weights=weights)
    weighted = centred * weights[:, None]
    inner = weighted.T @ centred + RIDGE * np.eye(kept.shape[1])
    found: Array = np.linalg.solve(inner, weighted.T @ wanted)
    return found
