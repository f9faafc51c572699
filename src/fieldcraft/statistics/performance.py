"""Performance on labeled production rows, with alarms on degradation only.

Waudby-Smith & Ramdas, *Estimating means of bounded random variables by betting*, JRSS B 2024: bets
that the mean loss is above a threshold win in the long run only if it is. Before labels arrive, the
accuracy of a classifier is estimated from its calibrated probabilities, as in NannyML's CBPE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl

from fieldcraft.core.types import Array, Json
from fieldcraft.statistics.groups import (
    MAX_GROUPS_PER_COLUMN,
    MIN_ROWS_PER_GROUP,
    assign_groups,
    quartile_edges,
)
from fieldcraft.statistics.sequential import (
    HOURS_PER_MONTH,
    EDetector,
    alarm_threshold,
    confidence_sequence,
)

MAX_RELATIVE_DEGRADATION = 0.1  # rise of the loss, relative to itself, that is tolerated
ROWS_PER_BLOCK = 50  # labeled rows per update of the detector
BET_FRACTIONS = (0.05, 0.1, 0.2, 0.4, 0.8)  # of the largest bet that cannot lose everything
MEAN_ERRORS_PER_UNIT_LOSS = 5.0  # absolute error, in mean errors, that counts as a loss of 1
CONFIDENCE_LEVEL = 0.99  # of the upper bound of the reference loss
MIN_LABELED_ROWS = 50  # below which no performance is reported
# Of the logarithm of the alarm threshold: the delay of an alarm is counted from the last block that
# the detector began at or below it.
RESET_FRACTION = 0.5
ALARM_DURATION_IN_DELAYS = 3  # after which an alarm ends unless it is raised again


def bounded_losses(decisions_frame: pl.DataFrame, y: Array, error_unit: float) -> Array:
    """A loss from 0 to 1 for each prediction, shape (rows,).

    Half the Brier score of classes; for numbers the absolute error in ``error_unit``, at most 1.

    Args:
        decisions_frame: ``probability_<class>`` in the order of the classes, or ``prediction``.
        y: class indexes, or numbers, shape (rows,).
        error_unit: absolute error of a number that counts as 1.
    """
    probability_columns = [
        name for name in decisions_frame.columns if name.startswith("probability_")
    ]
    if not probability_columns:
        absolute_error = np.abs(decisions_frame["prediction"].cast(pl.Float64).to_numpy() - y)
        capped_error: Array = np.minimum(absolute_error / error_unit, 1.0)
        return capped_error
    probabilities = decisions_frame.select(probability_columns).to_numpy()
    # The squared error summed over the classes is at most 2, for a certain and wrong prediction.
    one_hot = np.zeros_like(probabilities)
    one_hot[np.arange(len(y)), np.asarray(y, dtype=np.int64)] = 1
    losses: Array = ((probabilities - one_hot) ** 2).sum(axis=1) / 2
    return np.clip(losses, 0.0, 1.0)


def reference_loss(decisions_frame: pl.DataFrame, y: Array) -> Json:
    """The loss on the evaluation rows, with which the loss in production is compared.

    Returns:
        ``rows``, mean ``loss``, its ``std``, and ``loss_unit``, as `bounded_losses` takes it.
    """
    # Bets need bounded losses, and errors of numbers have no bound of their own.
    error_unit = 1.0
    if not any(name.startswith("probability_") for name in decisions_frame.columns):
        absolute_error = np.abs(decisions_frame["prediction"].cast(pl.Float64).to_numpy() - y)
        error_unit = MEAN_ERRORS_PER_UNIT_LOSS * float(absolute_error.mean()) or 1.0
    losses = bounded_losses(decisions_frame, y, error_unit)
    return {
        "rows": len(losses), "loss": float(losses.mean()), "std": float(losses.std()),
        "loss_unit": error_unit,
    }  # fmt: skip


def losses_by_group(losses: Array, values: pl.DataFrame) -> Json:
    """The reference loss of each group of some columns.

    Numbers with many distinct values are grouped by quartile; the edges are stored.

    Args:
        losses: of each row, shape (rows,).
        values: the parsed columns that divide the rows into groups.

    Returns:
        For each column ``bin_edges``, and ``groups`` with ``rows``, ``loss`` and ``std`` of each.
    """
    summary: Json = {}
    for name in values.columns:
        edges = quartile_edges(values[name])
        groups = assign_groups(values[name], edges)
        counts = groups.drop_nulls().value_counts(sort=True).head(MAX_GROUPS_PER_COLUMN)
        losses_of_group = {
            group: losses[(groups == group).fill_null(False).to_numpy()]
            for group, count in counts.iter_rows()
            if count >= MIN_ROWS_PER_GROUP
        }
        group_summaries = {
            group: {
                "rows": len(group_losses),
                "loss": float(group_losses.mean()),
                "std": float(group_losses.std()),
            }
            for group, group_losses in losses_of_group.items()
        }
        summary[name] = {"bin_edges": edges, "groups": group_summaries}
    return summary


def loss_threshold(reference: Json, max_degradation: float = MAX_RELATIVE_DEGRADATION) -> float:
    """The largest mean loss that is no degradation, given the sampling error of the reference."""
    sampling_error = (
        NormalDist().inv_cdf(CONFIDENCE_LEVEL)
        * reference["std"]
        / math.sqrt(max(reference["rows"], 1))
    )
    # At most 1, which no loss exceeds, and above 0, as bets are divided by it.
    return float(min(max((reference["loss"] + sampling_error) * (1 + max_degradation), 1e-6), 1.0))


@dataclass(frozen=True)
class PerformanceStatus:
    """Whether performance has degraded, with the evidence for it.

    Attributes:
        n_rows: number of labeled rows.
        mean_loss: their mean loss.
        low: lower end of a 95 % confidence sequence for the mean loss.
        high: upper end of the same.
        loss_threshold: largest mean loss that is no degradation.
        log_e_value: log level of the detector after the last block.
        alarm_threshold: log level that raises an alarm.
        is_degraded: whether an alarm is active.
        alarm_since_row: labeled rows before the block that raised it.
    """

    n_rows: int
    mean_loss: float | None
    low: float
    high: float
    loss_threshold: float
    log_e_value: float
    alarm_threshold: float
    is_degraded: bool
    alarm_since_row: int | None


def detect_degradation(
    losses: Array,
    reference: Json,
    max_degradation: float = MAX_RELATIVE_DEGRADATION,
    n_streams: int = 1,
) -> PerformanceStatus:
    """Test whether the mean loss is above the threshold, in the order of the labels.

    Args:
        losses: from 0 to 1, in the order in which labels arrived, shape (rows,).
        reference: from `reference_loss`.
        max_degradation: tolerated rise of the loss, relative to itself.
        n_streams: tests that run in parallel, among which false alarms are shared.
    """
    threshold_loss = loss_threshold(reference, max_degradation)
    # False alarms are limited per 720 blocks of labeled rows, not per hour, as labels may arrive at
    # any pace: the rate is that of a month of hourly windows.
    log_threshold = alarm_threshold(HOURS_PER_MONTH, n_streams)
    detector = new_betting_detector()
    alarm: tuple[int, int] | None = None  # the block that raised it, and its delay in blocks
    start_block = 0
    # A bet multiplies the stake by 1 + bet * (loss - threshold). With bet = fraction / threshold it
    # is at least 1 - fraction at a loss of 0: the stake stays positive and its logarithm finite,
    # whatever losses come. While the mean loss is at most the threshold, the factor has a mean of
    # at most 1, as an e-value must.
    bets = np.array(BET_FRACTIONS) / threshold_loss
    for block_index in range(len(losses) // ROWS_PER_BLOCK):
        block = losses[block_index * ROWS_PER_BLOCK : (block_index + 1) * ROWS_PER_BLOCK]
        log_winnings = np.log1p(bets[:, None] * (block[None, :] - threshold_loss)).sum(axis=1)
        if detector.log_level <= RESET_FRACTION * log_threshold:
            # The delay counts from where the level began to rise: normal rows before it must not
            # make the alarm last longer.
            start_block = block_index
        if detector.update(log_winnings) >= log_threshold:
            # The detector restarts, so that only later degraded rows renew the alarm.
            alarm, detector = (block_index, block_index + 1 - start_block), new_betting_detector()
        elif alarm and block_index - alarm[0] > ALARM_DURATION_IN_DELAYS * (1 + alarm[1]):
            alarm = None
    low, high = confidence_sequence(losses)
    return PerformanceStatus(
        len(losses), float(losses.mean()) if len(losses) else None,
        float(low[-1]) if len(losses) else 0.0, float(high[-1]) if len(losses) else 1.0,
        threshold_loss, max(detector.log_level, 0.0), log_threshold, alarm is not None,
        alarm[0] * ROWS_PER_BLOCK if alarm else None,
    )  # fmt: skip


def new_betting_detector() -> EDetector:
    """A detector of all bets, equally weighted, before its first block."""
    return EDetector.create(np.full(len(BET_FRACTIONS), 1 / len(BET_FRACTIONS)))


def expected_accuracy(decisions_frame: pl.DataFrame) -> float | None:
    """The accuracy that calibrated probabilities predict; None for numbers.

    The estimate holds only while features and target are related as in the calibration rows.
    """
    probability_columns = [
        name for name in decisions_frame.columns if name.startswith("probability_")
    ]
    if not probability_columns or not decisions_frame.height:
        return None
    confidence = decisions_frame.select(pl.mean_horizontal(pl.max_horizontal(probability_columns)))
    return float(confidence.to_series().mean())  # type: ignore[arg-type]
