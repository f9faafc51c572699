"""Targets that differ between groups of people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl

from fieldcraft.checks._names import find_sensitive_columns
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import format_number, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.association import to_floats
from fieldcraft.statistics.bootstrap import CONFIDENCE_LEVEL, ConfidenceInterval
from fieldcraft.statistics.proportions import wilson_interval

MIN_ROWS_PER_GROUP = 30  # so that means are nearly normal
MAX_GROUPS = 30
MAX_CLASSES = 20
N_QUANTILE_BANDS = 4  # groups that a numeric sensitive feature is cut into
# The four-fifths rule: a selection rate below 80 % of the highest one counts as adverse impact
# (US Uniform Guidelines on Employee Selection Procedures, 1978).
FOUR_FIFTHS_RATIO = 0.8
# Between means of a numeric target, in its standard deviations: Cohen's "small" effect (1988).
MIN_STANDARDIZED_DIFFERENCE = 0.2


@dataclass(frozen=True)
class GroupDifference:
    """A statistic by group with intervals, and the groups where it is lowest and highest."""

    column: str
    statistic: str
    lowest_group: str
    highest_group: str
    intervals: dict[str, ConfidenceInterval]
    is_fraction: bool

    @property
    def difference(self) -> float:
        """The highest value minus the lowest."""
        return self.intervals[self.highest_group].value - self.intervals[self.lowest_group].value

    @property
    def ratio(self) -> float:
        """The lowest value as a fraction of the highest."""
        highest_value = self.intervals[self.highest_group].value
        return self.intervals[self.lowest_group].value / highest_value if highest_value else 1.0

    @property
    def is_significant(self) -> bool:
        """Whether the intervals of the lowest and the highest group do not overlap."""
        # Stricter than a test of the difference, whose standard error is below the sum of both.
        return self.intervals[self.lowest_group].high < self.intervals[self.highest_group].low

    def describe(self) -> str:
        """The lowest and the highest group with their intervals."""
        return (
            f"{self._describe_group(self.lowest_group)}, {self._describe_group(self.highest_group)}"
        )

    def _describe_group(self, group: str) -> str:
        interval = self.intervals[group]
        if self.is_fraction:
            return f"{interval.value:.1%} of {group} ({interval.low:.1%} to {interval.high:.1%})"
        return (
            f"{format_number(interval.value)} for {group} "
            f"({format_number(interval.low)} to {format_number(interval.high)})"
        )


class GroupDisparity:
    """Reports groups whose targets differ significantly and substantially."""

    code = "group_disparity"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare training targets between the groups of sensitive features."""
        if context.task is None or context.y is None or not len(context.y):
            return
        differences = {
            name: find_largest_difference(name, context)
            for name in find_sensitive_columns(context)
            if name in context.column_profiles
        }
        declared_differences = [
            differences[name] for name in context.sensitive_features if name in differences
        ]
        yield from (
            self._report_declared(difference)
            for difference in declared_differences
            if difference is not None
        )
        suspected_differences = [
            difference
            for name, difference in differences.items()
            if difference is not None and name not in context.sensitive_features
        ]
        yield from self._report_suspected(suspected_differences)

    def _report_declared(self, difference: GroupDifference) -> Finding:
        return Finding(
            self.code,
            "warning",
            f"{difference.statistic} differs by {difference.column}: {difference.describe()}",
            difference.column,
            interval_table(difference),
            "a model will learn the difference; decide whether it may use it, and compare metrics "
            "by group",
        )

    def _report_suspected(self, differences: list[GroupDifference]) -> Iterator[Finding]:
        if differences:
            descriptions = [
                f"{difference.column} ({difference.describe()})" for difference in differences
            ]
            title = f"{differences[0].statistic} differs by {truncated_list(descriptions, 3)}"
            # Of several classes or labels, each column has its own with the largest difference.
            if len({difference.statistic for difference in differences}) > 1:
                descriptions = [
                    f"{difference.statistic} by {description}"
                    for difference, description in zip(differences, descriptions, strict=True)
                ]
                title = f"targets differ between groups: {truncated_list(descriptions, 3)}"
            yield Finding(
                self.code,
                "info",
                title,
                single_column(difference.column for difference in differences),
                {difference.column: interval_table(difference) for difference in differences},
                "a model will learn the difference; declare problem.sensitive_features to see "
                "metrics by group",
            )


def interval_table(difference: GroupDifference) -> dict[str, list[float]]:
    """Value and interval of each group."""
    return {
        name: [interval.value, interval.low, interval.high]
        for name, interval in difference.intervals.items()
    }


