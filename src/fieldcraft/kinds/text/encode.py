"""Encode free text as a few dozen numbers: its leading topics, scores for what is asked, length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Matrix, State
from fieldcraft.data.table import Column
from fieldcraft.kinds.text.reader import EXTENT, Reader, Texts, Vocabulary, learn_reader
from fieldcraft.kinds.text.scores import goals_of

ARRAYS = ("buckets", "weights", "directions", "centre", "spread")  # of a column's state


class TextEncoder:
    """Encodes all text columns of a table.

    A text is a bag of words and pairs of words, a word a bag of its parts (2 to 5 characters) and
    itself, each with its inverse document frequency on training rows as in TF-IDF, hashed into
    262,144 buckets. Of this long vector, brought to length one, a column gives its leading
    directions (latent semantic analysis, Deerwester et al. 1990): one for every 1,000 rows (100
    where there are no scores), at most 32. Then, for each class, label or number to be predicted,
    the score of a linear model over the parts (on training rows out of fold, so that no row sees
    its own target); the logarithms of characters and words; and whether the text is missing. All
    are standardised. Characters beyond the first 2,000 count for the length alone.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """An encoder of some columns that knows nothing of them yet."""
        self.names = [column.name for column in columns]
        self.readers: list[Reader] = []
        self.scores = 0

    @property
    def width(self) -> int:
        """Numbers a row."""
        return sum(len(reader.centre) for reader in self.readers)

    def read(self, rows: pl.DataFrame) -> list[Texts]:
        """The texts of each column."""
        return [Texts(rows[name]) for name in self.names]

    def fit_transform(self, columns: list[Texts], target: Array) -> Views:
        """Learn topics and scores from training rows; return them encoded."""
        goals = goals_of(target)
        self.scores = goals.shape[1]
        learned = [learn_reader(texts, goals) for texts in columns]
        self.readers = [reader for reader, _ in learned]
        return self._views([values for _, values in learned])

    def transform(self, columns: list[Texts]) -> Views:
        """Encode rows with what was learned."""
        pairs = zip(self.readers, columns, strict=True)
        return self._views([reader.encode(texts) for reader, texts in pairs])

    def _views(self, found: list[Array]) -> Views:
        values = np.hstack(found).astype(np.float32)
        names: list[str] = []
        for name, reader in zip(self.names, self.readers, strict=True):
            topics = len(reader.centre) - self.scores - len(EXTENT)
            names += [f"{name} (topic {i + 1})" for i in range(topics)]
            names += [f"{name} (score {i + 1})" for i in range(self.scores)]
            names += [f"{name} ({part})" for part in EXTENT]
        matrix = Matrix(values, tuple(names), (0,) * len(names))
        return Views(lambda: {"text": values}, lambda: matrix)

    def state(self) -> State:
        """What was learned, as JSON values and arrays."""
        arrays: dict[str, Array] = {}
        for i, reader in enumerate(self.readers):
            arrays[f"buckets.{i}"] = reader.vocabulary.buckets
            arrays[f"weights.{i}"] = reader.vocabulary.weights
            arrays[f"directions.{i}"] = reader.directions.astype(np.float32)
            arrays[f"centre.{i}"], arrays[f"spread.{i}"] = reader.centre, reader.spread
        return State({"readers": len(self.readers), "scores": self.scores}, arrays)

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described."""
        self.scores, self.readers = state.values["scores"], []
        for i in range(state.values["readers"]):
            part = {name: state.arrays[f"{name}.{i}"] for name in ARRAYS}
            vocabulary = Vocabulary(part["buckets"], part["weights"])
            directions = np.asfortranarray(part["directions"], dtype=np.float64)
            self.readers.append(Reader(vocabulary, directions, part["centre"], part["spread"]))
