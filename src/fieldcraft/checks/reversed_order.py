"""Rows in which two columns contradict each other: an end before its start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.data.column_names import split_words
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import to_floats

MIN_COMPARED_ROWS = 50  # with both values
MAX_REVERSED_FRACTION = 0.02  # with more, the columns have no fixed order
MAX_DATE_COLUMNS = 20
OPPOSITE_WORDS = {
    "min": "max", "minimum": "maximum", "low": "high", "lower": "upper", "lowest": "highest",
    "start": "end", "begin": "end", "from": "to", "first": "last", "entry": "exit",
    "open": "close", "von": "bis", "anfang": "ende",
}  # fmt: skip


class ReversedOrder:
    """Reports pairs of columns that are in one order except in a few rows."""

    code = "reversed_order"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare dates with each other, and numbers whose names are opposites."""
        reversed_counts: dict[str, int] = {}
        row_numbers: list[int] = []
        for first, second in iter_column_pairs(context):
            a, b = to_floats(context.values[first]), to_floats(context.values[second])
            if a is None or b is None:
                continue
            reversed_positions, usually_smaller, usually_larger = find_reversed_rows(
                a, b, first, second
            )
            if len(reversed_positions):
                reversed_counts[f"{usually_larger} before {usually_smaller}"] = len(
                    reversed_positions
                )
                row_numbers += [context.row_numbers[i] for i in reversed_positions[:3]]
        if reversed_counts:
            descriptions = [
                f"{description} in {pluralize(count, 'row')}"
                for description, count in reversed_counts.items()
            ]
            yield Finding(
                self.code,
                "info",
                f"rows that contradict the others: {truncated_list(descriptions, 4)}",
                None,
                {"rows": reversed_counts, "line_numbers": row_numbers[:12]},
                "review these rows; one of the two values is probably wrong",
            )


def iter_column_pairs(context: CheckContext) -> Iterator[tuple[str, str]]:
    """Pairs of columns that are likely to have a fixed order: dates, and opposite names."""
    dtypes = context.values.schema
    names = [column.name for column in context.schema.columns if column.name in dtypes]
    dates = [name for name in names if dtypes[name].is_temporal()]
    yield from combinations(dates[:MAX_DATE_COLUMNS], 2)
    by_words = {split_words(name): name for name in names if dtypes[name].is_numeric()}
    for words, name in by_words.items():
        for position, word in enumerate(words):
            opposite = (*words[:position], OPPOSITE_WORDS.get(word, ""), *words[position + 1 :])
            if opposite in by_words:
                yield name, by_words[opposite]


def find_reversed_rows(a: Array, b: Array, first: str, second: str) -> tuple[Array, str, str]:
    """Positions of the few rows in reversed order, and the names in their usual order.

    Args:
        a: numbers of the first column, NaN where missing, shape (rows,).
        b: numbers of the second column, likewise.
        first: name of the first column.
        second: name of the second column.
    """
    has_both = ~np.isnan(a) & ~np.isnan(b)
    is_ascending, is_descending = has_both & (a < b), has_both & (a > b)
    is_usually_ascending = is_ascending.sum() >= is_descending.sum()
    is_reversed, is_usual = (
        (is_descending, is_ascending) if is_usually_ascending else (is_ascending, is_descending)
    )
    names = (first, second) if is_usually_ascending else (second, first)
    if (
        has_both.sum() < MIN_COMPARED_ROWS
        or is_reversed.sum() > MAX_REVERSED_FRACTION * has_both.sum()
        or is_usual.sum() < has_both.sum() / 2  # mostly equal values show no order
    ):
        is_reversed = np.zeros(len(a), dtype=bool)
    return np.flatnonzero(is_reversed), *names


CHECK = ReversedOrder()
