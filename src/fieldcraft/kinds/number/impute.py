"""Fill gaps in some columns from the other columns, by ridge regressions in rounds.

Buck (1960); van Buuren and Groothuis-Oudshoorn, *mice*, J. Stat. Software 2011, with one fill
instead of several: what is wanted is a sound guess, not the spread of guesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from fieldcraft.contracts import Array, State

ROUNDS = 3
MOST_HELPERS = 30  # columns that a gap is filled from, those that go most with the column
MOST_ROWS = 50_000  # that are learned from
RIDGE = 1e-3  # of the rows, added to the diagonal
SMALLEST_SPREAD = 1e-100
FARTHEST = 10.0  # standard deviations at which a helper stops


@dataclass
class GapModel:
    """How gaps of one column are filled in each round from standardised helper columns."""

    column: int
    helpers: list[int]
    weights: Array  # (rounds, helpers + 1), the constant last
    low: float
    high: float

    def predict(self, columns: Sequence[Array], rows: Array, turn: int) -> Array:
        """Guesses for some rows; summed column by column, so that each row stands alone."""
        weights = self.weights[turn]
        found = np.full(len(rows), weights[-1])
        for helper, weight in zip(self.helpers, weights[:-1], strict=True):
            found += weight * np.clip(columns[helper][rows], -FARTHEST, FARTHEST)
        return np.asarray(np.clip(found, self.low, self.high))


class GapFiller:
    """Fills the gaps of several columns, each from all others, in a few rounds."""

    def __init__(self, centres: Array, spreads: Array, models: list[GapModel]) -> None:
        """Keep what was learned: see `learn_gaps`."""
        self.centres, self.spreads, self.models = centres, spreads, models

    def state(self) -> State:
        """What was learned, as JSON values and arrays."""
        arrays = {f"gap_weights.{model.column}": model.weights for model in self.models}
        models = [asdict(model) for model in self.models]
        for model in models:
            del model["weights"]
        return State(
            {"models": models}, {**arrays, "gap_centres": self.centres, "gap_spreads": self.spreads}
        )

    @classmethod
    def restored(cls, state: State) -> GapFiller:
        """The filler that `state` described."""
        models = [
            GapModel(**model, weights=state.arrays[f"gap_weights.{model['column']}"])
            for model in state.values["models"]
        ]
        return cls(state.arrays["gap_centres"], state.arrays["gap_spreads"], models)

    def fill(self, columns: Sequence[Array], gaps: Sequence[Array]) -> list[Array]:
        """Columns with better guesses where there are gaps.

        Args:
            columns: without gaps, first guesses in their place.
            gaps: of each column, true where a value is a guess.
        """
        scaled = [
            (column - centre) / spread
            for column, centre, spread in zip(columns, self.centres, self.spreads, strict=True)
        ]
        where = {model.column: np.flatnonzero(gaps[model.column]) for model in self.models}
        for turn in range(ROUNDS):
            for model in self.models:
                rows = where[model.column]
                scaled[model.column][rows] = model.predict(scaled, rows, turn)
        found = list(columns)
        for i, rows in where.items():
            found[i] = columns[i].copy()
            found[i][rows] = scaled[i][rows] * self.spreads[i] + self.centres[i]
        return found


def learn_gaps(columns: Sequence[Array], gaps: Sequence[Array], wanted: Sequence[int]) -> GapFiller:
    """Learn from training rows how to fill the gaps of the wanted columns.

    Args:
        columns: without gaps, first guesses in their place.
        gaps: of each column, true where a value is a guess.
        wanted: numbers of the columns that are to be filled.
    """
    step = max(1, -(-len(columns[0]) // MOST_ROWS))
    columns, gaps = ([array[::step] for array in arrays] for arrays in (columns, gaps))
    centres = np.array([column.mean() for column in columns])
    spreads = np.array([max(column.std(), SMALLEST_SPREAD) for column in columns])
    scaled = [
        (column - centre) / spread
        for column, centre, spread in zip(columns, centres, spreads, strict=True)
    ]
    models = [new_model(scaled, gaps, i) for i in wanted]
    for turn in range(ROUNDS):
        for model in models:
            learn_round(model, scaled, gaps[model.column], turn)
    return GapFiller(centres, spreads, models)


def new_model(scaled: Sequence[Array], gaps: Sequence[Array], column: int) -> GapModel:
    """A model that knows its helpers and the range of its column, but no weights yet."""
    there = ~gaps[column]
    own = scaled[column][there] if there.any() else np.zeros(1)
    strength = {
        i: abs(float(np.mean(other[there] * own))) if there.any() else 0.0
        for i, other in enumerate(scaled)
        if i != column
    }
    helpers = sorted(sorted(strength, key=lambda i: -strength[i])[:MOST_HELPERS])
    weights = np.zeros((ROUNDS, len(helpers) + 1))
    return GapModel(column, helpers, weights, float(own.min()), float(own.max()))


def learn_round(model: GapModel, scaled: Sequence[Array], gaps: Array, turn: int) -> None:
    """Learn one round of a model, and put its guesses in place of the gaps."""
    there, rows = ~gaps, np.flatnonzero(gaps)
    parts = [np.clip(scaled[i][there], -FARTHEST, FARTHEST) for i in model.helpers]
    design = np.stack([*parts, np.ones(there.sum())], axis=1)
    penalty = RIDGE * max(len(design), 1) * np.eye(design.shape[1])
    penalty[-1, -1] = 1e-9
    own = scaled[model.column][there]
    model.weights[turn] = np.linalg.solve(design.T @ design + penalty, design.T @ own)
    scaled[model.column][rows] = model.predict(scaled, rows, turn)
