"""Dates and times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from fieldcraft.data.cell_parser import MIN_PARSED_FRACTION, parse_datetimes
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.data.schema import Column
from fieldcraft.kinds._base import BaseKind
from fieldcraft.kinds.datetime.encode import DatetimeEncoder

ISO_8601_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
)
MONTH_FORMATS = ("%Y-%m", "%Y/%m")  # parsed as the first day of the month


class DatetimeKind(BaseKind):
    """A column of dates or times."""

    name = "datetime"
    options: tuple[str, ...] = ("format",)

    def infer(self, profile: ColumnProfile) -> TypeInference | None:
        """Match a column in which one known date format parses at least 95 % of the values."""
        date_format = profile.datetime_format or infer_month_format(profile)
        if date_format is None or profile.column.dtype in (pl.Time, pl.Duration):
            return None
        reason = (
            "dates" if date_format == "native" else f"dates such as {profile.present_values[0]}"
        )
        return TypeInference(self.name, 0.95, reason, {"format": date_format})

    def parse(self, cells: pl.Series, options: Mapping[str, Any]) -> pl.Series:
        """Cells as UTC datetimes; what the format cannot parse counts as missing."""
        date_format = options.get("format", "%Y-%m-%d")
        if date_format != "native" or cells.dtype != pl.String:
            return parse_datetimes(cells, date_format)
        # A column of dates in a Parquet file arrives as text in a JSON request.
        # Each cell may have its own format, so all are tried and the first match counts.
        parsed = [parse_datetimes(cells, iso_format) for iso_format in ISO_8601_FORMATS]
        return pl.select(pl.coalesce(parsed)).to_series().rename(cells.name)

    def encoder(self, columns: Sequence[Column]) -> DatetimeEncoder:
        """A new encoder for the date columns of a table."""
        return DatetimeEncoder(columns)

    def net(self, encoder: DatetimeEncoder, without_embeddings: bool) -> Any:
        """A net that passes the encoded columns on unchanged."""
        from fieldcraft.fit.network import IdentityNet

        return IdentityNet("datetime", encoder.n_features)

    def drift_statistics(self, values: pl.Series) -> dict[str, pl.Series]:
        """Time, weekday and hour; the time has a range only, as moving on is no drift."""
        timestamps = values.cast(pl.Datetime("us"))
        return {
            "value": timestamps,
            "weekday": timestamps.dt.strftime("%A"),
            "hour": timestamps.dt.hour().cast(pl.Float64),
        }


def infer_month_format(profile: ColumnProfile) -> str | None:
    """The format of a column of months such as 2024-02; None if it is not one."""
    if not profile.is_text or not len(profile.present_values):
        return None
    for date_format in MONTH_FORMATS:
        if parse_datetimes(profile.present_values, date_format).null_count() <= (
            1 - MIN_PARSED_FRACTION
        ) * len(profile.present_values):
            return date_format
    return None


KIND = DatetimeKind()
