"""Rows with a date whose target changes or carries over in the course of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import spearman_correlation, split_targets, to_floats
from fieldcraft.statistics.serial_dependence import serial_correlation, target_columns, trend

MIN_ROWS = 100
MIN_Z_SCORE = 6.0  # deviations from what shuffled rows show
MIN_STRENGTH = 0.03
WARNING_STRENGTH = 0.1
MIN_ROW_RANK_CORRELATION = 0.999  # rank correlation of the date with the number of the row
MIN_FILLED_FRACTION = 0.95
MAX_DATE_COLUMNS = 20


@dataclass(frozen=True)
class TimeDependence:
    """How the target goes with time as one column tells it."""

    column: str
    target: str
    trend: float
    autocorrelation: float
    is_file_order: bool

    @property
    def strength(self) -> float:
        """The stronger of drift and likeness."""
        return max(self.trend, self.autocorrelation)

    def describe(self) -> str:
        """What the target does in the course of time."""
        if self.trend >= self.autocorrelation:
            return f"changes with {self.column} ({self.trend:.0%} of its variance)"
        return f"is alike in rows near in {self.column} ({self.autocorrelation:.0%} of the way to equal)"


class TimeDependenceCheck:
    """Reports targets that drift or carry over while rows are split by lot."""

    code = "time_order"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Look at the training target in the order of each date, unless time is declared."""
        if (
            context.task is None
            or context.y is None
            or len(context.y) < MIN_ROWS
            or context.time_column
        ):
            return
        dependences = list(measure_dates(context))
        noticeable = [
            dependence for dependence in dependences if dependence.strength >= MIN_STRENGTH
        ]
        if not noticeable:
            return
        strongest = max(noticeable, key=lambda course: (course.is_file_order, course.strength))
        is_strong = strongest.strength >= WARNING_STRENGTH
        # Only where the file itself is in the order of the one date is it sure which time counts.
        has_fix = (
            is_strong
            and strongest.is_file_order
            and len({dependence.column for dependence in dependences}) == 1
        )
        fixes = (
            ConfigEdit(("data", "time"), strongest.column),
            ConfigEdit(("split", "rule"), "time"),
        )
        other_dates = sorted({dependence.column for dependence in noticeable} - {strongest.column})
        yield Finding(
            self.code,
            "warn" if is_strong else "tip",
            f"{strongest.target} {strongest.describe()}",
            strongest.column,
            {
                "drift": strongest.trend,
                "alike": strongest.autocorrelation,
                "other_columns": other_dates,
            },
            "if rows to come are later than these, split by time (data.time, split.rule: time): a "
            "split by lot lets the model look ahead",
            fixes if has_fix else (),
        )


def measure_dates(context: CheckContext) -> Iterable[TimeDependence]:
    """How each target goes with each date that nearly all rows have."""
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
        if times[order[0]] == times[order[-1]] or len(order) < MIN_ROWS:
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
    """How a target in the order of time drifts and carries over."""
    neighbor_test, trend_test = serial_correlation(columns), trend(columns)
    if max(neighbor_test.z_score, trend_test.z_score) < MIN_Z_SCORE:
        return TimeDependence(name, target, 0.0, 0.0, is_file_order)
    return TimeDependence(
        name, target, trend_test.variance_fraction, neighbor_test.variance_fraction, is_file_order
    )


CHECK = TimeDependenceCheck()
