"""Dates and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import polars as pl

from fieldcraft.contracts import Check
from fieldcraft.data.aside import PlainValues
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.parse import ENOUGH, datetimes
from fieldcraft.data.table import Column
from fieldcraft.kinds.datetime.encode import DatetimeEncoder

ISO_8601 = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
)
MONTHS = ("%Y-%m", "%Y/%m")  # read as their first day


class DatetimeKind(PlainValues):
    """A column of moments."""

    name = "datetime"
    used = True
    holds: Literal["values", "files"] = "values"
    options: tuple[str, ...] = ("format",)

    def recognise(self, look: Look) -> Guess | None:
        """A column of which one known date format reads at least 95 % of the values."""
        form = look.datetime_format or month_format(look)
        if form is None or look.column.dtype in (pl.Time, pl.Duration):
            return None
        reason = "dates" if form == "native" else f"dates such as {look.values[0]}"
        return Guess(self.name, 0.95, reason, {"format": form})

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as moments in UTC; what the format cannot read is missing."""
        form = options.get("format", "%Y-%m-%d")
        if form != "native" or cells.dtype != pl.String:
            return datetimes(cells, form)
        # What were dates in the training file may come as text with the rows to predict.
        read = [datetimes(cells, iso) for iso in ISO_8601]
        return pl.select(pl.coalesce(read)).to_series().rename(cells.name)

    def encoder(self, columns: Sequence[Column]) -> DatetimeEncoder:
        """A fresh encoder for the date columns of a table."""
        return DatetimeEncoder(columns)

    def net(self, encoder: DatetimeEncoder, plain: bool) -> Any:
        """A fresh network over the encoded columns, which passes them as they are."""
        from fieldcraft.fit.network import PassNet

        return PassNet("datetime", encoder.width)

    def checks(self) -> Sequence[Check]:
        """There are no checks for date columns alone."""
        return ()

    def measures(self, values: pl.Series) -> dict[str, pl.Series]:
        """Weekday and hour, and the moment itself, which goes on without being drift."""
        moments = values.cast(pl.Datetime("us"))
        return {
            "value": moments,
            "weekday": moments.dt.strftime("%A"),
            "hour": moments.dt.hour().cast(pl.Float64),
        }


def month_format(look: Look) -> str | None:
    """The format of a column of months such as 2024-02, if it is one."""
    if not look.is_text or not len(look.values):
        return None
    for form in MONTHS:
        if datetimes(look.values, form).null_count() <= (1 - ENOUGH) * len(look.values):
            return form
    return None


KIND = DatetimeKind()
