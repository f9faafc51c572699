"""Sentences that are all different, for tests of checks of texts."""

from __future__ import annotations

import numpy as np

NAMES = ("lamp", "kettle", "saddle", "mirror", "garden", "bottle", "ladder", "window", "jacket",
         "candle", "basket", "pillow", "hammer", "blanket", "drawer", "carpet")  # fmt: skip
DOES = ("broke", "arrived", "leaked", "shone", "fell", "worked", "rattled", "faded", "fitted")
HOW = ("after a week", "in the rain", "without a sound", "on the first day", "as it should",
       "when we moved", "at last", "before the winter")  # fmt: skip


def prose(rows: int, sentences: int = 4, seed: int = 0) -> list[str]:
    """Texts of some sentences each, in English."""
    draw = np.random.default_rng(seed)

    def one() -> str:
        a, b = draw.choice(NAMES, 2)
        return f"The {a} {draw.choice(DOES)} {draw.choice(HOW)} and the {b} {draw.choice(DOES)}."

    return [" ".join(one() for _ in range(sentences)) for _ in range(rows)]
