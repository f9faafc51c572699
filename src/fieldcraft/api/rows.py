"""The rows that an estimator is given, dealt out to folds and ready to develop a model on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from fieldcraft.api.model import Question
from fieldcraft.contracts import Array
from fieldcraft.core import catalogue, digest
from fieldcraft.data.split import SMALL, Fold, deal, strata_of
from fieldcraft.data.table import Schema, row_digests
from fieldcraft.develop.rows import Development

FOLDS = 5  # of a small table
TUNED = 0.125  # share of a large table that early stopping and calibration get


def develop(
    frame: pl.DataFrame,
    y: Array,
    schema: Schema,
    question: Question,
    weights: Array | None,
    seed: int,
) -> Development:
    """The rows of a table with their folds; rows of weight 0 are left out.

    Args:
        frame: cells as handed over.
        y: the target as the task encodes it.
        schema: of the columns that a model may use.
        question: what the target asks.
        weights: how much each row counts.
        seed: decides which rows go where.
    """
    if weights is not None and not weights.all():
        kept = np.flatnonzero(weights)
        frame, y, weights = frame[kept.tolist()], y[kept], weights[kept]
    values = schema.apply(frame)
    digests = row_digests(values)
    return Development(
        frame,
        values,
        y,
        list(range(1, frame.height + 1)),
        folds(digests, strata(y), seed),
        schema,
        catalogue.load("tasks", question.task),
        question.about,
        digest.of_bytes(b"".join(sorted(digests))),
        weights,
    )


def strata(y: Array) -> list[str]:
    """The stratum of each row: its class or labels, or the quantile bin of an amount."""
    if y.ndim == 2:
        return ["".join(map(str, row)) for row in y]
    return strata_of(pl.Series(y.astype(str) if y.dtype.kind in "iu" else y))


def folds(digests: Sequence[bytes], strata: Sequence[str], seed: int) -> list[Fold]:
    """Which rows each member is trained and tuned on; there are no judge rows.

    A small table has five folds, each tuned on another fifth of the rows, so that all of them
    serve to calibrate; a large one has one. Rows alike stay together, unless most of the rows are
    alike, as where there are few columns.
    """
    rows = len(digests)
    units = apart(digests, strata) if 2 * len(set(digests)) <= rows else digests
    if rows >= SMALL:
        numbers = deal(units, strata, (1 - TUNED, TUNED), seed)
        pairs = [(numbers == 0, numbers == 1)]
    else:
        count = min(FOLDS, rows)
        numbers = deal(units, strata, (1 / count,) * count, seed)
        pairs = [(numbers != number, numbers == number) for number in range(count)]
    none = np.zeros(0, dtype=np.int64)
    return [
        Fold(np.flatnonzero(train), np.flatnonzero(tune), none)
        for train, tune in pairs
        if train.any() and tune.any()
    ]


def apart(digests: Sequence[bytes], strata: Sequence[str]) -> list[bytes]:
    """A unit for each row, whatever the order of the rows."""
    seen: Counter[tuple[bytes, str]] = Counter()
    found = []
    for pair in zip(digests, strata, strict=True):
        found.append(b"/".join([pair[0], pair[1].encode(), str(seen[pair]).encode()]))
        seen[pair] += 1
    return found
