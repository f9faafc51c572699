"""Text that was read in the wrong encoding somewhere on its way."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from fieldcraft.contracts import Sight, View
from fieldcraft.core.words import listed
from fieldcraft.evidence.records import Finding, sole

# UTF-8 read as Windows-1252 ("MÃ¼ller", "donâ€™t"), and the sign for a letter that was lost.
GARBLED = r"Ã[\x{0080}-\x{00bf}‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€|Â[\x{00a0}-\x{00bf}]|\x{fffd}"
MANY = 0.01


class Garbled:
    """Reports cells with letters that were garbled."""

    code = "garbled"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Look for the traces of a wrong encoding in the cells and names of columns."""
        names = [*(column.name for column in view.schema.columns), *view.targets]
        looks = [look for name in names if (look := view.looks.get(name)) and look.is_text]
        found: dict[str, tuple[int, str]] = {}
        for look in looks:
            bad = look.counts.filter(pl.col("value").cast(pl.String).str.contains(GARBLED))
            if bad.height:
                found[look.name] = (int(bad["count"].sum()), str(bad["value"][0])[:40])
        if found:
            shown = [
                f"{name} ({count:,}, such as {cell!r})" for name, (count, cell) in found.items()
            ]
            most = max(count for count, _ in found.values())
            yield Finding(
                self.code,
                "warn" if most >= MANY * max(len(view.rows), 1) else "tip",
                f"cells with garbled letters: {listed(shown, 4)}",
                sole(found),
                {"cells": {name: count for name, (count, _) in found.items()}},
                "export the table again as UTF-8; rows to predict will be written rightly and "
                "would not be recognised",
            )


CHECK = Garbled()
