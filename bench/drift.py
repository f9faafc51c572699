"""False alarms, detection delay and speed of drift detection.

    python bench/drift.py quiet [SIMULATIONS] [ROWS]   720 windows x 20 columns without drift
    python bench/drift.py power [SIMULATIONS]          a shift in one of 20 columns
    python bench/drift.py seasons [SIMULATIONS]        the same with daily seasonality
    python bench/drift.py speed [ROWS]                 counting rows of 20 columns
    python bench/drift.py peers VENVS                  Evidently and NannyML, without drift

The counts of windows are drawn from the bin fractions of a large population, which is equivalent to
drawing rows and counting them. Each simulation draws new reference rows; bins are fitted once.
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
SWING_LOG_RATIO = 0.5  # amplitude of the daily seasonality
SIZES = (50, 500, 5_000)
REFERENCES = (2_000, 5_000, 50_000)
SHIFTS = (0.1, 0.2, 0.3, 0.5)
ROUNDS, WINDOWS_AT_ONCE = 3, 20  # rounds, and windows in each
PEERS = ("evidently", "nannyml")  # names of their environments
MAX_DELAY_WINDOWS = 168  # windows in which a shift can be detected
COUNTED_ROWS_AT_ONCE = 100_000  # rows per block

NUMBERS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": lambda rng, rows: rng.normal(size=rows),
    "rounded normal": lambda rng, rows: rng.normal(size=rows).round(1),
    "uniform": lambda rng, rows: rng.uniform(size=rows),
    "exponential": lambda rng, rows: rng.exponential(size=rows),
    "lognormal": lambda rng, rows: np.exp(2 * rng.normal(size=rows)),
    "bimodal": lambda rng, rows: rng.normal(size=rows) + 5 * (rng.random(rows) < 0.3),
    "counts": lambda rng, rows: rng.poisson(2.0, rows).astype(float),
    "gaps": lambda rng, rows: np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
}
ZERO_FRACTIONS = (0.5, 0.8, 0.95, 0.99)  # of the rows of skewed columns
LEVELS = (3, 5, 10, 30, 100, 300, 1_000, 1_000)
EXPONENTS = (0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)  # of Zipf's law; 0: equally frequent


@dataclass(frozen=True)
class SimulatedColumn:
    """A column: its profile, and the fraction of a population in each bin."""

    name: str
    bin_spec: Any
    fractions: Array

    def make_detector(
        self, rows: int, limits: AlarmLimits, rng: np.random.Generator
    ) -> DriftDetector:
        """Return a detector with a new sample of reference rows."""
        return DriftDetector(
            {**self.bin_spec, "bin_counts": rng.multinomial(rows, self.fractions)}, limits
        )


def draw_skewed(rng: np.random.Generator, rows: int, zero_fraction: float) -> Array:
    """Draw zeros, and lognormal values for the rest."""
    return np.where(rng.random(rows) < zero_fraction, 0.0, np.exp(rng.normal(size=rows)))


def draw_levels(rng: np.random.Generator, rows: int, levels: int, exponent: float) -> pl.Series:
    """Draw categories whose frequencies follow Zipf's law."""
    weights = np.arange(1, levels + 1) ** -exponent
    codes = rng.choice(levels, rows, p=weights / weights.sum())
    return pl.Series([f"level {i}" for i in range(levels)])[codes]


def column_generators() -> dict[str, Callable[[np.random.Generator, int], pl.Series]]:
    """Return a function that draws values for each of the 20 columns, by name."""
    generators: dict[str, Callable[[np.random.Generator, int], pl.Series]] = {}
    for name, make in NUMBERS.items():
        generators[name] = lambda rng, rows, make=make: pl.Series(make(rng, rows))
    for zero_fraction in ZERO_FRACTIONS:
        generators[f"{zero_fraction:.0%} zeros"] = lambda rng, rows, fraction=zero_fraction: (
            pl.Series(draw_skewed(rng, rows, fraction))
        )
    for index, (levels, exponent) in enumerate(zip(LEVELS, EXPONENTS, strict=True)):
        generators[f"{levels} levels ({index})"] = lambda rng, rows, k=levels, e=exponent: (
            draw_levels(rng, rows, k, e)
        )
    return generators


