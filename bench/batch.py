"""How fast a file is predicted, against onnxruntime alone on arrays that are ready.

    python bench/batch.py [--rows 2000000] [--rounds 3] [--learner network] [--keep FOLDER]

A table of twelve columns of numbers (even, normal, heavy-tailed, counts, gaps) and two classes. A
bundle is made of 6,000 rows. In turns the command predicts the CSV file, in a process of its own,
and onnxruntime alone runs the bundle's network on encoded rows that lie in memory, as many rows,
512 at a time, its best. Told are rows a second, the ratio, peak memory of the command, and where
the time of a block goes.
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
ROWS_PER_RUN = 512  # rows of a run; more take longer each


def draw_rows(rows: int, seed: int) -> pl.DataFrame:
    """Twelve columns of numbers."""
    random = np.random.default_rng(seed)
    columns = {}
    for number in range(3):
        columns[f"even_{number}"] = random.random(rows).round(6)
        columns[f"normal_{number}"] = random.standard_normal(rows).round(4)
        columns[f"heavy_{number}"] = random.lognormal(3, 2, rows).round(2)
        gaps = np.where(random.random(rows) < 0.1, np.nan, random.poisson(4, rows))
        columns[f"count_{number}"] = gaps
    return pl.DataFrame(columns).fill_nan(None)


def train_bundle(folder: Path, learner: str) -> Path:
    """The bundle of a model of drawn rows."""
    rows = draw_rows(TRAINING_ROWS, 0)
    noise = np.random.default_rng(1).standard_normal(TRAINING_ROWS)
    score = rows["normal_0"] + rows["even_0"] + rows["heavy_0"].log() / 4 + noise
    target = (score > float(score.median() or 0)).cast(pl.Int8)
    fc.Classifier(learner).fit(rows, target).to_bundle(folder / learner)
    return folder / learner


def write_csv(folder: Path, rows: int) -> Path:
    """A CSV file of drawn rows."""
    path = folder / f"rows-{rows}.csv"
    if not path.exists():
        with path.open("wb") as stream:
            for start in range(0, rows, ROWS_PER_DRAW):
                part = draw_rows(min(ROWS_PER_DRAW, rows - start), 2 + start)
                part.write_csv(stream, include_header=not start)
    return path


def time_command(bundle: Path, rows: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of the command."""
    begun = time.perf_counter()
    given = [str(bundle), str(rows), "-o", str(out), "--json", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "fieldcraft", "predict", *given], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def time_onnxruntime(bundle: Bundle, rows: int) -> float:
    """Seconds that onnxruntime takes for as many rows that are encoded already."""
    ready = []
    for member in bundle.models:
        values = bundle.schema.apply(draw_rows(ROWS_PER_DRAW, 9))
        encoded = member.encoders.transform(member.encoders.precompute(values))
        given = (
            encoded.tensors()
            if member.input_format == "tensors"
            else {"matrix": encoded.matrix().values}
        )
        ready.append((member, given))
    begun = time.perf_counter()
    for start in range(0, rows, ROWS_PER_RUN):
        at = start % (ROWS_PER_DRAW - ROWS_PER_RUN)
        end = at + min(ROWS_PER_RUN, rows - start)
        for member, given in ready:
            member.run_onnx({name: array[at:end] for name, array in given.items()})
    return time.perf_counter() - begun


class StepTimer:
    """Keeps the least time of each step over several rounds."""

    def __init__(self, seconds_by_step: dict[str, float]) -> None:
        self.seconds_by_step = seconds_by_step
        self.start = time.perf_counter()

    def step_done(self, name: str) -> None:
        """A step is done."""
        seconds = time.perf_counter() - self.start
        self.seconds_by_step[name] = min(self.seconds_by_step.get(name, seconds), seconds)
        self.start = time.perf_counter()


def print_step_times(bundle: Bundle, path: Path, folder: Path, memory: float) -> None:
    """Print how long each step takes of a block, one block at a time."""
    size = choose_block_bytes(bundle, int(memory * 1e6), available_cpus())
    begun = time.perf_counter()
    blocks = open_blocks(path, ReadOptions(size, columns_to_read(bundle)), folder)
    print(f"to find {len(blocks.sizes)} blocks: {time.perf_counter() - begun:.2f} s, all rows")
    seconds_by_step: dict[str, float] = {}
    for _ in range(3):
        clock = StepTimer(seconds_by_step)
        cells = blocks.read_block(1).frame
        clock.step_done("read and cut")
        values = bundle.schema.apply(cells)
        clock.step_done("cells to values")
        encode(bundle, values)
        clock.step_done("encode")
        outputs = bundle.outputs_from_values(values)
        clock.step_done("encode and run")
        table = bundle.task.to_frame(bundle.predictions_from_outputs(outputs), bundle.target_spec)
        clock.step_done("decide")
        count_input_anomalies(cells, bundle.schema, bundle.profile, values)
        clock.step_done("odd cells")
        TABLE_FORMATS[".csv"].write(table, folder / "part", True)
        clock.step_done("write")
    rows = cells.height
    print(f"of a block of {rows:,} rows, microseconds a row:")
    for name, seconds in seconds_by_step.items():
        print(f"  {name}: {1e6 * seconds / rows:.2f}")


def encode(bundle: Bundle, values: pl.DataFrame) -> None:
    """Encode rows as predicting them does."""
    for piece in bundle.models[0].encoders.iter_batches(values):
        read = bundle.models[0].encoders.precompute(piece)
        for member in bundle.models:
            encoded = member.encoders.transform(read)
            encoded.tensors() if member.input_format == "tensors" else encoded.matrix()


def main() -> None:
    """Print figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--learner", default="network")
    parser.add_argument("--memory-mb", type=float, default=256)
    parser.add_argument("--out", default="out.csv")
    parser.add_argument("--keep", type=Path, help="folder for bundle and rows, to use them again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        folder = options.keep or Path(aside)
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / options.learner
        path = place if place.exists() else train_bundle(folder, options.learner)
        rows, bundle = write_csv(folder, options.rows), load_bundle(path)
        print_step_times(bundle, rows, folder, options.memory_mb)
        given = ["--memory-mb", str(options.memory_mb)]
        fieldcraft_seconds, onnxruntime_seconds, peaks = [], [], []
        for number in range(options.rounds):
            seconds, peak = time_command(path, rows, folder / options.out, given)
            fieldcraft_seconds.append(seconds)
            peaks.append(peak)
            onnxruntime_seconds.append(time_onnxruntime(bundle, options.rows))
            print(
                f"round {number + 1}: ours {seconds:.1f} s, "
                f"onnxruntime {onnxruntime_seconds[-1]:.1f} s"
            )
        print(
            f"{options.learner}, {options.rows:,} rows ({rows.stat().st_size / 1e6:.0f} MB): "
            f"ours {options.rows / median(fieldcraft_seconds):,.0f} rows/s, onnxruntime alone "
            f"{options.rows / median(onnxruntime_seconds):,.0f}, "
            f"ratio {median(onnxruntime_seconds) / median(fieldcraft_seconds):.2f}; "
            f"peak memory {max(peaks):.0f} MB"
        )


if __name__ == "__main__":
    main()
