"""Dates that can be read in two ways, are written in several, or are taken for numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import joined
from fieldcraft.data.look import Look
from fieldcraft.data.names import words_of
from fieldcraft.data.parse import DATETIME_FORMATS, datetimes
from fieldcraft.data.table import Column
from fieldcraft.evidence.records import Finding

FEWEST = 20
DIFFERENT = 5  # days that must occur before it is odd that none is above the twelfth
SAMPLE = 500  # different values tried in every format
MOSTLY = 0.9
CALENDAR = (19000101, 21001231)  # eight digits as a date
EPOCH = (631_152_000, 4_102_444_800)  # seconds from 1990 to 2100
TIMES = frozenset({"time", "timestamp", "ts", "date", "datetime", "epoch", "created", "updated"})


class Dates:
    """Reports columns of dates that may be read wrongly."""

    code = "dates"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Read dates in other ways than they are read now."""
        for column in view.schema.columns:
            look = view.looks[column.name]
            if len(look.values) < FEWEST:
                continue
            if column.kind == "datetime" and look.is_text:
                yield from self._swapped(look, str(column.options.get("format", "")))
            elif column.kind == "number":
                yield from self._numbered(look, column)
            elif column.kind in ("category", "identifier", "text") and look.is_text:
                yield from self._several(look)

    def _swapped(self, look: Look, form: str) -> Iterator[Finding]:
        """Day and month may have changed places, in all cells or in some."""
        swapped = form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")
        if not form.startswith(("%d", "%m")) or swapped == form or "%m" not in form:
            return
        own, other = datetimes(look.values, form), datetimes(look.values, swapped)
        only_other = int((own.is_null() & other.is_not_null()).sum())
        order = "day before month" if form.startswith("%d") else "month before day"
        if only_other:
            cell = look.values.filter(own.is_null() & other.is_not_null())[0]
            yield Finding(
                self.code,
                "warn",
                f"{look.name}: {only_other:,} of {len(look.values):,} dates are not written with "
                f"{order}, as the others are (such as {cell!r}), and count as missing",
                look.name,
                {"other_way": only_other, "rows": len(look.values), "format": form},
                "two sources seem to be mixed; then dates that can be read both ways are wrong too",
            )
        elif own.null_count() == 0 == other.null_count() and differing(own, other):
            yield Finding(
                self.code,
                "warn",
                f"{look.name}: every date can be read with the day or the month first "
                f"(such as {look.values[0]!r}); it is read with {order}",
                look.name,
                {"rows": len(look.values), "format": form},
                f"make sure, and set data.columns.{look.name}.format if it is {swapped}",
            )

    def _numbered(self, look: Look, column: Column) -> Iterator[Finding]:
        """Dates written as eight digits, or as seconds since 1970."""
        low, high = look.span
        if not look.whole_numbers:
            return
        if CALENDAR[0] <= low and high <= CALENDAR[1]:
            digits = look.numbers.drop_nulls().cast(pl.Int64).cast(pl.String)
            if datetimes(digits, "%Y%m%d").null_count():
                return
            place = ("data", "columns", look.name)
            edits = (Edit((*place, "kind"), "datetime"), Edit((*place, "format"), "%Y%m%d"))
            yield Finding(
                self.code,
                "tip",
                f"{look.name}: the numbers are dates, such as {digits[0]}",
                look.name,
                {"first": int(low), "last": int(high)},
                "read them as dates: from 31 December to 1 January is one day",
                edits if look.is_text and not column.options else (),
            )
        elif EPOCH[0] <= low and high <= EPOCH[1] and TIMES & set(words_of(look.name)):
            yield Finding(
                self.code,
                "tip",
                f"{look.name}: the numbers seem to be seconds since 1970",
                look.name,
                {"first": int(low), "last": int(high)},
                "write them as dates to have weekday and hour, and to split by time",
            )

    def _several(self, look: Look) -> Iterator[Finding]:
        """Words that are dates in more than one format."""
        cells = look.counts["value"].head(SAMPLE).cast(pl.String)
        if not cells.head(20).str.contains(r"\d.*[-/. ,:].*\d").any():
            return
        left, used = cells, list[str]()
        for form in DATETIME_FORMATS:
            read = datetimes(left, form).is_not_null()
            if read.sum() >= max(2, 0.01 * len(cells)):
                used.append(form)
                left = left.filter(~read)
        if len(used) > 1 and len(cells) - len(left) >= MOSTLY * len(cells):
            yield Finding(
                self.code,
                "warn",
                f"{look.name} holds dates in {len(used)} formats ({joined(used[:4])}) and is read "
                "as words",
                look.name,
                {"formats": used, "unread": len(left), "different": len(cells)},
                "write them in one format in the file, best as 2024-12-31",
            )


def differing(own: pl.Series, other: pl.Series) -> bool:
    """Whether two readings differ, and enough different days occur to wonder."""
    return bool((own != other).any()) and own.dt.date().n_unique() >= DIFFERENT


CHECK = Dates()
