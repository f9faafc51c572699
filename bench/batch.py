"""Throughput of file prediction, compared with onnxruntime alone on encoded arrays.

    python bench/batch.py [--rows 2000000] [--rounds 3] [--learner network] [--keep FOLDER]

The table has twelve numeric columns (uniform, normal, heavy-tailed, counts with missing values) and
two classes. The bundle is trained on 6,000 rows. In interleaved rounds, the command predicts the
CSV file in its own process, and onnxruntime alone runs the network of the bundle on as many encoded
rows in memory, 512 at a time, its fastest batch size. Prints rows per second, their ratio, the peak
memory of the command, and the time of each step of a block.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

import fieldcraft as fc
from fieldcraft.bundle.batch_prediction import choose_block_bytes, columns_to_read
from fieldcraft.bundle.input_anomalies import count_input_anomalies
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core.parallel import available_cpus
from fieldcraft.data.blocks.base import ReadOptions
from fieldcraft.data.blocks.read import open_blocks
from fieldcraft.data.table_writer import TABLE_FORMATS

TRAINING_ROWS = 6_000
ROWS_PER_DRAW = 200_000  # rows drawn at once
ROWS_PER_RUN = 512  # rows of a run; larger batches are slower per row


def draw_rows(rows: int, seed: int) -> pl.DataFrame:
    """Draw twelve numeric columns."""
    rng = np.random.default_rng(seed)
    columns = {}
    for number in range(3):
        columns[f"even_{number}"] = rng.random(rows).round(6)
        columns[f"normal_{number}"] = rng.standard_normal(rows).round(4)
        columns[f"heavy_{number}"] = rng.lognormal(3, 2, rows).round(2)
        gaps = np.where(rng.random(rows) < 0.1, np.nan, rng.poisson(4, rows))
        columns[f"count_{number}"] = gaps
    return pl.DataFrame(columns).fill_nan(None)


def train_bundle(folder: Path, learner: str) -> Path:
    """Train a model on drawn rows and return the path of its bundle."""
    rows = draw_rows(TRAINING_ROWS, 0)
    noise = np.random.default_rng(1).standard_normal(TRAINING_ROWS)
    score = rows["normal_0"] + rows["even_0"] + rows["heavy_0"].log() / 4 + noise
    target = (score > float(score.median() or 0)).cast(pl.Int8)
    fc.Classifier(learner).fit(rows, target).to_bundle(folder / learner)
    return folder / learner


def write_csv(folder: Path, rows: int) -> Path:
    """Write drawn rows to a CSV file and return its path."""
    path = folder / f"rows-{rows}.csv"
    if not path.exists():
        with path.open("wb") as stream:
            for start in range(0, rows, ROWS_PER_DRAW):
                part = draw_rows(min(ROWS_PER_DRAW, rows - start), 2 + start)
                part.write_csv(stream, include_header=not start)
    return path


def time_command(bundle: Path, rows: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Run the command and return its seconds and peak megabytes."""
    start = time.perf_counter()
    arguments = [str(bundle), str(rows), "-o", str(out), "--json", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "fieldcraft", "predict", *arguments], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def time_onnxruntime(bundle: Bundle, rows: int) -> float:
    """Return the seconds that onnxruntime takes for this many encoded rows."""
    encoded_inputs = []
    for member in bundle.models:
        values = bundle.schema.apply(draw_rows(ROWS_PER_DRAW, 9))
        encoded = member.encoders.transform(member.encoders.precompute(values))
        inputs = (
            encoded.tensors()
            if member.input_format == "tensors"
            else {"matrix": encoded.matrix().values}
        )
        encoded_inputs.append((member, inputs))
    start_time = time.perf_counter()
    for start in range(0, rows, ROWS_PER_RUN):
        first = start % (ROWS_PER_DRAW - ROWS_PER_RUN)
        last = first + min(ROWS_PER_RUN, rows - start)
        for member, inputs in encoded_inputs:
            member.run_onnx({name: array[first:last] for name, array in inputs.items()})
    return time.perf_counter() - start_time


