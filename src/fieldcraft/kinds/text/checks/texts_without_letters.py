"""Texts that have no letter: marks, numbers, faces."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.kinds.text.checks._base import format_fraction, iter_text_columns
from fieldcraft.ledger.records import Finding

WARNING_FRACTION = 0.05


class TextsWithoutLetters:
    """Texts without a letter of any script."""

    code = "without_letters"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count such texts of each column."""
        for text_column in iter_text_columns(context):
            without_letters = text_column.select(
                ~text_column.texts.str.contains(r"\p{L}").to_numpy()
            )
            if not len(without_letters):
                continue
            yield Finding(
                self.code,
                "warn" if len(without_letters) >= WARNING_FRACTION * len(text_column) else "tip",
                f"{text_column.name}: {format_fraction(len(without_letters), len(text_column))} "
                f"{'has' if len(without_letters) == 1 else 'have'} no letter, {without_letters.format_rows()}",
                text_column.name,
                {"texts": len(without_letters), "rows": without_letters.first_row_numbers()},
                "look at them: marks that stand for no text belong in data.missing, rows that "
                "say nothing can go; a number is better told in a column of its own",
            )
