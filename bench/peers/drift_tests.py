"""A peer looks for drift in windows of rows: run by ``bench/drift.py`` in the peer's environment.

    python drift_tests.py (evidently|nannyml) REFERENCE CURRENT WINDOW

Prints the seconds that it took, reading files and importing libraries aside, and in how many of
the looks at a column in a window it told drift, by its own defaults.
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
    from evidently import Report
    from evidently.presets import DataDriftPreset

    n_detected = looks = 0
    for start in range(0, len(current), window):
        part = current.iloc[start : start + window]
        report: Any = Report([DataDriftPreset()], include_tests=True).run(part, reference)
        tests = [
            test for test in report.dict()["tests"] if "column" in json.dumps(test, default=str)
        ]
        states = [str(test["status"]).rpartition(".")[2].upper() for test in tests]
        n_detected, looks = n_detected + states.count("FAIL"), looks + current.shape[1]
    return n_detected, looks


def nannyml(reference: pd.DataFrame, current: pd.DataFrame, window: int) -> tuple[int, int]:
    from nannyml import UnivariateDriftCalculator

    calculator = UnivariateDriftCalculator(list(current.columns), chunk_size=window)
    calculator.fit(reference)
    results = calculator.calculate(current).filter(period="analysis").to_df()
    alerts = results.loc[:, results.columns.get_level_values(-1) == "alert"]
    return int(alerts.to_numpy().sum()), alerts.size


def main() -> None:
    method, *places, window = sys.argv[1:]
    reference, current = (pd.read_parquet(place) for place in places)
    work = {"evidently": evidently, "nannyml": nannyml}[method]
    work(reference, current.head(int(window)), int(window))  # imports, and what is made once
    start = time.perf_counter()
    n_detected, looks = work(reference, current, int(window))
    print(json.dumps({"seconds": time.perf_counter() - start, "told": n_detected, "looks": looks}))


if __name__ == "__main__":
    main()
