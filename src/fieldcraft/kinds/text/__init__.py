"""Free text: sentences, titles, notes, names of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Array, Check, Json, Output, Rescore, Tensors
from fieldcraft.data.aside import PlainValues
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.table import Column
from fieldcraft.data.wording import SEVERAL, words_a_value
from fieldcraft.evidence.association import some
from fieldcraft.kinds.text.encode import TextEncoder
from fieldcraft.kinds.text.options import NAMES
from fieldcraft.kinds.text.pretrained import at_hand

MOSTLY = 0.5  # share of the values that must be different
FEW_ROWS = 20
SAMPLE = 2_000  # texts of which the language is told
ENGLISH, LEAST = 0.8, 0.2  # share of the texts that can be told; and how many must be, of all


class TextKind(PlainValues):
    """A column of texts of several words, mostly different ones."""

    name = "text"
    used = True
    holds: Literal["values", "files"] = "values"
    options: tuple[str, ...] = NAMES
    packages = ("tokenizers",)

    def recognise(self, look: Look) -> Guess | None:
        """Mostly different texts, of which the middle one has at least three words."""
        there = len(look.values)
        if there < FEW_ROWS or look.distinct < MOSTLY * there:
            return None
        words = words_a_value(look)
        if words < SEVERAL:
            return None
        reason = f"{look.distinct:,} different texts of about {words:.0f} words"
        encoder = at_hand() if is_english(look.values) else None
        if encoder is None:
            return Guess(self.name, 0.9, reason)
        return Guess(self.name, 0.9, f"{reason}, in English", {"encoder": encoder})

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as text."""
        return cells.cast(pl.String)

    def encoder(self, columns: Sequence[Column]) -> TextEncoder:
        """A fresh encoder for the text columns of a table."""
        return TextEncoder(columns)

    def net(self, encoder: TextEncoder, plain: bool) -> Any:
        """A fresh network over the columns; what is encoded already it passes as it is."""
        from fieldcraft.fit.network import PassNet

        if encoder.reading is not None:
            from fieldcraft.kinds.text.net import TextNet

            return TextNet(encoder)

        return PassNet("text", encoder.width)

    def checks(self) -> Sequence[Check]:
        """The checks for text columns."""
        from fieldcraft.kinds.text.audit import CHECKS

        return CHECKS

    def measures(self, values: pl.Series) -> dict[str, pl.Series]:
        """Characters and words of a text, and characters a word; no text is kept."""
        texts = values.cast(pl.String)
        signs = texts.str.len_chars().cast(pl.Float64)
        words = texts.str.count_matches(r"\S+").cast(pl.Float64)
        return {"length": signs, "words": words, "signs a word": signs / words.clip(1)}

    def alike(self, values: pl.Series) -> Sequence[Array]:
        """Groups of rows whose texts say nearly the same."""
        from fieldcraft.kinds.text.audit.near_texts import alike_rows

        return alike_rows(values)

    def explain(self, value: Any, said: Rescore) -> Json | None:
        """Which words speak for a prediction and which against it."""
        from fieldcraft.kinds.text.explain import explained

        return explained(str(value), said) if value is not None else None

    def trace(self, network: Any, row: Tensors, chosen: int, output: Output) -> list[Json]:
        """Of each text of one row the words that a network traces its output back to."""
        from fieldcraft.kinds.text.gradients import maps

        return maps(network, row, chosen, output)

    def augmented(self, network: Any, rows: Tensors) -> list[list[str]]:
        """For each column its texts as training changes them; nothing where they are not."""
        from fieldcraft.kinds.text.varied import varied_texts

        return varied_texts(network, rows)


def is_english(values: pl.Series) -> bool:
    """Whether most of the texts whose language can be told are in English."""
    from fieldcraft.kinds.text.audit.languages import tongues

    chosen = some(len(values), SAMPLE)
    told = tongues(values.cast(pl.String)[chosen.tolist()])
    return bool((told == "English").sum() > ENGLISH * max((told != "").sum(), LEAST * len(chosen)))


KIND = TextKind()
