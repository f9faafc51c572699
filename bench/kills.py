"""Check that a prediction that is killed twenty times gives the same bytes as an undisturbed one.

    python bench/kills.py [--kills 20] [--rows 200000] [--seed 0]

A linear model predicts a CSV file to CSV, Parquet and JSON lines. For each format the command is
repeatedly started and killed (SIGKILL) after a random fraction of its usual time; it resumes each
time, and partial output must not appear as finished. The final bytes are compared with those of an
undisturbed run.
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

MEMORY_MB = "4"  # gives many small blocks


def predict_command(bundle: Path, rows: Path, out: Path) -> list[str]:
    """Return the command that predicts."""
    arguments = [str(bundle), str(rows), "-o", str(out), "--memory-mb", MEMORY_MB, "--json"]
    return [sys.executable, "-m", "fieldcraft", "predict", *arguments]


def run_and_kill(arguments: list[str], out: Path, seconds: float) -> str:
    """Start the command and kill it after some time; return the state it left."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    parts = len(list(out.parent.glob(f".{out.name}.parts/*/*.json")))
    return "finished" if out.exists() else f"{parts} parts"


def main() -> None:
    """Print the state at each kill, and whether the bytes are identical."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary_folder:
        folder = Path(temporary_folder)
        bundle, rows = train_bundle(folder, "linear"), write_csv(folder, options.rows)
        for extension in ("csv", "parquet", "jsonl"):
            reference_path, out = folder / f"whole.{extension}", folder / f"out.{extension}"
            start = time.perf_counter()
            subprocess.run(
                predict_command(bundle, rows, reference_path), check=True, stdout=subprocess.DEVNULL
            )
            seconds = time.perf_counter() - start
            states = []
            for _ in range(options.kills):
                states.append(
                    run_and_kill(
                        predict_command(bundle, rows, out), out, rng.uniform(0, 1.1) * seconds
                    )
                )
                if states[-1] == "finished":
                    assert out.read_bytes() == reference_path.read_bytes()
                    out.unlink()  # start over
            subprocess.run(
                predict_command(bundle, rows, out), check=True, stdout=subprocess.DEVNULL
            )
            is_identical = out.read_bytes() == reference_path.read_bytes()
            verdict = "identical" if is_identical else "DIFFERENT"
            print(f"{extension}: {verdict} bytes; {', '.join(states)}", flush=True)


if __name__ == "__main__":
    main()
