"""Pairs of columns that together give a class away by a simple rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from fieldcraft.checks._base import LEAKAGE_THRESHOLD
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import (
    MIN_ROWS_PER_CLASS,
    best_balanced_accuracy,
    encode_levels,
    goodman_kruskal_lambda,
    sample_rows,
    split_targets,
    to_floats,
)

MAX_SAMPLED_ROWS = 6_000
MIN_ROWS = 100  # half of them are held out to test a rule
MAX_COLUMNS = 30  # paired with each other: 435 pairs
MAX_LEVELS = 30  # of a categorical column
MAX_CLASSES = 20
MAX_LABELS = 10
N_BINS = 12  # of a number, for screening
MIN_SCREENING_ASSOCIATION = 0.6  # far below 0.95, as coarse bins miss the exact thresholds
MAX_TESTED_PAIRS = 12
ERROR_ASSOCIATION = 0.99
MIN_ASSOCIATION = 0.95
MIN_HELD_OUT_ASSOCIATION = 0.9  # on the half of the rows that the rule was not fitted on
MAX_SINGLE_ASSOCIATION = LEAKAGE_THRESHOLD
MIN_ASSOCIATION_GAIN = 0.05  # of the pair over each of its columns
MISSING_CODE = 99  # above the codes of all intervals
MAX_CUT_DEPTH = 2  # up to three cuts, like a decision tree of that depth


@dataclass(frozen=True)
class PairRule:
    """Two columns, and their association with a class together and each alone."""

    columns: tuple[str, str]
    association: float
    single_associations: tuple[float, float]

    def is_leak(self) -> bool:
        """Whether the association is strong, and much stronger together than alone."""
        return self.association >= max(
            MIN_ASSOCIATION, max(self.single_associations) + MIN_ASSOCIATION_GAIN
        )


class PairwiseLeak:
    """Reports pairs of columns that determine a class (nearly) by a few thresholds."""

    code = "pairwise_leak"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Fit simple rules on half of the training rows, and test them on the other half."""
        if context.task is None or context.y is None or context.task.output == "value":
            return
        rows = sample_rows(len(context.y), MAX_SAMPLED_ROWS)
        values = context.values[rows.tolist()]
        for target, y in split_targets(context.y[rows], context.targets)[:MAX_LABELS]:
            for rule in iter_leaking_pairs(values, y):
                first, second = rule.columns
                is_error = rule.association >= ERROR_ASSOCIATION
                fixes = tuple(
                    ConfigEdit(("data", "drop"), name, append=True) for name in rule.columns
                )
                yield Finding(
                    self.code,
                    "error" if is_error else "warning",
                    f"{first} and {second} together explain {rule.association:.0%} of {target} by "
                    f"a simple rule (alone {rule.single_associations[0]:.0%} and "
                    f"{rule.single_associations[1]:.0%})",
                    first,
                    {
                        "columns": [first, second],
                        "association_strength": rule.association,
                        "single_column_strength": list(rule.single_associations),
                    },
                    "find out whether the target was derived from them; drop those that are not "
                    "known at prediction",
                    fixes if is_error else (),
                )


def iter_leaking_pairs(values: pl.DataFrame, y: Array) -> Iterator[PairRule]:
    """Rules that share no column, the strongest first."""
    is_frequent_class = (
        np.bincount(y, minlength=1)[y] >= MIN_ROWS_PER_CLASS if len(y) else np.zeros(0, bool)
    )
    classes, y = np.unique(y[is_frequent_class], return_inverse=True)
    if len(y) < MIN_ROWS or not 2 <= len(classes) <= MAX_CLASSES:
        return
    values = values.filter(is_frequent_class)
    codes = {name: encode_levels(values[name], N_BINS) for name in values.columns}
    codes = {
        name: column_codes
        for name, column_codes in codes.items()
        if 1 <= column_codes.max() < MAX_LEVELS
    }
    single_associations = {
        name: goodman_kruskal_lambda(column_codes, y) for name, column_codes in codes.items()
    }
    names = select_columns(single_associations)
    pairs = screen_pairs(values, codes, names, y, len(classes))
    tested_rules = [
        PairRule(
            (a, b),
            test_pair(values, (a, b), y, len(classes)),
            (single_associations[a], single_associations[b]),
        )
        for a, b in pairs
    ]
    used_columns: set[str] = set()
    for rule in sorted(filter(PairRule.is_leak, tested_rules), key=lambda rule: -rule.association):
        if used_columns.isdisjoint(rule.columns):
            used_columns.update(rule.columns)
            yield rule


