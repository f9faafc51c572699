"""Divide rows into training, tune, judge and test parts without leaks between them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[Any]

SMALL = 5_000  # below this many labelled rows, tune and judge come from out-of-fold predictions
HALF_FOLDS = 10  # a small table is cut into ten halves of five folds
PART_WORDS = {  # what a ready-made split calls its parts
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "holdout"),
}
STRATA = 10  # quantile bins of a numeric target


@dataclass(frozen=True)
class Fold:
    """Positions of the rows that one member of a model is trained, tuned and judged on."""

    train: Array
    tune: Array
    judge: Array


def folds_of(parts: pl.DataFrame) -> list[Fold]:
    """The folds of the rows that are not sealed, from their ``part`` and ``fold`` columns.

    A large table has one fold. A small one has five: each is judged on one fifth of the rows,
    tuned on another tenth and trained on the remaining seven tenths, so that every row is
    judged exactly once, by a model that has not seen it (nested out-of-fold predictions).
    """
    part, half = parts["part"].to_numpy(), parts["fold"].to_numpy()
    if not (part == "cross").any():
        return [Fold(*(np.flatnonzero(part == name) for name in ("train", "tune", "judge")))]
    found = []
    for first in range(0, HALF_FOLDS, 2):
        tuned = (first + 2) % HALF_FOLDS
        judge = (half == first) | (half == first + 1)
        tune = half == tuned
        found.append(Fold(*map(np.flatnonzero, (~judge & ~tune, tune, judge))))
    return found


def strata_of(target: pl.Series) -> list[str]:
    """The stratum of each row: its label or labels, or the quantile bin of a numeric target."""
    if target.dtype == pl.Struct:
        fields = [target.struct.field(name).cast(pl.String) for name in target.struct.fields]
        frame = pl.DataFrame(fields).select(pl.concat_str(pl.all().fill_null(""), separator="|"))
        return frame.to_series().to_list()
    if not target.dtype.is_numeric():
        return target.cast(pl.String).fill_null("").to_list()
    values = target.to_numpy()
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, STRATA + 1)[1:-1]))
    return [str(bin_) for bin_ in np.searchsorted(edges, values, side="right")]


def deal(
    units: Sequence[bytes], strata: Sequence[str], shares: Sequence[float], seed: int
) -> Array:
    """Deal rows out to parts, whole units at a time, with the same shares in every stratum.

    Args:
        units: rows with the same unit stay together (duplicates, one person's rows).
        strata: the stratum of each row; a unit belongs to the rarest stratum among its rows.
        shares: share of each part, adding up to 1.
        seed: changes which rows go where.

    Returns:
        The number of the part of each row. Within a stratum, units are ordered by a hash of
        the unit and the seed, so the order of the file does not matter.
    """
    counts = Counter(strata)
    rarity = {label: (count, label) for label, count in counts.items()}
    sizes: dict[bytes, int] = {}
    stratum: dict[bytes, str] = {}
    for unit, label in zip(units, strata, strict=True):
        sizes[unit] = sizes.get(unit, 0) + 1
        stratum[unit] = min(stratum.get(unit, label), label, key=rarity.__getitem__)
    salt = seed.to_bytes(8, "big", signed=True)
    order = sorted(sizes, key=lambda unit: (stratum[unit], hashlib.blake2b(salt + unit).digest()))
    # Each unit goes where most is owed. The account runs on from stratum to stratum, so that
    # shares hold within each and classes of one row do not all end in the same part.
    owed = [0.0] * len(shares)
    part: dict[bytes, int] = {}
    for unit in order:
        owed = [debt + share * sizes[unit] for debt, share in zip(owed, shares, strict=True)]
        chosen = max(range(len(shares)), key=owed.__getitem__)
        owed[chosen] -= sizes[unit]
        part[unit] = chosen
    return np.array([part[unit] for unit in units], dtype=np.int64)


def by_time(moments: pl.Series, shares: Sequence[float]) -> Array:
    """Deal rows out in the order of time: the first part is the oldest, the last the newest.

    Rows of the same moment stay together; rows without one count as the oldest.
    """
    ranks = moments.rank("max").cast(pl.Int64) + moments.null_count()
    cuts = np.cumsum(shares)[:-1] * len(moments)
    return np.searchsorted(cuts, ranks.fill_null(0).to_numpy() - 1, side="right").astype(np.int64)
