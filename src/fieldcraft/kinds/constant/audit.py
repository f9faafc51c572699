"""Checks of columns with one value."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding


class Constants:
    """Columns that are the same in every row."""

    code = "constant"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Tell which columns never change; offer to set aside those that are still used."""
        for column in view.schema.columns:
            look = view.looks[column.name]
            if look.distinct > 1 or (look.distinct == 1 and look.missing):
                continue
            value = f"always {look.top(1)[0][0]!r}" if look.distinct else "empty"
            aside = column.kind == "constant"
            yield Finding(
                self.code,
                "tip" if aside else "warn",
                f"{column.name} is {value}" + (" and is set aside" if aside else ""),
                column.name,
                {"distinct": look.distinct, "missing": look.missing, "rows": look.rows},
                "nothing to do" if aside else "set it aside: it tells nothing",
                () if aside else (Edit(("data", "columns", column.name, "kind"), "constant"),),
            )


CHECKS = (Constants(),)