def simulate_columns(seed: int = 0) -> list[SimulatedColumn]:
    """Fit the bins of every column, and count a large population in them."""
    simulated: list[SimulatedColumn] = []
    for name, make in column_generators().items():
        rng = np.random.default_rng([seed, len(simulated)])
        training = make(rng, TRAINING)
        profile = reference_profile.fit_reference_profile(training, training[:100])
        counts = reference_profile.bin_counts(make(rng, POPULATION), profile)
        simulated.append(SimulatedColumn(name, profile, counts / counts.sum()))
    return simulated


def make_limits(effect: float = drift_detector.MIN_JS_DISTANCE) -> AlarmLimits:
    """Return the alarm limits for a month of hourly windows of all columns."""
    count = len(column_generators())
    return AlarmLimits(
        alarm_threshold(WINDOWS, count),
        effect,
        drift_detector.issue_false_positive_rate(WINDOWS, count),
    )


def count_alerts(detector: DriftDetector, windows: Array) -> int:
    """Count the alerts of a detector: new drift alarms and data quality issues."""
    count = 0
    for window in windows:
        was_active = detector.alarm is not None
        if drift_detector.find_issues(
            window, detector.profile, detector.limits.issue_false_positive_rate
        ):
            count += 1
        count += detector.update(window).verdict == "drift" and not was_active
    return count


def print_false_alarms(simulations: int, sizes: Sequence[int] = SIZES) -> None:
    """Print how many months without drift have more than one alert."""
    # Every effect size counts, which is the harder case.
    columns, limits = simulate_columns(), make_limits(effect=0.0)
    print("| rows per window | reference rows | months | alerts per month | more than one |")
    print("|---:|---:|---:|---:|---:|")
    for size in sizes:
        for rows in REFERENCES:
            rng = np.random.default_rng([1, size, rows])
            months = [
                sum(
                    count_alerts(column.make_detector(rows, limits, rng),
                           rng.multinomial(size, column.fractions, size=WINDOWS))
                    for column in columns
                )
                for _ in range(simulations)
            ]  # fmt: skip
            noisy = np.mean([month > 1 for month in months])
            print(
                f"| {size:,} | {rows:,} | {simulations} | {np.mean(months):.3f} | {noisy:.1%} |",
                flush=True,
            )


def measure_delay(
    detector: DriftDetector, fractions: Array, size: int, rng: np.random.Generator
) -> int | None:
    """Return the window of the drift alarm, counted from 1; None without one."""
    for number in range(1, MAX_DELAY_WINDOWS + 1):
        if detector.update(rng.multinomial(size, fractions)).verdict == "drift":
            return number
    return None


def print_power(simulations: int, size: int = 500) -> None:
    """Print how often and how soon shifts of a normal column are detected."""
    column, limits = simulate_columns()[0], make_limits()
    print("| shift | reference rows | detected in a week | median windows | 90% within |")
    print("|---:|---:|---:|---:|---:|")
    for shift in SHIFTS:
        rng = np.random.default_rng(3)
        shifted_counts = reference_profile.bin_counts(
            pl.Series(rng.normal(shift, 1, POPULATION)), column.bin_spec
        )
        for rows in REFERENCES:
            delays = [
                measure_delay(
                    column.make_detector(rows, limits, rng),
                    shifted_counts / shifted_counts.sum(),
                    size,
                    rng,
                )
                for _ in range(simulations)
            ]
            detected = [number for number in delays if number is not None]
            percentile_90 = sorted([number or np.inf for number in delays])[int(0.9 * simulations)]
            median_delay = f"{np.median(detected):.0f}" if detected else "-"
            print(f"| {shift} sd | {rows:,} | {len(detected) / simulations:.0%} | {median_delay} | "
                  f"{percentile_90:.0f} |".replace("inf", "-"), flush=True)  # fmt: skip


