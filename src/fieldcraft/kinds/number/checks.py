"""Checks of number columns: outliers, impossible values, skewed columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.formatting import format_number, pluralize, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.data.column_names import split_words
from fieldcraft.ledger.records import Finding, group_findings, single_column

# Interquartile ranges beyond the quartiles. Tukey (1977) calls values beyond 3 "far out", but real
# columns often have longer tails than the normal distribution.
OUTLIER_DISTANCE_IN_IQR = 8.0
MAX_OUTLIER_FRACTION = 0.01  # more rows than this are a heavy tail, not outliers
MIN_VALUES = 20
NON_NEGATIVE_WORDS = frozenset({
    "age", "alter", "edad", "year", "weight", "height", "length", "width", "size", "area",
    "distance", "duration", "count", "quantity", "number", "num", "population", "households",
    "rooms", "income", "salary", "price", "speed", "volume", "rainfall", "mileage", "visits",
})  # fmt: skip
MAX_AGE_YEARS = 120
MIN_SKEWNESS = 5.0  # third standardized moment


@dataclass(frozen=True)
class ColumnOutliers:
    """The rows of a column with values far from the rest, and the range of the rest."""

    column: str
    rows: Array
    values: Array
    clip_range: tuple[float, float]


class Outliers:
    """Values so far from the rest that they may be data entry errors."""

    code = "outliers"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report columns with a few values beyond eight interquartile ranges."""
        outliers = []
        for name, values in iter_number_columns(context):
            present = values[~np.isnan(values)]
            low, high = np.quantile(present, [0.25, 0.75])
            iqr = high - low
            is_outlier = (values < low - OUTLIER_DISTANCE_IN_IQR * iqr) | (
                values > high + OUTLIER_DISTANCE_IN_IQR * iqr
            )
            if iqr > 0 and 0 < is_outlier.sum() <= max(1, MAX_OUTLIER_FRACTION * len(present)):
                inlier_quantiles = np.quantile(
                    values[~np.isnan(values) & ~is_outlier], [0.001, 0.999]
                )
                positions = np.flatnonzero(is_outlier)
                clip_range = (
                    float(f"{inlier_quantiles[0]:.6g}"),
                    float(f"{inlier_quantiles[1]:.6g}"),
                )
                outliers.append(ColumnOutliers(name, positions, values[positions], clip_range))
        for group in group_findings(outliers):
            yield self._build_finding(group, context)

    def _build_finding(self, outliers: list[ColumnOutliers], context: CheckContext) -> Finding:
        first = outliers[0]
        examples = truncated_list([format_number(float(value)) for value in first.values], 5)
        title = (
            f"{first.column}: {pluralize(len(first.rows), 'value')} far from the rest ({examples})"
        )
        if len(outliers) > 1:
            names = truncated_list([f"{item.column} ({len(item.rows):,})" for item in outliers])
            title = f"{len(outliers)} columns have a few values far from the rest: {names}"
        return Finding(
            self.code,
            "info",
            title,
            single_column(item.column for item in outliers),
            {
                "values": {item.column: item.values[:20].tolist() for item in outliers},
                "rows": {
                    item.column: [context.row_numbers[i] for i in item.rows[:20]]
                    for item in outliers
                },
            },
            "check these rows; if they are errors, clip the column or correct the file",
            tuple(
                ConfigEdit(("clean", "columns", item.column, "clip"), list(item.clip_range))
                for item in outliers
                if item.clip_range[0] < item.clip_range[1]
            ),
        )


class ImpossibleValues:
    """Values that the column name rules out: a negative price, an age of 200."""

    code = "impossible_values"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report the few values below zero in columns of amounts, and ages above 120 years."""
        for name, values in iter_number_columns(context):
            words = split_words(name)
            if not set(words) & NON_NEGATIVE_WORDS:
                continue
            is_impossible = values < 0
            problem = "below zero"
            # A higher median means ages in months or days, or years of birth.
            if words[-1] in ("age", "alter", "edad") and np.nanmedian(values) < MAX_AGE_YEARS:
                is_impossible, problem = (
                    is_impossible | (values > MAX_AGE_YEARS),
                    f"below zero or above {MAX_AGE_YEARS}",
                )
            # Many such values mean that the name is misleading, not that the values are wrong.
            if 0 < is_impossible.sum() <= MAX_OUTLIER_FRACTION * len(values):
                positions = np.flatnonzero(is_impossible)
                examples = truncated_list([format_number(float(values[i])) for i in positions], 5)
                yield Finding(
                    self.code,
                    "warning",
                    f"{name}: {pluralize(len(positions), 'value')} {problem} ({examples})",
                    name,
                    {"rows": [context.row_numbers[i] for i in positions[:20]]},
                    "correct these rows in the file, or leave the cells empty; if they stand for "
                    "missing values, list them in data.na_values",
                )


class SkewedColumns:
    """Columns with a long tail on one side."""

    code = "skewness"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report all skewed columns in one finding."""
        skews = dict[str, float]()
        for name, values in iter_number_columns(context):
            present = values[~np.isnan(values)]
            std = present.std()
            if std > 0:
                skew = float((((present - present.mean()) / std) ** 3).mean())
                if abs(skew) >= MIN_SKEWNESS:
                    skews[name] = skew
        if skews:
            names = sorted(skews, key=lambda name: -abs(skews[name]))
            descriptions = truncated_list([f"{name} ({skews[name]:.0f})" for name in names])
            title = f"{names[0]} has a long tail (skewness {skews[names[0]]:.0f})"
            if len(names) > 1:
                title = f"{len(names)} number columns have a long tail (skewness): {descriptions}"
            yield Finding(
                self.code,
                "info",
                title,
                single_column(names),
                {"skewness": skews},
                "nothing to do with the default clean.scale, quantile; with another one, clip them",
            )


def iter_number_columns(context: CheckContext) -> Iterator[tuple[str, Array]]:
    """Yield the number columns with enough values, and their values, NaN where missing."""
    parsed_columns = set(context.values.columns) - set(context.targets)
    for column in context.schema.columns_of_kind("number"):
        if column.name in parsed_columns:
            values = context.values[column.name].to_numpy()
            if (~np.isnan(values)).sum() >= MIN_VALUES:
                yield column.name, values


CHECKS = (Outliers(), ImpossibleValues(), SkewedColumns())
