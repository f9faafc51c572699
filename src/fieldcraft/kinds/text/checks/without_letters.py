"""Check for texts without letters: punctuation, numbers, emoji."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.kinds.text.checks._base import format_fraction, iter_text_columns
from fieldcraft.ledger.records import Finding

WARNING_FRACTION = 0.05


class TextsWithoutLetters:
    """Finds texts without a letter of any script."""

    code = "without_letters"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the texts without letters of each column."""
        for text_column in iter_text_columns(context):
            without_letters = text_column.select(
                ~text_column.texts.str.contains(r"\p{L}").to_numpy()
            )
            if not len(without_letters):
                continue
            yield Finding(
                self.code,
                "warning"
                if len(without_letters) >= WARNING_FRACTION * len(text_column)
                else "info",
                f"{text_column.name}: {format_fraction(len(without_letters), len(text_column))} "
                f"{'has' if len(without_letters) == 1 else 'have'} no letters, "
                f"{without_letters.format_rows()}",
                text_column.name,
                {"texts": len(without_letters), "rows": without_letters.first_row_numbers()},
                "look at them: placeholders for missing texts belong in data.na_values, rows "
                "without content can be removed, and numbers belong in a column of their own",
            )
