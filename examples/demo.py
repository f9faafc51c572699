"""Run Fieldcraft on two real tables that come with scikit-learn: `make demo`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer, load_diabetes

DEMO_FOLDER = Path("demo")
COMMAND = [sys.executable, "-m", "fieldcraft"]


def write_tables(folder: Path) -> None:
    """Write the breast cancer and diabetes tables as CSV files."""
    folder.mkdir(exist_ok=True)
    cancer = load_breast_cancer(as_frame=True)
    table = cancer.data.round(6)
    table["diagnosis"] = cancer.target.map(dict(enumerate(cancer.target_names)))
    table.to_csv(folder / "breast_cancer.csv", index=False)
    diabetes = load_diabetes(as_frame=True, scaled=False)
    diabetes.frame.rename(columns={"target": "progression"}).to_csv(
        folder / "diabetes.csv", index=False
    )


def main() -> None:
    """Write the tables, then run the commands that a user would type."""
    write_tables(DEMO_FOLDER)
    datasets = (("breast_cancer.csv", "diagnosis"), ("diabetes.csv", "progression"))
    for name, target in datasets:
        source, folder = DEMO_FOLDER / name, DEMO_FOLDER / target
        arguments = ["run", str(source), "--target", target, "--dir", str(folder)]
        print(f"\n$ fieldcraft {' '.join(arguments)}", flush=True)
        subprocess.run([*COMMAND, *arguments], check=True)
    print("\nThe reports:")
    for _, target in datasets:
        print(f"  {(DEMO_FOLDER / target / 'report.html').resolve()}")


if __name__ == "__main__":
    main()
