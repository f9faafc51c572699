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

from fieldcraft.monitoring import drift_detector
from fieldcraft.monitoring.drift_detector import AlarmLimits, DriftDetector
from fieldcraft.monitoring.seasonality import SLOT_WARMUP
from fieldcraft.statistics import reference_profile
from fieldcraft.statistics.sequential import alarm_threshold

Array = Any
POPULATION = 400_000
TRAINING = 20_000
WINDOWS = 720
HOURS = 24
SWING_LOG_RATIO = 0.5  # how much columns differ by hour
SIZES = (50, 500, 5_000)
REFERENCES = (2_000, 5_000, 50_000)
SHIFTS = (0.1, 0.2, 0.3, 0.5)
ROUNDS, WINDOWS_AT_ONCE = 3, 20  # windows that are looked at in one go
PEERS = ("evidently", "nannyml")  # each in an environment of that name
MAX_DELAY_WINDOWS = 168  # windows that a shift is looked for
COUNTED_ROWS_AT_ONCE = 100_000  # rows that are counted at once

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
ZERO_FRACTIONS = (0.5, 0.8, 0.95, 0.99)  # share of zeros in a skewed column
LEVELS = (3, 5, 10, 30, 100, 300, 1_000, 1_000)
EXPONENTS = (0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)  # of Zipf's law; 0: all levels alike


@dataclass(frozen=True)
class SimulatedColumn:
    """A column: how its bins are made, and what share of a population is in each."""

    name: str
    bin_spec: Any
    fractions: Array

    def stream(self, rows: int, limits: AlarmLimits, draw: np.random.Generator) -> DriftDetector:
        """A stream with a fresh sample of reference rows."""
        return DriftDetector(
            {**self.bin_spec, "counts": draw.multinomial(rows, self.fractions)}, limits
        )


def draw_spiky(draw: np.random.Generator, rows: int, zero_fraction: float) -> Array:
    return np.where(draw.random(rows) < zero_fraction, 0.0, np.exp(draw.normal(size=rows)))


def draw_words(draw: np.random.Generator, rows: int, levels: int, exponent: float) -> pl.Series:
    weights = np.arange(1, levels + 1) ** -exponent
    codes = draw.choice(levels, rows, p=weights / weights.sum())
    return pl.Series([f"level {i}" for i in range(levels)])[codes]


def column_generators() -> dict[str, Callable[[np.random.Generator, int], pl.Series]]:
    generators: dict[str, Callable[[np.random.Generator, int], pl.Series]] = {}
    for name, make in NUMBERS.items():
        generators[name] = lambda draw, rows, make=make: pl.Series(make(draw, rows))
    for share in ZERO_FRACTIONS:
        generators[f"{share:.0%} zeros"] = lambda d, rows, share=share: pl.Series(
            draw_spiky(d, rows, share)
        )
    for at, (levels, exponent) in enumerate(zip(LEVELS, EXPONENTS, strict=True)):
        generators[f"{levels} levels ({at})"] = lambda d, rows, k=levels, e=exponent: draw_words(
            d, rows, k, e
        )
    return generators


def simulate_columns(seed: int = 0) -> list[SimulatedColumn]:
    simulated = []
    for name, make in column_generators().items():
        draw = np.random.default_rng([seed, len(simulated)])
        training = make(draw, TRAINING)
        about = reference_profile.fit_reference_profile(training, training[:100])
        counts = reference_profile.bin_counts(make(draw, POPULATION), about)
        simulated.append(SimulatedColumn(name, about, counts / counts.sum()))
    return simulated


def make_limits(effect: float = drift_detector.MIN_JS_DISTANCE) -> AlarmLimits:
    count = len(column_generators())
    return AlarmLimits(
        alarm_threshold(WINDOWS, count),
        effect,
        drift_detector.false_break_probability(WINDOWS, count),
    )


def count_alerts(detector: DriftDetector, windows: Array) -> int:
    """How often a stream alarms: drift, each time it is found anew, or a broken window."""
    count = 0
    for window in windows:
        standing = detector.alarm is not None
        if drift_detector.find_issues(
            window, detector.profile, detector.limits.false_break_probability
        ):
            count += 1
        count += detector.update(window).verdict == "drift" and not standing
    return count


def print_false_alarms(simulations: int, sizes: Sequence[int] = SIZES) -> None:
    """Months without drift: how many have more than one alert."""
    every, when = (
        simulate_columns(),
        make_limits(effect=0.0),
    )  # no effect is too small: the harder promise
    print("| rows a window | reference rows | months | alerts a month | more than one |")
    print("|---:|---:|---:|---:|---:|")
    for size in sizes:
        for rows in REFERENCES:
            draw = np.random.default_rng([1, size, rows])
            months = [
                sum(
                    count_alerts(column.stream(rows, when, draw),
                           draw.multinomial(size, column.fractions, size=WINDOWS))
                    for column in every
                )
                for _ in range(simulations)
            ]  # fmt: skip
            more = np.mean([month > 1 for month in months])
            print(f"| {size:,} | {rows:,} | {simulations} | {np.mean(months):.3f} | {more:.1%} |",
                  flush=True)  # fmt: skip


