"""Divide rows into training, tune, judge and test parts without leaks between them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.core.types import Array

MAX_CROSS_FITTED_ROWS = (
    5_000  # below this many labelled rows, tune and judge come from out-of-fold predictions
)
N_HALF_FOLDS = 10  # a small table is cut into ten halves of five folds
SPLIT_NAMES = {  # what a ready-made split calls its parts
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "holdout"),
}
N_TARGET_BINS = 10  # quantile bins of a numeric target


@dataclass(frozen=True)
class Fold:
    """Positions of the rows that one member of a model is trained, tuned and judged on."""

    train: Array
    validation: Array
    evaluation: Array


def make_folds(assignment: pl.DataFrame) -> list[Fold]:
    """The folds of the rows that are not sealed, from their ``part`` and ``fold`` columns.

    A large table has one fold. A small one has five: each is judged on one fifth of the rows,
    tuned on another tenth and trained on the remaining seven tenths, so that every row is
    judged exactly once, by a model that has not seen it (nested out-of-fold predictions).
    """
    part, half_fold = assignment["part"].to_numpy(), assignment["fold"].to_numpy()
    if not (part == "cross").any():
        return [Fold(*(np.flatnonzero(part == name) for name in ("train", "tune", "judge")))]
    folds = []
    for first_half in range(0, N_HALF_FOLDS, 2):
        validation_half = (first_half + 2) % N_HALF_FOLDS
        is_evaluation = (half_fold == first_half) | (half_fold == first_half + 1)
        is_validation = half_fold == validation_half
        folds.append(
            Fold(
                *map(
                    np.flatnonzero, (~is_evaluation & ~is_validation, is_validation, is_evaluation)
                )
            )
        )
    return folds


def stratification_labels(target: pl.Series) -> list[str]:
    """The stratum of each row: its label or labels, or the quantile bin of a numeric target."""
    if target.dtype == pl.Struct:
        fields = [target.struct.field(name).cast(pl.String) for name in target.struct.fields]
        frame = pl.DataFrame(fields).select(pl.concat_str(pl.all().fill_null(""), separator="|"))
        return frame.to_series().to_list()
    if not target.dtype.is_numeric():
        return target.cast(pl.String).fill_null("").to_list()
    values = target.to_numpy()
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, N_TARGET_BINS + 1)[1:-1]))
    return [str(bin_) for bin_ in np.searchsorted(edges, values, side="right")]


def assign_parts(
    groups: Sequence[bytes], strata: Sequence[str], fractions: Sequence[float], seed: int
) -> Array:
    """Deal rows out to parts, whole units at a time, with the same shares in every stratum.

    Args:
        groups: rows with the same unit stay together (duplicates, one person's rows).
        strata: the stratum of each row; a unit belongs to the rarest stratum among its rows.
        fractions: share of each part, adding up to 1.
        seed: changes which rows go where.

    Returns:
        The number of the part of each row. Within a stratum, units are ordered by a hash of
        the unit and the seed, so the order of the file does not matter.
    """
    counts = Counter(strata)
    rarity = {label: (count, label) for label, count in counts.items()}
    sizes: dict[bytes, int] = {}
    stratum: dict[bytes, str] = {}
    for group, label in zip(groups, strata, strict=True):
        sizes[group] = sizes.get(group, 0) + 1
        stratum[group] = min(stratum.get(group, label), label, key=rarity.__getitem__)
    salt = seed.to_bytes(8, "big", signed=True)
    order = sorted(sizes, key=lambda unit: (stratum[unit], hashlib.blake2b(salt + unit).digest()))
    # Each unit goes where most is owed. The account runs on from stratum to stratum, so that
    # shares hold within each and classes of one row do not all end in the same part.
    deficits = [0.0] * len(fractions)
    part: dict[bytes, int] = {}
    for group in order:
        deficits = [
            deficit + fraction * sizes[group]
            for deficit, fraction in zip(deficits, fractions, strict=True)
        ]
        neediest = max(range(len(fractions)), key=deficits.__getitem__)
        deficits[neediest] -= sizes[group]
        part[group] = neediest
    return np.array([part[group] for group in groups], dtype=np.int64)


def time_ordered_split(times: pl.Series, fractions: Sequence[float]) -> Array:
    """Deal rows out in the order of time: the first part is the oldest, the last the newest.

    Rows of the same moment stay together; rows without one count as the oldest.
    """
    ranks = times.rank("max").cast(pl.Int64) + times.null_count()
    cuts = np.cumsum(fractions)[:-1] * len(times)
    return np.searchsorted(cuts, ranks.fill_null(0).to_numpy() - 1, side="right").astype(np.int64)
