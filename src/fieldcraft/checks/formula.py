"""A number target that two or three columns make up: a sum, a difference, a product, a ratio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import joined
from fieldcraft.evidence.association import numbers_of, rank_correlation, some
from fieldcraft.evidence.records import Finding

SAMPLE = 2_000
FEWEST = 40  # rows with a value in every column of a formula
MOST_COLUMNS = 200
MOST_IN_THREES = 60  # terms of which every three are tried; of more, the best pairs are extended
TRIED = 20  # combinations that are looked at closely
HOLED = 0.2  # share of gaps beyond which a column is left out
ALONE = 0.995  # a column that goes with the target like this is for the check `leak`
PROMISING = 0.5  # of the variance, gaps filled; below, a closer look is in vain
CLOSE = 0.01  # of the target's deviation, within which a row fits a formula
FITTING = 0.98  # of the rows
MATTERS = 0.02  # of the target's deviation that a term must account for
FINE = 0.1  # of the target's deviation, up to which a step of rounding is forgiven
DAY = 86_400.0  # seconds
LARGEST = 300.0  # logarithm of a number
MOST_FORMULAS = 5
PLAIN = 0.01  # how near to 1 a weight must be for the formula to be written out


@dataclass(frozen=True)
class Term:
    """A column, or 1 less or more than a share, as a formula may hold it."""

    column: str
    words: str
    values: Array


@dataclass(frozen=True)
class Formula:
    """Terms that make up the target, with their weights or powers, and how many rows fit."""

    terms: tuple[Term, ...]
    weights: tuple[float, ...]
    product: bool
    fitting: float

    @property
    def columns(self) -> list[str]:
        """The columns of the terms."""
        return list(dict.fromkeys(term.column for term in self.terms))

    def in_words(self) -> str:
        """The formula as a person would write it if its weights are plain, else its columns."""
        if any(abs(abs(weight) - 1) > PLAIN for weight in self.weights):
            return f"a {'product' if self.product else 'sum'} of {joined(self.columns)}, weighted"
        plus, minus = (" × ", " / ") if self.product else (" + ", " - ")
        signed = sorted(zip(self.weights, self.terms, strict=True), key=lambda pair: pair[0] < 0)
        text = "".join((plus if w > 0 else minus) + term.words for w, term in signed)
        return text[3:] if text.startswith(plus) else ("1" if self.product else "0") + text


class Formulas:
    """Reports columns from which the target can be computed."""

    code = "formula"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Look for sums and products of two or three columns that equal the training target."""
        if view.task is None or view.y is None or view.task.output != "value":
            return
        rows = some(len(view.y), SAMPLE)
        y = view.y[rows].astype(np.float64)
        if len(y) < FEWEST or np.ptp(y) == 0:
            return
        for formula in formulas(view.values[rows.tolist()], y):
            names = formula.columns
            yield Finding(
                self.code,
                "stop",
                f"{view.targets[0]} is {formula.in_words()} in {formula.fitting:.0%} of the rows",
                names[0],
                {"columns": names, "weights": list(formula.weights), "fitting": formula.fitting},
                "where the parts are known no model is needed; drop those that are not known at "
                "the moment of prediction",
                tuple(Edit(("data", "drop"), name, add=True) for name in names),
            )


def formulas(values: pl.DataFrame, y: Array) -> Iterator[Formula]:
    """Formulas that share no column, sums first."""
    tried = ((column.name, amounts(column, y)) for column in values)
    columns = {name: numbers for name, numbers in tried if numbers is not None}
    for product in (False, True):
        if product:  # of days since 1970 there is none
            columns = {n: c for n, c in columns.items() if values[n].dtype.is_numeric()}
        for _ in range(MOST_FORMULAS):
            found = best_formula(columns, y, product)
            if found is None:
                break
            yield found
            columns = {name: col for name, col in columns.items() if name not in found.columns}


def amounts(column: pl.Series, y: Array) -> Array | None:
    """Numbers as a formula may hold them, times in days; None if it may not hold this column."""
    numbers = numbers_of(column) if column.dtype != pl.Boolean else None
    if numbers is None or np.isnan(numbers).mean() > HOLED:
        return None
    there = ~np.isnan(numbers)
    if abs(rank_correlation(numbers[there], y[there])) >= ALONE:
        return None
    return numbers / DAY if column.dtype.is_temporal() else numbers


def best_formula(columns: dict[str, Array], y: Array, product: bool) -> Formula | None:
    """A formula of two terms that fits, else one of three, else None."""
    kept = y != 0 if product else np.ones(len(y), dtype=bool)
    goal = y[kept]
    target = logarithm(goal) if product else goal
    if len(target) < FEWEST or np.ptp(target) == 0:
        return None
    terms: list[Term] = []
    for name, values in columns.items():
        parts = factors(name, values) if product else [Term(name, name, values)]
        within = (Term(part.column, part.words, part.values[kept]) for part in parts)
        terms.extend(term for term in within if usable(term.values))
    for chosen in candidates(terms, target):
        weights, fitting = fit([term.values for term in chosen], goal, product)
        if fitting >= FITTING:
            return Formula(chosen, weights, product, fitting)
    return None


def logarithm(values: Array) -> Array:
    """Logarithms of sizes, NaN where there is none."""
    sizes = np.abs(values)
    return np.log(sizes, out=np.full(len(values), np.nan), where=sizes > 0)


