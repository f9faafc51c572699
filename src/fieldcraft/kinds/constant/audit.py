"""Checks of columns with one value, or nearly so."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed, plural
from fieldcraft.data.look import Look
from fieldcraft.evidence.records import Finding, sole, told_together

NEARLY = 0.995  # of the values are the same
FEWEST = 50


class Constants:
    """Columns that are the same in every row."""

    code = "constant"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Tell which columns never change; offer to set aside those that are still used."""
        aside: dict[str, str] = {}
        for column in view.schema.columns:
            look = view.looks[column.name]
            if look.distinct > 1 or (look.distinct == 1 and look.missing):
                continue
            value = f"always {look.top(1)[0][0]!r}" if look.distinct else "empty"
            if column.kind == "constant":
                aside[column.name] = value
            else:
                yield self._used(look, value)
        for names in told_together(aside):
            yield self._aside({name: aside[name] for name in names})

    def _used(self, look: Look, value: str) -> Finding:
        return Finding(
            self.code,
            "warn",
            f"{look.name} is {value}",
            look.name,
            {"distinct": look.distinct, "missing": look.missing, "rows": look.rows},
            "drop it: it tells nothing",
            (Edit(("data", "drop"), look.name, add=True),),
        )

    def _aside(self, values: dict[str, str]) -> Finding:
        only = sole(values)
        title = f"{len(values)} columns never change and are set aside: {listed(list(values))}"
        if only is not None:
            title = f"{only} is {values[only]} and is set aside"
        return Finding(self.code, "tip", title, only, {"values": values}, "nothing to do")


class NearlyConstants:
    """Columns with the same value in nearly every row."""

    code = "nearly_constant"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Tell which columns hardly ever change; rare values may matter, so they are kept."""
        found: dict[str, tuple[str, int]] = {}
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
                sole(found),
                {"others": {name: n for name, (_, n) in found.items()}},
                "keep them if the few other rows matter, else drop them",
            )


CHECKS = (Constants(), NearlyConstants())
