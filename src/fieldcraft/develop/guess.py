"""What the columns of a table hold, guessed from their cells."""

from __future__ import annotations

import polars as pl

from fieldcraft.core import catalogue
from fieldcraft.data.look import Guess, Look


def guess_kind(look: Look) -> Guess:
    """What a column holds: the most confident guess of all kinds."""
    guesses = [kind.recognise(look) for kind in catalogue.load_all("kinds")]
    best: Guess = max((g for g in guesses if g), key=by_confidence)
    return best


def by_confidence(guess: Guess) -> float:
    """How sure a guess is."""
    return guess.confidence


def missing_marks(frame: pl.DataFrame) -> list[str]:
    """The markers of missing values that occur in a table, such as ``?``."""
    return sorted({mark for name in frame.columns for mark in Look(frame[name]).marks})
