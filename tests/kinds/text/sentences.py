"""Distinct random sentences for tests."""

from __future__ import annotations

import numpy as np

NOUNS = ("lamp", "kettle", "saddle", "mirror", "garden", "bottle", "ladder", "window", "jacket",
         "candle", "basket", "pillow", "hammer", "blanket", "drawer", "carpet")  # fmt: skip
VERBS = ("broke", "arrived", "leaked", "shone", "fell", "worked", "rattled", "faded", "fitted")
ADVERBIALS = ("after a week", "in the rain", "without a sound", "on the first day", "as it should",
       "when we moved", "at last", "before the winter")  # fmt: skip


def make_texts(rows: int, sentences: int = 4, seed: int = 0) -> list[str]:
    """Return English texts of some sentences each."""
    rng = np.random.default_rng(seed)

    def make_sentence() -> str:
        a, b = rng.choice(NOUNS, 2)
        return (
            f"The {a} {rng.choice(VERBS)} {rng.choice(ADVERBIALS)} and the {b} {rng.choice(VERBS)}."
        )

    return [" ".join(make_sentence() for _ in range(sentences)) for _ in range(rows)]
