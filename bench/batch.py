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
from fieldcraft.bundle.batch import block_size, wanted_columns
from fieldcraft.bundle.odd import odd_cells
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.core.pool import cores
from fieldcraft.data.blocks.read import read_blocks
from fieldcraft.data.blocks.shape import Wish
from fieldcraft.data.write import FORMS

FITTED = 6_000
STEP = 200_000  # rows drawn at once
PIECE = 512  # rows of a run; more take longer each


def draw(rows: int, seed: int) -> pl.DataFrame:
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


def made_bundle(folder: Path, learner: str) -> Path:
    """The bundle of a model of drawn rows."""
    rows = draw(FITTED, 0)
    noise = np.random.default_rng(1).standard_normal(FITTED)
    score = rows["normal_0"] + rows["even_0"] + rows["heavy_0"].log() / 4 + noise
    target = (score > float(score.median() or 0)).cast(pl.Int8)
    fc.Classifier(learner).fit(rows, target).to_bundle(folder / learner)
    return folder / learner


def written(folder: Path, rows: int) -> Path:
    """A CSV file of drawn rows."""
    path = folder / f"rows-{rows}.csv"
    if not path.exists():
        with path.open("wb") as stream:
            for start in range(0, rows, STEP):
                part = draw(min(STEP, rows - start), 2 + start)
                part.write_csv(stream, include_header=not start)
    return path


def command(bundle: Path, rows: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of the command."""
    begun = time.perf_counter()
    given = [str(bundle), str(rows), "-o", str(out), "--json", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "fieldcraft", "predict", *given], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def alone(bundle: Bundle, rows: int) -> float:
    """Seconds that onnxruntime takes for as many rows that are encoded already."""
    ready = []
    for member in bundle.members:
        values = bundle.schema.apply(draw(STEP, 9))
        encoded = member.encoders.transform(member.encoders.read(values))
        given = (
            encoded.tensors() if member.view == "tensors" else {"matrix": encoded.matrix().values}
        )
        ready.append((member, given))
    begun = time.perf_counter()
    for start in range(0, rows, PIECE):
        at = start % (STEP - PIECE)
        end = at + min(PIECE, rows - start)
        for member, given in ready:
            member.run({name: array[at:end] for name, array in given.items()})
    return time.perf_counter() - begun


class Clock:
    """Keeps the least time of each step over several rounds."""

    def __init__(self, found: dict[str, float]) -> None:
        self.found = found
        self.begun = time.perf_counter()

    def told(self, name: str) -> None:
        """A step is done."""
        taken = time.perf_counter() - self.begun
        self.found[name] = min(self.found.get(name, taken), taken)
        self.begun = time.perf_counter()


def steps(bundle: Bundle, path: Path, folder: Path, memory: float) -> None:
    """Print how long each step takes of a block, one block at a time."""
    size = block_size(bundle, int(memory * 1e6), cores())
    begun = time.perf_counter()
    blocks = read_blocks(path, Wish(size, wanted_columns(bundle)), folder)
    print(f"to find {len(blocks.weights)} blocks: {time.perf_counter() - begun:.2f} s, all rows")
    found: dict[str, float] = {}
    for _ in range(3):
        clock = Clock(found)
        cells = blocks.read(1).frame
        clock.told("read and cut")
        values = bundle.schema.apply(cells)
        clock.told("cells to values")
        encode(bundle, values)
        clock.told("encode")
        outputs = bundle.outputs_of(values)
        clock.told("encode and run")
        table = bundle.task.decide(bundle.said(outputs), bundle.about)
        clock.told("decide")
        odd_cells(cells, bundle.schema, bundle.profile, values)
        clock.told("odd cells")
        FORMS[".csv"].write(table, folder / "part", True)
        clock.told("write")
    rows = cells.height
    print(f"of a block of {rows:,} rows, microseconds a row:")
    for name, seconds in found.items():
        print(f"  {name}: {1e6 * seconds / rows:.2f}")


def encode(bundle: Bundle, values: pl.DataFrame) -> None:
    """Encode rows as predicting them does."""
    for piece in bundle.members[0].encoders.pieces(values):
        read = bundle.members[0].encoders.read(piece)
        for member in bundle.members:
            encoded = member.encoders.transform(read)
            encoded.tensors() if member.view == "tensors" else encoded.matrix()


def main() -> None:
    """Print figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--learner", default="network")
    parser.add_argument("--memory", type=float, default=256)
    parser.add_argument("--out", default="out.csv")
    parser.add_argument("--keep", type=Path, help="folder for bundle and rows, to use them again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        folder = options.keep or Path(aside)
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / options.learner
        path = place if place.exists() else made_bundle(folder, options.learner)
        rows, bundle = written(folder, options.rows), load_bundle(path)
        steps(bundle, rows, folder, options.memory)
        given = ["--memory", str(options.memory)]
        ours, theirs, peaks = [], [], []
        for number in range(options.rounds):
            seconds, peak = command(path, rows, folder / options.out, given)
            ours.append(seconds)
            peaks.append(peak)
            theirs.append(alone(bundle, options.rows))
            print(f"round {number + 1}: ours {seconds:.1f} s, onnxruntime {theirs[-1]:.1f} s")
        print(
            f"{options.learner}, {options.rows:,} rows ({rows.stat().st_size / 1e6:.0f} MB): "
            f"ours {options.rows / median(ours):,.0f} rows/s, onnxruntime alone "
            f"{options.rows / median(theirs):,.0f}, ratio {median(theirs) / median(ours):.2f}; "
            f"peak memory {max(peaks):.0f} MB"
        )


if __name__ == "__main__":
    main()
