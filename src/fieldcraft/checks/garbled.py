"""Text that was read in the wrong encoding somewhere on its way."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from fieldcraft.contracts import Sight, View
from fieldcraft.core.words import listed
from fieldcraft.data.personal import hidden
from fieldcraft.evidence.records import Finding, sole

# What the second byte of a letter in UTF-8 becomes where it is read as Windows-1252 or Latin-1,
# without the marks that stand beside letters in honest text; and as Windows-1251.
WEST = r"\x{0080}-\x{00bf}‚ƒ„†‡ˆ‰Š‹ŒŽ˜™š›œžŸ€"
MARKS = r"‘’“”•–—…"
EAST = r"ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—™љ›њќћџ\x{00a0}ЎўЈ¤Ґ¦§Ё©Є«¬\x{00ad}®Ї°±Ііґµ¶·ё№є»јЅѕї"
GARBLED = "|".join((
    rf"Ã[{WEST}{MARKS}]|â€|Â[\x{{00a0}}-\x{{00bf}}]",  # "MÃ¼ller", "donâ€™t"
    rf"[ÄÅ][{WEST}]",  # Turkish, Polish, Czech: "aÅŸk", "Ä±ÅŸÄ±k"
    rf"(?:[ÐÑ][{WEST}{MARKS}]){{2}}",  # Cyrillic as Windows-1252: "Ð¾Ð½Ð°"
    rf"(?:[РС][{EAST}]){{2}}",  # and as Windows-1251: "РїСЂРё"
    r"[À-ÖØ-öø-ÿ]{4}",  # Windows-1251 as Windows-1252: "Ïðèâåò"
    r"[\x{0080}-\x{009f}\x{fffd}\x{feff}]",  # control signs, a lost letter, a mark of UTF-8
))  # fmt: skip
# Windows-1254 as Windows-1252, "Ýþçi": Icelandic has these letters too, but not ç and ü.
TURKISH, ALSO, ICELANDIC = r"[ðþýÐÞÝ]", r"[çüÇÜ]", r"[áíúæÁÍÚÆ]"
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
            bad = look.counts.filter(is_garbled(pl.col("value").cast(pl.String)))
            if bad.height:
                found[look.name] = (int(bad["count"].sum()), hidden(str(bad["value"][0]))[:40])
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


def is_garbled(cells: pl.Expr) -> pl.Expr:
    """Whether cells hold traces of a wrong encoding."""
    turkish = cells.str.contains(TURKISH) & cells.str.contains(ALSO)
    return cells.str.contains(GARBLED) | (turkish & ~cells.str.contains(ICELANDIC))


CHECK = Garbled()
