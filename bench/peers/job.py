"""What every contestant's script shares: read a job, train, predict, write what came out.

A job is a folder that `bench/contest/rounds.py` fills::

    job.json            method, task, classes, seed, threads, names of the category columns
    develop.parquet     all rows that are not test rows, the target as it is in the table
    train.parquet       four fifths of those, the target as class number or value in `__target__`
    val.parquet         the others
    test.parquet        the test rows, without target

and where the script leaves ``<name>.parquet`` (one column a class, or one with values) for each
model it trained, and ``done.json``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TARGET = "__target__"


@dataclass(frozen=True)
class PeerJob:
    """What is to be trained on which rows.

    Attributes:
        folder: of the job.
        method: which of the script's methods is wanted.
        task: binary, multiclass or regression.
        target: name of the target in ``develop.parquet``.
        labels: the classes as text, in the order of their numbers.
        categories: columns that hold words; all others hold numbers.
        seed: of everything random.
        threads: how many may be used.
    """

    folder: Path
    method: str
    task: str
    target: str
    labels: tuple[str, ...]
    categories: tuple[str, ...]
    seed: int
    threads: int

    @classmethod
    def read(cls, folder: Path) -> PeerJob:
        """The job in a folder."""
        description = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        description |= {name: tuple(description[name]) for name in ("labels", "categories")}
        return cls(folder=folder, **description)

    @property
    def is_regression(self) -> bool:
        """Whether the target is a number."""
        return self.task == "regression"

    def rows(self, part: str) -> pd.DataFrame:
        """The features of a part: numbers as floats, words as text."""
        frame = pd.read_parquet(self.folder / f"{part}.parquet")
        frame = frame.drop(columns=TARGET, errors="ignore")
        numbers = frame.columns.difference(self.categories)
        words = dict.fromkeys(self.categories, "object")
        return frame.astype(dict.fromkeys(numbers, "float64") | words)

    def y(self, part: str) -> np.ndarray:
        """The target of a part: class numbers, or values."""
        frame = pd.read_parquet(self.folder / f"{part}.parquet", columns=[TARGET])
        return frame[TARGET].to_numpy(dtype="float64" if self.is_regression else "int64")

    def spread_to_all_labels(self, probabilities: Any, classes: Sequence[int]) -> np.ndarray:
        """Probabilities with a column for every class, also for those never seen in training."""
        spread = np.zeros((len(probabilities), len(self.labels)))
        spread[:, np.asarray(classes, dtype=int)] = probabilities
        return spread

    def write(self, outputs: Mapping[str, Any], details: Mapping[str, Any]) -> None:
        """Leave predictions by name, and what is to be known about them."""
        for name, values in outputs.items():
            columns = np.asarray(values, dtype="float64").reshape(len(values), -1)
            frame = pd.DataFrame(columns, columns=[str(i) for i in range(columns.shape[1])])
            frame.to_parquet(self.folder / f"{name}.parquet")
        (self.folder / "done.json").write_text(json.dumps(details), encoding="utf-8")


Predict = Callable[[pd.DataFrame], Any]


def run(methods: Mapping[str, Callable[[PeerJob], Predict]], packages: Sequence[str]) -> None:
    """Train the wanted method on the job named on the command line and predict its test rows.

    The seconds are of training with everything it needs (filling gaps, encoding), without
    imports and reading.
    """
    job = PeerJob.read(Path(sys.argv[1]))
    train = methods[job.method]
    start = time.monotonic()
    predict = train(job)
    seconds = time.monotonic() - start
    outputs = predict(job.rows("test"))
    versions = {name: version(name) for name in packages}
    job.write({job.method: outputs}, {"seconds": {job.method: seconds}, "versions": versions})