def select_columns(single_associations: dict[str, float]) -> list[str]:
    """Columns that do not give the target away alone; of many, the most strongly associated.

    Few columns keep their order, so that a rule names them in the order of the table.
    """
    names = [
        name
        for name, association in single_associations.items()
        if association < MAX_SINGLE_ASSOCIATION
    ]
    if len(names) > MAX_COLUMNS:
        return sorted(names, key=lambda name: -single_associations[name])[:MAX_COLUMNS]
    return names


def screen_pairs(
    values: pl.DataFrame, codes: dict[str, Array], names: list[str], y: Array, n_classes: int
) -> list[tuple[str, str]]:
    """The strongest pairs by coarse bins, or by which of two numbers is greater."""
    associations: dict[tuple[str, str], float] = {}
    numbers = {
        name: column_numbers
        for name in names
        if (column_numbers := to_floats(values[name])) is not None
    }
    for a, b in combinations(names, 2):
        joint_codes = codes[a] * (int(codes[b].max()) + 1) + codes[b]
        balanced_accuracy = best_balanced_accuracy(joint_codes, y, n_classes)
        if a in numbers and b in numbers and values[a].dtype == values[b].dtype:
            balanced_accuracy = max(
                balanced_accuracy,
                best_balanced_accuracy(compare_values(numbers[a], numbers[b]), y, n_classes),
            )
        associations[a, b] = (balanced_accuracy - 1 / n_classes) / (1 - 1 / n_classes)
    best_pairs = sorted(associations, key=lambda pair: -associations[pair])[:MAX_TESTED_PAIRS]
    return [pair for pair in best_pairs if associations[pair] >= MIN_SCREENING_ASSOCIATION]


def compare_values(a: Array, b: Array) -> Array:
    """Which of two numbers is greater: 0 neither, 1 the first, 2 the second, 3 missing."""
    return np.where(np.isnan(a) | np.isnan(b), 3, (a > b) + 2 * (a < b))


def test_pair(values: pl.DataFrame, pair: tuple[str, str], y: Array, n_classes: int) -> float:
    """The association of a rule over two columns on all rows, or 0 if it fails on held-out rows.

    The held-out half guards against overfitting; the rule is then fitted on all rows, so that the
    figure reported uses all of them.
    """
    is_training_row = np.random.default_rng(0).permutation(len(y)) % 2 == 0
    all_rows = np.ones(len(y), dtype=bool)
    best_association = 0.0
    for partition in (partition_by_grid, partition_by_difference):
        training_codes = partition(values[pair[0]], values[pair[1]], y, is_training_row)
        if (
            held_out_association(training_codes, y, is_training_row, n_classes)
            >= MIN_HELD_OUT_ASSOCIATION
        ):
            codes = np.unique(
                partition(values[pair[0]], values[pair[1]], y, all_rows), return_inverse=True
            )
            best_association = max(best_association, goodman_kruskal_lambda(codes[1], y))
    return best_association


def partition_by_difference(a: pl.Series, b: pl.Series, y: Array, is_training_row: Array) -> Array:
    """Codes of the difference of two numbers, cut where the class changes."""
    first_numbers, second_numbers = to_floats(a), to_floats(b)
    if first_numbers is None or second_numbers is None:
        return np.zeros(len(y), dtype=np.int64)
    differences = first_numbers - second_numbers
    cuts = best_cuts(differences[is_training_row], y[is_training_row], MAX_CUT_DEPTH)
    interval_codes = np.where(
        np.isnan(differences), MISSING_CODE, np.searchsorted(cuts, differences)
    )
    # `compare_values` has four codes.
    return interval_codes * 4 + compare_values(first_numbers, second_numbers)