def measure_delay(
    detector: DriftDetector, fractions: Array, size: int, draw: np.random.Generator
) -> int | None:
    """The window in which drift is told, counted from 1; None if it is not."""
    for number in range(1, MAX_DELAY_WINDOWS + 1):
        if detector.update(draw.multinomial(size, fractions)).verdict == "drift":
            return number
    return None


def print_power(simulations: int, size: int = 500) -> None:
    """A normal column that moves by so many standard deviations: how often and how soon."""
    column, when = simulate_columns()[0], make_limits()
    print("| shift | reference rows | found in a week | median windows | 9 of 10 within |")
    print("|---:|---:|---:|---:|---:|")
    for shift in SHIFTS:
        draw = np.random.default_rng(3)
        moved = reference_profile.bin_counts(
            pl.Series(draw.normal(shift, 1, POPULATION)), column.bin_spec
        )
        for rows in REFERENCES:
            delays = [
                measure_delay(column.stream(rows, when, draw), moved / moved.sum(), size, draw)
                for _ in range(simulations)
            ]
            detected = [number for number in delays if number is not None]
            late = sorted([number or np.inf for number in delays])[int(0.9 * simulations)]
            middle = f"{np.median(detected):.0f}" if detected else "-"
            print(f"| {shift} sd | {rows:,} | {len(detected) / simulations:.0%} | {middle} | "
                  f"{late:.0f} |".replace("inf", "-"), flush=True)  # fmt: skip


def hourly_fractions(column: SimulatedColumn) -> Array:
    """What share is in each bin in each hour: ordered bins swing, words wax and wane in turn."""
    place = np.linspace(-1, 1, len(column.fractions))
    if column.bin_spec["type"] == "categorical":
        place = np.cos(np.arange(len(place)) * 2.4)
    swing = SWING_LOG_RATIO * np.sin(2 * np.pi * np.arange(HOURS) / HOURS)
    hourly = column.fractions * np.exp(swing[:, None] * place)
    return hourly / hourly.sum(axis=1, keepdims=True)


def seasonal_alarm_hours(
    column: SimulatedColumn, rows: int, when: AlarmLimits, windows: Array, draw: Any
) -> list[int]:
    """The hours in which a stream of hours and one of whole days alarm."""
    usual = hourly_fractions(column).mean(axis=0)
    days = DriftDetector({**column.bin_spec, "counts": draw.multinomial(rows, usual)}, when)
    hours = DriftDetector(column.bin_spec, when, SLOT_WARMUP)
    alarm_hours = []
    for hour, window in enumerate(windows):
        seen = [hours.update(window, hour % HOURS)]
        if hour % HOURS == HOURS - 1:
            seen.append(days.update(windows[hour - HOURS + 1 : hour + 1].sum(axis=0)))
        alarm_hours += [hour] * any(status.verdict == "drift" for status in seen)
    return alarm_hours


def print_seasonal(simulations: int, size: int = 500) -> None:
    """Columns that differ by hour: months without drift, and a shift after three days."""
    every = simulate_columns()
    looks = WINDOWS + WINDOWS // HOURS
    level = alarm_threshold(looks, len(every))
    month = [hourly_fractions(column)[np.arange(WINDOWS) % HOURS] for column in every]
    plain = sum(
        count_alerts(DriftDetector({
                          **c.bin_spec, "counts": draw.multinomial(5_000, of.mean(axis=0))},
                      AlarmLimits(level, 0.0)), draw.multinomial(size, of[:168])) > 0
        for draw in [np.random.default_rng(5)] for c, of in zip(every, month, strict=True)
    )  # fmt: skip
    print(f"without a season {plain} of {len(every)} columns alarm in a week")
    draw, when = np.random.default_rng(6), AlarmLimits(level, 0.0)
    months = [
        sum(len(seasonal_alarm_hours(c, 5_000, when, draw.multinomial(size, of), draw)) > 0
            for c, of in zip(every, month, strict=True))
        for _ in range(simulations)
    ]  # fmt: skip
    print(f"with one: {np.mean(months):.3f} a month in {simulations} months, "
          f"more than one in {np.mean([m > 1 for m in months]):.1%}", flush=True)  # fmt: skip
    normal, swing = every[0], SWING_LOG_RATIO * np.sin(2 * np.pi * np.arange(WINDOWS) / HOURS)
    for shift in SHIFTS:
        later = shift * (np.arange(WINDOWS) >= 3 * HOURS)
        delays = []
        for _ in range(simulations):
            windows = np.array([
                reference_profile.bin_counts(pl.Series(draw.normal(mean, 1, size)), normal.bin_spec)
                for mean in swing + later
            ])  # fmt: skip
            hours = seasonal_alarm_hours(normal, 5_000, make_limits(), windows, draw)
            alarm_hours = [hour for hour in hours
                    if hour >= 3 * HOURS]  # fmt: skip
            delays.append(alarm_hours[0] - 3 * HOURS + 1 if alarm_hours else np.inf)
        detected_fraction = np.mean(np.isfinite(delays))
        print(
            f"| {shift} sd | {detected_fraction:.0%} | {np.median(delays):.0f} hours |", flush=True
        )


