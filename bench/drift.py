"""How often drift is told where there is none, how soon where there is some, and how fast it is.

    python bench/drift.py quiet [SIMULATIONS] [ROWS]   720 windows x 20 columns without drift
    python bench/drift.py power [SIMULATIONS]          a shift in one of 20 columns
    python bench/drift.py seasons [SIMULATIONS]        the same where columns differ by hour
    python bench/drift.py speed [ROWS]                 counting rows of 20 columns
    python bench/drift.py peers VENVS                  beside Evidently and NannyML, without drift

Counts of windows are drawn from what a large population has in each bin, which is how rows drawn
from it would be counted. Reference rows are drawn anew for each simulation, bins are learned once.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from contest.venvs import python_of

from fieldcraft.evidence import profile, stream
from fieldcraft.evidence.sequential import threshold
from fieldcraft.evidence.stream import Limits, Stream
from fieldcraft.serving.seasons import EARLIER

Array = Any
POPULATION = 400_000
TRAINING = 20_000
WINDOWS = 720
HOURS = 24
SWING = 0.5  # how much columns differ by hour
SIZES = (50, 500, 5_000)
REFERENCES = (2_000, 5_000, 50_000)
SHIFTS = (0.1, 0.2, 0.3, 0.5)
ROUNDS, TOGETHER = 3, 20  # windows that are looked at in one go
PEERS = ("evidently", "nannyml")  # each in an environment of that name
PATIENCE = 168  # windows that a shift is looked for
BLOCK = 100_000  # rows that are counted at once

NUMBERS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": lambda draw, rows: draw.normal(size=rows),
    "normal, in steps": lambda draw, rows: draw.normal(size=rows).round(1),
    "uniform": lambda draw, rows: draw.uniform(size=rows),
    "exponential": lambda draw, rows: draw.exponential(size=rows),
    "lognormal": lambda draw, rows: np.exp(2 * draw.normal(size=rows)),
    "two humps": lambda draw, rows: draw.normal(size=rows) + 5 * (draw.random(rows) < 0.3),
    "counts": lambda draw, rows: draw.poisson(2.0, rows).astype(float),
    "gaps": lambda draw, rows: np.where(draw.random(rows) < 0.2, np.nan, draw.normal(size=rows)),
}
SPIKES = (0.5, 0.8, 0.95, 0.99)  # share of zeros in a skewed column
LEVELS = (3, 5, 10, 30, 100, 300, 1_000, 1_000)
EXPONENTS = (0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)  # of Zipf's law; 0: all levels alike


@dataclass(frozen=True)
class Column:
    """A column: how its bins are made, and what share of a population is in each."""

    name: str
    about: Any
    shares: Array

    def stream(self, rows: int, limits: Limits, draw: np.random.Generator) -> Stream:
        """A stream with a fresh sample of reference rows."""
        return Stream({**self.about, "counts": draw.multinomial(rows, self.shares)}, limits)


def spiky(draw: np.random.Generator, rows: int, share: float) -> Array:
    return np.where(draw.random(rows) < share, 0.0, np.exp(draw.normal(size=rows)))


def words(draw: np.random.Generator, rows: int, levels: int, exponent: float) -> pl.Series:
    weights = np.arange(1, levels + 1) ** -exponent
    codes = draw.choice(levels, rows, p=weights / weights.sum())
    return pl.Series([f"level {i}" for i in range(levels)])[codes]


def makers() -> dict[str, Callable[[np.random.Generator, int], pl.Series]]:
    found: dict[str, Callable[[np.random.Generator, int], pl.Series]] = {}
    for name, make in NUMBERS.items():
        found[name] = lambda draw, rows, make=make: pl.Series(make(draw, rows))
    for share in SPIKES:
        found[f"{share:.0%} zeros"] = lambda d, rows, share=share: pl.Series(spiky(d, rows, share))
    for at, (levels, exponent) in enumerate(zip(LEVELS, EXPONENTS, strict=True)):
        found[f"{levels} levels ({at})"] = lambda d, rows, k=levels, e=exponent: words(
            d, rows, k, e
        )
    return found


def columns(seed: int = 0) -> list[Column]:
    found = []
    for name, make in makers().items():
        draw = np.random.default_rng([seed, len(found)])
        training = make(draw, TRAINING)
        about = profile.learned(training, training[:100])
        counts = profile.counted(make(draw, POPULATION), about)
        found.append(Column(name, about, counts / counts.sum()))
    return found


def limits(effect: float = stream.EFFECT) -> Limits:
    count = len(makers())
    return Limits(threshold(WINDOWS, count), effect, stream.chance(WINDOWS, count))


def alerts(found: Stream, windows: Array) -> int:
    """How often a stream alarms: drift, each time it is found anew, or a broken window."""
    count = 0
    for window in windows:
        standing = found.alarmed is not None
        if stream.faults(window, found.about, found.limits.chance):
            count += 1
        count += found.look(window).verdict == "drift" and not standing
    return count


def quiet(simulations: int, sizes: Sequence[int] = SIZES) -> None:
    """Months without drift: how many have more than one alert."""
    every, when = columns(), limits(effect=0.0)  # no effect is too small: the harder promise
    print("| rows a window | reference rows | months | alerts a month | more than one |")
    print("|---:|---:|---:|---:|---:|")
    for size in sizes:
        for rows in REFERENCES:
            draw = np.random.default_rng([1, size, rows])
            months = [
                sum(
                    alerts(column.stream(rows, when, draw),
                           draw.multinomial(size, column.shares, size=WINDOWS))
                    for column in every
                )
                for _ in range(simulations)
            ]  # fmt: skip
            more = np.mean([month > 1 for month in months])
            print(f"| {size:,} | {rows:,} | {simulations} | {np.mean(months):.3f} | {more:.1%} |",
                  flush=True)  # fmt: skip


def delay(found: Stream, shares: Array, size: int, draw: np.random.Generator) -> int | None:
    """The window in which drift is told, counted from 1; None if it is not."""
    for number in range(1, PATIENCE + 1):
        if found.look(draw.multinomial(size, shares)).verdict == "drift":
            return number
    return None


def power(simulations: int, size: int = 500) -> None:
    """A normal column that moves by so many standard deviations: how often and how soon."""
    column, when = columns()[0], limits()
    print("| shift | reference rows | found in a week | median windows | 9 of 10 within |")
    print("|---:|---:|---:|---:|---:|")
    for shift in SHIFTS:
        draw = np.random.default_rng(3)
        moved = profile.counted(pl.Series(draw.normal(shift, 1, POPULATION)), column.about)
        for rows in REFERENCES:
            found = [
                delay(column.stream(rows, when, draw), moved / moved.sum(), size, draw)
                for _ in range(simulations)
            ]
            told = [number for number in found if number is not None]
            late = sorted([number or np.inf for number in found])[int(0.9 * simulations)]
            middle = f"{np.median(told):.0f}" if told else "-"
            print(f"| {shift} sd | {rows:,} | {len(told) / simulations:.0%} | {middle} | "
                  f"{late:.0f} |".replace("inf", "-"), flush=True)  # fmt: skip


def by_hour(column: Column) -> Array:
    """What share is in each bin in each hour: ordered bins swing, words wax and wane in turn."""
    place = np.linspace(-1, 1, len(column.shares))
    if column.about["form"] == "word":
        place = np.cos(np.arange(len(place)) * 2.4)
    swing = SWING * np.sin(2 * np.pi * np.arange(HOURS) / HOURS)
    found = column.shares * np.exp(swing[:, None] * place)
    return found / found.sum(axis=1, keepdims=True)


def seasonal(column: Column, rows: int, when: Limits, windows: Array, draw: Any) -> list[int]:
    """The hours in which a stream of hours and one of whole days alarm."""
    usual = by_hour(column).mean(axis=0)
    days = Stream({**column.about, "counts": draw.multinomial(rows, usual)}, when)
    hours = Stream(column.about, when, EARLIER)
    found = []
    for hour, window in enumerate(windows):
        seen = [hours.look(window, hour % HOURS)]
        if hour % HOURS == HOURS - 1:
            seen.append(days.look(windows[hour - HOURS + 1 : hour + 1].sum(axis=0)))
        found += [hour] * any(one.verdict == "drift" for one in seen)
    return found


def seasons(simulations: int, size: int = 500) -> None:
    """Columns that differ by hour: months without drift, and a shift after three days."""
    every = columns()
    looks = WINDOWS + WINDOWS // HOURS
    level = threshold(looks, len(every))
    month = [by_hour(column)[np.arange(WINDOWS) % HOURS] for column in every]
    plain = sum(
        alerts(Stream({**c.about, "counts": draw.multinomial(5_000, of.mean(axis=0))},
                      Limits(level, 0.0)), draw.multinomial(size, of[:168])) > 0
        for draw in [np.random.default_rng(5)] for c, of in zip(every, month, strict=True)
    )  # fmt: skip
    print(f"without a season {plain} of {len(every)} columns alarm in a week")
    draw, when = np.random.default_rng(6), Limits(level, 0.0)
    months = [
        sum(len(seasonal(c, 5_000, when, draw.multinomial(size, of), draw)) > 0
            for c, of in zip(every, month, strict=True))
        for _ in range(simulations)
    ]  # fmt: skip
    print(f"with one: {np.mean(months):.3f} a month in {simulations} months, "
          f"more than one in {np.mean([m > 1 for m in months]):.1%}", flush=True)  # fmt: skip
    normal, swing = every[0], SWING * np.sin(2 * np.pi * np.arange(WINDOWS) / HOURS)
    for shift in SHIFTS:
        later = shift * (np.arange(WINDOWS) >= 3 * HOURS)
        delays = []
        for _ in range(simulations):
            windows = np.array([
                profile.counted(pl.Series(draw.normal(mean, 1, size)), normal.about)
                for mean in swing + later
            ])  # fmt: skip
            told = [hour for hour in seasonal(normal, 5_000, limits(), windows, draw)
                    if hour >= 3 * HOURS]  # fmt: skip
            delays.append(told[0] - 3 * HOURS + 1 if told else np.inf)
        found = np.mean(np.isfinite(delays))
        print(f"| {shift} sd | {found:.0%} | {np.median(delays):.0f} hours |", flush=True)


def speed(rows: int) -> None:
    """Counting a stream of rows in blocks: 12 columns of numbers and 8 of words."""
    made = {name: make(np.random.default_rng(4), BLOCK) for name, make in makers().items()}
    block = pl.DataFrame(made)
    about = {column.name: column.about for column in columns()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    totals = {name: np.zeros(len(profile.bins(one)), np.int64) for name, one in about.items()}
    start = time.perf_counter()
    for _ in range(rows // BLOCK):
        for name, one in about.items():
            totals[name] += profile.counted(block[name], one)
    taken = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{rows / taken / 1e6:.2f} M rows/s of {len(about)} columns, "
          f"{grown:.0f} MB more memory at most")  # fmt: skip


def watched(reference: pl.DataFrame, current: pl.DataFrame, window: int) -> tuple[int, int]:
    """Our own way with windows: in how many looks drift is told, and how many there were."""
    count = len(current.columns)
    streams = {}
    for name in current.columns:
        about = profile.learned(reference[name], reference[name])
        streams[name] = Stream(about, Limits(threshold(WINDOWS, count)))
    told = 0
    for part in current.iter_slices(window):
        for name, one in streams.items():
            told += one.look(profile.counted(part[name], one.about)).verdict == "drift"
    return told, count * -(-current.height // window)


def peers(venvs: Path) -> None:
    """The same rows in windows for ours, Evidently and NannyML, in turns; each by its defaults."""
    script = Path(__file__).parent / "peers" / "drift_tests.py"
    print("| rows a window | system | rows/s of 20 columns | drift told where there is none |")
    print("|---:|---|---|---:|")
    with tempfile.TemporaryDirectory() as aside:
        places = [Path(aside) / f"{name}.parquet" for name in ("reference", "current")]
        for window in SIZES[1:]:
            for seed, (place, height) in enumerate(
                zip(places, (REFERENCES[-1], TOGETHER * window), strict=True)
            ):
                made = {n: m(np.random.default_rng([7, seed]), height) for n, m in makers().items()}
                pl.DataFrame(made).fill_nan(None).write_parquet(place)
            reference, current = (pl.read_parquet(place) for place in places)
            found: dict[str, list[dict[str, float]]] = {"fieldcraft": [], **{n: [] for n in PEERS}}
            for _ in range(ROUNDS):
                start = time.perf_counter()
                told, looks = watched(reference, current, window)
                seconds = time.perf_counter() - start
                found["fieldcraft"].append({"seconds": seconds, "told": told, "looks": looks})
                for name in PEERS:
                    words = [python_of(venvs, name), script, name, *places, str(window)]
                    done = subprocess.run(words, capture_output=True, text=True, check=True)
                    found[name].append(json.loads(done.stdout.splitlines()[-1]))
            for name, rounds in found.items():
                speeds = ", ".join(f"{current.height / one['seconds']:,.0f}" for one in rounds)
                share = rounds[0]["told"] / rounds[0]["looks"]
                print(f"| {window:,} | {name} | {speeds} | {share:.1%} |", flush=True)


def main(arguments: Sequence[str]) -> None:
    what = arguments[0] if arguments else "power"
    if what == "peers":
        peers(Path(arguments[1]))
        return
    defaults = {"quiet": 100, "power": 100, "seasons": 20, "speed": 5_000_000}
    count = int(arguments[1]) if len(arguments) > 1 else defaults[what]
    if what == "quiet" and len(arguments) > 2:
        quiet(count, [int(arguments[2])])
    else:
        {"quiet": quiet, "power": power, "seasons": seasons, "speed": speed}[what](count)


if __name__ == "__main__":
    main(sys.argv[1:])
