"""Run projects unattended on six real tables and print a row of metrics for each.

    python bench/tables.py [NAME ...] [--keep FOLDER]

Needs the developers' data. Metrics are of evaluation rows; the test sets stay sealed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATA = (
    Path(os.environ.get("FIELDCRAFT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    / "tabular"
)
ADULT_COLUMN_NAMES = (
    "age,workclass,fnlwgt,education,education_num,marital_status,occupation,relationship,race,"
    "sex,capital_gain,capital_loss,hours_per_week,native_country,income"
)
TABLES: dict[str, tuple[str, ...]] = {
    "titanic": ("titanic.csv", "--target", "Survived"),
    "adult": (
        "adult/adult_train_raw.csv.gz",
        "--column-names",
        ADULT_COLUMN_NAMES,
        "--target",
        "income",
    ),
    "telco": ("telco_churn_raw.csv.gz", "--target", "Churn"),
    "california": ("california_housing.csv.gz", "--target", "median_house_value"),
    "wine": ("wine_quality.parquet", "--target", "quality"),
    "letter": ("letter/letter_train.parquet", "--target", "letter"),
}


def run_table(name: str, folder: Path) -> str:
    """Run one table and describe the outcome as a row of a Markdown table."""
    source, *options = TABLES[name]
    command = [sys.executable, "-m", "fieldcraft", "run", str(DATA / source), *options]
    start = time.monotonic()
    completed = subprocess.run(
        [*command, "--dir", str(folder / name), "--fix", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds = time.monotonic() - start
    outcome = json.loads(completed.stdout)
    metric = outcome["metric"]
    cells = []
    for model in outcome["models"]:
        interval = model["metrics"][metric]
        mark = "**" if model["name"] == outcome["champion"] else ""
        cells.append(f"{mark}{interval['value']:.4g}{mark}")
    fit_seconds = outcome["models"][-1]["fit_seconds"]
    rows = sum(outcome["row_counts"].values())
    return (
        f"| {name} | {rows:,} | {metric} | {' | '.join(cells)} "
        f"| {fit_seconds:.0f} | {seconds:.0f} |"
    )


def main() -> None:
    """Print a header, and a row for each finished table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--keep", type=Path, help="folder for the projects")
    options = parser.parse_args()
    print(
        "| table | rows | metric | constant | linear | LightGBM | network | network, s | total, s |"
    )
    print("|---|---:|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as temporary_folder:
        for name in options.names or TABLES:
            print(run_table(name, options.keep or Path(temporary_folder)), flush=True)


if __name__ == "__main__":
    main()