def print_speed(rows: int) -> None:
    """Counting a stream of rows in blocks: 12 columns of numbers and 8 of words."""
    made = {
        name: make(np.random.default_rng(4), COUNTED_ROWS_AT_ONCE)
        for name, make in column_generators().items()
    }
    block = pl.DataFrame(made)
    about = {column.name: column.bin_spec for column in simulate_columns()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    totals = {
        name: np.zeros(len(reference_profile.bin_names(detector)), np.int64)
        for name, detector in about.items()
    }
    start = time.perf_counter()
    for _ in range(rows // COUNTED_ROWS_AT_ONCE):
        for name, detector in about.items():
            totals[name] += reference_profile.bin_counts(block[name], detector)
    seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{rows / seconds / 1e6:.2f} M rows/s of {len(about)} columns, "
          f"{grown:.0f} MB more memory at most")  # fmt: skip


def count_detections(
    reference: pl.DataFrame, current: pl.DataFrame, window: int
) -> tuple[int, int]:
    """Our own way with windows: in how many looks drift is told, and how many there were."""
    count = len(current.columns)
    streams = {}
    for name in current.columns:
        about = reference_profile.fit_reference_profile(reference[name], reference[name])
        streams[name] = DriftDetector(about, AlarmLimits(alarm_threshold(WINDOWS, count)))
    n_detected = 0
    for part in current.iter_slices(window):
        for name, detector in streams.items():
            n_detected += (
                detector.update(reference_profile.bin_counts(part[name], detector.profile)).verdict
                == "drift"
            )
    return n_detected, count * -(-current.height // window)


def print_peers(venvs: Path) -> None:
    """The same rows in windows for ours, Evidently and NannyML, in turns; each by its defaults."""
    script = Path(__file__).parent / "peers" / "drift_tests.py"
    print("| rows a window | system | rows/s of 20 columns | drift told where there is none |")
    print("|---:|---|---|---:|")
    with tempfile.TemporaryDirectory() as aside:
        places = [Path(aside) / f"{name}.parquet" for name in ("reference", "current")]
        for window in SIZES[1:]:
            for seed, (place, height) in enumerate(
                zip(places, (REFERENCES[-1], WINDOWS_AT_ONCE * window), strict=True)
            ):
                made = {
                    n: m(np.random.default_rng([7, seed]), height)
                    for n, m in column_generators().items()
                }
                pl.DataFrame(made).fill_nan(None).write_parquet(place)
            reference, current = (pl.read_parquet(place) for place in places)
            results: dict[str, list[dict[str, float]]] = {
                "fieldcraft": [],
                **{n: [] for n in PEERS},
            }
            for _ in range(ROUNDS):
                start = time.perf_counter()
                n_detected, looks = count_detections(reference, current, window)
                seconds = time.perf_counter() - start
                results["fieldcraft"].append(
                    {"seconds": seconds, "told": n_detected, "looks": looks}
                )
                for name in PEERS:
                    words = [python_of(venvs, name), script, name, *places, str(window)]
                    done = subprocess.run(words, capture_output=True, text=True, check=True)
                    results[name].append(json.loads(done.stdout.splitlines()[-1]))
            for name, rounds in results.items():
                speeds = ", ".join(
                    f"{current.height / round_['seconds']:,.0f}" for round_ in rounds
                )
                share = rounds[0]["told"] / rounds[0]["looks"]
                print(f"| {window:,} | {name} | {speeds} | {share:.1%} |", flush=True)


def main(arguments: Sequence[str]) -> None:
    what = arguments[0] if arguments else "power"
    if what == "peers":
        print_peers(Path(arguments[1]))
        return
    defaults = {"quiet": 100, "power": 100, "seasons": 20, "speed": 5_000_000}
    count = int(arguments[1]) if len(arguments) > 1 else defaults[what]
    if what == "quiet" and len(arguments) > 2:
        print_false_alarms(count, [int(arguments[2])])
    else:
        {
            "quiet": print_false_alarms,
            "power": print_power,
            "seasons": print_seasonal,
            "speed": print_speed,
        }[what](count)


if __name__ == "__main__":
    main(sys.argv[1:])
