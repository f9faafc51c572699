"""Encode free text as a few dozen numbers: its leading topics, scores for what is asked, length."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import polars as pl

from fieldcraft.bundle.backbone import load_backbone
from fieldcraft.bundle.encoders import FOR_MATRICES, Views
from fieldcraft.bundle.meaning import Meaning, learn_meaning
from fieldcraft.contracts import Array, Json, Matrix, State
from fieldcraft.core.optional import needs
from fieldcraft.data.table import Column
from fieldcraft.kinds.text.deep import LONGEST, Reading, learn_reading, train_tokenizer
from fieldcraft.kinds.text.options import asked_of
from fieldcraft.kinds.text.pretrained import Pretrained, open_pretrained
from fieldcraft.kinds.text.reader import EXTENT, Reader, Texts, Vocabulary, learn_reader
from fieldcraft.kinds.text.scores import goals_of
from fieldcraft.kinds.text.tokens import Tokens
from fieldcraft.kinds.text.variants import Ways, from_function, variants, with_typos

ARRAYS = ("buckets", "weights", "directions", "centre", "spread")  # of a column's state
BACKBONE = "backbone"  # the file with the pretrained network, as ONNX
FEW_SCORES, ENOUGH = 10, 4_000  # classes or labels; texts of a fold
MOST_LETTERS = 1_600_000  # of texts that are tuned on unasked: some minutes of a processor
TOKENS_AT_ONCE = 1 << 14


class TextEncoder:
    """Encodes all text columns of a table.

    A text is a bag of words and pairs of words, a word a bag of its parts (2 to 5 characters) and
    itself, each with its inverse document frequency on training rows as in TF-IDF, hashed into
    262,144 buckets. Of this long vector, brought to length one, a column gives its leading
    directions (latent semantic analysis, Deerwester et al. 1990): one for every 1,000 rows (100
    where there are no scores), at most 32. Then, for each class, label or number to be predicted,
    the score of a linear model over the parts (on training rows out of fold, so that no row sees
    its own target); the logarithms of characters and words; and whether the text is missing. All
    are standardised. Characters beyond the first 5,000 count for the length alone.

    Where the project file names a pretrained encoder, its vector of the text comes after these; of
    one that is tuned, or of a network trained from the ground up, networks get the tokens instead.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """An encoder of some columns that knows nothing of them yet."""
        self.names = [column.name for column in columns]
        self.asked = asked_of(columns)
        self.pretrained: Pretrained | None = None
        self.reading: Reading | None = None  # where a network reads token by token
        self.config: Json = {}  # of the network that is tuned
        self.readers: list[Reader] = []
        self.meanings: dict[str, Meaning] = {}
        self.scores = 0

    @property
    def width(self) -> int:
        """Numbers a row that networks see; one that is tuned takes the place of its vectors."""
        scored = sum(len(reader.centre) for reader in self.readers)
        if self.reading is not None:
            return scored
        return scored + sum(len(meaning.centre) for meaning in self.meanings.values())

    @property
    def most_rows(self) -> int:
        """How many rows a network may read at once: attention takes memory by length squared."""
        return TOKENS_AT_ONCE // (self.reading.tokens.length if self.reading else 1)

    def read(self, rows: pl.DataFrame) -> list[Texts]:
        """The texts of each column."""
        fresh = self.pretrained is None and self.reading is None
        if fresh and self.asked and self.asked.pretrained:
            self.pretrained = open_pretrained(self.asked.name, self.asked.length)
        means = self.asked.columns if self.asked else ()
        return [Texts(rows[n], self.pretrained if n in means else None) for n in self.names]

    def fit_transform(self, columns: list[Texts], target: Array) -> Views:
        """Learn topics and scores from training rows; return them encoded."""
        goals = goals_of(target)
        self.scores = goals.shape[1]
        learned = [learn_reader(texts, goals) for texts in columns]
        self.readers = [reader for reader, _ in learned]
        self.meanings = {
            name: learn_meaning(texts.vectors)
            for name, texts in zip(self.names, columns, strict=True)
            if texts.vectors is not None
        }
        cells = [texts.cells for texts in self._asking(columns)]
        if self.asked and (self.asked.deep or (self.asked.tune is None and self._pays(cells))):
            self._learn_reading(cells)
        views = self._views([values for _, values in learned], columns)
        ways = self._ways()
        if self.reading is None or not ways:
            return views
        reading = self.reading

        def tensors() -> dict[str, Array]:  # of training rows alone: other ways to say them
            return {**views.tensors(), "variants": variants(reading, cells, ways)}

        return Views(tensors, views.as_matrix)

    def _ways(self) -> list[Ways]:
        """What gives other ways to say training texts."""
        asked = self.asked.augment if self.asked and self.reading else ()
        found = [from_function(way) for way in asked if ":" in way]
        if self.reading is not None and "typos" in asked:
            found.append(with_typos(self.reading))
        return found

    def _asking(self, columns: list[Texts]) -> list[Texts]:
        """The columns that ask for an encoder."""
        asking = self.asked.columns if self.asked else ()
        return [texts for name, texts in zip(self.names, columns, strict=True) if name in asking]

    def _pays(self, cells: list[pl.Series]) -> bool:
        """Whether a pretrained encoder is tuned where the project file leaves that open.

        It pays where there is little to be told of each text, and texts to learn it from: then
        meaning lies along a few directions of which the encoder knows nothing (docs/log.md).
        """
        if self.pretrained is None or self.scores > FEW_SCORES or len(cells[0]) < ENOUGH:
            return False
        letters = sum(int(column.str.len_chars().sum()) for column in cells)
        return letters < MOST_LETTERS

    def _learn_reading(self, cells: list[pl.Series]) -> None:
        """Learn how texts become tokens; what is pretrained brings that along."""
        assert self.asked is not None
        most = self.asked.length or LONGEST
        if self.pretrained is not None:
            rule, most = self.pretrained.tokens.rule, min(most, self.pretrained.tokens.length)
            self.config = self.pretrained.config
        else:
            needs("text")
            rule = train_tokenizer(cells)
        self.reading = learn_reading(cells, rule, most, whole=self.asked.name == "rnn")

    def transform(self, columns: list[Texts]) -> Views:
        """Encode rows with what was learned."""
        pairs = zip(self.readers, columns, strict=True)
        return self._views([reader.encode(texts) for reader, texts in pairs], columns)

    def _views(self, found: list[Array], columns: list[Texts]) -> Views:
        texts = dict(zip(self.names, columns, strict=True))
        names: list[str] = []
        for name, reader in zip(self.names, self.readers, strict=True):
            topics = len(reader.centre) - self.scores - len(EXTENT)
            names += [f"{name} (topic {i + 1})" for i in range(topics)]
            names += [f"{name} (score {i + 1})" for i in range(self.scores)]
            names += [f"{name} ({part})" for part in EXTENT]
        for name, meaning in self.meanings.items():
            names += [f"{name} (meaning {i + 1})" for i in range(len(meaning.centre))]
        scored = np.hstack(found).astype(np.float32)

        @cache
        def whole() -> Array:  # a network that reads token by token does without the vectors
            meant = [meaning.encode(texts[name].vectors) for name, meaning in self.meanings.items()]
            return np.hstack([scored, *meant]).astype(np.float32)

        def tensors() -> dict[str, Array]:
            if self.reading is None:
                return {"text": whole()}
            cells = [part.cells for part in self._asking(columns)]
            return {"text": scored, "tokens": self.reading.encode(cells)}

        return Views(tensors, lambda: Matrix(whole(), tuple(names), (0,) * len(names)))

    def state(self) -> State:
        """What was learned, as JSON values and arrays; the pretrained network as a file.

        A network that reads token by token has learned it further, and does without that file.
        """
        arrays: dict[str, Array] = {}
        for i, reader in enumerate(self.readers):
            arrays[f"buckets.{i}"] = reader.vocabulary.buckets
            arrays[f"weights.{i}"] = reader.vocabulary.weights
            arrays[f"directions.{i}"] = reader.directions.astype(np.float32)
            arrays[f"centre.{i}"], arrays[f"spread.{i}"] = reader.centre, reader.spread
        values: Json = {"readers": len(self.readers), "scores": self.scores}
        if self.reading is not None:
            tokens = self.reading.tokens
            arrays["reading"] = np.frombuffer(tokens.rule.encode(), dtype=np.uint8)
            values |= {
                "read": tokens.length, "whole": self.reading.whole, "config": self.config
            }  # fmt: skip
        if self.pretrained is None:
            return State(values, arrays)
        for i, meaning in enumerate(self.meanings.values()):
            arrays[f"meaning.{i}"] = np.stack([meaning.centre, meaning.spread])
        tokens = self.pretrained.tokens
        arrays["tokens"] = np.frombuffer(tokens.rule.encode(), dtype=np.uint8)
        values |= {
            "meanings": list(self.meanings), "length": tokens.length, "windows": tokens.windows
        }  # fmt: skip
        name = BACKBONE if self.reading is None else FOR_MATRICES + BACKBONE
        return State(values, arrays, {name: self.pretrained.backbone.path})

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described; without the vectors, if they were spared."""
        self.scores, self.readers = state.values["scores"], []
        for i in range(state.values["readers"]):
            part = {name: state.arrays[f"{name}.{i}"] for name in ARRAYS}
            vocabulary = Vocabulary(part["buckets"], part["weights"])
            directions = np.asfortranarray(part["directions"], dtype=np.float64)
            self.readers.append(Reader(vocabulary, directions, part["centre"], part["spread"]))
        if "reading" in state.arrays:
            tokens = Tokens(state.arrays["reading"].tobytes().decode(), state.values["read"], 1)
            self.reading = Reading(tokens, state.values["whole"])
            self.config = state.values["config"]
        path = state.files.get(BACKBONE) or state.files.get(FOR_MATRICES + BACKBONE)
        if path is not None:
            rule = state.arrays["tokens"].tobytes().decode()
            tokens = Tokens(rule, state.values["length"], state.values["windows"])
            self.pretrained = Pretrained(tokens, load_backbone(path))
        self.meanings = {
            name: Meaning(*state.arrays[f"meaning.{i}"])
            for i, name in enumerate(state.values.get("meanings", ()))
        }
