"""Regression: predict a number, with an interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array, Json
from fieldcraft.data.cell_parser import MIN_PARSED_FRACTION
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.statistics import conformal, regression_metrics
from fieldcraft.statistics.metrics import Predictions
from fieldcraft.tasks import _base

RANGE_MARGIN_FRACTION = 0.05  # of the training range, by which predictions may exceed it
MAX_SCATTER_POINTS = 500


class RegressionTask(_base.BaseTask):
    """Predict a number with an interval."""

    name = "regression"
    output: Literal["value"] = "value"
    metrics = (
        regression_metrics.RMSE,
        regression_metrics.MAE,
        regression_metrics.R2,
        regression_metrics.MAPE,
        regression_metrics.MEAN_ERROR,
        regression_metrics.PINBALL,
        regression_metrics.COVERAGE,
        regression_metrics.MEAN_INTERVAL_WIDTH,
    )

    def infer(self, profiles: Sequence[ColumnProfile]) -> TypeInference | None:
        """Match a target of numbers with more than two distinct values."""
        profile = profiles[0]
        if (
            len(profiles) > 1
            or profile.n_unique < 3
            or profile.numeric_fraction < MIN_PARSED_FRACTION
        ):
            return None
        low, high = profile.value_range
        return TypeInference(
            self.name, 0.5, f"{profile.n_unique:,} distinct numbers from {low:g} to {high:g}"
        )

    def describe(self, target: pl.Series, problem: Json) -> Json:
        """An empty description, as a number needs none; the target is checked.

        Raises:
            DataError: the target is the same in every row.
        """
        if target.drop_nulls().n_unique() < 2:
            raise DataError(
                "the target is the same in every row, so there is nothing to learn",
                detail=f"column {target.name!r}: {target.drop_nulls().head(1).to_list()}",
                hint="choose another target, or give rows that differ",
            )
        return {}

    def encode(self, target: pl.Series, target_spec: Json) -> Array:
        """The target as float64 in its own units, shape (rows,)."""
        return target.cast(pl.Float64).to_numpy()

    def fit_target_scale(self, y: Array) -> Json:
        """Mean, standard deviation and range of the training target."""
        low, high = float(y.min()), float(y.max())
        margin = RANGE_MARGIN_FRACTION * (high - low)
        return {
            "mean": float(y.mean()),
            "std": float(y.std()) or 1.0,  # training values may all be equal
            "min": low - margin,
            "max": high + margin,
        }

    def scale_target(self, y: Array, scale: Json) -> Array:
        """Standardize the target."""
        return np.asarray((y - scale["mean"]) / scale["std"])

    def unscale_outputs(self, outputs: Array, scale: Json) -> Array:
        """Outputs in units of the target, clipped to the training range extended by 5 %."""
        values = outputs.astype(np.float64) * scale["std"] + scale["mean"]
        # A linear model or a network on an unusual row may extrapolate without bound.
        return np.asarray(np.clip(values, scale["min"], scale["max"]))

    def target_indicator_matrix(self, y: Array, target_spec: Json) -> Array:
        """The target itself, as one column."""
        return y[:, None].astype(np.float64)

    def n_outputs(self, target_spec: Json) -> int:
        """One output."""
        return 1

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Squared error, for training a network; label smoothing does not apply."""
        from fieldcraft.fit.losses import squared_error

        return squared_error

    def activate(self, raw: Any) -> Any:
        """Raw outputs unchanged: they are values already."""
        return raw

    def validation_loss(self, outputs: Array, y: Array, weights: Array | None = None) -> float:
        """Mean squared error."""
        return float(np.average((outputs[:, 0] - y) ** 2, weights=weights))

    def calibrate(
        self, outputs: Array, y: Array, target_spec: Json, weights: Array | None = None
    ) -> Json:
        """Fit the half-widths of the prediction intervals."""
        coverage = _base.target_coverage(target_spec)
        return conformal.fit_interval_half_widths(outputs[:, 0], y, coverage, weights)

    def predictions_from_outputs(
        self, outputs: Array, target_spec: Json, calibration_state: Json
    ) -> Predictions:
        """The values and their prediction intervals."""
        values = outputs[:, 0].astype(np.float64)
        intervals = conformal.prediction_intervals(values, calibration_state)
        return Predictions(outputs, values, intervals, _base.target_coverage(target_spec))

    def to_frame(self, predictions: Predictions, target_spec: Json) -> pl.DataFrame:
        """Columns ``prediction``, ``prediction_low`` and ``prediction_high``."""
        low, high = predictions.regions.T
        return pl.DataFrame(
            {"prediction": predictions.decisions, "prediction_low": low, "prediction_high": high}
        )

    def diagnostics(self, y: Array, predictions: Predictions, target_spec: Json) -> Json:
        """A sample of actual and predicted values, error quantiles, largest errors."""
        predicted = predictions.decisions
        error = predicted - y
        # Evenly spaced rows instead of random ones: the report is the same each time.
        shown_indices = np.unique(
            np.linspace(0, len(y) - 1, MAX_SCATTER_POINTS).round().astype(int)
        )
        quantile_levels = (0.05, 0.25, 0.5, 0.75, 0.95)
        return {
            "scatter": [[float(y[i]), float(predicted[i])] for i in shown_indices],
            "error_quantiles": dict(
                zip(
                    map(str, quantile_levels),
                    np.quantile(error, quantile_levels).tolist(),
                    strict=True,
                )
            ),
            "largest_errors": _base.largest_error_rows(np.abs(error)),
        }


TASK = RegressionTask()
