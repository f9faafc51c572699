"""Startup time of the command line, and latency of a packaged model.

    python bench/startup.py [--project FOLDER]

`fieldcraft --help` is measured in turns with an empty Python program, as the median of 15 starts.
With a finished project, its bundle predicts rows of the project's table one at a time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median, quantiles

from fieldcraft import load_bundle
from fieldcraft.data.location import resolve_address
from fieldcraft.data.read import read_table
from fieldcraft.project.folder import ProjectFolder

N_STARTS = 15
N_CALLS = 300
N_WARMUP_CALLS = 20
BATCH_ROWS = 1_000


def time_start(*arguments: str) -> float:
    """Return the wall time of a Python process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def print_startup() -> None:
    """Print the time of `fieldcraft --help` as a multiple of an empty program's."""
    help_seconds, empty_seconds = [], []
    for _ in range(N_STARTS):
        help_seconds.append(time_start("-m", "fieldcraft", "--help"))
        empty_seconds.append(time_start("-c", "pass"))
    help_median, empty_median = median(help_seconds), median(empty_seconds)
    print(
        f"fieldcraft --help: {1000 * help_median:.0f} ms; "
        f"python -c pass: {1000 * empty_median:.0f} ms; ratio {help_median / empty_median:.1f}"
    )


def print_latency(folder: ProjectFolder) -> None:
    """Print the load time and prediction latency of a project's bundle."""
    settings = folder.load_settings()
    source = resolve_address(settings.data.source_files().train, folder.root)
    rows = read_table(source, settings.data.column_names).frame
    start = time.perf_counter()
    bundle = load_bundle(folder.bundle_path)
    load_seconds = time.perf_counter() - start
    latencies_ms = []
    for number in range(N_CALLS + N_WARMUP_CALLS):
        row = rows[number % rows.height]
        start = time.perf_counter()
        bundle.predict(row)
        latencies_ms.append(1000 * (time.perf_counter() - start))
    latencies_ms = latencies_ms[N_WARMUP_CALLS:]
    batch = rows[:BATCH_ROWS]
    start = time.perf_counter()
    bundle.predict(batch)
    ms_per_row = 1000 * (time.perf_counter() - start) / batch.height
    print(
        f"{bundle.manifest['title']} with {len(bundle.models)} members: loaded in "
        f"{1000 * load_seconds:.0f} ms; one row {median(latencies_ms):.1f} ms, 95th percentile "
        f"{quantiles(latencies_ms, n=20)[-1]:.1f} ms; "
        f"{ms_per_row:.3f} ms per row in a batch of {batch.height:,}"
    )


def main() -> None:
    """Measure startup, and the bundle of a project if given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--project", type=Path, help="folder of a finished project")
    options = parser.parse_args()
    print_startup()
    if options.project:
        print_latency(ProjectFolder.find(options.project))


if __name__ == "__main__":
    main()
