"""Numbers stored as text: with units, as ranges, among words, or with another decimal mark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.cell_parser import MISSING_MARKERS, parse_numbers
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.schema import Column
from fieldcraft.ledger.records import Finding, group_findings, single_column

# U+00A0 and U+202F are the no-break spaces that some languages group digits by.
NUMBER_PATTERN = r"[+-]?\d+(?:[.,'’ \x{00a0}\x{202f}]\d+)*"
CURRENCY_PATTERN = r"(?:[$€£¥₹]|USD|EUR|CHF|GBP|Fr\.)"
UNIT_PATTERN = r"(?:%|‰|°?[A-Za-zµμΩ²³/$€£¥₹°·.]{1,10}\d?)"
NUMBER_WITH_UNIT_PATTERN = (
    rf"^[<>~≈]?\s*(?:{CURRENCY_PATTERN}\s*{NUMBER_PATTERN}|{NUMBER_PATTERN}\s*{UNIT_PATTERN}"
    rf"|{CURRENCY_PATTERN}\s*{NUMBER_PATTERN}\s*{UNIT_PATTERN})$"
)
GROUPED_DIGITS_PATTERN = r"^[+-]?\d{1,3}(?:['’ \x{00a0}\x{202f}]\d{3})+(?:[.,]\d+)?$"
BOUND_WORD_PATTERN = (
    r"(?i:less than|more than|greater than|over|under|up to|above|below|bis|über|unter|ab)"
)
RANGE_PATTERN = (
    rf"^(?:{NUMBER_PATTERN}\s*(?:-|–|—|to|bis|\.\.)\s*{NUMBER_PATTERN}"
    rf"|(?:[<>]=?|[≤≥]|{BOUND_WORD_PATTERN})\s*{NUMBER_PATTERN}"
    rf"|{NUMBER_PATTERN}\s*(?:\+|or more|and over|and above|plus))(?:\s*{UNIT_PATTERN})?$"
)
MISSING_WORDS = MISSING_MARKERS | {
    "unknown",
    "none",
    "missing",
    "not available",
    "n.a.",
    "tbd",
    "nil",
}
MIN_VALUES = 20
MIN_DISTINCT_NUMBERS = 10  # fewer work equally well as categories
MAX_DISTINCT_WORDS = 20  # with more, the cells are codes, such as product numbers
MIN_UNIT_FRACTION = 0.9
MIN_RANGE_FRACTION = 0.7
MIN_NUMBER_FRACTION = 0.5  # of the cells, among which the others are words
MIN_COMMON_UNIT_FRACTION = 0.5  # of the numbers
WARNING_FRACTION = 0.01
MAX_SAMPLED_VALUES = 5_000  # distinct values matched against the patterns


@dataclass(frozen=True)
class UnparsedCells:
    """Cells of a numeric column that are not numbers."""

    column: str
    count: int
    rows: int
    examples: tuple[str, ...]


class MixedTypes:
    """Reports columns of text that contain numbers."""

    code = "mixed_types"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Match the cells of text columns against patterns of numbers."""
        unparsed: list[UnparsedCells] = []
        for column in context.schema.columns:
            profile = context.column_profiles[column.name]
            if not profile.is_text or len(profile.present_values) < MIN_VALUES:
                continue
            if column.kind == "number":
                yield from self._check_decimal_mark(profile, column)
                unparsed += find_unparsed_cells(profile, column)
            elif column.kind not in ("datetime", "boolean", "constant"):
                yield from self._check_text_column(profile, column)
        for name in context.targets:
            if name in context.column_profiles and context.column_profiles[name].is_text:
                yield from self._check_text_column(context.column_profiles[name], None)
        yield from self._report_unparsed(unparsed)

    def _check_decimal_mark(self, profile: ColumnProfile, column: Column) -> Iterator[Finding]:
        """Check for decimal commas that are read as thousands separators."""
        if profile.decimal_mark == "," and column.options.get("decimal", ".") != ",":
            n_parsed_by_comma = profile.n_rows - profile.numbers.null_count()
            yield Finding(
                self.code,
                "warning",
                f"{profile.name} is written with decimal commas, such as "
                f"{example_with(profile, ',')}",
                profile.name,
                {"n_parsed_with_comma": n_parsed_by_comma, "rows": profile.n_rows},
                "read it with a decimal comma, or its fractions are lost",
                (ConfigEdit(("data", "columns", profile.name, "decimal"), ","),),
            )
        elif profile.decimal_mark == ".":
            cells_with_comma = profile.present_values.filter(
                profile.present_values.str.contains(",", literal=True)
            )
            ungrouped_cells = profile.present_values.filter(
                profile.present_values.str.contains(r"^\d{4,}$")
            )
            if len(cells_with_comma) and len(ungrouped_cells):
                yield Finding(
                    self.code,
                    "info",
                    f"{profile.name}: {len(cells_with_comma):,} cells such as "
                    f"{cells_with_comma[0]!r} are read as thousands, but {len(ungrouped_cells):,} "
                    f"such as {ungrouped_cells[0]!r} are written without a comma",
                    profile.name,
                    {"with_comma": len(cells_with_comma), "without": len(ungrouped_cells)},
                    "check that the comma is not a decimal mark in some rows",
                )

    def _check_text_column(
        self, profile: ColumnProfile, column: Column | None
    ) -> Iterator[Finding]:
        if profile.numeric_fraction >= MIN_NUMBER_FRACTION:
            yield from self._report_words_among_numbers(profile, column)
            return
        counts = profile.value_counts.head(MAX_SAMPLED_VALUES).with_columns(
            pl.col("value").cast(pl.String)
        )
        has_unit = pl.col("value").str.contains(NUMBER_WITH_UNIT_PATTERN) | pl.col(
            "value"
        ).str.contains(GROUPED_DIGITS_PATTERN)
        is_range = pl.col("value").str.contains(RANGE_PATTERN)
        unit_counts = counts.filter(has_unit & ~is_range)
        fraction = total_count(unit_counts) / max(total_count(counts), 1)
        unit = most_common_unit(unit_counts)
        if (
            fraction >= MIN_UNIT_FRACTION
            and unit_counts.height >= MIN_DISTINCT_NUMBERS
            and unit is not None
        ):
            yield Finding(
                self.code,
                "warning",
                f"{profile.name}: {fraction:.0%} of the cells are numbers with {unit}, such as "
                f"{unit_counts['value'][0]!r}, and are read as text",
                profile.name,
                {"fraction": fraction, "unit": unit, "n_distinct": unit_counts.height},
                "write plain numbers in one unit, or derive a numeric column "
                "(data.derived_columns)",
            )
            return
        # Two ranges are a yes or no, without an order to lose; ranges of a target are its classes.
        range_counts = counts.filter(is_range)
        fraction = total_count(range_counts) / max(total_count(counts), 1)
        if fraction >= MIN_RANGE_FRACTION and counts.height > 2 and column is not None:
            yield Finding(
                self.code,
                "info",
                f"{profile.name}: {fraction:.0%} of the cells are ranges, such as "
                f"{range_counts['value'][0]!r}, and are read without their order",
                profile.name,
                {"fraction": fraction, "n_distinct": counts.height},
                "if their order matters, derive a number from them, such as the midpoint",
            )

    def _report_words_among_numbers(
        self, profile: ColumnProfile, column: Column | None
    ) -> Iterator[Finding]:
        words = profile.present_values.filter(
            parse_numbers(profile.present_values, profile.decimal_mark).is_null()
        )
        distinct_words = [str(word) for word in words.unique(maintain_order=True)]
        n_distinct_numbers = profile.n_unique - len(distinct_words)
        if (
            not 0 < len(distinct_words) <= MAX_DISTINCT_WORDS
            or n_distinct_numbers < MIN_DISTINCT_NUMBERS
        ):
            return
        # Words that only mean "no value" may count as missing without a loss. Others may carry
        # information, so a person must decide and no fix is offered.
        is_all_missing_words = all(word.lower() in MISSING_WORDS for word in distinct_words)
        options = {"kind": "number"} | ({"decimal": ","} if profile.decimal_mark == "," else {})
        edits = (
            ConfigEdit(("data", "columns", profile.name, key), value)
            for key, value in options.items()
        )
        has_no_options = column is not None and not column.options
        yield Finding(
            self.code,
            "warning",
            f"{profile.name}: {len(words):,} of {len(profile.present_values):,} cells are words "
            f"among numbers ({truncated_list([repr(word) for word in distinct_words], 4)}), so all "
            "are read as text",
            profile.name,
            {"words": distinct_words[:20], "rows": len(words), "numbers": n_distinct_numbers},
            "read it as numbers if the words mean that there is no value; otherwise move them to a "
            "column of their own",
            tuple(edits) if is_all_missing_words and has_no_options else (),
        )

    def _report_unparsed(self, unparsed: list[UnparsedCells]) -> Iterator[Finding]:
        for group in group_findings(unparsed):
            descriptions = [
                f"{item.column} ({item.count:,}, such as {item.examples[0]!r})" for item in group
            ]
            yield Finding(
                self.code,
                "warning"
                if any(item.count >= WARNING_FRACTION * item.rows for item in group)
                else "info",
                f"{pluralize(sum(item.count for item in group), 'cell')} of numeric columns "
                f"cannot be parsed and count as missing: {truncated_list(descriptions, 5)}",
                single_column(item.column for item in group),
                {"cells": {item.column: list(item.examples) for item in group}},
                "correct them in the file if they contain a number",
            )


