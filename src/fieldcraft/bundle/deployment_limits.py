"""Measure the latency, size and memory of a bundle and compare them with the project's limits."""

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

LATENCY_CALLS = 30  # with one row each
MEMORY_SCRIPT = """
import sys
from fieldcraft.bundle.runtime import load_bundle
import polars as pl
load_bundle(sys.argv[1]).predict(pl.read_parquet(sys.argv[2]))
if sys.platform == "linux":
    # Not ru_maxrss, which a process inherits from the one that started it. In kibibytes.
    with open("/proc/self/status") as status:
        print(next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM")))
elif sys.platform == "win32":
    import psutil
    print(psutil.Process().memory_info().peak_wset)
else:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
# Title and unit of each measured value; its limit is the setting ``max_<name>``.
LIMIT_TITLES = {
    "latency_ms": ("latency", "ms per row"),
    "size_mb": ("size", "MB"),
    "memory_mb": ("memory", "MB"),
}


def check_limits(bundle: Path, frame: pl.DataFrame, limits: DeploySettings) -> Json:
    """The latency, size and memory of a bundle, and which limits of the project file they exceed.

    Latency is the median over calls with one row from Python; memory is the peak of a new process
    that loads the bundle and predicts a thousand rows.

    Returns:
        ``latency_ms``, ``size_mb``, ``memory_mb`` if it has a limit, and ``exceeded``, a sentence
        for each limit that is exceeded.
    """
    measured = {
        "latency_ms": measure_latency_ms(bundle, frame),
        "size_mb": measure_size_mb(bundle),
    }
    # A new process takes seconds, so memory is measured only where it matters.
    if limits.max_memory_mb is not None:
        measured["memory_mb"] = measure_peak_memory_mb(bundle, frame)
    exceeded = []
    for name, value in measured.items():
        limit = getattr(limits, f"max_{name}")
        if limit is not None and value > limit:
            title, unit = LIMIT_TITLES[name]
            exceeded.append(
                f"{title} is {format_number(value)} {unit}, allowed {format_number(limit)}"
            )
    return {**measured, "exceeded": exceeded}


def measure_latency_ms(bundle: Path, frame: pl.DataFrame) -> float:
    """The median time of a call with one row, in milliseconds."""
    bundle_model = load_bundle(bundle)
    milliseconds = []
    for call in range(LATENCY_CALLS):
        row = frame[call % frame.height]
        start = time.perf_counter()
        bundle_model.predict(row)
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return float(np.median(milliseconds))


def measure_size_mb(bundle: Path) -> float:
    """The size of all files, in megabytes."""
    return sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file()) / 1e6


def measure_peak_memory_mb(bundle: Path, frame: pl.DataFrame) -> float:
    """The peak memory of a process that only predicts, in megabytes."""
    sample_path = bundle.parent / "sample.parquet"
    frame.head(1_000).write_parquet(sample_path)
    try:
        completed = subprocess.run(
            [sys.executable, "-c", MEMORY_SCRIPT, str(bundle), str(sample_path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    finally:
        sample_path.unlink()
    return int(completed.stdout) / 1e6