def hourly_fractions(column: SimulatedColumn) -> Array:
    """Return the fraction in each bin by hour: numbers shift, categories change in turn."""
    position = np.linspace(-1, 1, len(column.fractions))
    if column.bin_spec["type"] == "categorical":
        position = np.cos(np.arange(len(position)) * 2.4)
    swing = SWING_LOG_RATIO * np.sin(2 * np.pi * np.arange(HOURS) / HOURS)
    hourly = column.fractions * np.exp(swing[:, None] * position)
    return hourly / hourly.sum(axis=1, keepdims=True)


def seasonal_alarm_hours(
    column: SimulatedColumn, rows: int, limits: AlarmLimits, windows: Array, rng: Any
) -> list[int]:
    """Return the hours with an alarm of the hourly or the daily detector."""
    daily_fractions = hourly_fractions(column).mean(axis=0)
    daily_detector = DriftDetector(
        {**column.bin_spec, "bin_counts": rng.multinomial(rows, daily_fractions)}, limits
    )
    hourly_detector = DriftDetector(column.bin_spec, limits, SLOT_WARMUP)
    alarm_hours = []
    for hour, window in enumerate(windows):
        statuses = [hourly_detector.update(window, hour % HOURS)]
        if hour % HOURS == HOURS - 1:
            statuses.append(daily_detector.update(windows[hour - HOURS + 1 : hour + 1].sum(axis=0)))
        alarm_hours += [hour] * any(status.verdict == "drift" for status in statuses)
    return alarm_hours


def print_seasonal(simulations: int, size: int = 500) -> None:
    """Print false alarms and detection delays of columns with daily seasonality."""
    columns = simulate_columns()
    n_tests = WINDOWS + WINDOWS // HOURS
    log_level = alarm_threshold(n_tests, len(columns))
    hourly_by_column = [hourly_fractions(column)[np.arange(WINDOWS) % HOURS] for column in columns]
    rng, unseasonal = np.random.default_rng(5), 0
    for column, fractions in zip(columns, hourly_by_column, strict=True):
        reference = rng.multinomial(5_000, fractions.mean(axis=0))
        detector = DriftDetector(
            {**column.bin_spec, "bin_counts": reference}, AlarmLimits(log_level, 0.0)
        )
        unseasonal += count_alerts(detector, rng.multinomial(size, fractions[:168])) > 0
    print(f"without seasonality {unseasonal} of {len(columns)} columns alarm in a week")
    rng, limits = np.random.default_rng(6), AlarmLimits(log_level, 0.0)
    months = [
        sum(len(seasonal_alarm_hours(c, 5_000, limits, rng.multinomial(size, fractions), rng)) > 0
            for c, fractions in zip(columns, hourly_by_column, strict=True))
        for _ in range(simulations)
    ]  # fmt: skip
    print(f"with seasonality: {np.mean(months):.3f} alarms per month in {simulations} months, "
          f"more than one in {np.mean([m > 1 for m in months]):.1%}", flush=True)  # fmt: skip
    normal, swing = columns[0], SWING_LOG_RATIO * np.sin(2 * np.pi * np.arange(WINDOWS) / HOURS)
    for shift in SHIFTS:
        later = shift * (np.arange(WINDOWS) >= 3 * HOURS)
        delays = []
        for _ in range(simulations):
            windows = np.array([
                reference_profile.bin_counts(pl.Series(rng.normal(mean, 1, size)), normal.bin_spec)
                for mean in swing + later
            ])  # fmt: skip
            hours = seasonal_alarm_hours(normal, 5_000, make_limits(), windows, rng)
            alarm_hours = [hour for hour in hours if hour >= 3 * HOURS]
            delays.append(alarm_hours[0] - 3 * HOURS + 1 if alarm_hours else np.inf)
        detected_fraction = np.mean(np.isfinite(delays))
        print(
            f"| {shift} sd | {detected_fraction:.0%} | {np.median(delays):.0f} hours |", flush=True
        )


