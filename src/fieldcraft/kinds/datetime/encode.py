"""Encode dates: elapsed time, cyclic calendar features, and delays between columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import polars as pl

from fieldcraft.bundle.encoder_set import LazyEncodedRows
from fieldcraft.contracts import Matrix, State
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column

MICROSECONDS_PER_DAY = 86_400_000_000
MINUTES_PER_HOUR = 60
EPOCH_WEEKDAY = 4  # 1 January 1970 was a Thursday; Monday is 1
# In units of each feature. "hour" must be the last: `cyclic_without_hour` relies on it.
CYCLE_LENGTHS = {"month": 12, "day": 31, "weekday": 7, "day of year": 365.25, "hour": 24}
# Rows to predict are often later than all training rows, where a network would extrapolate:
# beyond this, all dates look the same.
MAX_ABS_ZSCORE = 3.0
MIN_CHANGE_DAYS = 1e-5  # about a second; less is rounding
MAX_DELAY_PAIRS = 15  # all pairs of six columns


@dataclass(frozen=True)
class TimeScale:
    """The scale of elapsed time, in days, on the training rows."""

    mean: float
    std: float
    has_time_of_day: bool

    def standardize(self, days: Array) -> Array:
        """Standardize and clip; 0 where missing."""
        clipped = np.clip((days - self.mean) / self.std, -MAX_ABS_ZSCORE, MAX_ABS_ZSCORE)
        return np.asarray(np.where(np.isnan(clipped), 0.0, clipped))


class CalendarFeatures(dict[str, Array]):
    """Calendar features of a column by name, NaN where missing.

    The cyclic features do not depend on the fold, so all models of a bundle share them.
    """

    @cached_property
    def cyclic_with_hour(self) -> Array:
        """Sine and cosine of each cycle, month end, missing flag; shape (rows, features)."""
        missing = np.isnan(self["days"])
        features = []
        for name, length in CYCLE_LENGTHS.items():
            # As points on a circle, so that December is next to January.
            angle = 2 * np.pi * np.where(missing, 0.0, self[name]) / length
            features += [np.sin(angle) * ~missing, np.cos(angle) * ~missing]
        features += [np.where(missing, 0.0, self["month end"]), missing]
        return np.stack(features, axis=1)

    @cached_property
    def cyclic_without_hour(self) -> Array:
        """`cyclic_with_hour` without the hour."""
        n_cyclic = 2 * len(CYCLE_LENGTHS)
        return np.delete(self.cyclic_with_hour, [n_cyclic - 2, n_cyclic - 1], axis=1)


class DatetimeEncoder:
    """Encodes all date columns of a table.

    Networks get standardized elapsed time; month, day, weekday, day of the year and hour as sines
    and cosines; a flag for the last day of a month; and a flag for missing values. Trees get days
    since 1970 and calendar numbers. Columns without a time of day in the training rows have no
    hour. Delays, the days from one column to another, are added for up to fifteen pairs,
    neighboring columns first; constant delays are left out.
    """

    max_batch_rows = None

    def __init__(self, columns: Sequence[Column]) -> None:
        """Set up an unfitted encoder."""
        self.column_names = [column.name for column in columns]
        self.time_scales: list[TimeScale] = []
        self.delay_pairs: list[tuple[int, int]] = []
        self.delay_scales: list[TimeScale] = []

    @property
    def n_features(self) -> int:
        """Features per row for networks."""
        # Elapsed time, month end and missing flag, and two numbers for each cycle.
        cycle_counts = [
            len(CYCLE_LENGTHS) - (not scale.has_time_of_day) for scale in self.time_scales
        ]
        return sum(3 + 2 * count for count in cycle_counts) + len(self.delay_pairs)

    def precompute(self, rows: pl.DataFrame) -> list[CalendarFeatures]:
        """The calendar features of each column."""
        return [CalendarFeatures(compute_calendar(rows[name])) for name in self.column_names]

    def fit_transform(self, calendars: list[CalendarFeatures], target: Array) -> LazyEncodedRows:
        """Learn the scales of time from the training rows; return them encoded."""
        self.time_scales = [
            fit_time_scale(calendar_values["days"], bool((calendar_values["days"] % 1 > 0).any()))
            for calendar_values in calendars
        ]
        self.delay_pairs, self.delay_scales = [], []
        # Neighboring columns, such as order and delivery date, are most likely related.
        pairs_by_distance = sorted(
            combinations(range(len(calendars)), 2), key=lambda pair: pair[1] - pair[0]
        )
        for first, second in pairs_by_distance:
            delay_days = calendars[second]["days"] - calendars[first]["days"]
            present = delay_days[~np.isnan(delay_days)]
            if (
                len(self.delay_pairs) < MAX_DELAY_PAIRS
                and len(present)
                and np.ptp(present) > MIN_CHANGE_DAYS
            ):
                self.delay_pairs.append((first, second))
                # Delays range from seconds to years: asinh is like a logarithm, for both signs.
                self.delay_scales.append(fit_time_scale(np.arcsinh(delay_days), False))
        return self.transform(calendars)

    def transform(self, calendars: list[CalendarFeatures]) -> LazyEncodedRows:
        """Encode rows with the learned scales."""
        delay_days = [
            calendars[second]["days"] - calendars[first]["days"]
            for first, second in self.delay_pairs
        ]
        return LazyEncodedRows(
            lambda: self._tensors(calendars, delay_days),
            lambda: self._matrix(calendars, delay_days),
        )

    def _tensors(
        self, calendars: list[CalendarFeatures], delay_days: list[Array]
    ) -> dict[str, Array]:
        features: list[Array] = []
        for calendar_values, scale in zip(calendars, self.time_scales, strict=True):
            features.append(scale.standardize(calendar_values["days"])[:, None])
            features.append(
                calendar_values.cyclic_with_hour
                if scale.has_time_of_day
                else calendar_values.cyclic_without_hour
            )
        for days, scale in zip(delay_days, self.delay_scales, strict=True):
            features.append(scale.standardize(np.arcsinh(days))[:, None])
        return {"datetime": np.concatenate(features, axis=1).astype(np.float32)}

    def _matrix(self, calendars: list[CalendarFeatures], delay_days: list[Array]) -> Matrix:
        columns_by_name: dict[str, Array] = {}
        for column, calendar_values, scale in zip(
            self.column_names, calendars, self.time_scales, strict=True
        ):
            for name, values in calendar_values.items():
                if scale.has_time_of_day or name != "hour":
                    columns_by_name[f"{column} ({name})"] = values
        for days, (first, second) in zip(delay_days, self.delay_pairs, strict=True):
            columns_by_name[f"{self.column_names[first]} to {self.column_names[second]} (days)"] = (
                days
            )
        values = np.stack(list(columns_by_name.values()), axis=1).astype(np.float32)
        return Matrix(values, tuple(columns_by_name), (0,) * len(columns_by_name))

    def state(self) -> State:
        """The learned scales and pairs."""
        return State(
            {
                "time_ranges": [asdict(scale) for scale in self.time_scales],
                "pairs": [list(pair) for pair in self.delay_pairs],
                "delay_ranges": [asdict(scale) for scale in self.delay_scales],
            }
        )

    def restore(self, state: State) -> None:
        """Load a fitted state."""
        self.time_scales = [TimeScale(**scale) for scale in state.values["time_ranges"]]
        self.delay_pairs = [(first, second) for first, second in state.values["pairs"]]
        self.delay_scales = [TimeScale(**scale) for scale in state.values["delay_ranges"]]


def fit_time_scale(days: Array, has_time_of_day: bool) -> TimeScale:
    """Fit mean and standard deviation of times in days, NaN where missing."""
    present = days[~np.isnan(days)]
    if not len(present):
        return TimeScale(0.0, 1.0, has_time_of_day)
    std = float(present.std())
    return TimeScale(float(present.mean()), std if std > MIN_CHANGE_DAYS else 1.0, has_time_of_day)


def compute_calendar(timestamps: pl.Series) -> dict[str, Array]:
    """Days since 1970 and calendar features of each time, NaN where missing."""
    datetimes = timestamps.cast(pl.Datetime("us")).to_numpy()
    missing = np.isnat(datetimes)
    datetimes = np.where(missing, np.datetime64(0, "us"), datetimes)
    day, month, year = (datetimes.astype(f"datetime64[{unit}]") for unit in "DMY")
    days_since_epoch = day.astype(np.int64)
    weekday = (days_since_epoch + EPOCH_WEEKDAY - 1) % 7 + 1  # Monday is 1
    # By ISO 8601, a week belongs to the year of its Thursday.
    thursday = (days_since_epoch + EPOCH_WEEKDAY - weekday).astype("datetime64[D]")
    first_of_year = thursday.astype("datetime64[Y]").astype("datetime64[D]")
    fields = {
        "days": datetimes.astype(np.int64) / MICROSECONDS_PER_DAY,
        "year": 1970 + year.astype(np.int64),
        "month": 1 + month.astype(np.int64) % 12,
        "day": 1 + (day - month.astype("datetime64[D]")).astype(np.int64),
        "weekday": weekday,
        "week": 1 + (thursday - first_of_year).astype(np.int64) // 7,
        "day of year": 1 + (day - year.astype("datetime64[D]")).astype(np.int64),
        "hour": (datetimes - day).astype("timedelta64[m]").astype(np.int64) / MINUTES_PER_HOUR,
        "month end": (day + 1).astype("datetime64[M]") != month,
    }
    return {name: np.where(missing, np.nan, field_values) for name, field_values in fields.items()}
