"""Check for escape sequences in place of characters: \\u2019 for an apostrophe."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.kinds.text.checks._base import format_fraction, iter_text_columns
from fieldcraft.ledger.records import Finding

MIN_TEXT_FRACTION = 0.01  # a few texts may be about programming
# Non-ASCII characters and line ends as JSON and Python escape them. A lone \n or \t is left out,
# since it occurs in paths such as C:\temp and in source code.
ESCAPE_PATTERN = r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\r\\n|\\n\\n|[.,;:!?]\\n"


class EscapeSequences:
    r"""Finds texts with undecoded escape sequences such as \u2019."""

    code = "escape_sequences"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the texts of each column with escape sequences."""
        for text_column in iter_text_columns(context):
            texts_with_escapes = text_column.select(
                text_column.texts.str.contains(ESCAPE_PATTERN).to_numpy()
            )
            if not len(texts_with_escapes) or len(texts_with_escapes) < MIN_TEXT_FRACTION * len(
                text_column
            ):
                continue
            escape_counts = (
                texts_with_escapes.texts.str.extract_all(ESCAPE_PATTERN)
                .explode()
                .value_counts(name="count")
            )
            most_common = escape_counts.sort(
                ["count", texts_with_escapes.name], descending=[True, False]
            )[texts_with_escapes.name][0]
            yield Finding(
                self.code,
                "warning",
                f"{text_column.name}: {format_fraction(len(texts_with_escapes), len(text_column))} "
                f"{'has' if len(texts_with_escapes) == 1 else 'have'} escape sequences such as "
                f"{most_common}, {texts_with_escapes.format_rows()}",
                text_column.name,
                {
                    "texts": len(texts_with_escapes),
                    "rows": texts_with_escapes.first_row_numbers(),
                    "commonest": most_common,
                },
                "decode them where the table is written (parse it as JSON, or decode it again): "
                "texts to predict have the characters themselves, which a model trained on escape "
                "sequences does not know",
            )
