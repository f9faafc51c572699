"""Photos: projects run unattended, their figures on test rows that were sealed.

    python bench/photos.py [NAME ...] [--keep FOLDER] [--encoder BUNDLE] [--peers FOLDER]

CIFAR-10's test photos are the published ones; of the others the project seals some itself. Houses
are run three times, with numbers and photos, numbers alone and photos alone, on the same test
rows; the difference of absolute errors comes with its interval over paired resamples. With the
peers' environments (made by ``bench/tabular.py setup``) Keras and fastai learn from the same
photos, all that are not test photos, for as long as our whole run took. Needs the developers' data.
"""

from __future__ import annotations

import argparse
import json
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

DATA = Path(__file__).parents[2] / "shared" / "data"
ROOMS = ("bathroom", "bedroom", "frontal", "kitchen")
NUMBERS = ("bedrooms", "bathrooms", "area_sqft", "zipcode")
Edits = Sequence[ConfigEdit]
METRICS_SHOWN = ("accuracy", "balanced_accuracy", "f1", "macro_f1", "log_loss", "rmse", "mae", "r2")
RESAMPLES = 2_000
SIDES = {"cifar": 32, "signs": 96, "tiles": 96}  # pixels of the squares that the peers get
PEERS = {"keras": "keras", "resnet18": "fastai", "xresnet18": "fastai"}


