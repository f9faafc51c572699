"""Split rows into train, validation, evaluation and test parts without leaks between them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.core.types import Array

# With fewer labeled rows, validation and evaluation use out-of-fold predictions: separate parts of
# such a small table are too small for early stopping and for narrow intervals.
MAX_CROSS_FITTED_ROWS = 5_000
N_HALF_FOLDS = 10  # two for each of five folds, see `make_folds`
SPLIT_NAMES = {  # names of the parts of an existing split
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "holdout"),
}
N_TARGET_BINS = 10  # quantile bins of a numeric target


@dataclass(frozen=True)
class Fold:
    """Positions of the rows on which one fold model is trained, validated and evaluated."""

    train: Array
    validation: Array
    evaluation: Array


def make_folds(assignment: pl.DataFrame) -> list[Fold]:
    """Return the folds of the rows that are not sealed, from the columns ``part`` and ``fold``.

    A large table has one fold. A small one has five (nested cross-validation): each model is
    evaluated on 20 % of the rows, validated on 10 % and trained on 70 %, so that each row is
    evaluated exactly once, by a model that was not trained on it.
    """
    part, half_fold = assignment["part"].to_numpy(), assignment["fold"].to_numpy()
    if not (part == "cv").any():
        names = ("train", "validation", "evaluation")
        return [Fold(*(np.flatnonzero(part == name) for name in names))]
    # Ten half-folds: each fold is evaluated on two neighboring ones (E), validated on the next one
    # (V) and trained on the others (t).
    #
    #     half-fold  0 1 2 3 4 5 6 7 8 9
    #     fold 1     E E V t t t t t t t
    #     fold 2     t t E E V t t t t t
    #     fold 3     t t t t E E V t t t
    #     fold 4     t t t t t t E E V t
    #     fold 5     V t t t t t t t E E
    #
    # Each half-fold is evaluated once. Validation and evaluation rows of a fold are disjoint;
    # otherwise early stopping and thresholds would be fitted to the rows of the metrics.
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
    """Return the stratum of each row: its label or labels, or the quantile bin of a number."""
    if target.dtype == pl.Struct:
        fields = [target.struct.field(name).cast(pl.String) for name in target.struct.fields]
        frame = pl.DataFrame(fields).select(pl.concat_str(pl.all().fill_null(""), separator="|"))
        return frame.to_series().to_list()
    if not target.dtype.is_numeric():
        return target.cast(pl.String).fill_null("").to_list()
    values = target.to_numpy()
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, N_TARGET_BINS + 1)[1:-1]))
    return [str(bin_number) for bin_number in np.searchsorted(edges, values, side="right")]


def assign_parts(
    groups: Sequence[bytes], strata: Sequence[str], fractions: Sequence[float], seed: int
) -> Array:
    """Assign whole groups of rows to parts, with the same fractions in each stratum.

    Args:
        groups: the group of each row, such as the person; rows of a group stay together.
        strata: the stratum of each row; a group belongs to the rarest stratum among its rows.
        fractions: fraction of the rows in each part; they add up to 1.
        seed: determines the assignment.

    Returns:
        The number of the part of each row. Within a stratum, groups are ordered by a hash of
        the group and the seed, so the order of the file does not matter.
    """
    # A group with several strata counts for the rarest, which is the hardest to spread evenly; of
    # equally rare ones, the first by name counts.
    counts = Counter(strata)
    rarity = {label: (count, label) for label, count in counts.items()}
    sizes: dict[bytes, int] = {}
    stratum_by_group: dict[bytes, str] = {}
    for group, label in zip(groups, strata, strict=True):
        sizes[group] = sizes.get(group, 0) + 1
        current = stratum_by_group.get(group, label)
        stratum_by_group[group] = min(current, label, key=rarity.__getitem__)
    # Hashed rather than shuffled: a new group does not change the order of the others.
    salt = seed.to_bytes(8, "big", signed=True)
    order = sorted(
        sizes, key=lambda group: (stratum_by_group[group], hashlib.blake2b(salt + group).digest())
    )
    # Each group goes to the part that lacks the most rows of its fraction. Deficits carry over from
    # stratum to stratum, so that classes of one row do not all get the same part.
    deficits = [0.0] * len(fractions)
    part_by_group: dict[bytes, int] = {}
    for group in order:
        deficits = [
            deficit + fraction * sizes[group]
            for deficit, fraction in zip(deficits, fractions, strict=True)
        ]
        part = max(range(len(fractions)), key=deficits.__getitem__)
        deficits[part] -= sizes[group]
        part_by_group[group] = part
    return np.array([part_by_group[group] for group in groups], dtype=np.int64)


def time_ordered_split(times: pl.Series, fractions: Sequence[float]) -> Array:
    """Assign rows to parts in order of time: the first part is the oldest, the last the newest.

    Rows of the same time stay together; rows without a time count as the oldest.
    """
    # The newest part is the last, since it stands for the future that the model predicts. Rows of
    # equal time take the rank of the last of them, so at a cut they go to the newer part together.
    ranks = times.rank("max").cast(pl.Int64) + times.null_count()
    cuts = np.cumsum(fractions)[:-1] * len(times)
    return np.searchsorted(cuts, ranks.fill_null(0).to_numpy() - 1, side="right").astype(np.int64)
