"""Names of rows: set aside, since a model can only learn them by heart."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import polars as pl

from fieldcraft.contracts import Check, Json
from fieldcraft.data.aside import SetAside
from fieldcraft.data.look import Guess, Look

NAMED = re.compile(r"(^|[_\s.-])(id|uuid|guid|key|pid|index)$|[a-z](ID|Id)$|^(id|ID|Id)[_A-Z]")
NEARLY_ALL = 0.9
FEW_ROWS = 20


class IdentifierKind(SetAside):
    """A column that names rows: a key, a running number, a text that is different in each."""

    name = "identifier"

    def recognise(self, look: Look) -> Guess | None:
        """Different in (nearly) every row, and either text or counting up or named as a key."""
        there = len(look.values)
        if there < FEW_ROWS or look.distinct < NEARLY_ALL * there:
            return None
        reason = f"{look.distinct:,} different values in {there:,} rows"
        named = bool(NAMED.search(look.name))
        if look.numeric_share < NEARLY_ALL:
            if look.datetime_format:
                return None
            return Guess(self.name, 0.85, reason + ", text")
        if not look.whole_numbers or look.distinct < there:
            return None
        found = look.numbers.drop_nulls().to_numpy()
        if np.all(np.diff(found) == 1):
            return Guess(self.name, 0.95, reason + ", counting up by 1")
        return Guess(self.name, 0.85, reason + ", named as a key") if named else None

    def checks(self) -> Sequence[Check]:
        """The checks for identifier columns."""
        from fieldcraft.kinds.identifier.audit import CHECKS

        return CHECKS

    def describe(self, values: pl.Series) -> Json:
        """Share missing; values are not kept."""
        return {"missing": values.null_count() / max(len(values), 1)}


KIND = IdentifierKind()
