"""Numbers that are written as text: with units, as ranges, among words, with another mark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed, plural
from fieldcraft.data.look import Look
from fieldcraft.data.parse import MISSING_MARKS, numbers
from fieldcraft.data.table import Column
from fieldcraft.evidence.records import Finding, sole, told_together

NUMBER = r"[+-]?\d+(?:[.,'’ \x{00a0}\x{202f}]\d+)*"
MONEY = r"(?:[$€£¥₹]|USD|EUR|CHF|GBP|Fr\.)"
UNIT = r"(?:%|‰|°?[A-Za-zµμΩ²³/$€£¥₹°·.]{1,10}\d?)"
WITH_UNIT = rf"^[<>~≈]?\s*(?:{MONEY}\s*{NUMBER}|{NUMBER}\s*{UNIT}|{MONEY}\s*{NUMBER}\s*{UNIT})$"
SPACED = r"^[+-]?\d{1,3}(?:['’ \x{00a0}\x{202f}]\d{3})+(?:[.,]\d+)?$"
WORD = r"(?i:less than|more than|greater than|over|under|up to|above|below|bis|über|unter|ab)"
RANGE = (
    rf"^(?:{NUMBER}\s*(?:-|–|—|to|bis|\.\.)\s*{NUMBER}|(?:[<>]=?|[≤≥]|{WORD})\s*{NUMBER}"
    rf"|{NUMBER}\s*(?:\+|or more|and over|and above|plus))(?:\s*{UNIT})?$"
)
NOTHING = MISSING_MARKS | {"unknown", "none", "missing", "not available", "n.a.", "tbd", "nil"}
FEWEST = 20  # values
FEW_LEVELS = 10  # different numbers; fewer are as well off as categories
MOST_WORDS = 20  # different ones; more are codes
MOSTLY = 0.9
RANGES = 0.7
HALF = 0.5
MANY = 0.01
SAMPLE = 5_000  # different values looked at


@dataclass(frozen=True)
class Unread:
    """Cells of a number column that are no numbers."""

    name: str
    count: int
    rows: int
    examples: tuple[str, ...]


class Mixed:
    """Reports columns whose numbers are hidden in text."""

    code = "mixed"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Look at how the cells of text columns are written."""
        unread: list[Unread] = []
        for column in view.schema.columns:
            look = view.looks[column.name]
            if not look.is_text or len(look.values) < FEWEST:
                continue
            if column.kind == "number":
                yield from self._decimal(look, column)
                unread += cells_unread(look, column)
            elif column.kind not in ("datetime", "boolean", "constant"):
                yield from self._text(look, column)
        for name in view.targets:
            if name in view.looks and view.looks[name].is_text:
                yield from self._text(view.looks[name], None)
        yield from self._unread(unread)

    def _decimal(self, look: Look, column: Column) -> Iterator[Finding]:
        """A number column with decimal commas that is read with a decimal point."""
        if look.decimal == "," and column.options.get("decimal", ".") != ",":
            by_comma = look.rows - look.numbers.null_count()
            yield Finding(
                self.code,
                "warn",
                f"{look.name} is written with decimal commas, such as {example(look, ',')}",
                look.name,
                {"read_by_comma": by_comma, "rows": look.rows},
                "read it with a decimal comma, or its fractions are lost",
                (Edit(("data", "columns", look.name, "decimal"), ","),),
            )
        elif look.decimal == ".":
            commas = look.values.filter(look.values.str.contains(",", literal=True))
            bare = look.values.filter(look.values.str.contains(r"^\d{4,}$"))
            if len(commas) and len(bare):
                yield Finding(
                    self.code,
                    "tip",
                    f"{look.name}: {len(commas):,} cells such as {commas[0]!r} are read as "
                    f"thousands, but {len(bare):,} such as {bare[0]!r} are written without a comma",
                    look.name,
                    {"with_comma": len(commas), "without": len(bare)},
                    "make sure that the comma is not a decimal mark in some of the rows",
                )

    def _text(self, look: Look, column: Column | None) -> Iterator[Finding]:
        if look.numeric_share >= HALF:
            yield from self._words_among(look, column)
            return
        counts = look.counts.head(SAMPLE).with_columns(pl.col("value").cast(pl.String))
        united = pl.col("value").str.contains(WITH_UNIT) | pl.col("value").str.contains(SPACED)
        ranged = pl.col("value").str.contains(RANGE)
        kept = counts.filter(united & ~ranged)
        share = rows_of(kept) / max(rows_of(counts), 1)
        unit = commonest_unit(kept)
        if share >= MOSTLY and kept.height >= FEW_LEVELS and unit is not None:
            yield Finding(
                self.code,
                "warn",
                f"{look.name}: {share:.0%} of the cells are numbers with {unit}, such as "
                f"{kept['value'][0]!r}, and are read as words",
                look.name,
                {"share": share, "unit": unit, "different": kept.height},
                "write plain numbers in one unit, or derive a column of numbers (data.derive)",
            )
            return
        ranges = counts.filter(ranged)
        share = rows_of(ranges) / max(rows_of(counts), 1)
        if share >= RANGES and counts.height > 2 and column is not None:
            yield Finding(
                self.code,
                "tip",
                f"{look.name}: {share:.0%} of the cells are ranges, such as "
                f"{ranges['value'][0]!r}, and are read without their order",
                look.name,
                {"share": share, "different": counts.height},
                "if their order matters, derive a number from them, such as the middle",
            )

    def _words_among(self, look: Look, column: Column | None) -> Iterator[Finding]:
        words = look.values.filter(numbers(look.values, look.decimal).is_null())
        different = [str(word) for word in words.unique(maintain_order=True)]
        numeric = look.distinct - len(different)
        if not 0 < len(different) <= MOST_WORDS or numeric < FEW_LEVELS:
            return
        # Words that only say "nothing" lose nothing when they count as missing.
        empty = all(word.lower() in NOTHING for word in different)
        said = {"kind": "number"} | ({"decimal": ","} if look.decimal == "," else {})
        edits = (Edit(("data", "columns", look.name, key), mark) for key, mark in said.items())
        plain = column is not None and not column.options
        yield Finding(
            self.code,
            "warn",
            f"{look.name}: {len(words):,} of {len(look.values):,} cells are words among numbers "
            f"({listed([repr(word) for word in different], 4)}), so all are read as words",
            look.name,
            {"words": different[:20], "rows": len(words), "numbers": numeric},
            "read it as numbers if the words mean that there is no value, or put them in a column "
            "of their own",
            tuple(edits) if empty and plain else (),
        )

    def _unread(self, unread: list[Unread]) -> Iterator[Finding]:
        for group in told_together(unread):
            shown = [
                f"{item.name} ({item.count:,}, such as {item.examples[0]!r})" for item in group
            ]
            yield Finding(
                self.code,
                "warn" if any(item.count >= MANY * item.rows for item in group) else "tip",
                f"{plural(sum(item.count for item in group), 'cell')} of number columns "
                f"cannot be read and count as missing: {listed(shown, 5)}",
                sole(item.name for item in group),
                {"cells": {item.name: list(item.examples) for item in group}},
                "correct them in the file if they hold a number",
            )


