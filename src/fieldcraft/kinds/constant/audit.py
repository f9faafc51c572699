"""Checks of columns with one value, or nearly so."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed, plural
from fieldcraft.evidence.records import Finding

NEARLY = 0.995  # of the values are the same
FEWEST = 50
APART = 3  # so many columns are told one by one, more of them in one line


class Constants:
    """Columns that are the same in every row."""

    code = "constant"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Tell which columns never change; offer to set aside those that are still used."""
        aside = dict[str, str]()
        for column in view.schema.columns:
            look = view.looks[column.name]
            if look.distinct > 1 or (look.distinct == 1 and look.missing):
                continue
            value = f"always {look.top(1)[0][0]!r}" if look.distinct else "empty"
            if column.kind == "constant":
                aside[column.name] = value
                continue
            yield Finding(
                self.code,
                "warn",
                f"{column.name} is {value}",
                column.name,
                {"distinct": look.distinct, "missing": look.missing, "rows": look.rows},
                "drop it: it tells nothing",
                (Edit(("data", "drop"), column.name, add=True),),
            )
        for names in [[name] for name in aside] if len(aside) <= APART else [list(aside)]:
            shown = [f"{name} is {aside[name]}" for name in names]
            title = f"{shown[0]} and is set aside"
            if names[1:]:
                title = f"{len(names)} columns never change and are set aside: {listed(names)}"
            yield Finding(
                self.code,
                "tip",
                title,
                names[0] if len(names) == 1 else None,
                {"values": {name: aside[name] for name in names}},
                "nothing to do",
            )


class NearlyConstants:
    """Columns with the same value in nearly every row."""

    code = "nearly_constant"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Tell which columns hardly ever change; rare values may matter, so they are kept."""
        found = dict[str, tuple[str, int]]()
        for column in view.schema.columns:
            look = view.looks[column.name]
            if column.kind == "constant" or len(look.values) < FEWEST or look.distinct < 2:
                continue
            value, count = look.top(1)[0]
            if count >= NEARLY * len(look.values):
                found[column.name] = (value, len(look.values) - count)
        if found:
            shown = [f"{name} ({value!r} but for {n:,})" for name, (value, n) in found.items()]
            yield Finding(
                self.code,
                "tip",
                f"{plural(len(found), 'column')} with one value in nearly every row: "
                f"{listed(shown, 5)}",
                next(iter(found)) if len(found) == 1 else None,
                {"others": {name: n for name, (_, n) in found.items()}},
                "keep them if the few other rows matter, else drop them",
            )


CHECKS = (Constants(), NearlyConstants())
