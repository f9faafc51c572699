"""Shared by the scripts of all peers: read a job, train, predict, write the predictions.

A job is a folder that `bench/contest/rounds.py` fills::

    job.json            method, task, classes, seed, threads, names of the category columns
    develop.parquet     all rows that are not test rows, with the target as in the table
    train.parquet       four fifths of those, the target as class number or value in `__target__`
    val.parquet         the remaining fifth
    test.parquet        the test rows, without target

The script writes ``<name>.parquet`` (a column for each class, or one with values) for each model
that it trained, and ``done.json``.
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
    """A training job: a method and its data.

    Attributes:
        folder: the folder of the job.
        method: the method of the script to train.
        task: binary, multiclass or regression.
        target: the name of the target in ``develop.parquet``.
        labels: the classes as text, in the order of their numbers.
        categories: names of text columns; all others are numeric.
        seed: the random seed.
        threads: the number of threads.
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
        """Read the job in a folder."""
        description = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        description |= {name: tuple(description[name]) for name in ("labels", "categories")}
        return cls(folder=folder, **description)

    @property
    def is_regression(self) -> bool:
        """Whether the target is a number."""
        return self.task == "regression"

    def rows(self, part: str) -> pd.DataFrame:
        """Return the features of a part: numbers as floats, categories as text."""
        frame = pd.read_parquet(self.folder / f"{part}.parquet")
        frame = frame.drop(columns=TARGET, errors="ignore")
        numbers = frame.columns.difference(self.categories)
        texts = dict.fromkeys(self.categories, "object")
        return frame.astype(dict.fromkeys(numbers, "float64") | texts)

    def y(self, part: str) -> np.ndarray:
        """Return the target of a part: class numbers or values."""
        frame = pd.read_parquet(self.folder / f"{part}.parquet", columns=[TARGET])
        return frame[TARGET].to_numpy(dtype="float64" if self.is_regression else "int64")

    def spread_to_all_labels(self, probabilities: Any, classes: Sequence[int]) -> np.ndarray:
        """Return probabilities with a column for every class, also those unseen in training."""
        spread = np.zeros((len(probabilities), len(self.labels)))
        spread[:, np.asarray(classes, dtype=int)] = probabilities
        return spread

    def write(self, outputs: Mapping[str, Any], details: Mapping[str, Any]) -> None:
        """Write the predictions by name, and their details."""
        for name, values in outputs.items():
            columns = np.asarray(values, dtype="float64").reshape(len(values), -1)
            frame = pd.DataFrame(columns, columns=[str(i) for i in range(columns.shape[1])])
            frame.to_parquet(self.folder / f"{name}.parquet")
        (self.folder / "done.json").write_text(json.dumps(details), encoding="utf-8")


Predict = Callable[[pd.DataFrame], Any]


def run(methods: Mapping[str, Callable[[PeerJob], Predict]], packages: Sequence[str]) -> None:
    """Train the method of the job given on the command line and predict its test rows.

    The seconds include preprocessing (imputation, encoding), but not imports and reading.
    """
    job = PeerJob.read(Path(sys.argv[1]))
    train = methods[job.method]
    start = time.monotonic()
    predict = train(job)
    seconds = time.monotonic() - start
    outputs = predict(job.rows("test"))
    versions = {name: version(name) for name in packages}
    job.write({job.method: outputs}, {"seconds": {job.method: seconds}, "versions": versions})
