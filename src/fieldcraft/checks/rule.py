"""Two columns that together give a class away by a simple rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.association import (
    LEAST_ROWS_A_CLASS,
    balanced_right,
    each_target,
    goodman_kruskal,
    levels_of,
    numbers_of,
    some,
)
from fieldcraft.evidence.records import Finding

SAMPLE = 6_000
FEWEST = 100  # rows to judge a rule on
MOST_COLUMNS = 30  # paired with each other
MOST_LEVELS = 30  # of a column that is not a number
MOST_CLASSES = 20
MOST_LABELS = 10
BINS = 12  # of a number, for a first look
PROMISING = 0.6  # at the first look
TRIED = 12  # pairs that are looked at closely
CERTAIN = 0.99
SUSPECT = 0.95
HOLDING = 0.9  # on rows from which the rule was not made
ALONE = 0.9  # a column that tells so much by itself is for the check `leak`
BEYOND = 0.05  # how much more the two must tell than each
MOST_RULES = 3
CUTS = 2  # how often a range is cut in two


@dataclass(frozen=True)
class Rule:
    """Two columns, and how much they tell of a class together and each alone."""

    columns: tuple[str, str]
    power: float
    alone: tuple[float, float]

    def tells(self) -> bool:
        """Whether they tell much, and much more together than alone."""
        return self.power >= max(SUSPECT, max(self.alone) + BEYOND)


class Rules:
    """Reports pairs of columns that tell (nearly) all of a class by a few thresholds."""

    code = "rule"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Try simple rules on half of the training rows, and judge them on the other half."""
        if view.task is None or view.y is None or view.task.output == "value":
            return
        rows = some(len(view.y), SAMPLE)
        values = view.values[rows.tolist()]
        for target, y in each_target(view.y[rows], view.targets)[:MOST_LABELS]:
            for rule in rules(values, y):
                first, second = rule.columns
                stop = rule.power >= CERTAIN
                fixes = tuple(Edit(("data", "drop"), name, add=True) for name in rule.columns)
                yield Finding(
                    self.code,
                    "stop" if stop else "warn",
                    f"{first} and {second} together tell {rule.power:.0%} of {target} by a simple "
                    f"rule (alone {rule.alone[0]:.0%} and {rule.alone[1]:.0%})",
                    first,
                    {"columns": [first, second], "power": rule.power, "alone": list(rule.alone)},
                    "ask whether the target was derived from them; drop what is not known at the "
                    "moment of prediction",
                    fixes if stop else (),
                )


def rules(values: pl.DataFrame, y: Array) -> Iterator[Rule]:
    """Rules that share no column, the surest first."""
    kept = np.bincount(y, minlength=1)[y] >= LEAST_ROWS_A_CLASS if len(y) else np.zeros(0, bool)
    classes, y = np.unique(y[kept], return_inverse=True)
    if len(y) < FEWEST or not 2 <= len(classes) <= MOST_CLASSES:
        return
    values = values.filter(kept)
    codes = {name: levels_of(values[name], BINS) for name in values.columns}
    codes = {name: code for name, code in codes.items() if 1 <= code.max() < MOST_LEVELS}
    alone = {name: goodman_kruskal(code, y) for name, code in codes.items()}
    names = most_telling(alone)
    pairs = promising(values, codes, names, y, len(classes))
    found = [
        Rule((a, b), tested(values, (a, b), y, len(classes)), (alone[a], alone[b]))
        for a, b in pairs
    ]
    used: set[str] = set()
    for rule in sorted(filter(Rule.tells, found), key=lambda rule: -rule.power):
        if used.isdisjoint(rule.columns):
            used.update(rule.columns)
            yield rule


def most_telling(alone: dict[str, float]) -> list[str]:
    """Columns that do not give the target away alone; where there are many, those that tell most.

    Few columns keep their order, so that a rule names them as the table does.
    """
    names = [name for name, power in alone.items() if power < ALONE]
    if len(names) > MOST_COLUMNS:
        return sorted(names, key=lambda name: -alone[name])[:MOST_COLUMNS]
    return names


def promising(
    values: pl.DataFrame, codes: dict[str, Array], names: list[str], y: Array, count: int
) -> list[tuple[str, str]]:
    """The pairs that tell most at a first look, by both their bins or by which is greater."""
    told: dict[tuple[str, str], float] = {}
    numbers = {name: found for name in names if (found := numbers_of(values[name])) is not None}
    for a, b in combinations(names, 2):
        joint = codes[a] * (int(codes[b].max()) + 1) + codes[b]
        right = balanced_right(joint, y, count)
        if a in numbers and b in numbers and values[a].dtype == values[b].dtype:
            right = max(right, balanced_right(order_of(numbers[a], numbers[b]), y, count))
        told[a, b] = (right - 1 / count) / (1 - 1 / count)
    best = sorted(told, key=lambda pair: -told[pair])[:TRIED]
    return [pair for pair in best if told[pair] >= PROMISING]


