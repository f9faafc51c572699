"""Categories with many levels, or with levels of a single row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.ledger.records import Finding, single_column

MIN_LEVELS = 50
MIN_ROWS_PER_LEVEL = 20.0  # on average; with fewer, statistics of a level are mostly noise
MIN_ROWS = 50


@dataclass(frozen=True)
class LevelCounts:
    """The number of levels of a column, and of those with a single row."""

    column: str
    n_levels: int
    n_singletons: int


class HighCardinality:
    """Reports categories with many small levels, or with levels that occur only once."""

    code = "high_cardinality"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count levels and their rows."""
        if len(context.row_numbers) < MIN_ROWS:
            return
        profiles = [
            context.column_profiles[column.name]
            for column in context.schema.columns_of_kind("category")
        ]
        high_cardinality = [
            count_levels(profile) for profile in profiles if has_high_cardinality(profile)
        ]
        low_cardinality = [
            count_levels(profile) for profile in profiles if not has_high_cardinality(profile)
        ]
        yield from self._report(
            high_cardinality,
            "many levels with few rows each",
            "merge similar levels, or derive a column from what they have in common",
        )
        yield from self._report(
            [count for count in low_cardinality if count.n_singletons],
            "levels with a single row",
            "a model cannot learn them; merge them with a similar level",
        )

    def _report(
        self, counts: Sequence[LevelCounts], problem: str, advice: str
    ) -> Iterator[Finding]:
        if counts:
            descriptions = [
                f"{count.column} ({count.n_levels:,} levels, {count.n_singletons:,} with one row)"
                for count in counts
            ]
            yield Finding(
                self.code,
                "info",
                f"{pluralize(len(counts), 'column has', 'columns have')} {problem}: "
                f"{truncated_list(descriptions, 5)}",
                single_column(count.column for count in counts),
                {
                    "levels": {
                        count.column: {"levels": count.n_levels, "n_singletons": count.n_singletons}
                        for count in counts
                    }
                },
                advice,
            )


def has_high_cardinality(profile: ColumnProfile) -> bool:
    """Whether a column has many levels with few rows each."""
    return profile.n_unique >= MIN_LEVELS and profile.n_unique * MIN_ROWS_PER_LEVEL > len(
        profile.present_values
    )


def count_levels(profile: ColumnProfile) -> LevelCounts:
    """Count the levels of a column, and those with a single row."""
    return LevelCounts(
        profile.name, profile.n_unique, int((profile.value_counts["count"] == 1).sum())
    )


CHECK = HighCardinality()
