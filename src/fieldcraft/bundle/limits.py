"""Measure how fast, large and hungry a bundle is, and compare it with what it must live within."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.bundle.runtime import load_bundle
from fieldcraft.contracts import Json
from fieldcraft.core.words import figure
from fieldcraft.project.settings import Deploy

CALLS = 30  # of one row each
MEASURE = """
import resource, sys
from fieldcraft.bundle.runtime import load_bundle
import polars as pl
load_bundle(sys.argv[1]).predict(pl.read_parquet(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
UNITS = {"latency": "ms a row", "size": "MB", "memory": "MB"}


def check_limits(bundle: Path, frame: pl.DataFrame, deploy: Deploy) -> Json:
    """What the bundle needs, and which of the limits of the project file it breaks.

    Latency is the median over calls with one row from Python; memory that of a fresh process
    which loads the bundle and predicts a thousand rows.
    """
    needs = {"latency": latency(bundle, frame), "size": size(bundle)}
    if deploy.memory is not None:
        needs["memory"] = memory(bundle, frame)
    allowed = deploy.model_dump(include=set(UNITS))
    broken = [
        f"{name} is {figure(need)} {UNITS[name]}, allowed {figure(allowed[name])}"
        for name, need in needs.items()
        if allowed[name] is not None and need > allowed[name]
    ]
    return {**needs, "broken": broken}


def latency(bundle: Path, frame: pl.DataFrame) -> float:
    """Milliseconds for one row, the median over some calls."""
    loaded = load_bundle(bundle)
    taken = []
    for number in range(CALLS):
        row = frame[number % frame.height]
        start = time.perf_counter()
        loaded.predict(row)
        taken.append(1e3 * (time.perf_counter() - start))
    return float(np.median(taken))


def size(bundle: Path) -> float:
    """Megabytes of all files."""
    return sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file()) / 1e6


def memory(bundle: Path, frame: pl.DataFrame) -> float:
    """Megabytes at the peak of a process of its own."""
    rows = bundle.parent / "sample.parquet"
    frame.head(1_000).write_parquet(rows)
    try:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(bundle), str(rows)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    finally:
        rows.unlink()
    return int(done.stdout) / 1e3 if sys.platform != "darwin" else int(done.stdout) / 1e6