def order_of(a: Array, b: Array) -> Array:
    """Which of two numbers is greater: 0 neither, 1 the first, 2 the second, 3 not known."""
    return np.where(np.isnan(a) | np.isnan(b), 3, (a > b) + 2 * (a < b))


def tested(values: pl.DataFrame, pair: tuple[str, str], y: Array, count: int) -> float:
    """How much a rule over two columns tells: on all rows, if it holds on rows it has not seen."""
    half = np.random.default_rng(0).permutation(len(y)) % 2 == 0
    whole = np.ones(len(y), dtype=bool)
    best = 0.0
    for kind in (grid, difference):
        seen = kind(values[pair[0]], values[pair[1]], y, half)
        if carried_over(seen, y, half, count) >= HOLDING:
            codes = np.unique(kind(values[pair[0]], values[pair[1]], y, whole), return_inverse=True)
            best = max(best, goodman_kruskal(codes[1], y))
    return best


def difference(a: pl.Series, b: pl.Series, y: Array, known: Array) -> Array:
    """Codes of the difference of two numbers, cut where the class changes."""
    one, other = numbers_of(a), numbers_of(b)
    if one is None or other is None:
        return np.zeros(len(y), dtype=np.int64)
    gap = one - other
    cuts = edges(gap[known], y[known], CUTS)
    return np.where(np.isnan(gap), 99, np.searchsorted(cuts, gap)) * 4 + order_of(one, other)


def grid(a: pl.Series, b: pl.Series, y: Array, known: Array) -> Array:
    """Cells of two columns, cut where the class changes within bins of the other column."""
    first, second = levels_of(a, BINS), levels_of(b, BINS)
    sides = []
    for column, codes, by in ((a, first, second), (b, second, first)):
        numbers = numbers_of(column)
        if numbers is None:
            sides.append(codes)
            continue
        cuts = [edges(numbers[known], y[known], CUTS)]
        for level in range(int(by.max()) + 1):
            rows = known & (by == level)
            cuts.append(edges(numbers[rows], y[rows], 1))
        found = np.searchsorted(np.unique(np.concatenate(cuts)), numbers)
        sides.append(np.where(np.isnan(numbers), found.max() + 1, found))
    return np.asarray(sides[0] * (int(sides[1].max()) + 1) + sides[1])


def edges(numbers: Array, y: Array, cuts: int) -> Array:
    """Where a range of numbers is best cut in two, and its parts again, to part the classes."""
    there = ~np.isnan(numbers)
    order = np.argsort(numbers[there], kind="stable")
    x, classes = numbers[there][order], y[there][order]
    if cuts == 0 or len(x) < 4 or x[0] == x[-1] or classes.min() == classes.max():
        return np.zeros(0)
    left = np.cumsum(classes[:, None] == np.arange(classes.max() + 1), axis=0)[:-1]
    right = left[-1] + (classes[-1] == np.arange(classes.max() + 1)) - left
    size = np.arange(1, len(x))
    pure = (left**2).sum(axis=1) / size + (right**2).sum(axis=1) / size[::-1]
    pure = np.where(x[1:] > x[:-1], pure, -1.0)  # equal numbers cannot be parted
    at = int(pure.argmax())
    cut = (x[at] + x[at + 1]) / 2
    parts = [
        edges(x[: at + 1], classes[: at + 1], cuts - 1),
        edges(x[at + 1 :], classes[at + 1 :], cuts - 1),
    ]
    return np.unique(np.concatenate([[cut], *parts]))


def carried_over(codes: Array, y: Array, half: Array, count: int) -> float:
    """How much the best guess by code, learned on one half, is better than chance on the other."""
    codes = np.unique(codes, return_inverse=True)[1]
    width = int(codes.max()) + 1
    table = np.bincount(codes[half] * count + y[half], minlength=width * count)
    sizes = np.maximum(np.bincount(y[half], minlength=count), 1)
    guess = (table.reshape(width, count) / sizes).argmax(axis=1)
    right = guess[codes[~half]] == y[~half]
    recalls = [right[y[~half] == k].mean() for k in range(count) if (y[~half] == k).any()]
    return float((np.mean(recalls) - 1 / count) / (1 - 1 / count))


CHECK = Rules()