def run_fieldcraft(*words: str) -> dict[str, Any]:
    """What a command says, as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "fieldcraft", *words, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    output: dict[str, Any] = json.loads(done.stdout)
    return output


def run_project(source: Path, target: str, folder: Path, edits: Edits = ()) -> dict[str, Any]:
    """Run a project with its defaults, and open its seal; the outcome with the seconds it took."""
    place = str(folder)
    start = time.monotonic()
    run_fieldcraft("init", str(source), "--target", target, "--dir", place)
    if edits:
        project_file.apply_edits(folder / project_file.PROJECT_FILE_NAME, edits)
    run_fieldcraft("run", "--dir", place, "--fix")
    seconds = time.monotonic() - start
    return {**run_fieldcraft("evaluate", "--final", "--dir", place), "seconds": seconds}


def format_row(name: str, outcome: Mapping[str, Any]) -> str:
    """A line about one project."""
    measures = {m["metric"]: m for m in outcome["final_evaluation"]["metrics"]}
    figures_text = ", ".join(
        f"{m} {measures[m]['value']:.4f} ({measures[m]['low']:.4f} to {measures[m]['high']:.4f})"
        for m in METRICS_SHOWN
        if m in measures
    )
    rows = outcome["final_evaluation"]["metrics"][0]["n_rows"]
    return (
        f"| {name} | {rows:,} | {outcome['champion']} | {figures_text} | {outcome['seconds']:.0f} |"
    )


def run_cifar(folder: Path, edits: Edits) -> list[str]:
    """15,000 training photos, the published 10,000 test photos."""
    source = DATA / "image" / "cifar10" / "cifar10_subset.zip"
    return [format_row("CIFAR-10 sample", run_project(source, "label", folder, edits))]


def run_signs(folder: Path, edits: Edits) -> list[str]:
    """800 photos of hands that show digits."""
    source = DATA / "image" / "sign_digits" / "sign_digits.zip"
    return [format_row("sign digits", run_project(source, "label", folder, edits))]


def run_tiles(folder: Path, edits: Edits) -> list[str]:
    """592 photos of tiles with and without defects; the masks are left out."""
    source = DATA / "image" / "magnetic_tile" / "magnetic_tile.zip"
    own = [
        ConfigEdit(("data", "filter"), "folder = 'images'"),
        ConfigEdit(("data", "drop"), ["folder"]),
    ]
    return [format_row("magnetic tiles", run_project(source, "label", folder, [*own, *edits]))]


def run_houses(folder: Path, edits: Edits) -> list[str]:
    """Prices from numbers and four photos, and from either alone."""
    folder.mkdir(parents=True, exist_ok=True)
    place = DATA / "multimodal" / "houses"
    archive = place / "houses_400_images.zip"
    table = pl.read_csv(place / "houses_400.csv").with_columns(
        pl.format("{}/{}_" + room + ".jpg", pl.lit(str(archive)), pl.col("house_id")).alias(room)
        for room in ROOMS
    )
    held = np.random.default_rng(0).permutation(table.height) < table.height // 5
    table.filter(~held).write_csv(folder / "train.csv")
    table.filter(held).write_csv(folder / "test.csv")
    lines, errors = [], {}
    for name, dropped in (("both", ()), ("numbers", ROOMS), ("photos", NUMBERS)):
        own = [
            ConfigEdit(("data", "source"), {"train": "../train.csv", "test": "../test.csv"}),
            ConfigEdit(("data", "drop"), ["house_id", *dropped]),
        ]
        outcome = run_project(folder / "train.csv", "price", folder / name, [*own, *edits])
        lines.append(format_row(f"houses, {name}", outcome))
        predictions = load_bundle(folder / name / "bundle").predict(table.filter(held))
        errors[name] = (predictions["prediction"] - table.filter(held)["price"]).abs().to_numpy()
    draw = np.random.default_rng(0).integers(held.sum(), size=(RESAMPLES, held.sum()))
    for name in ("numbers", "photos"):
        gap = errors["both"] - errors[name]
        low, high = np.quantile(gap[draw].mean(axis=1), [0.025, 0.975])
        lines.append(f"both against {name}: mean absolute error {gap.mean():+,.0f} "
                     f"({low:+,.0f} to {high:+,.0f})")  # fmt: skip
    return lines


def run_peers(name: str, folder: Path, venvs: Path, seconds: float) -> list[str]:
    """What the peers make of the photos of a finished project, in as many seconds each."""
    (develop,) = (folder / "runs" / "split").glob("*/development.parquet")
    (test,) = (folder / "runs" / "split").glob("*/sealed/test.parquet")
    arrays: dict[str, Any] = {}
    parts = {"train": pl.read_parquet(develop), "test": pl.read_parquet(test)}
    labels = sorted(parts["train"]["label"].unique())
    for part, frame in parts.items():
        column = next(c for c in frame.columns if str(frame[c][0]).endswith((".png", ".jpg")))
        arrays[f"{part}_x"] = np.stack([to_square(cell, SIDES[name]) for cell in frame[column]])
        arrays[f"{part}_y"] = np.array([labels.index(label) for label in frame["label"]])
    place = folder / "photos.npz"
    np.savez(place, **arrays)
    lines = []
    for method, home in PEERS.items():
        job = [python_of(venvs, home), Path(__file__).parent / "peers" / "photo_nets.py"]
        done = subprocess.run([*job, method, place, str(seconds)],
                              capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode:
            raise SystemExit(done.stderr)
        results = json.loads(done.stdout.splitlines()[-1])
        lines.append(
            f"| {name}, {method} | {len(arrays['test_y']):,} | {results['epochs']} epochs "
            f"| accuracy "
            f"{results['accuracy']:.4f}, macro_f1 {results['macro_f1']:.4f} "
            f"| {results['seconds']:.0f} |"
        )
    return lines


def to_square(cell: str, side: int) -> Any:
    """A photo as a square of bytes."""
    photo = ImageOps.exif_transpose(Image.open(BytesIO(file_cells.read_content(cell)))).convert(
        "RGB"
    )
    return np.asarray(photo.resize((side, side), Image.Resampling.BILINEAR))


SETS: dict[str, Callable[[Path, Edits], list[str]]] = {
    "cifar": run_cifar, "signs": run_signs, "tiles": run_tiles, "houses": run_houses,
}  # fmt: skip


def main() -> None:
    """Print a header and a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--keep", type=Path, help="folder for the projects")
    parser.add_argument("--encoder", help="a bundle whose network for photos ours begins with")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments")
    options = parser.parse_args()
    begun = str(Path(options.encoder).resolve()) if options.encoder else None
    edits = [ConfigEdit(("model", "image", "encoder"), begun)] if begun else []
    print("| set | test rows | champion | figures | seconds |")
    print("|---|---:|---|---|---:|")
    for name in options.names or SETS:
        with tempfile.TemporaryDirectory() as aside:
            folder = (options.keep or Path(aside)) / name
            for line in SETS[name](folder, edits):
                print(line, flush=True)
            if options.peers and name in SIDES:
                seconds = float(line.rstrip("| ").rpartition("|")[2])
                for line in run_peers(name, folder, options.peers, seconds):
                    print(line, flush=True)


if __name__ == "__main__":
    main()
