"""How good predictions are at work, once it is known what was true; alarms on harm only.

Waudby-Smith & Ramdas, *Estimating means of bounded random variables by betting*, JRSS B 2024: bets
against "the mean loss is at most so much" win only if it is more. What a model of classes says of
itself before that is told by its calibrated probabilities (as CBPE of NannyML does).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcraft.evidence.groups import FEWEST, MOST, edges_of, group_of
from fieldcraft.evidence.sequential import HOURS, Detector, bounds, threshold

Array = npt.NDArray[Any]
Json = dict[str, Any]

WORSE = 0.1  # by which share of itself the loss may be higher and do no harm
BLOCK = 50  # labelled rows whose evidence is taken together
BETS = (0.05, 0.1, 0.2, 0.4, 0.8)  # shares of what can be bet
UNIT = 5.0  # mean errors that count as a loss of 1
SURE = 0.99
LEAST = 50  # labelled rows from which on figures are told
HALF = 0.5  # of the way to an alarm, as a logarithm, from which its delay is counted
STAYS = 3  # delays after an alarm in which it must be found again


def losses(said: pl.DataFrame, y: Array, unit: float) -> Array:
    """A loss from 0 to 1 of each prediction.

    Of classes half the Brier score; of amounts the absolute error in a unit, 1 at most.

    Args:
        said: with ``probability_<class>`` in the order of the classes, or ``prediction``.
        y: class indexes, or amounts.
        unit: error of an amount that counts as 1.
    """
    names = [name for name in said.columns if name.startswith("probability_")]
    if not names:
        error = np.abs(said["prediction"].cast(pl.Float64).to_numpy() - y)
        capped: Array = np.minimum(error / unit, 1.0)
        return capped
    chances = said.select(names).to_numpy()
    truth = np.zeros_like(chances)
    truth[np.arange(len(y)), np.asarray(y, dtype=np.int64)] = 1
    found: Array = ((chances - truth) ** 2).sum(axis=1) / 2
    return np.clip(found, 0.0, 1.0)


def reference(said: pl.DataFrame, y: Array) -> Json:
    """The loss of rows that a model was judged on, with which that at work is compared."""
    unit = 1.0
    if not any(name.startswith("probability_") for name in said.columns):
        error = np.abs(said["prediction"].cast(pl.Float64).to_numpy() - y)
        unit = UNIT * float(error.mean()) or 1.0
    found = losses(said, y, unit)
    return {
        "rows": len(found), "loss": float(found.mean()), "spread": float(found.std()), "unit": unit,
    }  # fmt: skip


def by_groups(found: Array, values: pl.DataFrame) -> Json:
    """The loss of each group of some columns, with which that at work is compared.

    Numbers of many values are cut into quarters, whose edges are kept.

    Args:
        found: the loss of each row.
        values: the columns that divide the rows into groups, parsed.
    """
    told: Json = {}
    for name in values.columns:
        edges = edges_of(values[name])
        groups = group_of(values[name], edges)
        counts = groups.drop_nulls().value_counts(sort=True).head(MOST)
        parts = {group: found[(groups == group).fill_null(False).to_numpy()]
                 for group, count in counts.iter_rows() if count >= FEWEST}  # fmt: skip
        told[name] = {"edges": edges, "groups": {
            group: {"rows": len(part), "loss": float(part.mean()), "spread": float(part.std())}
            for group, part in parts.items()
        }}  # fmt: skip
    return told


def allowed(known: Json, worse: float = WORSE) -> float:
    """The mean loss up to which there is no harm: the reference's own error is allowed for."""
    error = NormalDist().inv_cdf(SURE) * known["spread"] / math.sqrt(max(known["rows"], 1))
    return float(min(max((known["loss"] + error) * (1 + worse), 1e-6), 1.0))


@dataclass(frozen=True)
class Harm:
    """Whether predictions have become worse.

    Attributes:
        rows: with a label.
        loss: their mean.
        low, high: between which the mean is at all times, at 95 %.
        allowed: mean loss up to which there is no harm.
        level, limit: of the detector after the last block, and the one of an alarm: logarithms.
        alarmed: whether an alarm stands.
        since: labelled rows before the block of that alarm.
    """

    rows: int
    loss: float | None
    low: float
    high: float
    allowed: float
    level: float
    limit: float
    alarmed: bool
    since: int | None


def harmed(found: Array, known: Json, worse: float = WORSE, streams: int = 1) -> Harm:
    """Whether losses, in the order in which labels came, are higher than is allowed.

    Args:
        found: the losses.
        known: the reference.
        worse: by which share of itself the loss may be higher.
        streams: how many such are looked at side by side; a false alarm of any is as rare.
    """
    most = allowed(known, worse)
    limit = threshold(HOURS, streams)
    detector = fresh()
    alarm: tuple[int, int] | None = None
    begun = 0
    stakes = np.array(BETS) / most
    for number in range(len(found) // BLOCK):
        block = found[number * BLOCK : (number + 1) * BLOCK]
        won = np.log1p(stakes[:, None] * (block[None, :] - most)).sum(axis=1)
        if detector.level <= HALF * limit:
            begun = number  # good times before do not make an alarm stand longer
        if detector.add(won) >= limit:
            alarm, detector = (number, number + 1 - begun), fresh()
        elif alarm and number - alarm[0] > STAYS * (1 + alarm[1]):
            alarm = None
    low, high = bounds(found)
    return Harm(
        len(found), float(found.mean()) if len(found) else None,
        float(low[-1]) if len(found) else 0.0, float(high[-1]) if len(found) else 1.0,
        most, max(detector.level, 0.0), limit, alarm is not None,
        alarm[0] * BLOCK if alarm else None,
    )  # fmt: skip


def fresh() -> Detector:
    """A detector of bets that has seen nothing."""
    return Detector.fresh(np.full(len(BETS), 1 / len(BETS)))


def expected(said: pl.DataFrame) -> float | None:
    """The share of right decisions that calibrated probabilities promise; None of amounts.

    It holds only where the world has not moved away from what the probabilities were calibrated on.
    """
    names = [name for name in said.columns if name.startswith("probability_")]
    if not names or not said.height:
        return None
    return float(said.select(pl.mean_horizontal(pl.max_horizontal(names))).to_series().mean())  # type: ignore[arg-type]
