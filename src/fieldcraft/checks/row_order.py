"""Rows whose target depends on their position in the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.checks._base import MIN_ORDERED_ROWS, MIN_Z_SCORE
from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import (
    encode_levels,
    spearman_correlation,
    split_targets,
    to_floats,
)
from fieldcraft.statistics.serial_dependence import (
    count_runs,
    residuals_given,
    serial_correlation,
    target_columns,
    trend,
)

# Serial correlation beyond what the features explain. Test rows between training rows are then
# partly known, and metrics of a random split are too good.
WARNING_AUTOCORRELATION = 0.3
MIN_MEAN_RUN_ROWS = 30.0  # consecutive rows of one class, on average, in a sorted file
MIN_TREND = 0.1
MIN_EXPLAINED_VARIANCE = 0.05  # weaker dependence is not reported
MIN_RANK_CORRELATION = 0.98  # with the row number
MAX_COLUMNS = 100
MIN_ROWS_PER_LEVEL = 5


@dataclass(frozen=True)
class OrderDependence:
    """How a target depends on the order of the rows."""

    target: str
    autocorrelation: float
    residual_autocorrelation: float
    trend: float
    is_sorted: bool


class RowOrder:
    """Reports files with similar neighboring rows, or sorted by the target."""

    code = "row_order"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Test the training target for dependence on the order of the file."""
        # A split by time or group already accounts for similar rows.
        if (
            context.task is None
            or context.y is None
            or len(context.y) < MIN_ORDERED_ROWS
            or context.time_column
            or context.group_column
        ):
            return
        columns = [context.values[column.name] for column in context.schema.columns[:MAX_COLUMNS]]
        rows = np.asarray(context.row_numbers, dtype=np.float64)
        counter_columns = [
            column for column in columns if follows_row_order(to_floats(column), rows)
        ]
        if any(column.dtype.is_temporal() for column in counter_columns):
            return  # the check `time_dependence` reports it
        dependences = measure_targets(
            context.y, context.targets, context.task.output == "value", columns
        )
        if not dependences:
            return
        strongest = max(
            dependences,
            key=lambda dependence: (
                dependence.is_sorted,
                dependence.residual_autocorrelation,
                dependence.autocorrelation,
            ),
        )
        if counter_columns and strongest.trend >= MIN_TREND:
            yield self._report_counter(strongest, counter_columns[0].name)
        elif strongest.is_sorted:
            yield self._report_sorted(strongest)
        else:
            yield self._report_autocorrelation(strongest)

    def _report_counter(self, dependence: OrderDependence, name: str) -> Finding:
        return Finding(
            self.code,
            "warning",
            f"{name} increases with the row number, and the position of a row explains "
            f"{dependence.trend:.0%} of {dependence.target}",
            name,
            {"trend": dependence.trend},
            "if it is a time, set data.time_column and split by it; if it is a running number, "
            "drop it",
        )

    def _report_sorted(self, dependence: OrderDependence) -> Finding:
        return Finding(
            self.code,
            "info",
            f"the file is sorted by {dependence.target}",
            None,
            {"serial_correlation": dependence.autocorrelation, "trend": dependence.trend},
            "rows are split at random, so this does no harm as long as no column reveals the "
            "position of a row",
        )

    def _report_autocorrelation(self, dependence: OrderDependence) -> Finding:
        is_strong = dependence.residual_autocorrelation >= WARNING_AUTOCORRELATION
        residual_note = (
            f", {dependence.residual_autocorrelation:.0%} beyond what their features explain"
            if is_strong
            else ""
        )
        return Finding(
            self.code,
            "warning" if is_strong else "info",
            f"neighboring rows in the file have similar {dependence.target} "
            f"(serial correlation {dependence.autocorrelation:.0%}{residual_note})",
            None,
            {
                "serial_correlation": dependence.autocorrelation,
                "partial_serial_correlation": dependence.residual_autocorrelation,
                "trend": dependence.trend,
            },
            "rows may be ordered by time, place or person: set data.time_column or data.group and "
            "split by it; otherwise metrics on rows between training rows are too good",
        )


def follows_row_order(numbers: Array | None, rows: Array) -> bool:
    """Whether a column increases or decreases with the row number."""
    if numbers is None:
        return False
    is_present = ~np.isnan(numbers)
    if is_present.mean() < MIN_RANK_CORRELATION:
        return False
    return abs(spearman_correlation(numbers[is_present], rows[is_present])) >= MIN_RANK_CORRELATION


def measure_targets(
    y: Array, targets: Sequence[str], is_numeric_target: bool, columns: Sequence[pl.Series]
) -> list[OrderDependence]:
    """The order dependence of each target that has one, given the features with few levels."""
    codes = [encode_levels(column) for column in columns]
    # A column with fewer rows per level would explain any target, by overfitting.
    column_codes = [
        column_code
        for column_code in codes
        if MIN_ROWS_PER_LEVEL * (column_code.max() + 1) <= len(column_code)
    ]
    dependences = (
        measure_order_dependence(target, values, is_numeric_target, column_codes)
        for target, values in split_targets(y, targets)
    )
    return [dependence for dependence in dependences if dependence is not None]


def measure_order_dependence(
    target: str, y: Array, is_numeric_target: bool, column_codes: list[Array]
) -> OrderDependence | None:
    """How a target depends on the order of the rows, or None if that may be chance."""
    columns = target_columns(y, is_numeric_target)
    neighbor_test, trend_test = serial_correlation(columns), trend(columns)
    if (
        max(neighbor_test.z_score, trend_test.z_score) < MIN_Z_SCORE
        or max(neighbor_test.variance_fraction, trend_test.variance_fraction)
        < MIN_EXPLAINED_VARIANCE
    ):
        return None
    residual_test = serial_correlation(residuals_given(columns, column_codes))
    is_sorted = bool(len(y) / count_runs(y) >= MIN_MEAN_RUN_ROWS) or (
        is_numeric_target and is_monotone(y)
    )
    residual_autocorrelation = (
        residual_test.variance_fraction if residual_test.z_score >= MIN_Z_SCORE else 0.0
    )
    return OrderDependence(
        target,
        neighbor_test.variance_fraction,
        residual_autocorrelation,
        trend_test.variance_fraction,
        is_sorted,
    )


def is_monotone(y: Array) -> bool:
    """Whether numbers increase, or decrease, from the first row to the last."""
    return abs(spearman_correlation(y, np.arange(len(y)))) >= MIN_RANK_CORRELATION


CHECK = RowOrder()
