"""Runs on difficult tables: each must succeed or end with a clear error and exit code 2.

    python bench/faults.py [NAME ...]

Prints a row for each table: the exit code, the seconds, and the message. A traceback, another exit
code or empty output is marked as a failure, and the script then exits with 1.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

RNG = np.random.default_rng(0)
ROWS = 2_000
BUDGET = "20s"
VERDICTS = ("Champion", "No model", "error")  # beginnings of the line that tells the outcome
TIMEOUT_SECONDS = 900  # limit for one table


def make_table(rows: int = ROWS, columns: int = 5, **target: object) -> pl.DataFrame:
    """Return random numbers and a target."""
    values = RNG.normal(size=(rows, columns)).round(3)
    frame = pl.DataFrame(values, schema=[f"x{i}" for i in range(columns)])
    return frame.with_columns(pl.Series(name, cells) for name, cells in target.items())


def make_two_classes(rows: int, count: int) -> list[str]:
    """Return a target with `count` rows of one class and the rest of another."""
    return ["yes"] * count + ["no"] * (rows - count)


TABLES: dict[str, Callable[[], pl.DataFrame]] = {
    "one class": lambda: make_table(y=["yes"] * ROWS),
    "99.9 % one class": lambda: make_table(y=make_two_classes(ROWS, 2)),
    "no target at all": lambda: make_table(y=[None] * ROWS),
    "a class with one row": lambda: make_table(y=["once", *RNG.choice(["a", "b"], ROWS - 1)]),
    "one row": lambda: make_table(1, y=["a"]),
    "two rows": lambda: make_table(2, y=["a", "b"]),
    "no rows": lambda: make_table(3, y=["a", "b", "a"]).clear(),
    "one column": lambda: make_table(columns=0, y=RNG.normal(size=ROWS)),
    "5,000 columns": lambda: make_table(400, 5_000, y=RNG.choice(["a", "b"], 400)),
    "10,000 classes": lambda: make_table(30_000, y=[f"c{i % 10_000}" for i in range(30_000)]),
    "infinite numbers": lambda: make_table(y=np.where(RNG.random(ROWS) < 0.01, np.inf, 1.0)),
    "huge numbers": lambda: make_table(y=RNG.normal(size=ROWS) * 1e300),
    "empty columns": lambda: make_table(y=RNG.normal(size=ROWS), empty=[None] * ROWS),
}


def run_table(name: str, folder: Path) -> tuple[bool, str]:
    """Run a table; return whether it ended as required, and its row of the report."""
    path = folder / "table.csv"
    TABLES[name]().write_csv(path)
    command = [sys.executable, "-m", "fieldcraft", "run", str(path), "--target", "y"]
    options = ["--dir", str(folder / "project"), "--fix", "--budget", BUDGET, "--until", "package"]
    start = time.monotonic()
    try:
        completed = subprocess.run(
            [*command, *options], capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False, f"| {name} | - | {TIMEOUT_SECONDS} | timed out |"
    seconds = time.monotonic() - start
    output = completed.stderr if completed.returncode else completed.stdout
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    has_clear_ending = (
        completed.returncode in (0, 2) and "Traceback" not in completed.stderr and bool(lines)
    )
    # Progress lines come first; the outcome is the line to show.
    verdicts = [line for line in lines if line.startswith(VERDICTS)]
    message = [*verdicts, *lines, "no output"][0]
    row = f"| {name} | {completed.returncode} | {seconds:.0f} | {message[:110]} |"
    return has_clear_ending, row


def main() -> None:
    """Run the given tables, or all."""
    names = sys.argv[1:] or list(TABLES)
    print("| table | exit code | seconds | message |\n|---|---:|---:|---|")
    failed = []
    for name in names:
        with tempfile.TemporaryDirectory() as temporary_folder:
            has_passed, row = run_table(name, Path(temporary_folder))
        print(row if has_passed else f"{row} FAILED", flush=True)
        failed += [] if has_passed else [name]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
