"""Predicting killed twenty times at random gives the same bytes as predicting once.

    python bench/kills.py [--kills 20] [--rows 200000] [--seed 0]

A linear model of drawn rows predicts a CSV file to CSV, Parquet and JSON lines. For each form the
command is started and killed (SIGKILL) after a random share of the time that it takes unharmed,
again and again; it goes on where it was, and what it wrote before does not count as finished. The
bytes at the end are compared with those of a job that nobody disturbed.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from batch import train_bundle, write_csv  # type: ignore[import-not-found]

MEMORY_MB = "4"  # megabytes: many small blocks


def predict_command(bundle: Path, rows: Path, out: Path) -> list[str]:
    """The command that predicts."""
    given = [str(bundle), str(rows), "-o", str(out), "--memory-mb", MEMORY_MB, "--json"]
    return [sys.executable, "-m", "fieldcraft", "predict", *given]


def run_and_kill(arguments: list[str], out: Path, seconds: float) -> str:
    """Start the command and kill it after some time; what there was then."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    parts = len(list(out.parent.glob(f".{out.name}.parts/*/*.json")))
    return "finished" if out.exists() else f"{parts} parts"


def main() -> None:
    """Print what was there at each kill, and whether the bytes are the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        bundle, rows = train_bundle(folder, "linear"), write_csv(folder, options.rows)
        for form in ("csv", "parquet", "jsonl"):
            reference_path, out = folder / f"whole.{form}", folder / f"out.{form}"
            begun = time.perf_counter()
            subprocess.run(
                predict_command(bundle, rows, reference_path), check=True, stdout=subprocess.DEVNULL
            )
            seconds = time.perf_counter() - begun
            states = []
            for _ in range(options.kills):
                states.append(
                    run_and_kill(
                        predict_command(bundle, rows, out), out, draw.uniform(0, 1.1) * seconds
                    )
                )
                if states[-1] == "finished":
                    assert out.read_bytes() == reference_path.read_bytes()
                    out.unlink()  # and once more from the beginning
            subprocess.run(
                predict_command(bundle, rows, out), check=True, stdout=subprocess.DEVNULL
            )
            same = out.read_bytes() == reference_path.read_bytes()
            print(
                f"{form}: {'the same' if same else 'OTHER'} bytes; {', '.join(states)}", flush=True
            )


if __name__ == "__main__":
    main()
