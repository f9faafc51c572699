"""Names of rows: set aside, since a model can only learn them by heart."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.aside import SetAside
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.wording import SEVERAL, called_a_key, called_a_label, padded, words_a_value

NEARLY_ALL = 0.9  # share of the values that must be different
MOSTLY = 0.5  # the same, where the name says that it is a key
FEW_ROWS = 20


class IdentifierKind(SetAside):
    """A column that names rows: a key, a running number, a text that is different in each."""

    name = "identifier"

    def recognise(self, look: Look) -> Guess | None:
        """Different in (nearly) every row, and a code, a running number, or named as a key."""
        there = len(look.values)
        enough = MOSTLY if called_a_key(look.name) else NEARLY_ALL
        if there < FEW_ROWS or look.distinct < enough * there:
            return None
        reason = f"{look.distinct:,} different values in {there:,} rows"
        if look.numeric_share >= NEARLY_ALL:
            return self._number(look, reason)
        if look.datetime_format or words_a_value(look) >= SEVERAL:
            return None
        return Guess(self.name, 0.85, reason + ", text without sentences")

    def _number(self, look: Look, reason: str) -> Guess | None:
        if padded(look):
            return Guess(self.name, 0.85, reason + ", codes with leading zeros")
        if not look.whole_numbers or "year" in look.name.lower():
            return None
        low, high = look.span
        if look.distinct == len(look.values) == high - low + 1:
            return Guess(self.name, 0.95, f"every number from {low:.0f} to {high:.0f} once")
        if called_a_key(look.name) or called_a_label(look.name):
            return Guess(self.name, 0.85, reason + ", named as a key")
        return None

    def checks(self) -> Sequence[Check]:
        """The checks for identifier columns."""
        from fieldcraft.kinds.identifier.audit import CHECKS

        return CHECKS

    def measures(self, values: pl.Series) -> dict[str, pl.Series]:
        """Nothing: keys are always new, and none of them is kept."""
        return {}


KIND = IdentifierKind()
