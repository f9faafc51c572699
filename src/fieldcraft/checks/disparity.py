"""Targets that differ between groups of people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import figure, listed
from fieldcraft.data.names import sounds_sensitive
from fieldcraft.evidence.association import numbers_of
from fieldcraft.evidence.bootstrap import LEVEL, Interval
from fieldcraft.evidence.proportions import wilson
from fieldcraft.evidence.records import Finding, sole

FEWEST = 30  # rows of a group
MOST_GROUPS = 30
MOST_CLASSES = 20
BANDS = 4  # of a sensitive number
FOUR_FIFTHS = 0.8  # of the highest share (US Uniform Guidelines on Employee Selection, 1978)
APART = 0.2  # of a deviation, between means of a target that is a number


@dataclass(frozen=True)
class Difference:
    """What is measured, in which group it is lowest and highest, and all intervals."""

    column: str
    what: str
    low: str
    high: str
    groups: dict[str, Interval]
    percent: bool

    @property
    def size(self) -> float:
        """From the lowest figure to the highest."""
        return self.groups[self.high].value - self.groups[self.low].value

    @property
    def ratio(self) -> float:
        """The lowest figure as a share of the highest."""
        highest = self.groups[self.high].value
        return self.groups[self.low].value / highest if highest else 1.0

    @property
    def sure(self) -> bool:
        """Whether the intervals of the lowest and the highest do not touch."""
        return self.groups[self.low].high < self.groups[self.high].low

    def in_words(self) -> str:
        """The lowest and the highest group with their intervals."""
        return f"{self._figure(self.low)}, {self._figure(self.high)}"

    def _figure(self, group: str) -> str:
        found = self.groups[group]
        if self.percent:
            return f"{found.value:.1%} of {group} ({found.low:.1%} to {found.high:.1%})"
        return f"{figure(found.value)} for {group} ({figure(found.low)} to {figure(found.high)})"


class Disparity:
    """Reports groups whose targets differ by more than chance and by more than a little."""

    code = "disparity"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare training targets between the groups of sensitive columns."""
        if view.task is None or view.y is None or not len(view.y):
            return
        suspected = [name for name in view.looks if sounds_sensitive(name)]
        names = dict.fromkeys([*view.groups, *suspected])
        found = {name: difference(name, view) for name in names if name in view.looks}
        declared = [found[name] for name in view.groups if name in found]
        yield from (self._declared(each) for each in declared if each is not None)
        others = [d for name, d in found.items() if d is not None and name not in view.groups]
        yield from self._suspected(others)

    def _declared(self, found: Difference) -> Finding:
        return Finding(
            self.code,
            "warn",
            f"{found.what} differs by {found.column}: {found.in_words()}",
            found.column,
            evidence_of(found),
            "a model will learn the difference; decide whether it is one that you want to act on, "
            "and look at the figures by group",
        )

    def _suspected(self, found: list[Difference]) -> Iterator[Finding]:
        if found:
            shown = [f"{each.column} ({each.in_words()})" for each in found]
            yield Finding(
                self.code,
                "tip",
                f"{found[0].what} differs by {listed(shown, 3)}",
                sole(each.column for each in found),
                {each.column: evidence_of(each) for each in found},
                "a model will learn the difference; declare problem.groups to see figures by group",
            )


def evidence_of(found: Difference) -> dict[str, list[float]]:
    """Value and interval of each group."""
    return {name: [i.value, i.low, i.high] for name, i in found.groups.items()}


def difference(name: str, view: View) -> Difference | None:
    """The largest difference of the target between groups of a column, if there is a large one."""
    groups = groups_of(
        view.values[name] if name in view.values.columns else view.looks[name].column
    )
    if view.y is None or view.task is None or len(groups) < 2:
        return None
    # Of many groups some are far apart by chance, so each interval is wider (Bonferroni).
    level = 1 - (1 - LEVEL) / len(groups)
    if view.task.output == "value":
        means = {group: mean_of(view.y[rows], level) for group, rows in groups.items()}
        found = between(name, f"the mean of {view.targets[0]}", means, percent=False)
        return found if found.sure and found.size >= APART * float(view.y.std()) else None
    shares = [
        between(name, f"the share of {what}", shares_of(hits, groups, level), percent=True)
        for what, hits in outcomes(view)
    ]
    large = [each for each in shares if each.sure and each.ratio <= FOUR_FIFTHS]
    return max(large, key=lambda each: each.size, default=None)


def between(column: str, what: str, groups: dict[str, Interval], percent: bool) -> Difference:
    """The difference between the groups with the lowest and the highest figure."""
    low = min(groups, key=lambda group: groups[group].value)
    high = max(groups, key=lambda group: groups[group].value)
    return Difference(column, what, low, high, groups, percent)


def shares_of(hits: Array, groups: dict[str, Array], level: float) -> dict[str, Interval]:
    """The share of rows in each group that are hits."""
    return {
        group: wilson(int(hits[rows].sum()), len(rows), level) for group, rows in groups.items()
    }


def outcomes(view: View) -> Iterator[tuple[str, Array]]:
    """What a row can be, in words, and which rows are: the positive class, each class or label."""
    if view.y is None or view.about is None:
        return
    if view.y.ndim == 2:
        yield from ((name, label == 1) for name, label in zip(view.targets, view.y.T, strict=True))
        return
    classes = view.about["classes"]
    chosen = range(len(classes))[-1:] if len(classes) == 2 else range(len(classes))[:MOST_CLASSES]
    yield from ((f"{view.targets[0]} {classes[k]}", view.y == k) for k in chosen)


def groups_of(column: pl.Series) -> dict[str, Array]:
    """Rows of each group with enough of them: levels, or quarters of a number."""
    numbers = numbers_of(column)
    if numbers is not None and column.dtype != pl.Boolean and column.n_unique() > MOST_GROUPS:
        there = numbers[~np.isnan(numbers)]
        if not len(there):
            return {}
        edges = np.unique(np.quantile(there, np.linspace(0, 1, BANDS + 1)[1:-1]))
        codes = np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers))
        ends = [*(f"up to {edge:g}" for edge in edges), f"over {edges[-1]:g}"]
        found = {word: np.flatnonzero(codes == i) for i, word in enumerate(ends)}
    else:
        text = column.cast(pl.String)
        levels = text.drop_nulls().value_counts(sort=True, name="count").head(MOST_GROUPS)
        cells = text.to_numpy()
        found = {level: np.flatnonzero(cells == level) for level in levels[column.name].sort()}
    return {name: rows for name, rows in found.items() if len(rows) >= FEWEST}


def mean_of(y: Array, level: float) -> Interval:
    """A mean with its interval, for enough rows."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    mean, half = float(y.mean()), z * float(y.std()) / len(y) ** 0.5
    return Interval(mean, mean - half, mean + half, level)


CHECK = Disparity()