def print_speed(rows: int) -> None:
    """Print the speed of counting rows in blocks: 12 numeric and 8 categorical columns."""
    values = {
        name: make(np.random.default_rng(4), COUNTED_ROWS_AT_ONCE)
        for name, make in column_generators().items()
    }
    block = pl.DataFrame(values)
    profiles = {column.name: column.bin_spec for column in simulate_columns()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    totals = {
        name: np.zeros(len(reference_profile.bin_names(profile)), np.int64)
        for name, profile in profiles.items()
    }
    start = time.perf_counter()
    for _ in range(rows // COUNTED_ROWS_AT_ONCE):
        for name, profile in profiles.items():
            totals[name] += reference_profile.bin_counts(block[name], profile)
    seconds = time.perf_counter() - start
    growth_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{rows / seconds / 1e6:.2f} M rows/s of {len(profiles)} columns, "
          f"{growth_mb:.0f} MB more peak memory")  # fmt: skip


def count_detections(
    reference: pl.DataFrame, current: pl.DataFrame, window: int
) -> tuple[int, int]:
    """Return the number of drift alarms of fieldcraft, and the number of tests."""
    count = len(current.columns)
    detectors = {}
    for name in current.columns:
        profile = reference_profile.fit_reference_profile(reference[name], reference[name])
        detectors[name] = DriftDetector(profile, AlarmLimits(alarm_threshold(WINDOWS, count)))
    n_detected = 0
    for part in current.iter_slices(window):
        for name, detector in detectors.items():
            n_detected += (
                detector.update(reference_profile.bin_counts(part[name], detector.profile)).verdict
                == "drift"
            )
    return n_detected, count * -(-current.height // window)


def print_peers(venvs: Path) -> None:
    """Print speed and false alarms of fieldcraft, Evidently and NannyML with their defaults."""
    script = Path(__file__).parent / "peers" / "drift_tests.py"
    print("| rows per window | system | rows/s of 20 columns | false alarms |")
    print("|---:|---|---|---:|")
    with tempfile.TemporaryDirectory() as temporary_folder:
        paths = [Path(temporary_folder) / f"{name}.parquet" for name in ("reference", "current")]
        for window in SIZES[1:]:
            for seed, (path, height) in enumerate(
                zip(paths, (REFERENCES[-1], WINDOWS_AT_ONCE * window), strict=True)
            ):
                values = {
                    n: m(np.random.default_rng([7, seed]), height)
                    for n, m in column_generators().items()
                }
                pl.DataFrame(values).fill_nan(None).write_parquet(path)
            reference, current = (pl.read_parquet(path) for path in paths)
            results: dict[str, list[dict[str, float]]] = {
                "fieldcraft": [],
                **{n: [] for n in PEERS},
            }
            for _ in range(ROUNDS):
                start = time.perf_counter()
                n_detected, n_tests = count_detections(reference, current, window)
                seconds = time.perf_counter() - start
                results["fieldcraft"].append(
                    {"seconds": seconds, "n_detected": n_detected, "n_tests": n_tests}
                )
                for name in PEERS:
                    command = [python_of(venvs, name), script, name, *paths, str(window)]
                    completed = subprocess.run(command, capture_output=True, text=True, check=True)
                    results[name].append(json.loads(completed.stdout.splitlines()[-1]))
            for name, rounds in results.items():
                speeds = ", ".join(
                    f"{current.height / round_['seconds']:,.0f}" for round_ in rounds
                )
                fraction = rounds[0]["n_detected"] / rounds[0]["n_tests"]
                print(f"| {window:,} | {name} | {speeds} | {fraction:.1%} |", flush=True)


def main(arguments: Sequence[str]) -> None:
    """Run the benchmark that the first argument names."""
    command = arguments[0] if arguments else "power"
    if command == "peers":
        print_peers(Path(arguments[1]))
        return
    defaults = {"quiet": 100, "power": 100, "seasons": 20, "speed": 5_000_000}
    count = int(arguments[1]) if len(arguments) > 1 else defaults[command]
    if command == "quiet" and len(arguments) > 2:
        print_false_alarms(count, [int(arguments[2])])
    else:
        {
            "quiet": print_false_alarms,
            "power": print_power,
            "seasons": print_seasonal,
            "speed": print_speed,
        }[command](count)


if __name__ == "__main__":
    main(sys.argv[1:])
