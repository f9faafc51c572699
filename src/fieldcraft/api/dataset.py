"""Turn the rows of `fit` into a dataset with folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from fieldcraft.api.model import ProblemSpec
from fieldcraft.core import catalog, digest
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Schema, row_digests
from fieldcraft.data.splitting import (
    MAX_CROSS_FITTED_ROWS,
    Fold,
    assign_parts,
    stratification_labels,
)
from fieldcraft.modeling.dataset import ModelingDataset

N_FOLDS = 5  # of a table with fewer rows than MAX_CROSS_FITTED_ROWS
VALIDATION_FRACTION = 0.125  # of a larger table, for early stopping and calibration


def build_dataset(
    frame: pl.DataFrame,
    y: Array,
    schema: Schema,
    problem: ProblemSpec,
    weights: Array | None,
    seed: int,
) -> ModelingDataset:
    """The dataset of a table, with folds; rows with weight 0 are left out.

    Args:
        frame: cells as given.
        y: the target as the task encodes it, shape (rows,) or (rows, labels).
        schema: columns that the model may use.
        problem: the task with its target.
        weights: sample weights, shape (rows,).
        seed: seed of the assignment of rows to folds.
    """
    if weights is not None and not weights.all():
        weighted_rows = np.flatnonzero(weights)
        frame, y, weights = frame[weighted_rows.tolist()], y[weighted_rows], weights[weighted_rows]
    values = schema.apply(frame)
    digests = row_digests(values)
    return ModelingDataset(
        frame,
        values,
        y,
        list(range(1, frame.height + 1)),
        make_folds(digests, compute_strata(y), seed),
        schema,
        catalog.load_plugin("tasks", problem.task),
        problem.target_spec,
        digest.of_bytes(b"".join(sorted(digests))),
        weights,
    )


def compute_strata(y: Array) -> list[str]:
    """The stratum of each row: its class, its labels, or the quantile bin of its value."""
    if y.ndim == 2:
        return ["".join(map(str, row)) for row in y]
    return stratification_labels(pl.Series(y.astype(str) if y.dtype.kind in "iu" else y))


def make_folds(digests: Sequence[bytes], strata: Sequence[str], seed: int) -> list[Fold]:
    """Train and validation rows of each fold; there are no evaluation rows.

    A small table has five folds, each with another fifth of the rows for validation, so that every
    row serves for calibration; a large one has one fold. Duplicate rows stay together, unless most
    rows are duplicates, as in a table with few columns.
    """
    rows = len(digests)
    # Where most rows are duplicates, groups can be as large as a fold, and folds would differ in
    # size.
    groups = make_unique_groups(digests, strata) if 2 * len(set(digests)) <= rows else digests
    if rows >= MAX_CROSS_FITTED_ROWS:
        fractions = (1 - VALIDATION_FRACTION, VALIDATION_FRACTION)
        part_numbers = assign_parts(groups, strata, fractions, seed)
        masks = [(part_numbers == 0, part_numbers == 1)]
    else:
        n_folds = min(N_FOLDS, rows)
        fold_numbers = assign_parts(groups, strata, (1 / n_folds,) * n_folds, seed)
        masks = [(fold_numbers != number, fold_numbers == number) for number in range(n_folds)]
    no_rows = np.zeros(0, dtype=np.int64)
    return [
        Fold(np.flatnonzero(train), np.flatnonzero(validation), no_rows)
        for train, validation in masks
        if train.any() and validation.any()
    ]


def make_unique_groups(digests: Sequence[bytes], strata: Sequence[str]) -> list[bytes]:
    """A group of its own for each row.

    Its name is the digest, the stratum and a count of equal pairs of them, so that the folds do not
    depend on the order of the rows.
    """
    occurrences: Counter[tuple[bytes, str]] = Counter()
    groups = []
    for pair in zip(digests, strata, strict=True):
        groups.append(b"/".join([pair[0], pair[1].encode(), str(occurrences[pair]).encode()]))
        occurrences[pair] += 1
    return groups