def find_largest_difference(name: str, context: CheckContext) -> GroupDifference | None:
    """The largest substantial difference of the target between groups of a column, if any."""
    groups = group_rows(
        context.values[name]
        if name in context.values.columns
        else context.column_profiles[name].column
    )
    if context.y is None or context.task is None or len(groups) < 2:
        return None
    # With many groups, some differ by chance, so each interval is widened (Bonferroni).
    level = 1 - (1 - CONFIDENCE_LEVEL) / len(groups)
    if context.task.output == "value":
        intervals = {group: mean_interval(context.y[rows], level) for group, rows in groups.items()}
        mean_difference = compare_extreme_groups(
            name, f"the mean of {context.targets[0]}", intervals, is_fraction=False
        )
        return (
            mean_difference
            if mean_difference.is_significant
            and mean_difference.difference >= MIN_STANDARDIZED_DIFFERENCE * float(context.y.std())
            else None
        )
    differences = [
        compare_extreme_groups(
            name,
            f"the proportion of {outcome}",
            group_proportions(is_outcome, groups, level),
            is_fraction=True,
        )
        for outcome, is_outcome in iter_outcomes(context)
    ]
    large_differences = [
        candidate
        for candidate in differences
        if candidate.is_significant and candidate.ratio <= FOUR_FIFTHS_RATIO
    ]
    return max(large_differences, key=lambda candidate: candidate.difference, default=None)


def compare_extreme_groups(
    column: str, statistic: str, intervals: dict[str, ConfidenceInterval], is_fraction: bool
) -> GroupDifference:
    """The difference between the groups with the lowest and the highest value."""
    lowest_group = min(intervals, key=lambda group: intervals[group].value)
    highest_group = max(intervals, key=lambda group: intervals[group].value)
    return GroupDifference(column, statistic, lowest_group, highest_group, intervals, is_fraction)


def group_proportions(
    is_outcome: Array, groups: dict[str, Array], level: float
) -> dict[str, ConfidenceInterval]:
    """The proportion of rows with the outcome in each group, with Wilson intervals."""
    return {
        group: wilson_interval(int(is_outcome[rows].sum()), len(rows), level)
        for group, rows in groups.items()
    }


def iter_outcomes(context: CheckContext) -> Iterator[tuple[str, Array]]:
    """Each outcome in words with a row mask: the positive class, each class, or each label."""
    if context.y is None or context.target_spec is None:
        return
    if context.y.ndim == 2:
        yield from (
            (name, label == 1) for name, label in zip(context.targets, context.y.T, strict=True)
        )
        return
    classes = context.target_spec["classes"]
    # Of two classes the second is the positive one; the first would only mirror it.
    class_indexes = (
        range(len(classes))[-1:] if len(classes) == 2 else range(len(classes))[:MAX_CLASSES]
    )
    yield from (
        (f"{context.targets[0]} {classes[class_index]}", context.y == class_index)
        for class_index in class_indexes
    )


def group_rows(column: pl.Series) -> dict[str, Array]:
    """Row positions of each group that is large enough: levels, or quartile ranges of numbers."""
    numbers = to_floats(column)
    if numbers is not None and column.dtype != pl.Boolean and column.n_unique() > MAX_GROUPS:
        present = numbers[~np.isnan(numbers)]
        if not len(present):
            return {}
        edges = np.unique(np.quantile(present, np.linspace(0, 1, N_QUANTILE_BANDS + 1)[1:-1]))
        codes = np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers))
        band_names = [*(f"up to {edge:g}" for edge in edges), f"over {edges[-1]:g}"]
        rows_by_group = {band: np.flatnonzero(codes == i) for i, band in enumerate(band_names)}
    else:
        text = column.cast(pl.String)
        levels = text.drop_nulls().value_counts(sort=True, name="count").head(MAX_GROUPS)
        cells = text.to_numpy()
        rows_by_group = {
            level: np.flatnonzero(cells == level) for level in levels[column.name].sort()
        }
    return {name: rows for name, rows in rows_by_group.items() if len(rows) >= MIN_ROWS_PER_GROUP}


def mean_interval(y: Array, level: float) -> ConfidenceInterval:
    """A mean with its normal interval; groups have enough rows for the central limit theorem."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    mean, half_width = float(y.mean()), z * float(y.std()) / len(y) ** 0.5
    return ConfidenceInterval(mean, mean - half_width, mean + half_width, level)


CHECK = GroupDisparity()