class StepTimer:
    """Keeps the shortest time of each step over several rounds."""

    def __init__(self, seconds_by_step: dict[str, float]) -> None:
        self.seconds_by_step = seconds_by_step
        self.start = time.perf_counter()

    def step_done(self, name: str) -> None:
        """Record the time since the last step."""
        seconds = time.perf_counter() - self.start
        self.seconds_by_step[name] = min(self.seconds_by_step.get(name, seconds), seconds)
        self.start = time.perf_counter()


def print_step_times(bundle: Bundle, path: Path, folder: Path, memory: float) -> None:
    """Print the time of each step for one block."""
    size = choose_block_bytes(bundle, int(memory * 1e6), available_cpus())
    start = time.perf_counter()
    blocks = open_blocks(path, ReadOptions(size, columns_to_read(bundle)), folder)
    print(f"finding {len(blocks.sizes)} blocks: {time.perf_counter() - start:.2f} s for all rows")
    seconds_by_step: dict[str, float] = {}
    for _ in range(3):
        clock = StepTimer(seconds_by_step)
        cells = blocks.read_block(min(1, len(blocks.sizes) - 1)).frame
        clock.step_done("read and parse")
        values = bundle.schema.apply(cells)
        clock.step_done("cells to values")
        encode(bundle, values)
        clock.step_done("encode")
        outputs = bundle.outputs_from_values(values)
        clock.step_done("encode and run the network")
        table = bundle.task.to_frame(bundle.predictions_from_outputs(outputs), bundle.target_spec)
        clock.step_done("decide")
        count_input_anomalies(cells, bundle.schema, bundle.profile, values)
        clock.step_done("count input anomalies")
        TABLE_FORMATS[".csv"].write(table, folder / "part", True)
        clock.step_done("write")
    rows = cells.height
    print(f"microseconds per row, for a block of {rows:,} rows:")
    for name, seconds in seconds_by_step.items():
        print(f"  {name}: {1e6 * seconds / rows:.2f}")


def encode(bundle: Bundle, values: pl.DataFrame) -> None:
    """Encode rows as for prediction."""
    for batch in bundle.models[0].encoders.iter_batches(values):
        precomputed = bundle.models[0].encoders.precompute(batch)
        for member in bundle.models:
            encoded = member.encoders.transform(precomputed)
            encoded.tensors() if member.input_format == "tensors" else encoded.matrix()


def main() -> None:
    """Run the benchmark and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--learner", default="network")
    parser.add_argument("--memory-mb", type=float, default=256)
    parser.add_argument("--out", default="out.csv")
    parser.add_argument("--keep", type=Path, help="folder that keeps the bundle and the rows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary_folder:
        folder = options.keep or Path(temporary_folder)
        folder.mkdir(parents=True, exist_ok=True)
        bundle_path = folder / options.learner
        if not bundle_path.exists():
            train_bundle(folder, options.learner)
        rows, bundle = write_csv(folder, options.rows), load_bundle(bundle_path)
        print_step_times(bundle, rows, folder, options.memory_mb)
        arguments = ["--memory-mb", str(options.memory_mb)]
        fieldcraft_seconds, onnxruntime_seconds, peaks = [], [], []
        for number in range(options.rounds):
            seconds, peak = time_command(bundle_path, rows, folder / options.out, arguments)
            fieldcraft_seconds.append(seconds)
            peaks.append(peak)
            onnxruntime_seconds.append(time_onnxruntime(bundle, options.rows))
            print(
                f"round {number + 1}: fieldcraft {seconds:.1f} s, "
                f"onnxruntime {onnxruntime_seconds[-1]:.1f} s"
            )
        print(
            f"{options.learner}, {options.rows:,} rows ({rows.stat().st_size / 1e6:.0f} MB): "
            f"fieldcraft {options.rows / median(fieldcraft_seconds):,.0f} rows/s, "
            f"onnxruntime alone {options.rows / median(onnxruntime_seconds):,.0f}, "
            f"ratio {median(onnxruntime_seconds) / median(fieldcraft_seconds):.2f}; "
            f"peak memory {max(peaks):.0f} MB"
        )


if __name__ == "__main__":
    main()
