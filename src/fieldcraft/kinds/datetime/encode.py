"""Encode moments: the trend as elapsed time, the calendar as points on circles."""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Matrix, State

SECONDS_A_DAY = 86_400
CYCLES = (("month", 12), ("day", 31), ("weekday", 7), ("hour", 24))
FARTHEST = 3.0  # standard deviations of elapsed time beyond which a date says "later" only


class DatetimeEncoder:
    """Encodes all date columns of a table.

    Networks get elapsed time standardised on training rows, month, day, weekday and hour as
    sines and cosines, and a flag where the date is missing; trees get days and calendar numbers.
    """

    def __init__(self) -> None:
        """An encoder that knows nothing yet."""
        self.names: list[str] = []
        self.centres: list[float] = []
        self.spreads: list[float] = []

    @property
    def width(self) -> int:
        """Numbers a row for networks: per column elapsed time, a flag, and the circles."""
        return len(self.names) * (2 + 2 * len(CYCLES))

    def fit_transform(self, rows: pl.DataFrame, target: Array) -> Views:
        """Learn the span of time from training rows; return them encoded."""
        self.names = rows.columns
        self.centres, self.spreads = [], []
        for name in self.names:
            days = calendar(rows[name])[:, 0]
            there = days[~np.isnan(days)]
            self.centres.append(float(there.mean()) if len(there) else 0.0)
            self.spreads.append(float(there.std()) or 1.0 if len(there) else 1.0)
        return self.transform(rows)

    def transform(self, rows: pl.DataFrame) -> Views:
        """Encode rows with what was learned."""
        parts = [calendar(rows[name]) for name in self.names]

        def tensors() -> dict[str, Array]:
            found = []
            for part, centre, spread in zip(parts, self.centres, self.spreads, strict=True):
                missing = np.isnan(part[:, :1])
                elapsed = np.clip((part[:, :1] - centre) / spread, -FARTHEST, FARTHEST)
                turns = 2 * np.pi * part[:, 1:] / [length for _, length in CYCLES]
                found += [np.hstack([elapsed, np.sin(turns), np.cos(turns)]), missing]
            return {"datetime": np.nan_to_num(np.hstack(found)).astype(np.float32)}

        def matrix() -> Matrix:
            names = [f"{name} ({part})" for name in self.names for part in ("days", *dict(CYCLES))]
            return Matrix(np.hstack(parts).astype(np.float32), tuple(names), (0,) * len(names))

        return Views(tensors, matrix)

    def state(self) -> State:
        """What was learned, as JSON values."""
        return State({"names": self.names, "centres": self.centres, "spreads": self.spreads})

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described."""
        self.names = list(state.values["names"])
        self.centres = list(state.values["centres"])
        self.spreads = list(state.values["spreads"])


def calendar(moments: pl.Series) -> Array:
    """Days since 1970, month, day, weekday and hour of each moment, NaN where missing."""
    parts = [
        moments.dt.epoch("s").cast(pl.Float64) / SECONDS_A_DAY,
        *(getattr(moments.dt, name)().cast(pl.Float64) for name, _ in CYCLES),
    ]
    return np.stack([part.fill_null(float("nan")).to_numpy() for part in parts], axis=1)
