"""Targets that change over time or are serially correlated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fieldcraft.checks._base import MIN_ORDERED_ROWS, MIN_Z_SCORE
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import spearman_correlation, split_targets, to_floats
from fieldcraft.statistics.serial_dependence import serial_correlation, target_columns, trend

MIN_STRENGTH = 0.03
WARNING_STRENGTH = 0.1
MIN_ROW_RANK_CORRELATION = 0.999  # of the date with the row number, in a file ordered by it
MIN_FILLED_FRACTION = 0.95  # a date with more missing values cannot order the rows
MAX_DATE_COLUMNS = 20


@dataclass(frozen=True)
class TimeDependence:
    """How a target depends on the time that one column gives."""

    column: str
    target: str
    trend: float
    autocorrelation: float
    is_file_order: bool

    @property
    def strength(self) -> float:
        """The larger of trend and serial correlation."""
        return max(self.trend, self.autocorrelation)

    def describe(self) -> str:
        """What the target does over time."""
        if self.trend >= self.autocorrelation:
            return f"changes with {self.column} ({self.trend:.0%} of its variance)"
        return (
            f"is similar in rows close in {self.column} "
            f"(serial correlation {self.autocorrelation:.0%})"
        )


class TimeDependenceCheck:
    """Reports targets that depend on time while rows are split at random."""

    code = "time_dependence"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Test the training target in the order of each date, unless a time column is declared."""
        if (
            context.task is None
            or context.y is None
            or len(context.y) < MIN_ORDERED_ROWS
            or context.time_column
        ):
            return
        dependences = list(measure_dates(context))
        noticeable = [
            dependence for dependence in dependences if dependence.strength >= MIN_STRENGTH
        ]
        if not noticeable:
            return
        strongest = max(
            noticeable, key=lambda dependence: (dependence.is_file_order, dependence.strength)
        )
        is_strong = strongest.strength >= WARNING_STRENGTH
        # It is clear which time orders the rows only if the file is sorted by its only date.
        has_fix = (
            is_strong
            and strongest.is_file_order
            and len({dependence.column for dependence in dependences}) == 1
        )
        fixes = (
            ConfigEdit(("data", "time_column"), strongest.column),
            ConfigEdit(("split", "strategy"), "time"),
        )
        other_dates = sorted({dependence.column for dependence in noticeable} - {strongest.column})
        yield Finding(
            self.code,
            "warning" if is_strong else "info",
            f"{strongest.target} {strongest.describe()}",
            strongest.column,
            {
                "trend": strongest.trend,
                "serial_correlation": strongest.autocorrelation,
                "other_columns": other_dates,
            },
            "if future rows are later than these, split by time (data.time_column, split.strategy: "
            "time): under a random split, a model learns from rows later than those it predicts",
            fixes if has_fix else (),
        )


def measure_dates(context: CheckContext) -> Iterable[TimeDependence]:
    """The time dependence of each target on each date that nearly all rows have."""
    dates = [
        column.name
        for column in context.schema.columns
        if context.values[column.name].dtype.is_temporal()
    ]
    rows = np.asarray(context.row_numbers, dtype=np.float64)
    for name in dates[:MAX_DATE_COLUMNS]:
        times = to_floats(context.values[name])
        if (
            times is None
            or (is_present := ~np.isnan(times)).mean() < MIN_FILLED_FRACTION
            or context.y is None
        ):
            continue
        order = np.flatnonzero(is_present)[np.argsort(times[is_present], kind="stable")]
        if times[order[0]] == times[order[-1]] or len(order) < MIN_ORDERED_ROWS:
            continue
        is_file_order = (
            abs(spearman_correlation(times[is_present], rows[is_present]))
            >= MIN_ROW_RANK_CORRELATION
        )
        for target, y in split_targets(context.y, context.targets):
            columns = target_columns(
                y[order], context.task is not None and context.task.output == "value"
            )
            yield measure_time_dependence(name, target, columns, is_file_order)


def measure_time_dependence(
    name: str, target: str, columns: Array, is_file_order: bool
) -> TimeDependence:
    """Trend and serial correlation of a target in the order of time; 0 if they may be chance."""
    neighbor_test, trend_test = serial_correlation(columns), trend(columns)
    if max(neighbor_test.z_score, trend_test.z_score) < MIN_Z_SCORE:
        return TimeDependence(name, target, 0.0, 0.0, is_file_order)
    return TimeDependence(
        name, target, trend_test.variance_fraction, neighbor_test.variance_fraction, is_file_order
    )


CHECK = TimeDependenceCheck()