def partition_by_grid(a: pl.Series, b: pl.Series, y: Array, is_training_row: Array) -> Array:
    """Codes of a grid over two columns, with cuts where the class changes.

    Each number is cut on its own and within every bin of the other column: for an XOR of two
    columns, neither shows a cut on its own.
    """
    first_codes, second_codes = encode_levels(a, N_BINS), encode_levels(b, N_BINS)
    column_codes = []
    for column, codes, other_codes in (
        (a, first_codes, second_codes),
        (b, second_codes, first_codes),
    ):
        numbers = to_floats(column)
        if numbers is None:
            column_codes.append(codes)
            continue
        cuts = [best_cuts(numbers[is_training_row], y[is_training_row], MAX_CUT_DEPTH)]
        for level in range(int(other_codes.max()) + 1):
            rows = is_training_row & (other_codes == level)
            cuts.append(best_cuts(numbers[rows], y[rows], 1))
        interval_codes = np.searchsorted(np.unique(np.concatenate(cuts)), numbers)
        column_codes.append(np.where(np.isnan(numbers), interval_codes.max() + 1, interval_codes))
    return np.asarray(column_codes[0] * (int(column_codes[1].max()) + 1) + column_codes[1])


def best_cuts(numbers: Array, y: Array, depth: int) -> Array:
    """The cuts that best separate the classes by Gini impurity, recursively to some depth."""
    is_present = ~np.isnan(numbers)
    order = np.argsort(numbers[is_present], kind="stable")
    x, classes = numbers[is_present][order], y[is_present][order]
    if depth == 0 or len(x) < 4 or x[0] == x[-1] or classes.min() == classes.max():
        return np.zeros(0)
    left_counts = np.cumsum(classes[:, None] == np.arange(classes.max() + 1), axis=0)[:-1]
    right_counts = left_counts[-1] + (classes[-1] == np.arange(classes.max() + 1)) - left_counts
    left_sizes = np.arange(1, len(x))
    # The weighted Gini impurity of both sides is 1 minus this sum over the number of rows, so the
    # largest sum is the best cut.
    gini_purity = (left_counts**2).sum(axis=1) / left_sizes + (right_counts**2).sum(
        axis=1
    ) / left_sizes[::-1]
    gini_purity = np.where(x[1:] > x[:-1], gini_purity, -1.0)  # no cut between equal numbers
    cut_index = int(gini_purity.argmax())
    cut = (x[cut_index] + x[cut_index + 1]) / 2
    parts = [
        best_cuts(x[: cut_index + 1], classes[: cut_index + 1], depth - 1),
        best_cuts(x[cut_index + 1 :], classes[cut_index + 1 :], depth - 1),
    ]
    return np.unique(np.concatenate([[cut], *parts]))


def held_out_association(codes: Array, y: Array, is_training_row: Array, n_classes: int) -> float:
    """Held-out balanced accuracy of the best class per code, rescaled so that chance is 0."""
    codes = np.unique(codes, return_inverse=True)[1]
    n_codes = int(codes.max()) + 1
    contingency = np.bincount(
        codes[is_training_row] * n_classes + y[is_training_row], minlength=n_codes * n_classes
    )
    # Per class, so that a rare class counts as much as a common one.
    sizes = np.maximum(np.bincount(y[is_training_row], minlength=n_classes), 1)
    predicted_class = (contingency.reshape(n_codes, n_classes) / sizes).argmax(axis=1)
    is_correct = predicted_class[codes[~is_training_row]] == y[~is_training_row]
    recalls = [
        is_correct[y[~is_training_row] == class_index].mean()
        for class_index in range(n_classes)
        if (y[~is_training_row] == class_index).any()
    ]
    return float((np.mean(recalls) - 1 / n_classes) / (1 - 1 / n_classes))


CHECK = PairwiseLeak()
