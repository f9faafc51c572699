"""Throughput of encoding ten numeric columns for a network.

    python bench/encode.py [--rows 1000000]

There are two columns each of uniform, normal, heavy-tailed and count values, and of values with
gaps. The encoders are fitted on the first 20,000 rows. Numbers to tensors and text cells to numbers
are timed separately, as the median of seven rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import polars as pl

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.data.schema import Column, Schema

TRAINING_ROWS = 20_000
ROUNDS = 7


def draw_columns(rows: int) -> pl.DataFrame:
    """Draw ten numeric columns."""
    rng = np.random.default_rng(0)
    columns = {}
    for number in range(2):
        columns[f"uniform_{number}"] = rng.random(rows)
        columns[f"normal_{number}"] = rng.standard_normal(rows)
        columns[f"heavy_{number}"] = rng.lognormal(3, 2, rows)
        columns[f"count_{number}"] = rng.poisson(4, rows).astype(float)
        gaps = np.where(rng.random(rows) < 0.2, np.nan, rng.standard_normal(rows))
        columns[f"gaps_{number}"] = gaps
    return pl.DataFrame(columns).fill_nan(None)


def median_seconds(action: Callable[[], object]) -> float:
    """Return the median wall time of an action."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return median(times)


def main() -> None:
    """Print rows per second."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = draw_columns(max(parser.parse_args().rows, TRAINING_ROWS))
    schema = Schema(tuple(Column(name, "number") for name in rows.columns))
    encoders = EncoderSet(schema)
    target = np.zeros((TRAINING_ROWS, 1))
    encoders.fit_transform(encoders.precompute(schema.apply(rows[:TRAINING_ROWS])), target)
    values, text = schema.apply(rows), rows[:100_000].cast(pl.String)
    conversions = {
        "numbers to tensors": (
            values.height,
            lambda: encoders.transform(encoders.precompute(values)).tensors(),
        ),
        "text to numbers": (text.height, lambda: schema.apply(text)),
    }
    for name, (count, action) in conversions.items():
        print(
            f"{name}: {count / median_seconds(action):,.0f} rows per second, {rows.width} columns"
        )


if __name__ == "__main__":
    main()
