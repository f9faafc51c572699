"""Free text: sentences, titles, notes, names of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Check, Output, ScoreFunction, Tensors
from fieldcraft.core.types import Array, Json
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column
from fieldcraft.data.text_heuristics import MIN_FREE_TEXT_WORDS, median_words
from fieldcraft.kinds._base import PlainValueKind
from fieldcraft.kinds.text.encode import TextEncoder
from fieldcraft.kinds.text.options import OPTION_NAMES
from fieldcraft.kinds.text.pretrained import find_packaged_encoder
from fieldcraft.statistics.association import sample_rows

MIN_DISTINCT_FRACTION = 0.5  # share of the values that must be different
MIN_ROWS = 20
LANGUAGE_SAMPLE_TEXTS = 2_000  # texts of which the language is told
MIN_ENGLISH_FRACTION, MIN_DETECTED_FRACTION = (
    0.8,
    0.2,
)  # share of the texts that can be told; and how many must be, of all


class TextKind(PlainValueKind):
    """A column of texts of several words, mostly different ones."""

    name = "text"
    is_feature = True
    storage: Literal["values", "files"] = "values"
    options: tuple[str, ...] = OPTION_NAMES
    packages = ("tokenizers",)

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Mostly different texts, of which the middle one has at least three words."""
        n_values = len(profile.present_values)
        if n_values < MIN_ROWS or profile.n_unique < MIN_DISTINCT_FRACTION * n_values:
            return None
        words_per_value = median_words(profile)
        if words_per_value < MIN_FREE_TEXT_WORDS:
            return None
        reason = f"{profile.n_unique:,} different texts of about {words_per_value:.0f} words"
        encoder = find_packaged_encoder() if is_english(profile.present_values) else None
        if encoder is None:
            return TypeInference(self.name, 0.9, reason)
        return TypeInference(self.name, 0.9, f"{reason}, in English", {"encoder": encoder})

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as text."""
        return cells.cast(pl.String)

    def encoder(self, columns: Sequence[Column]) -> TextEncoder:
        """A fresh encoder for the text columns of a table."""
        return TextEncoder(columns)

    def net(self, encoder: TextEncoder, without_embeddings: bool) -> Any:
        """A fresh network over the columns; what is encoded already it passes as it is."""
        from fieldcraft.fit.network import IdentityNet

        if encoder.token_encoder is not None:
            from fieldcraft.kinds.text.net import TextNet

            return TextNet(encoder)

        return IdentityNet("text", encoder.n_features)

    def checks(self) -> Sequence[Check]:
        """The checks for text columns."""
        from fieldcraft.kinds.text.checks import CHECKS

        return CHECKS

    def drift_statistics(self, values: pl.Series) -> dict[str, pl.Series]:
        """Characters and words of a text, and characters a word; no text is kept."""
        texts = values.cast(pl.String)
        n_characters = texts.str.len_chars().cast(pl.Float64)
        n_words = texts.str.count_matches(r"\S+").cast(pl.Float64)
        return {
            "length": n_characters,
            "words": n_words,
            "signs a word": n_characters / n_words.clip(1),
        }

    def near_duplicate_groups(self, values: pl.Series) -> Sequence[Array]:
        """Groups of rows whose texts say nearly the same."""
        from fieldcraft.kinds.text.checks.near_duplicate_texts import near_duplicate_rows

        return near_duplicate_rows(values)

    def explain(self, value: Any, score: ScoreFunction) -> Json | None:
        """Which words speak for a prediction and which against it."""
        from fieldcraft.kinds.text.explain import explain_text

        return explain_text(str(value), score) if value is not None else None

    def attributions(
        self, network: Any, row: Tensors, output_index: int, output: Output
    ) -> list[Json]:
        """Of each text of one row the words that a network traces its output back to."""
        from fieldcraft.kinds.text.attributions import compute_text_attributions

        return compute_text_attributions(network, row, output_index, output)

    def augmentation_examples(self, network: Any, rows: Tensors) -> list[list[str]]:
        """For each column its texts as training changes them; nothing where they are not."""
        from fieldcraft.kinds.text.augment.preview import render_augmented_texts

        return render_augmented_texts(network, rows)


def is_english(values: pl.Series) -> bool:
    """Whether most of the texts whose language can be told are in English."""
    from fieldcraft.kinds.text.checks.mixed_languages import identify_languages

    sample = sample_rows(len(values), LANGUAGE_SAMPLE_TEXTS)
    detected = identify_languages(values.cast(pl.String)[sample.tolist()])
    return bool(
        (detected == "English").sum()
        > MIN_ENGLISH_FRACTION * max((detected != "").sum(), MIN_DETECTED_FRACTION * len(sample))
    )


KIND = TextKind()
