"""Text that was decoded with the wrong encoding (mojibake)."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import truncated_list
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.pii import redact_pii
from fieldcraft.ledger.records import Finding, single_column

# What the second byte of a letter in UTF-8 becomes if it is decoded as Windows-1252 or Latin-1, the
# quotes and dashes apart, as they follow letters in correct text too; and as Windows-1251.
WESTERN_BYTES = r"\x{0080}-\x{00bf}‚ƒ„†‡ˆ‰Š‹ŒŽ˜™š›œžŸ€"
QUOTE_BYTES = r"‘’“”•–—…"
CYRILLIC_BYTES = r"ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—™љ›њќћџ\x{00a0}ЎўЈ¤Ґ¦§Ё©Є«¬\x{00ad}®Ї°±Ііґµ¶·ё№є»јЅѕї"
MOJIBAKE_PATTERN = "|".join((
    rf"Ã[{WESTERN_BYTES}{QUOTE_BYTES}]|â€|Â[\x{{00a0}}-\x{{00bf}}]",  # "MÃ¼ller", "donâ€™t"
    rf"[ÄÅ][{WESTERN_BYTES}]",  # Turkish, Polish, Czech: "aÅŸk", "Ä±ÅŸÄ±k"
    rf"(?:[ÐÑ][{WESTERN_BYTES}{QUOTE_BYTES}]){{2}}",  # Cyrillic as Windows-1252: "Ð¾Ð½Ð°"
    rf"(?:[РС][{CYRILLIC_BYTES}]){{2}}",  # and as Windows-1251: "РїСЂРё"
    r"[À-ÖØ-öø-ÿ]{4}",  # Windows-1251 as Windows-1252: "Ïðèâåò"
    r"[\x{0080}-\x{009f}\x{fffd}\x{feff}]",  # control characters, the replacement character, a BOM
))  # fmt: skip
# Turkish in Windows-1254 decoded as Windows-1252: "Ýþçi". Icelandic has the first letters too, but
# not ç and ü, and it has letters that Turkish lacks.
TURKISH_AS_LATIN_PATTERN, TURKISH_ONLY_PATTERN, ICELANDIC_PATTERN = (
    r"[ðþýÐÞÝ]",
    r"[çüÇÜ]",
    r"[áíúæÁÍÚÆ]",
)
WARNING_FRACTION = 0.01


class Mojibake:
    """Reports cells with garbled letters."""

    code = "mojibake"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Look for traces of a wrong encoding in the cells of text columns."""
        names = [*(column.name for column in context.schema.columns), *context.targets]
        profiles = [
            profile
            for name in names
            if (profile := context.column_profiles.get(name)) and profile.is_text
        ]
        examples_by_column = find_examples(profiles)
        if examples_by_column:
            descriptions = [
                f"{name} ({count:,}, such as {cell!r})"
                for name, (count, cell) in examples_by_column.items()
            ]
            max_count = max(count for count, _ in examples_by_column.values())
            yield Finding(
                self.code,
                "warning"
                if max_count >= WARNING_FRACTION * max(len(context.row_numbers), 1)
                else "info",
                f"cells with garbled letters: {truncated_list(descriptions, 4)}",
                single_column(examples_by_column),
                {"cells": {name: count for name, (count, _) in examples_by_column.items()}},
                "export the table again as UTF-8; otherwise cells that are encoded correctly at "
                "prediction do not match those of training",
            )


def find_examples(profiles: Iterable[ColumnProfile]) -> dict[str, tuple[int, str]]:
    """Columns with garbled cells: how many there are, and the most frequent one, shortened."""
    examples_by_column: dict[str, tuple[int, str]] = {}
    for profile in profiles:
        garbled_counts = profile.value_counts.filter(has_mojibake(pl.col("value").cast(pl.String)))
        # Reports show the example, so personal data is redacted; before the cut, as part of an
        # address would not be recognized.
        if garbled_counts.height:
            examples_by_column[profile.name] = (
                int(garbled_counts["count"].sum()),
                redact_pii(str(garbled_counts["value"][0]))[:40],
            )
    return examples_by_column


def has_mojibake(cells: pl.Expr) -> pl.Expr:
    """Whether cells show traces of a wrong encoding."""
    is_turkish = cells.str.contains(TURKISH_AS_LATIN_PATTERN) & cells.str.contains(
        TURKISH_ONLY_PATTERN
    )
    return cells.str.contains(MOJIBAKE_PATTERN) | (
        is_turkish & ~cells.str.contains(ICELANDIC_PATTERN)
    )


CHECK = Mojibake()
