"""An amount."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json
from fieldcraft.core.errors import DataError
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.parse import ENOUGH
from fieldcraft.evidence import classes, conformal, value_metrics
from fieldcraft.evidence.metrics import Said

MARGIN = 0.05  # of the training range, beyond which predictions are cut off
SHOWN = 500  # points of the scatter of predicted against true values


class RegressionTask:
    """Tell an amount."""

    name = "regression"
    output: Literal["value"] = "value"
    metrics = (
        value_metrics.RMSE,
        value_metrics.MAE,
        value_metrics.R2,
        value_metrics.MAPE,
        value_metrics.BIAS,
        value_metrics.PINBALL,
        value_metrics.COVERAGE,
        value_metrics.WIDTH,
    )
    baselines = ("constant", "rule", "linear", "lightgbm")

    def recognise(self, looks: Sequence[Look]) -> Guess | None:
        """A target of numbers with more than two different values."""
        look = looks[0]
        if len(looks) > 1 or look.distinct < 3 or look.numeric_share < ENOUGH:
            return None
        low, high = look.span
        return Guess(
            self.name, 0.5, f"{look.distinct:,} different numbers from {low:g} to {high:g}"
        )

    def describe(self, target: pl.Series, problem: Json) -> Json:
        """Nothing to know beforehand.

        Raises:
            DataError: the target is the same number in every row.
        """
        if target.drop_nulls().n_unique() < 2:
            raise DataError(
                "the target is the same in every row, so there is nothing to learn",
                seen=f"column {target.name!r}: {target.drop_nulls().head(1).to_list()}",
                way_out="choose another target, or give rows that differ",
            )
        return {}

    def encode(self, target: pl.Series, about: Json) -> Array:
        """The target as floats, in its own units."""
        return target.cast(pl.Float64).to_numpy()

    def scale(self, y: Array) -> Json:
        """Mean, deviation and range of the training target."""
        low, high = float(y.min()), float(y.max())
        edge = MARGIN * (high - low)
        return {
            "mean": float(y.mean()),
            "deviation": float(y.std()) or 1.0,
            "low": low - edge,
            "high": high + edge,
        }

    def scaled(self, y: Array, scale: Json) -> Array:
        """The target standardised."""
        return np.asarray((y - scale["mean"]) / scale["deviation"])

    def unscaled(self, outputs: Array, scale: Json) -> Array:
        """Outputs in units of the target, kept within 5 % of the training range."""
        values = outputs.astype(np.float64) * scale["deviation"] + scale["mean"]
        return np.asarray(np.clip(values, scale["low"], scale["high"]))

    def columns(self, y: Array, about: Json) -> Array:
        """The target itself, as one column."""
        return y[:, None].astype(np.float64)

    def width(self, about: Json) -> int:
        """One output."""
        return 1

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Squared error, for training a network; amounts are not smoothed."""
        from fieldcraft.fit.losses import squared_error

        return squared_error

    def activate(self, raw: Any) -> Any:
        """Raw network outputs are values already."""
        return raw

    def validation_loss(self, outputs: Array, y: Array, weights: Array | None = None) -> float:
        """Mean squared error."""
        return float(np.average((outputs[:, 0] - y) ** 2, weights=weights))

    def calibrate(
        self, outputs: Array, y: Array, about: Json, weights: Array | None = None
    ) -> Json:
        """How wide the interval around each value must be to hold the truth often enough."""
        coverage = about.get("coverage", classes.COVERAGE)
        return conformal.interval_widths(outputs[:, 0], y, coverage, weights)

    def calibrated(self, outputs: Array, calibration: Json) -> Array:
        """Values as they are."""
        return outputs

    def read(self, outputs: Array, about: Json, calibration: Json) -> Said:
        """The values, and the interval around each."""
        values = outputs[:, 0].astype(np.float64)
        regions = conformal.intervals(values, calibration)
        return Said(outputs, values, regions, about.get("coverage", classes.COVERAGE))

    def decide(self, said: Said, about: Json) -> pl.DataFrame:
        """The value as ``prediction``, with ``prediction_low`` and ``prediction_high``."""
        low, high = said.regions.T
        return pl.DataFrame(
            {"prediction": said.decisions, "prediction_low": low, "prediction_high": high}
        )

    def evidence(self, y: Array, said: Said, about: Json) -> Json:
        """A sample of predicted against true values, quantiles of the error, worst rows."""
        predicted = said.decisions
        error = predicted - y
        kept = np.unique(np.linspace(0, len(y) - 1, SHOWN).round().astype(int))
        shares = (0.05, 0.25, 0.5, 0.75, 0.95)
        return {
            "scatter": [[float(y[i]), float(predicted[i])] for i in kept],
            "error_quantiles": dict(
                zip(map(str, shares), np.quantile(error, shares).tolist(), strict=True)
            ),
            "worst": classes.worst_rows(np.abs(error)),
        }


TASK = RegressionTask()
