"""Checks of number columns: values far from the rest, values that cannot be, skewed columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import figure, listed, plural
from fieldcraft.data.names import words_of
from fieldcraft.evidence.records import Finding, sole, told_together

FAR = 8.0  # interquartile ranges from the quartiles; 3 is Tukey's "far out" for normal data
FEW = 0.01  # a tail with more rows than this is a shape, not a set of outliers
FEWEST = 20
NEVER_NEGATIVE = frozenset({
    "age", "alter", "edad", "year", "weight", "height", "length", "width", "size", "area",
    "distance", "duration", "count", "quantity", "number", "num", "population", "households",
    "rooms", "income", "salary", "price", "speed", "volume", "rainfall", "mileage", "visits",
})  # fmt: skip
OLDEST = 120  # years a person can have
SKEWED = 5.0  # third standardised moment


@dataclass(frozen=True)
class Far:
    """The rows of a column with values far from the rest, and the range of the rest."""

    name: str
    rows: Array
    values: Array
    bounds: tuple[float, float]


class Outliers:
    """Values so far from the rest that they may be mistakes of entry."""

    code = "outliers"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Report columns with a few values beyond eight interquartile ranges."""
        found = []
        for name, values in number_columns(view):
            there = values[~np.isnan(values)]
            low, high = np.quantile(there, [0.25, 0.75])
            spread = high - low
            far = (values < low - FAR * spread) | (values > high + FAR * spread)
            if spread > 0 and 0 < far.sum() <= max(1, FEW * len(there)):
                ends = np.quantile(values[~np.isnan(values) & ~far], [0.001, 0.999])
                where = np.flatnonzero(far)
                bounds = (float(f"{ends[0]:.6g}"), float(f"{ends[1]:.6g}"))
                found.append(Far(name, where, values[where], bounds))
        for group in told_together(found):
            yield self._finding(group, view)

    def _finding(self, found: list[Far], view: View) -> Finding:
        first = found[0]
        shown = listed([figure(float(value)) for value in first.values], 5)
        title = f"{first.name}: {plural(len(first.rows), 'value')} far from the rest ({shown})"
        if len(found) > 1:
            names = [f"{item.name} ({len(item.rows):,})" for item in found]
            title = f"{len(found)} columns have a few values far from the rest: {listed(names)}"
        return Finding(
            self.code,
            "tip",
            title,
            sole(item.name for item in found),
            {
                "values": {item.name: item.values[:20].tolist() for item in found},
                "rows": {item.name: [view.rows[i] for i in item.rows[:20]] for item in found},
            },
            "look at these rows; if they are mistakes, clip them or correct the file",
            tuple(
                Edit(("clean", "columns", item.name, "clip"), list(item.bounds))
                for item in found
                if item.bounds[0] < item.bounds[1]
            ),
        )


class Impossible:
    """Values that the name of the column rules out: a negative price, an age of 200."""

    code = "impossible"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Report a few negative values where the others are not, and ages beyond 120 years."""
        for name, values in number_columns(view):
            words = words_of(name)
            if not set(words) & NEVER_NEGATIVE:
                continue
            bad = values < 0
            what = "below zero"
            if words[-1] in ("age", "alter", "edad") and np.nanmedian(values) < OLDEST:
                bad, what = bad | (values > OLDEST), f"below zero or above {OLDEST}"
            if 0 < bad.sum() <= FEW * len(values):
                where = np.flatnonzero(bad)
                shown = listed([figure(float(values[i])) for i in where], 5)
                yield Finding(
                    self.code,
                    "warn",
                    f"{name}: {plural(len(where), 'value')} {what} ({shown})",
                    name,
                    {"rows": [view.rows[i] for i in where[:20]]},
                    "correct these rows in the file, or leave them empty; if they mean that there "
                    "is no value, name them in data.missing",
                )


class Skew:
    """Columns with a long tail on one side."""

    code = "skew"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Name the skewed columns in one line."""
        skews = dict[str, float]()
        for name, values in number_columns(view):
            there = values[~np.isnan(values)]
            spread = there.std()
            if spread > 0:
                skew = float((((there - there.mean()) / spread) ** 3).mean())
                if abs(skew) >= SKEWED:
                    skews[name] = skew
        if skews:
            most = sorted(skews, key=lambda name: -abs(skews[name]))
            shown = [f"{name} ({skews[name]:.0f})" for name in most]
            title = f"{most[0]} has a long tail (skewness {skews[most[0]]:.0f})"
            if len(most) > 1:
                title = f"{len(most)} number columns have a long tail (skewness): {listed(shown)}"
            yield Finding(
                self.code,
                "tip",
                title,
                sole(most),
                {"skewness": skews},
                "nothing to do where numbers are scaled by quantiles, as is the default; with "
                "another clean.scale, clip them",
            )


def number_columns(view: View) -> Iterator[tuple[str, Array]]:
    """Number columns with enough values, and their values, NaN where missing."""
    parsed = set(view.values.columns) - set(view.targets)
    for column in view.schema.of_kind("number"):
        if column.name in parsed:
            values = view.values[column.name].to_numpy()
            if (~np.isnan(values)).sum() >= FEWEST:
                yield column.name, values


CHECKS = (Outliers(), Impossible(), Skew())
