"""Measure how fast, large and hungry a bundle is, and compare it with what it must live within."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.core.formatting import format_number
from fieldcraft.core.types import Json
from fieldcraft.project.settings import DeploySettings

LATENCY_CALLS = 30  # of one row each
MEMORY_SCRIPT = """
import resource, sys
from fieldcraft.bundle.runtime import load_bundle
import polars as pl
load_bundle(sys.argv[1]).predict(pl.read_parquet(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
LIMIT_UNITS = {"latency": "ms a row", "size": "MB", "memory": "MB"}


def check_limits(bundle: Path, frame: pl.DataFrame, limits: DeploySettings) -> Json:
    """What the bundle needs, and which of the limits of the project file it breaks.

    Latency is the median over calls with one row from Python; memory that of a fresh process
    which loads the bundle and predicts a thousand rows.
    """
    measured = {"latency": measure_latency_ms(bundle, frame), "size": measure_size_mb(bundle)}
    if limits.max_memory_mb is not None:
        measured["memory"] = measure_peak_memory_mb(bundle, frame)
    limit_values = limits.model_dump(include=set(LIMIT_UNITS))
    exceeded = [
        f"{name} is {format_number(value)} {LIMIT_UNITS[name]}, allowed {format_number(limit_values[name])}"
        for name, value in measured.items()
        if limit_values[name] is not None and value > limit_values[name]
    ]
    return {**measured, "broken": exceeded}


def measure_latency_ms(bundle: Path, frame: pl.DataFrame) -> float:
    """Milliseconds for one row, the median over some calls."""
    bundle_model = load_bundle(bundle)
    milliseconds = []
    for call in range(LATENCY_CALLS):
        row = frame[call % frame.height]
        start = time.perf_counter()
        bundle_model.predict(row)
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return float(np.median(milliseconds))


def measure_size_mb(bundle: Path) -> float:
    """Megabytes of all files."""
    return sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file()) / 1e6


def measure_peak_memory_mb(bundle: Path, frame: pl.DataFrame) -> float:
    """Megabytes at the peak of a process of its own."""
    sample_path = bundle.parent / "sample.parquet"
    frame.head(1_000).write_parquet(sample_path)
    try:
        completed = subprocess.run(
            [sys.executable, "-c", MEMORY_SCRIPT, str(bundle), str(sample_path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    finally:
        sample_path.unlink()
    return int(completed.stdout) / 1e3 if sys.platform != "darwin" else int(completed.stdout) / 1e6
