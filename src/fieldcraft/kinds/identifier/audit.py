"""Checks of columns that name rows."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.core import catalogue
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding


class Identifiers:
    """Columns that name rows: set aside by the guess, a danger where they are used."""

    code = "identifier"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Tell which columns are set aside as names, and warn of those that are not."""
        kind = catalogue.load("kinds", "identifier")
        for column in view.schema.columns:
            look = view.looks[column.name]
            guess = kind.recognise(look)
            if column.kind == "identifier":
                yield Finding(
                    self.code,
                    "tip",
                    f"{column.name} names rows ({look.distinct:,} different values in "
                    f"{len(look.values):,} rows) and is set aside",
                    column.name,
                    {"distinct": look.distinct, "rows": look.rows},
                    f"if it carries meaning, set its kind under data.columns.{column.name}",
                )
            elif guess and column.kind in ("category", "number"):
                yield Finding(
                    self.code,
                    "warn",
                    f"{column.name} is used as a {column.kind} but looks like a name of rows: "
                    f"{guess.reason}",
                    column.name,
                    {"distinct": look.distinct, "rows": look.rows},
                    "set it aside: a model can only learn it by heart",
                    (Edit(("data", "columns", column.name, "kind"), "identifier"),),
                )


CHECKS = (Identifiers(),)
