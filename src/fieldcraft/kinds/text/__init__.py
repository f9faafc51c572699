"""Free text: sentences, titles, notes, names of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from fieldcraft.contracts import Check, Output, ScoreFunction, Tensors
from fieldcraft.core.types import Array, Json
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column
from fieldcraft.data.text_heuristics import MIN_FREE_TEXT_WORDS, median_words
from fieldcraft.kinds._base import BaseKind
from fieldcraft.kinds.text.augmentation_examples import render_augmented_texts
from fieldcraft.kinds.text.checks import CHECKS
from fieldcraft.kinds.text.checks.mixed_languages import identify_languages
from fieldcraft.kinds.text.checks.near_duplicate_texts import near_duplicate_rows
from fieldcraft.kinds.text.encode import TextEncoder
from fieldcraft.kinds.text.explain import explain_text
from fieldcraft.kinds.text.options import OPTION_NAMES
from fieldcraft.kinds.text.pretrained import find_packaged_encoder
from fieldcraft.statistics.association import sample_rows

MIN_DISTINCT_FRACTION = 0.5  # below that, texts repeat like categories
MIN_ROWS = 20
LANGUAGE_SAMPLE_TEXTS = 2_000
# English must be four fifths of the texts whose language is detected, and these a fifth of all:
# a few English words among product codes do not make a column English.
MIN_ENGLISH_FRACTION = 0.8
MIN_DETECTED_FRACTION = 0.2


class TextKind(BaseKind):
    """A column of texts of several words, most of them distinct."""

    name = "text"
    options: tuple[str, ...] = OPTION_NAMES
    packages = ("tokenizers",)

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Infer text from mostly distinct values with a median of at least three words."""
        n_values = len(profile.present_values)
        if n_values < MIN_ROWS or profile.n_unique < MIN_DISTINCT_FRACTION * n_values:
            return None
        words_per_value = median_words(profile)
        if words_per_value < MIN_FREE_TEXT_WORDS:
            return None
        reason = f"{profile.n_unique:,} distinct texts of about {words_per_value:.0f} words"
        # The packaged encoder was trained on English; elsewhere n-grams are the better default.
        encoder = find_packaged_encoder() if is_english(profile.present_values) else None
        if encoder is None:
            return TypeInference(self.name, 0.9, reason)
        return TypeInference(self.name, 0.9, f"{reason}, in English", {"encoder": encoder})

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cast cells to strings."""
        return cells.cast(pl.String)

    def encoder(self, columns: Sequence[Column]) -> TextEncoder:
        """Create an unfitted encoder for text columns."""
        return TextEncoder(columns)

    def net(self, encoder: TextEncoder, without_embeddings: bool) -> Any:
        """Create the encoder network: token-level, or one that passes the features on."""
        from fieldcraft.fit.network import IdentityNet

        if encoder.token_encoder is not None:
            from fieldcraft.kinds.text.net import TextNet

            return TextNet(encoder)

        return IdentityNet("text", encoder.n_features)

    def checks(self) -> Sequence[Check]:
        """The checks of text columns."""
        return CHECKS

    def drift_statistics(self, values: pl.Series) -> dict[str, pl.Series]:
        """Characters, words and characters per word of each text."""
        # Bundles store these statistics and are passed on, so no text itself is among them.
        texts = values.cast(pl.String)
        n_characters = texts.str.len_chars().cast(pl.Float64)
        n_words = texts.str.count_matches(r"\S+").cast(pl.Float64)
        return {
            "length": n_characters,
            "words": n_words,
            "chars_per_word": n_characters / n_words.clip(1),
        }

    def near_duplicate_groups(self, values: pl.Series) -> Sequence[Array]:
        """Groups of rows whose texts are near-duplicates."""
        return near_duplicate_rows(values)

    def explain(self, value: Any, score: ScoreFunction) -> Json | None:
        """Attribute a prediction to the words of a text; None where it is missing."""
        return explain_text(str(value), score) if value is not None else None

    def attributions(
        self, network: Any, row: Tensors, output_index: int, output: Output
    ) -> list[Json]:
        """Attribute an output of a network to the words of each text of a row."""
        from fieldcraft.kinds.text.attributions import compute_text_attributions

        return compute_text_attributions(network, row, output_index, output)

    def augmentation_examples(self, network: Any, rows: Tensors) -> list[list[str]]:
        """Augmented texts of each column; empty without augmentation."""
        return render_augmented_texts(network, rows)


def is_english(values: pl.Series) -> bool:
    """Whether most texts whose language is detected are in English."""
    sample = sample_rows(len(values), LANGUAGE_SAMPLE_TEXTS)
    detected = identify_languages(values.cast(pl.String)[sample.tolist()])
    return bool(
        (detected == "English").sum()
        > MIN_ENGLISH_FRACTION * max((detected != "").sum(), MIN_DETECTED_FRACTION * len(sample))
    )


KIND = TextKind()
