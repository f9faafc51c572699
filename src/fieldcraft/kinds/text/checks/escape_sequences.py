"""Letters spelt as escapes of a programming language: \\u2019 for an apostrophe."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.kinds.text.checks._base import format_fraction, iter_text_columns
from fieldcraft.ledger.records import Finding

MIN_TEXT_FRACTION = 0.01  # of the texts; a few may be about programs
# As JSON and Python write what is no ASCII, and line ends; C:\temp and a line of C are none.
ESCAPE_PATTERN = r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\r\\n|\\n\\n|[.,;:!?]\\n"


class EscapeSequences:
    r"""Texts in which letters stand as escapes, such as \u2019, that nobody turned back."""

    code = "escapes"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the texts of each column that hold any."""
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
                "warn",
                f"{text_column.name}: {format_fraction(len(texts_with_escapes), len(text_column))} "
                f"{'has' if len(texts_with_escapes) == 1 else 'have'} escapes such as {most_common} in place of "
                f"letters, {texts_with_escapes.format_rows()}",
                text_column.name,
                {
                    "texts": len(texts_with_escapes),
                    "rows": texts_with_escapes.first_row_numbers(),
                    "commonest": most_common,
                },
                "turn them back into letters where the table is written (read it as JSON, or "
                "decode it once more); texts to predict will have the letters, and a model would "
                "not know them again",
            )
