"""Drift detection of a peer in windows of rows: run by ``bench/drift.py`` in its environment.

    python drift_tests.py (evidently|nannyml) REFERENCE CURRENT WINDOW

Prints the seconds without reading files and importing libraries, the number of tests (one for each
column in each window), and the number of detections, with the peer's defaults.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

import pandas as pd

warnings.filterwarnings("ignore")


def evidently(reference: pd.DataFrame, current: pd.DataFrame, window: int) -> tuple[int, int]:
    """Count the failed drift tests of Evidently, and all of them."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    n_detected = n_tests = 0
    for start in range(0, len(current), window):
        part = current.iloc[start : start + window]
        report: Any = Report([DataDriftPreset()], include_tests=True).run(part, reference)
        tests = [
            test for test in report.dict()["tests"] if "column" in json.dumps(test, default=str)
        ]
        states = [str(test["status"]).rpartition(".")[2].upper() for test in tests]
        n_detected, n_tests = n_detected + states.count("FAIL"), n_tests + current.shape[1]
    return n_detected, n_tests


def nannyml(reference: pd.DataFrame, current: pd.DataFrame, window: int) -> tuple[int, int]:
    """Count the drift alerts of NannyML, and all its tests."""
    from nannyml import UnivariateDriftCalculator

    calculator = UnivariateDriftCalculator(list(current.columns), chunk_size=window)
    calculator.fit(reference)
    results = calculator.calculate(current).filter(period="analysis").to_df()
    alerts = results.loc[:, results.columns.get_level_values(-1) == "alert"]
    return int(alerts.to_numpy().sum()), alerts.size


def main() -> None:
    """Time one library and print the counts as JSON."""
    method, *paths, window = sys.argv[1:]
    reference, current = (pd.read_parquet(path) for path in paths)
    detect = {"evidently": evidently, "nannyml": nannyml}[method]
    detect(reference, current.head(int(window)), int(window))  # warm-up: imports and initialization
    start = time.perf_counter()
    n_detected, n_tests = detect(reference, current, int(window))
    print(
        json.dumps(
            {"seconds": time.perf_counter() - start, "n_detected": n_detected, "n_tests": n_tests}
        )
    )


if __name__ == "__main__":
    main()
