"""Rows whose target depends on where they stand in the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.evidence.association import (
    each_target,
    levels_of,
    numbers_of,
    rank_correlation,
)
from fieldcraft.evidence.order import drift, neighbours, runs, spread_out, unexplained
from fieldcraft.evidence.records import Finding

FEWEST = 100
SURE = 6.0  # deviations from what shuffled rows show
ALIKE = 0.3  # neighbours beyond what their columns explain: a random split tells too much
SORTED = 30.0  # rows of one class in a row, on average
DRIFTING = 0.1
LEAST = 0.05  # of the variance that is worth a word
FOLLOWING = 0.98  # rank correlation of a column with the number of the row
MOST_COLUMNS = 100
LEAST_ROWS_A_LEVEL = 5


@dataclass(frozen=True)
class Order:
    """How a target goes with the order of the rows."""

    target: str
    alike: float
    left: float
    drift: float
    sorted: bool


class RowOrder:
    """Reports files in which neighbouring rows are alike, or that are sorted by the target."""

    code = "row_order"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Look at the training target in the order of the file."""
        if view.task is None or view.y is None or len(view.y) < FEWEST or view.time or view.entity:
            return
        columns = [view.values[column.name] for column in view.schema.columns[:MOST_COLUMNS]]
        rows = np.asarray(view.rows, dtype=np.float64)
        counting = [column for column in columns if follows(numbers_of(column), rows)]
        if any(column.dtype.is_temporal() for column in counting):
            return  # the check `time_order` speaks of it
        found = orders_of(view.y, view.targets, view.task.output == "value", columns)
        if not found:
            return
        worst = max(found, key=lambda order: (order.sorted, order.left, order.alike))
        if counting and worst.drift >= DRIFTING:
            yield self._counted(worst, counting[0].name)
        elif worst.sorted:
            yield self._sorted(worst)
        else:
            yield self._alike(worst)

    def _counted(self, order: Order, name: str) -> Finding:
        return Finding(
            self.code,
            "warn",
            f"{name} counts up with the rows, and where a row stands tells {order.drift:.0%} of "
            f"{order.target}",
            name,
            {"drift": order.drift},
            "if it is a time, name it as data.time and split by it; if it is a running number, "
            "drop it",
        )

    def _sorted(self, order: Order) -> Finding:
        return Finding(
            self.code,
            "tip",
            f"the file is sorted by {order.target}",
            None,
            {"alike": order.alike, "drift": order.drift},
            "rows are dealt out by lot, so this does no harm as long as no column tells where a "
            "row stood",
        )

    def _alike(self, order: Order) -> Finding:
        strong = order.left >= ALIKE
        beyond = f", {order.left:.0%} beyond what their columns explain" if strong else ""
        return Finding(
            self.code,
            "warn" if strong else "tip",
            f"rows next to each other in the file have like {order.target} "
            f"({order.alike:.0%} of the way to equal{beyond})",
            None,
            {"alike": order.alike, "beyond": order.left, "drift": order.drift},
            "rows may be in the order of time, place or person: name data.time or data.entity and "
            "split by it, or figures on rows between known ones are too good",
        )


def follows(numbers: Array | None, rows: Array) -> bool:
    """Whether a column goes up or down with the number of the row."""
    if numbers is None:
        return False
    there = ~np.isnan(numbers)
    if there.mean() < FOLLOWING:
        return False
    return abs(rank_correlation(numbers[there], rows[there])) >= FOLLOWING


def orders_of(
    y: Array, targets: Sequence[str], value: bool, columns: Sequence[pl.Series]
) -> list[Order]:
    """How each target goes with the order of the rows, beyond what columns of few levels tell."""
    codes = [levels_of(column) for column in columns]
    known = [code for code in codes if LEAST_ROWS_A_LEVEL * (code.max() + 1) <= len(code)]
    each = (order_of(target, values, value, known) for target, values in each_target(y, targets))
    return [order for order in each if order is not None]


def order_of(target: str, y: Array, value: bool, known: list[Array]) -> Order | None:
    """How a target goes with the order of the rows, or None if that may be chance."""
    columns = spread_out(y, value)
    alike, slow = neighbours(columns), drift(columns)
    if max(alike.score, slow.score) < SURE or max(alike.share, slow.share) < LEAST:
        return None
    left = neighbours(unexplained(columns, known))
    in_blocks = bool(len(y) / runs(y) >= SORTED) or (value and monotone(y))
    beyond = left.share if left.score >= SURE else 0.0
    return Order(target, alike.share, beyond, slow.share, in_blocks)


def monotone(y: Array) -> bool:
    """Whether numbers go up, or down, from the first row to the last."""
    return abs(rank_correlation(y, np.arange(len(y)))) >= FOLLOWING


CHECK = RowOrder()