def cells_unread(look: Look, column: Column) -> list[Unread]:
    """Cells of a number column that are no numbers, and are not just a word for nothing."""
    decimal = str(column.options.get("decimal", "."))
    if look.decimal != decimal:
        return []
    odd = look.values.filter(numbers(look.values, decimal).is_null())
    odd = odd.filter(~odd.str.to_lowercase().is_in(list(NOTHING)))
    examples = tuple(str(cell) for cell in odd.unique(maintain_order=True).head(5))
    return [Unread(look.name, len(odd), look.rows, examples)] if len(odd) else []


def rows_of(counts: pl.DataFrame) -> int:
    """How many rows some values have."""
    return int(counts["count"].sum())


def example(look: Look, mark: str) -> str:
    """A cell with a mark in it."""
    return repr(str(look.values.filter(look.values.str.contains(mark, literal=True))[0]))


def commonest_unit(counts: pl.DataFrame) -> str | None:
    """In words, the unit that most numbers have; None if they have many different ones."""
    if not counts.height:
        return None
    ends = (
        pl.col("value")
        .str.extract(rf"({MONEY})", 1)
        .fill_null(pl.col("value").str.extract(rf"\d\s*({UNIT})$", 1).fill_null(""))
    )
    tally = counts.group_by(ends.str.to_lowercase().alias("unit")).agg(pl.col("count").sum())
    tally = tally.sort(["count", "unit"], descending=[True, False])
    if tally["count"][0] < HALF * rows_of(tally):
        return None
    return f"the unit {tally['unit'][0]!r}" if tally["unit"][0] else "grouped digits"


CHECK = Mixed()