def factors(name: str, values: Array) -> list[Term]:
    """A column in a product, and 1 less and 1 more than it if it is a share."""
    terms = [Term(name, name, logarithm(values))]
    if np.nanmin(values) >= 0 and 0 < np.nanmax(values) <= 1:
        terms.append(Term(name, f"(1 - {name})", logarithm(1 - values)))
        terms.append(Term(name, f"(1 + {name})", logarithm(1 + values)))
    return terms


def usable(values: Array) -> bool:
    """Whether a term has enough values, and more than one."""
    there = values[~np.isnan(values)]
    return len(there) >= (1 - HOLED) * len(values) > 0 and np.ptp(there) > 0


def candidates(terms: list[Term], y: Array) -> Iterator[tuple[Term, ...]]:
    """Pairs, then threes, that explain the target best, the best first."""
    if len(terms) < 2:
        return
    table = np.array([standard(term.values) for term in terms])
    goal = standard(y)
    r = table @ goal / len(goal)
    if len(terms) > MOST_COLUMNS:
        best = np.sort(np.argsort(-np.abs(r))[:MOST_COLUMNS])
        terms, table, r = [terms[i] for i in best], table[best], r[best]
    among = table @ table.T / len(goal)
    pairs = ranked(list(combinations(range(len(terms)), 2)), r, among)
    yield from chosen(terms, pairs[:TRIED], r, among)
    if len(terms) <= MOST_IN_THREES:
        threes = list(combinations(range(len(terms)), 3))
    else:
        grown = {
            tuple(sorted({*pair, i})) for pair in pairs[: 2 * TRIED] for i in range(len(terms))
        }
        threes = [three for three in grown if len(three) == 3]
    yield from chosen(terms, ranked(threes, r, among)[:TRIED], r, among)


def chosen(
    terms: list[Term], groups: list[tuple[int, ...]], r: Array, among: Array
) -> Iterator[tuple[Term, ...]]:
    """The terms of groups that promise something and name no column twice."""
    for group, share in zip(groups, explained(groups, r, among), strict=True):
        found = tuple(terms[i] for i in group)
        if share >= PROMISING and len({term.column for term in found}) == len(found):
            yield found


def ranked(groups: Sequence[tuple[int, ...]], r: Array, among: Array) -> list[tuple[int, ...]]:
    """Groups of terms, those that explain most first."""
    if not groups:
        return []
    return [groups[i] for i in np.argsort(-explained(groups, r, among), kind="stable")]


def explained(groups: Sequence[tuple[int, ...]], r: Array, among: Array) -> Array:
    """Share of the target's variance that each group of terms explains (R squared)."""
    if not groups:
        return np.zeros(0)
    index = np.array(groups)
    matrix = among[index[:, :, None], index[:, None, :]] + 1e-9 * np.eye(index.shape[1])
    weights = np.linalg.solve(matrix, r[index][:, :, None])[:, :, 0]
    return np.asarray((weights * r[index]).sum(axis=1))


def standard(values: Array) -> Array:
    """Values with mean 0 and deviation 1, gaps at the mean, the farthest 2 % pulled in."""
    low, high = np.nanquantile(values, [0.01, 0.99])
    values = np.clip(values, low, high) if high > low else values
    filled = np.where(np.isnan(values), np.nanmean(values), values)
    return np.asarray((filled - filled.mean()) / (filled.std() or 1.0))


def fit(columns: list[Array], y: Array, product: bool) -> tuple[tuple[float, ...], float]:
    """Weights of a formula, and the share of rows that it tells to 1 % of a deviation.

    The fit is made again without the rows that are farthest off, and is void if one of the columns
    does not matter to it. Of a product, columns are logarithms and the target is not.
    """
    there = ~np.isnan(np.array(columns)).any(axis=0)
    table = np.column_stack([*(column[there] for column in columns), np.ones(there.sum())])
    goal = np.abs(y[there]) if product else y[there]
    if len(goal) < FEWEST or goal.std() == 0:
        return (), 0.0
    target = np.log(goal) if product else goal
    counts = goal if product else np.ones(len(goal))  # a rounded product is least sure where small
    kept = np.ones(len(goal), dtype=bool)
    for _ in range(2):
        some = table[kept] * counts[kept, None]
        weights = np.linalg.lstsq(some, target[kept] * counts[kept], rcond=None)[0]
        told = table @ weights
        off = np.abs((np.exp(np.minimum(told, LARGEST)) if product else told) - goal)
        kept = off <= np.quantile(off, 0.95)
    matter = np.abs(weights[:-1]) * table[:, :-1].std(axis=0) >= MATTERS * target.std()
    near = CLOSE * goal[kept].std() + rounding(goal)
    fitting = float((off <= near).mean()) if matter.all() else 0.0
    return tuple(float(weight) for weight in weights[:-1]), fitting


def rounding(values: Array) -> float:
    """How far rounding may have moved values that are rounded, if that is little."""
    steps = [10.0**power for power in range(3, -4, -1)]
    step = next((s for s in steps if np.allclose(values / s, np.round(values / s), atol=1e-6)), 0.0)
    return step / 2 if step <= FINE * values.std() else 0.0


CHECK = Formulas()
