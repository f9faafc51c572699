"""Images: projects run unattended, with metrics of sealed test rows.

    python bench/photos.py [NAME ...] [--keep FOLDER] [--encoder BUNDLE] [--peers FOLDER]

CIFAR-10 has published test images; of the other datasets the project seals some rows itself. The
houses are run three times on the same test rows: with numbers and images, numbers only and images
only. Differences of absolute errors have intervals over paired resamples. With the
environments of the peers (made by ``bench/tabular.py setup``), Keras and fastai are trained on all
images except the test images, for as long as the whole run of fieldcraft took. Needs the
developers' data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from contest.venvs import python_of
from PIL import Image, ImageOps

from fieldcraft import load_bundle
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data import file_cells
from fieldcraft.project import project_file

DATA = Path(os.environ.get("FIELDCRAFT_DATA", Path(__file__).parents[2] / "shared" / "data"))
ROOMS = ("bathroom", "bedroom", "frontal", "kitchen")
NUMBERS = ("bedrooms", "bathrooms", "area_sqft", "zipcode")
Edits = Sequence[ConfigEdit]
METRICS_SHOWN = ("accuracy", "balanced_accuracy", "f1", "macro_f1", "log_loss", "rmse", "mae", "r2")
RESAMPLES = 2_000
SIDES = {"cifar": 32, "signs": 96, "tiles": 96}  # pixels of the square images for the peers
PEERS = {"keras": "keras", "resnet18": "fastai", "xresnet18": "fastai"}


def run_fieldcraft(*arguments: str) -> dict[str, Any]:
    """Run a command and return its JSON output."""
    completed = subprocess.run(
        [sys.executable, "-m", "fieldcraft", *arguments, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if completed.returncode:
        raise SystemExit(completed.stderr)
    output: dict[str, Any] = json.loads(completed.stdout)
    return output


def run_project(source: Path, target: str, folder: Path, edits: Edits = ()) -> dict[str, Any]:
    """Run a project with its defaults, then evaluate it on its test set; return the outcome."""
    folder_argument = str(folder)
    start = time.monotonic()
    run_fieldcraft("init", str(source), "--target", target, "--dir", folder_argument)
    if edits:
        project_file.apply_edits(folder / project_file.PROJECT_FILE_NAME, edits)
    run_fieldcraft("run", "--dir", folder_argument, "--fix")
    seconds = time.monotonic() - start
    return {**run_fieldcraft("evaluate", "--final", "--dir", folder_argument), "seconds": seconds}


def format_row(name: str, outcome: Mapping[str, Any]) -> str:
    """Format the results of one project as a table row."""
    metrics = {m["metric"]: m for m in outcome["final_evaluation"]["metrics"]}
    metrics_text = ", ".join(
        f"{m} {metrics[m]['value']:.4f} ({metrics[m]['low']:.4f} to {metrics[m]['high']:.4f})"
        for m in METRICS_SHOWN
        if m in metrics
    )
    rows = outcome["final_evaluation"]["metrics"][0]["n_rows"]
    return (
        f"| {name} | {rows:,} | {outcome['champion']} | {metrics_text} | {outcome['seconds']:.0f} |"
    )


def run_cifar(folder: Path, edits: Edits) -> list[str]:
    """Run on 15,000 training images and the published 10,000 test images."""
    source = DATA / "image" / "cifar10" / "cifar10_subset.zip"
    return [format_row("CIFAR-10 sample", run_project(source, "label", folder, edits))]


def run_signs(folder: Path, edits: Edits) -> list[str]:
    """Run on 800 images of hands that show digits."""
    source = DATA / "image" / "sign_digits" / "sign_digits.zip"
    return [format_row("sign digits", run_project(source, "label", folder, edits))]


def run_tiles(folder: Path, edits: Edits) -> list[str]:
    """Run on 592 images of tiles with and without defects; the masks are left out."""
    source = DATA / "image" / "magnetic_tile" / "magnetic_tile.zip"
    tile_edits = [
        ConfigEdit(("data", "filter"), "folder = 'images'"),
        ConfigEdit(("data", "drop"), ["folder"]),
    ]
    return [
        format_row("magnetic tiles", run_project(source, "label", folder, [*tile_edits, *edits]))
    ]


def run_houses(folder: Path, edits: Edits) -> list[str]:
    """Predict prices from numbers and four images, and from either alone."""
    folder.mkdir(parents=True, exist_ok=True)
    houses_folder = DATA / "multimodal" / "houses"
    archive = houses_folder / "houses_400_images.zip"
    table = pl.read_csv(houses_folder / "houses_400.csv").with_columns(
        pl.format("{}/{}_" + room + ".jpg", pl.lit(str(archive)), pl.col("house_id")).alias(room)
        for room in ROOMS
    )
    is_test = np.random.default_rng(0).permutation(table.height) < table.height // 5
    table.filter(~is_test).write_csv(folder / "train.csv")
    table.filter(is_test).write_csv(folder / "test.csv")
    lines, errors = [], {}
    for name, dropped_columns in (("both", ()), ("numbers", ROOMS), ("images", NUMBERS)):
        house_edits = [
            ConfigEdit(("data", "source"), {"train": "../train.csv", "test": "../test.csv"}),
            ConfigEdit(("data", "drop"), ["house_id", *dropped_columns]),
        ]
        outcome = run_project(folder / "train.csv", "price", folder / name, [*house_edits, *edits])
        lines.append(format_row(f"houses, {name}", outcome))
        predictions = load_bundle(folder / name / "bundle").predict(table.filter(is_test))
        errors[name] = (predictions["prediction"] - table.filter(is_test)["price"]).abs().to_numpy()
    resamples = np.random.default_rng(0).integers(is_test.sum(), size=(RESAMPLES, is_test.sum()))
    for name in ("numbers", "images"):
        error_difference = errors["both"] - errors[name]
        low, high = np.quantile(error_difference[resamples].mean(axis=1), [0.025, 0.975])
        lines.append(
            f"both compared with {name}: mean absolute error {error_difference.mean():+,.0f} "
            f"({low:+,.0f} to {high:+,.0f})"
        )
    return lines


def run_peers(name: str, folder: Path, venvs: Path, seconds: float) -> list[str]:
    """Train the peers on the images of a finished project, with this time budget each."""
    (development_path,) = (folder / "runs" / "split").glob("*/development.parquet")
    (test_path,) = (folder / "runs" / "split").glob("*/sealed/test.parquet")
    arrays: dict[str, Any] = {}
    parts = {"train": pl.read_parquet(development_path), "test": pl.read_parquet(test_path)}
    labels = sorted(parts["train"]["label"].unique())
    for part, frame in parts.items():
        column = next(c for c in frame.columns if str(frame[c][0]).endswith((".png", ".jpg")))
        arrays[f"{part}_x"] = np.stack([to_square(cell, SIDES[name]) for cell in frame[column]])
        arrays[f"{part}_y"] = np.array([labels.index(label) for label in frame["label"]])
    photos_path = folder / "photos.npz"
    np.savez(photos_path, **arrays)
    lines = []
    for method, environment in PEERS.items():
        command = [python_of(venvs, environment), Path(__file__).parent / "peers" / "photo_nets.py"]
        completed = subprocess.run([*command, method, photos_path, str(seconds)],
                              capture_output=True, text=True, check=False)  # fmt: skip
        if completed.returncode:
            raise SystemExit(completed.stderr)
        results = json.loads(completed.stdout.splitlines()[-1])
        lines.append(
            f"| {name}, {method} | {len(arrays['test_y']):,} | {results['epochs']} epochs "
            f"| accuracy "
            f"{results['accuracy']:.4f}, macro_f1 {results['macro_f1']:.4f} "
            f"| {results['seconds']:.0f} |"
        )
    return lines


def to_square(cell: str, side: int) -> Any:
    """Read an image as a square array of bytes."""
    image = ImageOps.exif_transpose(Image.open(BytesIO(file_cells.read_content(cell)))).convert(
        "RGB"
    )
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


DATASETS: dict[str, Callable[[Path, Edits], list[str]]] = {
    "cifar": run_cifar, "signs": run_signs, "tiles": run_tiles, "houses": run_houses,
}  # fmt: skip


def main() -> None:
    """Print a row for each dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--keep", type=Path, help="folder for the projects")
    parser.add_argument("--encoder", help="a bundle whose image network is the starting point")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments")
    options = parser.parse_args()
    encoder = str(Path(options.encoder).resolve()) if options.encoder else None
    edits = [ConfigEdit(("model", "image", "encoder"), encoder)] if encoder else []
    print("| dataset | test rows | champion | metrics | seconds |")
    print("|---|---:|---|---|---:|")
    for name in options.names or DATASETS:
        with tempfile.TemporaryDirectory() as temporary_folder:
            folder = (options.keep or Path(temporary_folder)) / name
            for line in DATASETS[name](folder, edits):
                print(line, flush=True)
            if options.peers and name in SIDES:
                seconds = float(line.rstrip("| ").rpartition("|")[2])
                for line in run_peers(name, folder, options.peers, seconds):
                    print(line, flush=True)


if __name__ == "__main__":
    main()
