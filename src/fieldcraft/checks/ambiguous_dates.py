"""Dates with an ambiguous day-month order, in mixed formats, or stored as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import join_names
from fieldcraft.data.cell_parser import DATETIME_FORMATS, parse_datetimes
from fieldcraft.data.column_names import split_words
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.schema import Column
from fieldcraft.ledger.records import Finding

MIN_VALUES = 20
# All days at or below the twelfth are suspicious only if several days occur: with five or more, an
# unambiguous order would very likely show at least one day above twelve.
MIN_DISTINCT_DAYS = 5
MAX_SAMPLED_VALUES = 500  # distinct values tried in every format
MIN_PARSED_FRACTION = 0.9
CALENDAR_DATE_RANGE = (19000101, 21001231)  # a date as eight digits
# Unix time from 1990 to 2100. Many amounts lie in this range too, so the name must agree.
EPOCH_SECONDS_RANGE = (631_152_000, 4_102_444_800)
TIMESTAMP_WORDS = frozenset(
    {"time", "timestamp", "ts", "date", "datetime", "epoch", "created", "updated"}
)


class AmbiguousDates:
    """Reports date columns that may be parsed wrongly."""

    code = "ambiguous_dates"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Parse each column in other ways than its current one."""
        for column in context.schema.columns:
            profile = context.column_profiles[column.name]
            if len(profile.present_values) < MIN_VALUES:
                continue
            if column.kind == "datetime" and profile.is_text:
                yield from self._check_day_month_order(
                    profile, str(column.options.get("format", ""))
                )
            elif column.kind == "number":
                yield from self._check_numeric_dates(profile, column)
            elif column.kind in ("category", "identifier", "text") and profile.is_text:
                yield from self._check_mixed_formats(profile)

    def _check_day_month_order(self, profile: ColumnProfile, date_format: str) -> Iterator[Finding]:
        """Check whether day and month may be swapped, in all cells or in some."""
        # "%_", which no format has, stands for "%m" until "%m" is free.
        swapped_format = date_format.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")
        if (
            not date_format.startswith(("%d", "%m"))
            or swapped_format == date_format
            or "%m" not in date_format
        ):
            return
        parsed, parsed_swapped = (
            parse_datetimes(profile.present_values, date_format),
            parse_datetimes(profile.present_values, swapped_format),
        )
        n_only_swapped = int((parsed.is_null() & parsed_swapped.is_not_null()).sum())
        order = "day before month" if date_format.startswith("%d") else "month before day"
        if n_only_swapped:
            cell = profile.present_values.filter(parsed.is_null() & parsed_swapped.is_not_null())[0]
            yield Finding(
                self.code,
                "warning",
                f"{profile.name}: {n_only_swapped:,} of {len(profile.present_values):,} dates are "
                f"not written with {order} like the others (such as {cell!r}) and count as missing",
                profile.name,
                {
                    "n_swapped": n_only_swapped,
                    "rows": len(profile.present_values),
                    "format": date_format,
                },
                "find out whether two sources are mixed; if so, dates that parse in either order "
                "may be wrong too",
            )
        elif parsed.null_count() == 0 == parsed_swapped.null_count() and is_ambiguous(
            parsed, parsed_swapped
        ):
            yield Finding(
                self.code,
                "warning",
                f"{profile.name}: every date can be read with the day or the month first "
                f"(such as {profile.present_values[0]!r}); they are read with {order}",
                profile.name,
                {"rows": len(profile.present_values), "format": date_format},
                "check the source; if the other order is right, set "
                f"data.columns.{profile.name}.format to {swapped_format}",
            )

    def _check_numeric_dates(self, profile: ColumnProfile, column: Column) -> Iterator[Finding]:
        """Check for dates written as eight digits, or as seconds since 1970."""
        low, high = profile.value_range
        if not profile.is_integer:
            return
        if CALENDAR_DATE_RANGE[0] <= low and high <= CALENDAR_DATE_RANGE[1]:
            digits = profile.numbers.drop_nulls().cast(pl.Int64).cast(pl.String)
            if parse_datetimes(digits, "%Y%m%d").null_count():
                return
            path = ("data", "columns", profile.name)
            edits = (
                ConfigEdit((*path, "kind"), "datetime"),
                ConfigEdit((*path, "format"), "%Y%m%d"),
            )
            yield Finding(
                self.code,
                "info",
                f"{profile.name}: the numbers are dates, such as {digits[0]}",
                profile.name,
                {"first": int(low), "last": int(high)},
                # As numbers, 20231231 and 20240101 are 8,870 apart.
                "read them as dates: 31 December and 1 January are one day apart",
                edits if profile.is_text and not column.options else (),
            )
        elif (
            EPOCH_SECONDS_RANGE[0] <= low
            and high <= EPOCH_SECONDS_RANGE[1]
            and TIMESTAMP_WORDS & set(split_words(profile.name))
        ):
            yield Finding(
                self.code,
                "info",
                f"{profile.name}: the numbers seem to be seconds since 1970",
                profile.name,
                {"first": int(low), "last": int(high)},
                "write them as dates to get weekday and hour as features, and to split by time",
            )

    def _check_mixed_formats(self, profile: ColumnProfile) -> Iterator[Finding]:
        """Check for text columns that are dates in more than one format."""
        cells = profile.value_counts["value"].head(MAX_SAMPLED_VALUES).cast(pl.String)
        if not cells.head(20).str.contains(r"\d.*[-/. ,:].*\d").any():
            return
        # Each format takes the cells that it parses, so that overlapping formats do not both count.
        unparsed, formats = cells, list[str]()
        for date_format in DATETIME_FORMATS:
            # A format of hardly any cell is more likely a mistake in these cells.
            is_parsed = parse_datetimes(unparsed, date_format).is_not_null()
            if is_parsed.sum() >= max(2, 0.01 * len(cells)):
                formats.append(date_format)
                unparsed = unparsed.filter(~is_parsed)
        if len(formats) > 1 and len(cells) - len(unparsed) >= MIN_PARSED_FRACTION * len(cells):
            yield Finding(
                self.code,
                "warning",
                f"{profile.name} holds dates in {len(formats)} formats ({join_names(formats[:4])}) "
                "and is read as text",
                profile.name,
                {"formats": formats, "n_unparsed": len(unparsed), "n_distinct": len(cells)},
                "write them in one format in the file, preferably as 2024-12-31",
            )


def is_ambiguous(parsed: pl.Series, parsed_swapped: pl.Series) -> bool:
    """Whether the two parses differ, and enough distinct days occur to be suspicious."""
    return (
        bool((parsed != parsed_swapped).any()) and parsed.dt.date().n_unique() >= MIN_DISTINCT_DAYS
    )


CHECK = AmbiguousDates()
