"""How long the command takes to start, and a packaged model to answer.

    python bench/startup.py [--project FOLDER]

`fieldcraft --help` is measured in turns with a Python that does nothing, as the median of 15.
With a project that was run, its bundle predicts rows of the project's table one at a time.
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
ROWS = 300
N_WARMUP_CALLS = 20
BATCH = 1_000


def time_start(*arguments: str) -> float:
    """Wall time of a Python process."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begun


def print_startup() -> None:
    """Print what the command's help takes, and how many times as long as nothing."""
    help_, nothing = [], []
    for _ in range(N_STARTS):
        help_.append(time_start("-m", "fieldcraft", "--help"))
        nothing.append(time_start("-c", "pass"))
    ours, least = median(help_), median(nothing)
    print(
        f"fieldcraft --help: {1000 * ours:.0f} ms; python -c pass: {1000 * least:.0f} ms; "
        f"ratio {ours / least:.1f}"
    )


def print_latency(folder: ProjectFolder) -> None:
    """Print how long the bundle of a project takes to load and to predict."""
    settings = folder.load_settings()
    source = resolve_address(settings.data.source_files().train, folder.root)
    rows = read_table(source, settings.data.column_names).frame
    begun = time.perf_counter()
    bundle = load_bundle(folder.bundle_path)
    loading = time.perf_counter() - begun
    times = []
    for number in range(ROWS + N_WARMUP_CALLS):
        row = rows[number % rows.height]
        begun = time.perf_counter()
        bundle.predict(row)
        times.append(1000 * (time.perf_counter() - begun))
    times = times[N_WARMUP_CALLS:]
    many = rows[:BATCH]
    begun = time.perf_counter()
    bundle.predict(many)
    each = 1000 * (time.perf_counter() - begun) / many.height
    print(
        f"{bundle.manifest['title']} with {len(bundle.models)} members: loaded in "
        f"{1000 * loading:.0f} ms; one row {median(times):.1f} ms, 95 % of rows within "
        f"{quantiles(times, n=20)[-1]:.1f} ms; {each:.3f} ms a row of {many.height:,}"
    )


def main() -> None:
    """Measure the start, and a bundle if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--project", type=Path, help="folder of a project that was run")
    options = parser.parse_args()
    print_startup()
    if options.project:
        print_latency(ProjectFolder.find(options.project))


if __name__ == "__main__":
    main()