def find_unparsed_cells(profile: ColumnProfile, column: Column) -> list[UnparsedCells]:
    """Cells of a numeric column that do not parse, apart from words for a missing value."""
    decimal = str(column.options.get("decimal", "."))
    if profile.decimal_mark != decimal:
        return []  # reported as a wrong decimal mark already
    unparsed = profile.present_values.filter(
        parse_numbers(profile.present_values, decimal).is_null()
    )
    unparsed = unparsed.filter(~unparsed.str.to_lowercase().is_in(list(MISSING_WORDS)))
    examples = tuple(str(cell) for cell in unparsed.unique(maintain_order=True).head(5))
    return (
        [UnparsedCells(profile.name, len(unparsed), profile.n_rows, examples)]
        if len(unparsed)
        else []
    )


def total_count(counts: pl.DataFrame) -> int:
    """The number of rows of all counted values."""
    return int(counts["count"].sum())


def example_with(profile: ColumnProfile, mark: str) -> str:
    """An example of a cell that contains a mark."""
    return repr(
        str(
            profile.present_values.filter(profile.present_values.str.contains(mark, literal=True))[
                0
            ]
        )
    )


def most_common_unit(counts: pl.DataFrame) -> str | None:
    """The unit that at least half of the numbers have, in words; None if there is none."""
    if not counts.height:
        return None
    units = (
        pl.col("value")
        .str.extract(rf"({CURRENCY_PATTERN})", 1)
        .fill_null(pl.col("value").str.extract(rf"\d\s*({UNIT_PATTERN})$", 1).fill_null(""))
    )
    counts_by_unit = counts.group_by(units.str.to_lowercase().alias("unit")).agg(
        pl.col("count").sum()
    )
    counts_by_unit = counts_by_unit.sort(["count", "unit"], descending=[True, False])
    if counts_by_unit["count"][0] < MIN_COMMON_UNIT_FRACTION * total_count(counts_by_unit):
        return None
    return (
        f"the unit {counts_by_unit['unit'][0]!r}" if counts_by_unit["unit"][0] else "grouped digits"
    )


CHECK = MixedTypes()
