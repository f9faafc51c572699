"""How good predictions are at work, once it is known what was true; alarms on harm only.

Waudby-Smith & Ramdas, *Estimating means of bounded random variables by betting*, JRSS B 2024: bets
against "the mean loss is at most so much" win only if it is more. What a model of classes says of
itself before that is told by its calibrated probabilities (as CBPE of NannyML does).
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

MAX_RELATIVE_DEGRADATION = 0.1  # by which share of itself the loss may be higher and do no harm
ROWS_PER_BLOCK = 50  # labelled rows whose evidence is taken together
BET_FRACTIONS = (0.05, 0.1, 0.2, 0.4, 0.8)  # shares of what can be bet
MEAN_ERRORS_PER_UNIT_LOSS = 5.0  # mean errors that count as a loss of 1
CONFIDENCE_LEVEL = 0.99
MIN_LABELED_ROWS = 50  # labelled rows from which on figures are told
RESET_FRACTION = 0.5  # of the way to an alarm, as a logarithm, from which its delay is counted
ALARM_DURATION_IN_DELAYS = 3  # delays after an alarm in which it must be found again


def bounded_losses(decisions_frame: pl.DataFrame, y: Array, error_unit: float) -> Array:
    """A loss from 0 to 1 of each prediction.

    Of classes half the Brier score; of amounts the absolute error in a unit, 1 at most.

    Args:
        decisions_frame: with ``probability_<class>`` in the order of the classes, or ``prediction``.
        y: class indexes, or amounts.
        error_unit: error of an amount that counts as 1.
    """
    probability_columns = [
        name for name in decisions_frame.columns if name.startswith("probability_")
    ]
    if not probability_columns:
        absolute_error = np.abs(decisions_frame["prediction"].cast(pl.Float64).to_numpy() - y)
        capped_error: Array = np.minimum(absolute_error / error_unit, 1.0)
        return capped_error
    probabilities = decisions_frame.select(probability_columns).to_numpy()
    one_hot = np.zeros_like(probabilities)
    one_hot[np.arange(len(y)), np.asarray(y, dtype=np.int64)] = 1
    losses: Array = ((probabilities - one_hot) ** 2).sum(axis=1) / 2
    return np.clip(losses, 0.0, 1.0)


def reference_loss(decisions_frame: pl.DataFrame, y: Array) -> Json:
    """The loss of rows that a model was judged on, with which that at work is compared."""
    error_unit = 1.0
    if not any(name.startswith("probability_") for name in decisions_frame.columns):
        absolute_error = np.abs(decisions_frame["prediction"].cast(pl.Float64).to_numpy() - y)
        error_unit = MEAN_ERRORS_PER_UNIT_LOSS * float(absolute_error.mean()) or 1.0
    found = bounded_losses(decisions_frame, y, error_unit)
    return {
        "rows": len(found), "loss": float(found.mean()), "spread": float(found.std()), "unit": error_unit,
    }  # fmt: skip


def losses_by_group(losses: Array, values: pl.DataFrame) -> Json:
    """The loss of each group of some columns, with which that at work is compared.

    Numbers of many values are cut into quarters, whose edges are kept.

    Args:
        losses: the loss of each row.
        values: the columns that divide the rows into groups, parsed.
    """
    summary: Json = {}
    for name in values.columns:
        edges = quartile_edges(values[name])
        groups = assign_groups(values[name], edges)
        counts = groups.drop_nulls().value_counts(sort=True).head(MAX_GROUPS_PER_COLUMN)
        losses_of_group = {group: losses[(groups == group).fill_null(False).to_numpy()]
                 for group, count in counts.iter_rows() if count >= MIN_ROWS_PER_GROUP}  # fmt: skip
        summary[name] = {"edges": edges, "groups": {
            group: {"rows": len(group_losses), "loss": float(group_losses.mean()), "spread": float(group_losses.std())}
            for group, group_losses in losses_of_group.items()
        }}  # fmt: skip
    return summary


def loss_threshold(reference: Json, max_degradation: float = MAX_RELATIVE_DEGRADATION) -> float:
    """The mean loss up to which there is no harm: the reference's own error is allowed for."""
    sampling_error = (
        NormalDist().inv_cdf(CONFIDENCE_LEVEL)
        * reference["spread"]
        / math.sqrt(max(reference["rows"], 1))
    )
    return float(min(max((reference["loss"] + sampling_error) * (1 + max_degradation), 1e-6), 1.0))


@dataclass(frozen=True)
class PerformanceStatus:
    """Whether predictions have become worse.

    Attributes:
        n_rows: with a label.
        mean_loss: their mean.
        low, high: between which the mean is at all times, at 95 %.
        loss_threshold: mean loss up to which there is no harm.
        level, limit: of the detector after the last block, and the one of an alarm: logarithms.
        has_alarm: whether an alarm stands.
        alarm_start_row: labelled rows before the block of that alarm.
    """

    n_rows: int
    mean_loss: float | None
    low: float
    high: float
    loss_threshold: float
    log_evidence: float
    log_threshold: float
    has_alarm: bool
    alarm_start_row: int | None


def detect_degradation(
    losses: Array,
    reference: Json,
    max_degradation: float = MAX_RELATIVE_DEGRADATION,
    n_streams: int = 1,
) -> PerformanceStatus:
    """Whether losses, in the order in which labels came, are higher than is allowed.

    Args:
        losses: the losses.
        reference: the reference.
        max_degradation: by which share of itself the loss may be higher.
        n_streams: how many such are looked at side by side; a false alarm of any is as rare.
    """
    threshold_loss = loss_threshold(reference, max_degradation)
    log_threshold = alarm_threshold(HOURS_PER_MONTH, n_streams)
    detector = new_betting_detector()
    alarm: tuple[int, int] | None = None
    start_block = 0
    bets = np.array(BET_FRACTIONS) / threshold_loss
    for block_index in range(len(losses) // ROWS_PER_BLOCK):
        block = losses[block_index * ROWS_PER_BLOCK : (block_index + 1) * ROWS_PER_BLOCK]
        log_winnings = np.log1p(bets[:, None] * (block[None, :] - threshold_loss)).sum(axis=1)
        if detector.log_level <= RESET_FRACTION * log_threshold:
            start_block = block_index  # good times before do not make an alarm stand longer
        if detector.update(log_winnings) >= log_threshold:
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
    """A detector of bets that has seen nothing."""
    return EDetector.create(np.full(len(BET_FRACTIONS), 1 / len(BET_FRACTIONS)))


def expected_accuracy(decisions_frame: pl.DataFrame) -> float | None:
    """The share of right decisions that calibrated probabilities promise; None of amounts.

    It holds only where the world has not moved away from what the probabilities were calibrated on.
    """
    probability_columns = [
        name for name in decisions_frame.columns if name.startswith("probability_")
    ]
    if not probability_columns or not decisions_frame.height:
        return None
    confidence = decisions_frame.select(pl.mean_horizontal(pl.max_horizontal(probability_columns)))
    return float(confidence.to_series().mean())  # type: ignore[arg-type]
