"""Encode moments: the trend as elapsed time, the calendar as points on circles, delays in days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Matrix, State
from fieldcraft.data.table import Column

MICROSECONDS_A_DAY = 86_400_000_000
MINUTES_AN_HOUR = 60
THURSDAY = 4  # the weekday of 1 January 1970
CYCLES = {"month": 12, "day": 31, "weekday": 7, "day of year": 365.25, "hour": 24}
FARTHEST = 3.0  # standard deviations of elapsed time beyond which a date says "later" only
SMALLEST_CHANGE = 1e-5  # days, about a second; less is rounding
MOST_DELAYS = 15  # the pairs of six columns


@dataclass(frozen=True)
class Span:
    """The scale of elapsed time on training rows, and whether there is a time of day."""

    centre: float
    spread: float
    clock: bool

    def scaled(self, days: Array) -> Array:
        """Standardised, cut off where training rows say nothing, 0 where missing."""
        far = np.clip((days - self.centre) / self.spread, -FARTHEST, FARTHEST)
        return np.asarray(np.where(np.isnan(far), 0.0, far))


class Calendar(dict[str, Array]):
    """The calendar's numbers of a column by name, NaN where missing, and what networks see of them.

    That is the same for all members of a model, and so computed once.
    """

    @cached_property
    def clocked(self) -> Array:
        """Sine and cosine of each cycle, whether a month ends, whether the moment is missing."""
        missing = np.isnan(self["days"])
        found = []
        for name, length in CYCLES.items():
            turn = 2 * np.pi * np.where(missing, 0.0, self[name]) / length
            found += [np.sin(turn) * ~missing, np.cos(turn) * ~missing]
        found += [np.where(missing, 0.0, self["month end"]), missing]
        return np.stack(found, axis=1)

    @cached_property
    def dated(self) -> Array:
        """The same without the hour, which is the last cycle."""
        return np.delete(self.clocked, [2 * len(CYCLES) - 2, 2 * len(CYCLES) - 1], axis=1)


class DatetimeEncoder:
    """Encodes all date columns of a table.

    Networks get elapsed time standardised on training rows; month, day, weekday, day of the year
    and hour as sines and cosines; whether a month ends; and a flag where the date is missing.
    Trees get days since 1970 and calendar numbers. Columns whose training rows have no time of
    day have no hours. The days from one column to another (delays) come for up to fifteen pairs,
    those of columns that stand close to each other first; pairs that never change are left out.
    """

    most_rows = None

    def __init__(self, columns: Sequence[Column]) -> None:
        """An encoder of some columns that knows nothing of them yet."""
        self.names = [column.name for column in columns]
        self.spans: list[Span] = []
        self.pairs: list[tuple[int, int]] = []
        self.delays: list[Span] = []

    @property
    def width(self) -> int:
        """Numbers a row for networks."""
        circles = [len(CYCLES) - (not span.clock) for span in self.spans]
        return sum(3 + 2 * count for count in circles) + len(self.pairs)

    def read(self, rows: pl.DataFrame) -> list[Calendar]:
        """The calendar's numbers of each column."""
        return [Calendar(calendar(rows[name])) for name in self.names]

    def fit_transform(self, parts: list[Calendar], target: Array) -> Views:
        """Learn spans of time from training rows; return them encoded."""
        self.spans = [learn_span(p["days"], bool((p["days"] % 1 > 0).any())) for p in parts]
        self.pairs, self.delays = [], []
        near_first = sorted(combinations(range(len(parts)), 2), key=lambda pair: pair[1] - pair[0])
        for first, second in near_first:
            days = parts[second]["days"] - parts[first]["days"]
            there = days[~np.isnan(days)]
            if len(self.pairs) < MOST_DELAYS and len(there) and np.ptp(there) > SMALLEST_CHANGE:
                self.pairs.append((first, second))
                self.delays.append(learn_span(np.arcsinh(days), False))
        return self.transform(parts)

    def transform(self, parts: list[Calendar]) -> Views:
        """Encode rows with what was learned."""
        delays = [parts[second]["days"] - parts[first]["days"] for first, second in self.pairs]
        return Views(lambda: self._tensors(parts, delays), lambda: self._matrix(parts, delays))

    def _tensors(self, parts: list[Calendar], delays: list[Array]) -> dict[str, Array]:
        found: list[Array] = []
        for part, span in zip(parts, self.spans, strict=True):
            found.append(span.scaled(part["days"])[:, None])
            found.append(part.clocked if span.clock else part.dated)
        for days, span in zip(delays, self.delays, strict=True):
            found.append(span.scaled(np.arcsinh(days))[:, None])
        return {"datetime": np.concatenate(found, axis=1).astype(np.float32)}

    def _matrix(self, parts: list[Calendar], delays: list[Array]) -> Matrix:
        found: dict[str, Array] = {}
        for column, part, span in zip(self.names, parts, self.spans, strict=True):
            for name, values in part.items():
                if span.clock or name != "hour":
                    found[f"{column} ({name})"] = values
        for days, (first, second) in zip(delays, self.pairs, strict=True):
            found[f"{self.names[first]} to {self.names[second]} (days)"] = days
        values = np.stack(list(found.values()), axis=1).astype(np.float32)
        return Matrix(values, tuple(found), (0,) * len(found))

    def state(self) -> State:
        """What was learned, as JSON values."""
        return State(
            {
                "spans": [asdict(span) for span in self.spans],
                "pairs": [list(pair) for pair in self.pairs],
                "delays": [asdict(span) for span in self.delays],
            }
        )

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described."""
        self.spans = [Span(**span) for span in state.values["spans"]]
        self.pairs = [(first, second) for first, second in state.values["pairs"]]
        self.delays = [Span(**span) for span in state.values["delays"]]


def learn_span(days: Array, clock: bool) -> Span:
    """The middle and the spread of times on training rows, NaN where missing."""
    there = days[~np.isnan(days)]
    if not len(there):
        return Span(0.0, 1.0, clock)
    spread = float(there.std())
    return Span(float(there.mean()), spread if spread > SMALLEST_CHANGE else 1.0, clock)


def calendar(moments: pl.Series) -> dict[str, Array]:
    """Days since 1970 and the calendar's numbers of each moment, NaN where missing."""
    at = moments.cast(pl.Datetime("us")).to_numpy()
    missing = np.isnat(at)
    at = np.where(missing, np.datetime64(0, "us"), at)
    day, month, year = (at.astype(f"datetime64[{unit}]") for unit in "DMY")
    since = day.astype(np.int64)
    weekday = (since + THURSDAY - 1) % 7 + 1  # Monday is 1
    # A week belongs to the year of its Thursday (ISO 8601).
    thursday = (since + THURSDAY - weekday).astype("datetime64[D]")
    first = thursday.astype("datetime64[Y]").astype("datetime64[D]")
    parts = {
        "days": at.astype(np.int64) / MICROSECONDS_A_DAY,
        "year": 1970 + year.astype(np.int64),
        "month": 1 + month.astype(np.int64) % 12,
        "day": 1 + (day - month.astype("datetime64[D]")).astype(np.int64),
        "weekday": weekday,
        "week": 1 + (thursday - first).astype(np.int64) // 7,
        "day of year": 1 + (day - year.astype("datetime64[D]")).astype(np.int64),
        "hour": (at - day).astype("timedelta64[m]").astype(np.int64) / MINUTES_AN_HOUR,
        "month end": (day + 1).astype("datetime64[M]") != month,
    }
    return {name: np.where(missing, np.nan, part) for name, part in parts.items()}
